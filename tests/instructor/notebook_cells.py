"""Run the check cells of a problem set without a kernel: cells executed in a dictionary."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
SOLUTION_LINES = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)


def source(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "solutions" / name / f"{name}.ipynb", as_version=4)


def release(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "assignments" / name / f"{name}.ipynb", as_version=4)


def answers(name: str) -> dict[str, str]:
    """The answer cells of the source, as a student would have typed them."""
    return {
        cell.id: SOLUTION_LINES.sub("", cell.source)
        for cell in source(name).cells
        if cell.metadata.nbgrader.solution
    }


def handed_in(name: str, changes: dict[str, str]) -> NotebookNode:
    """The release with these cells filled in."""
    notebook = release(name)
    for cell in notebook.cells:
        cell.source = changes.get(cell.id, cell.source)
    return notebook


@dataclass
class Outcome:
    points: float
    printed: str


class Session:
    """What a kernel would hold after the given cells of a problem set were run."""

    def __init__(self, name: str) -> None:
        self.cells = {cell.id: cell for cell in source(name).cells}
        self.names: dict[str, Any] = {"__name__": "notebook"}

    def run(self, code: str, label: str) -> Any:
        """Run code as a cell; return the value of its last line, if that is an expression."""
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"<{label}>", "exec"), self.names)
        if last is not None:
            return eval(compile(ast.Expression(last.value), f"<{label}>", "eval"), self.names)
        return None

    @staticmethod
    def defined(code: str) -> list[str]:
        """Names of the functions and classes that code defines, or that it assigns to."""
        names = []
        for node in ast.parse(code).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.Assign):
                names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        return names

    def cell(self, name: str) -> Any:
        return self.run(self.cells[name].source, name)

    def checks(self, name: str) -> Outcome:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            points = self.cell(name)
        return Outcome(points, printed.getvalue())
