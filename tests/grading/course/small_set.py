"""A problem set small enough to read, as nbgrader's source notebook."""

from __future__ import annotations

import nbformat
from nbformat import NotebookNode

from gencourse.grading.job import CellResult, Job, Outcome, Result

ANSWER = """\
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
"""
CHECKS = """\
score = 1.0
### BEGIN HIDDEN TESTS
score += 2.0
### END HIDDEN TESTS
score
"""


def cell(kind: str, name: str, source: str, **meta: object) -> NotebookNode:
    entry = {"grade": False, "locked": True, "solution": False, "task": False, **meta}
    entry |= {"grade_id": name, "schema_version": 3}
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[kind]
    return make(source, id=name, metadata={"nbgrader": entry})


def source_notebook() -> NotebookNode:
    notebook = nbformat.v4.new_notebook(
        cells=[
            cell("markdown", "title", "# Problem set 1"),
            cell("code", "given", "import math"),
            cell("code", "task1", ANSWER, locked=False, solution=True),
            cell("code", "task1-checks", CHECKS, grade=True, points=3),
            cell("code", "task2", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", solution=True),
            cell("code", "task2-checks", "2.0", grade=True, points=2),
            cell("markdown", "words", "In words.", grade=True, solution=True, points=5),
        ]
    )
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    return notebook


def all_well(job: Job) -> Result:
    """A result in which each cell ran and each check gave half a point."""
    cells = [
        CellResult(c.name, Outcome.OK, score=0.5 if c.kind == "checks" else None)
        for c in job.cells
        if c.name not in job.known
    ]
    return Result(tuple(cells), "namespaces")
