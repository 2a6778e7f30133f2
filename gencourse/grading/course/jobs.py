"""From a mended hand-in to the job that grades it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Literal

from nbformat import NotebookNode

from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.job import Cell, Job

__all__ = ["job_of", "named_cells", "seed_of"]


def named_cells(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Yield the code cells of a hand-in with the names that they have in its job.

    nbgrader's name where there is one; ``extra-1``, ``extra-2``, … for cells of the student's own.
    """
    taken = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells}
    count = 0
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name is None:
            count += 1
            while f"extra-{count}" in taken:
                count += 1
            name = f"extra-{count}"
        if cell.cell_type == "code":
            yield name, cell


def job_of(
    problem_set: ProblemSet,
    notebook: NotebookNode,
    *,
    student: str,
    key: bytes,
    files: Mapping[str, bytes] | None = None,
) -> Job:
    """Return the job that grades a mended hand-in.

    Parameters
    ----------
    problem_set : ProblemSet
    notebook : NotebookNode
        Of the hand-in, with the course's given cells and checks in place
        (:meth:`.ProblemSet.with_checks`).
    student : str
        Who handed it in.
    key : bytes
        The course's secret: see :func:`seed_of`.
    files : mapping of str to bytes, optional
        Handed in beside the notebook; those of the set win.
    """
    cells = tuple(Cell(name, _kind(cell), cell.source) for name, cell in named_cells(notebook))
    return Job(
        problem_set=problem_set.name,
        cells=cells,
        files={**(files or {}), **problem_set.files},
        course_files=dict(problem_set.course_files),
        withheld=problem_set.withheld,
        limits=problem_set.limits,
        seed=seed_of(key, student, cells),
    )


def _kind(cell: NotebookNode) -> Literal["student", "given", "checks"]:
    meta = cell.metadata.get("nbgrader", {})
    if meta.get("solution"):
        return "student"
    if meta.get("grade"):
        return "checks"
    return "given" if meta.get("locked") else "student"


def seed_of(key: bytes, student: str, cells: tuple[Cell, ...]) -> int:
    """Return the seed of a hand-in's random inputs: 48 bits of an HMAC with the course's key.

    It depends on who wrote what, so no answer can be a remembered number; grading the same
    hand-in again gives the same points, and so does a corrected check.
    """
    content = json.dumps([student, [c.source for c in cells if c.kind == "student"]])
    digest = hmac.digest(key, content.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return int.from_bytes(digest[:6], "big")
