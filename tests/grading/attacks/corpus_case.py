"""What a hand-in of the corpus is: its bytes, and the outcome that is right for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from small_course import NAME, RIGHT, WRONG, release

__all__ = ["CASES", "Case", "case", "extra", "filled", "forged", "written"]

Group = Literal["honest", "forging", "limits", "files"]

#: What an attack prints when it got somewhere; put together there, so that no source holds it.
BREACH = "BREACH: "
#: Put before an attack: ``breach("what")`` tells the tests.
TELL = "def breach(what):\n    print('BREA' + 'CH: ' + str(what)[:200])\n"


@dataclass(frozen=True)
class Case:
    """One hand-in.

    Attributes
    ----------
    name : str
        Also the student's id.
    group : {"honest", "forging", "limits", "files"}
    why : str
        What it tries, or what went wrong with it, in a few words.
    build : callable
        Returns a notebook, its bytes, or a dict of several files.
    points : float or None
        What it must get; None where a person must look at it.
    says : tuple of str
        Parts of sentences that the student must read, in whatever case.
    """

    name: str
    group: Group
    why: str
    build: Callable[[], object]
    points: float | None
    says: tuple[str, ...] = ()

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """What lies in the folder of hand-ins, by relative path."""
        made = self.build()
        if isinstance(made, NotebookNode):
            made = written(made)
        return made if isinstance(made, dict) else {f"{self.name}_{NAME}.ipynb": made}


CASES: dict[str, Case] = {}


def case(
    group: Group, points: float | None, *says: str
) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Register a hand-in, called like the function that builds it."""

    def register(build: Callable[[], object]) -> Callable[[], object]:
        name = build.__name__.strip("_").replace("_", "-")
        if name in CASES:
            raise ValueError(f"two cases are called {name}")
        why = " ".join((build.__doc__ or name).split())
        CASES[name] = Case(name, group, why, build, points, says)
        return build

    return register


def written(notebook: NotebookNode) -> bytes:
    """As bytes, without what nbformat would repair on the way."""
    return json.dumps(notebook, indent=1).encode()


_RELEASE = release()


def filled(base: Mapping[str, str] | None = None, **answers: str) -> NotebookNode:
    """The release with answers: right ones unless others are given; None of ``{}`` are stubs."""
    notebook = copy.deepcopy(_RELEASE)
    chosen = {**(RIGHT if base is None else base), **answers}
    for cell in notebook.cells:
        cell.source = chosen.get(cell.id, cell.source)
    return notebook


def extra(notebook: NotebookNode, before: str, code: str) -> NotebookNode:
    """Put a cell of the student's own before another."""
    at = next(i for i, cell in enumerate(notebook.cells) if cell.id == before)
    number = len(notebook.cells)
    notebook.cells.insert(at, new_code_cell(code, id=f"own-{number}"))
    return notebook


def forged(code: str, **answers: str) -> NotebookNode:
    """Wrong answers, and code that runs before them to get points all the same."""
    return extra(filled(WRONG, **answers), "task1", TELL + code)
