"""Small repairs that nbgrader makes on the way, named in ``nbgrader_config.py``."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import DeduplicateIds, NbGraderPreprocessor

__all__ = ["Deduplicate", "DropTags"]

Processed = tuple[NotebookNode, dict[str, Any]]


class DropTags(NbGraderPreprocessor):
    """Remove cell tags from a hand-in: ``skip-execution`` on a check cell would give full marks."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> Processed:
        """Process one cell of a hand-in."""
        cell.metadata.pop("tags", None)
        return cell, resources


class Deduplicate(DeduplicateIds):
    """Make a copied cell an ordinary one, keeping the last of each id.

    nbgrader's own version leaves an empty entry behind that a later step takes for an outdated
    format, and the whole batch stops (nbgrader issues 1083 and 1933).
    """

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> Processed:
        """Process one cell of a hand-in, from the last to the first."""
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if cell.metadata.get("nbgrader") == {}:
            del cell.metadata["nbgrader"]
        return cell, resources
