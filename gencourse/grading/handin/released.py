"""The cells of a release, as hand-ins are compared with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from gencourse.grading.handin.code import Stub

__all__ = ["ReleasedCell", "released_cells"]


@dataclass(frozen=True)
class ReleasedCell:
    """One cell of a release.

    Attributes
    ----------
    name : str
        nbgrader's ``grade_id``.
    cell_type : {"code", "markdown", "raw"}
    kind : {"answer", "given", "checks"}
        Who has the last word on it: the student of an answer, the course of the others.
    source : str
    points : float
        Of checks, and of answers that a person marks.
    """

    name: str
    cell_type: str
    kind: Literal["answer", "given", "checks"]
    source: str
    points: float = 0.0

    @cached_property
    def stub(self) -> Stub:
        """What the student is asked to write in it; nothing by name in a text."""
        return Stub.of(self.source) if self.cell_type == "code" else Stub(self.source)


def released_cells(notebook: Mapping[str, Any]) -> list[ReleasedCell]:
    """Return the cells of a release notebook, read as JSON or by nbformat.

    Raises
    ------
    ValueError
        If a cell of it is not known to nbgrader, or two have one name.
    """
    cells: Sequence[Mapping[str, Any]] = notebook["cells"]
    found: list[ReleasedCell] = []
    for cell in cells:
        source = cell["source"]
        meta = cell["metadata"].get("nbgrader")
        if not meta:
            raise ValueError(f"cell {cell.get('id')!r} of the release has no nbgrader entry")
        found.append(
            ReleasedCell(
                name=meta["grade_id"],
                cell_type=cell["cell_type"],
                kind="answer" if meta["solution"] else "checks" if meta["grade"] else "given",
                source=source if isinstance(source, str) else "".join(source),
                points=float(meta.get("points", 0)),
            )
        )
    names = [cell.name for cell in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several cells of the release are called {', '.join(twice)}")
    return found
