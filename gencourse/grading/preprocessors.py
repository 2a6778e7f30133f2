"""Small repairs that nbgrader makes on the way, named in ``nbgrader_config.py``."""

from __future__ import annotations

from html import escape
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader import utils
from nbgrader.preprocessors import DeduplicateIds, GetGrades, NbGraderPreprocessor

__all__ = ["Deduplicate", "DropTags", "GradesAndWaiting", "HideTestTracebacks", "Summary"]

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


class HideTestTracebacks(NbGraderPreprocessor):
    """Replace tracebacks in check cells of the feedback: they show lines of hidden checks."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> Processed:
        """Process one cell of a graded notebook."""
        if cell.cell_type == "code" and utils.is_grade(cell):
            for output in cell.outputs:
                if output.output_type == "error":
                    output.traceback = [_SENTENCES.get(output.ename, _OTHERWISE)]
                    output.evalue = ""
        return cell, resources


_STOPPED = "The checks in this cell took too long and were stopped; they give no points."
_SENTENCES = {"CellTimeoutError": _STOPPED, "KeyboardInterrupt": _STOPPED}
_OTHERWISE = (
    "The checks in this cell could not be run; they give no points. "
    "Does your notebook run from top to bottom after a restart?"
)


class GradesAndWaiting(GetGrades):
    """nbgrader's own, which also notes what still waits for a marker: its score reads as 0."""

    def _get_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        super()._get_score(cell, resources)
        grade = self.gradebook.find_grade(
            cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id
        )
        cell.metadata.nbgrader["waiting"] = bool(grade.needs_manual_grade)


class Summary(NbGraderPreprocessor):
    """Put a table of points at the top of the feedback, with the first sentence on each loss.

    It takes the place of nbgrader's list, in which every entry is called "Test cell".
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Processed:
        """Insert the table as the first cell."""
        rows = []
        for cell in nb.cells:
            if not utils.is_grade(cell):
                continue
            meta = cell.metadata.nbgrader
            score, points = float(meta.score or 0), float(meta.points)
            sentence = "to be graded by hand" if meta.get("waiting") else ""
            if not sentence and score < points and cell.cell_type == "code":
                sentence = first_sentence(cell)
            full = "" if score < points else " class='full'"
            rows.append(
                f"<tr{full}><td><a href='#{escape(meta.grade_id)}'>{escape(meta.grade_id)}</a></td>"
                f"<td>{score:g} of {points:g}</td><td>{escape(sentence)}</td></tr>"
            )
        table = "<tr><th>checks</th><th>points</th><th>look at</th></tr>" + "".join(rows)
        nb.cells.insert(0, new_markdown_cell(f"{_STYLE}<table class='summary'>{table}</table>"))
        return nb, resources


def first_sentence(cell: NotebookNode) -> str:
    """Return the first line that the checks of a cell printed about a mistake."""
    for output in cell.outputs:
        if output.output_type == "error":
            return _SENTENCES.get(output.ename, _OTHERWISE)
        if output.output_type == "stream" and output.name == "stdout":
            lines = [line.strip() for line in output.text.splitlines()]
            for line, following in zip(lines, [*lines[1:], ""], strict=True):
                if line == "Not attempted yet.":
                    return line
                if line.startswith("✗"):
                    return following
    return ""


_STYLE = (
    "<style>#toc { display: none } .rendered_html td, .rendered_html th "
    "{ padding: 2px 12px; text-align: left } table.summary tr.full { color: #888 } "
    "table.summary td:not(:last-child) { white-space: nowrap }</style>"
)
