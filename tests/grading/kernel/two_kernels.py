"""Small hand-ins, written in a line or two."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from gencourse.grading.job import Cell, CellResult, Job, Result

GIVEN = """
import torch
from torch import nn
from gencourse.grading import *
"""


def hand_in(*cells: str, **options: Any) -> Job:
    """A job of cells that begin with ``# student``, ``# given`` or ``# checks`` and a name."""
    made = [Cell("imports", "given", GIVEN)]
    for number, source in enumerate(cells):
        source = dedent(source).strip()
        _, kind, *name = source.splitlines()[0].split()
        made.append(Cell(name[0] if name else f"cell{number}", kind, source))
    return Job("ps0", tuple(made), **options)


def checks(name: str, *expectations: str, seconds: float = 10.0, hidden: bool = False) -> str:
    """A check cell with one point for each of these lines of code."""
    lines = [
        f"# checks {name}",
        f"task = Task({name!r}, {len(expectations)}, seconds={seconds}, hidden={hidden})",
    ]
    for number, expectation in enumerate(expectations):
        lines += [f"@task.check('number {number}', points=1)", "def _():", f"    {expectation}"]
    return "\n".join([*lines, "task.score()"])


def text(cell: CellResult) -> str:
    """Everything a cell printed, showed and failed with."""
    parts = []
    for output in cell.outputs:
        parts += [output.get("text", ""), output.get("evalue", "")]
        parts += [output.get("data", {}).get("text/plain", "")]
    return "\n".join(parts)


def by_name(result: Result) -> dict[str, CellResult]:
    return {cell.name: cell for cell in result.cells}
