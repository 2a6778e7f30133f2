"""A course with a small problem set, and ways to hand it in."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from small_set import source_notebook

from gencourse.grading.course.problem_set import ProblemSet


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A course with ``ps1``, to be loaded with :meth:`.ProblemSet.load`."""
    folder = tmp_path / "small" / "solutions" / "ps1"
    folder.mkdir(parents=True)
    nbformat.write(source_notebook(), folder / "ps1.ipynb")
    (folder / "reference.py").write_text("def double(x):\n    return x + x\n")
    (folder / "table.csv").write_text("1,2\n")
    return tmp_path / "small"


@pytest.fixture
def ps1(small: Path) -> ProblemSet:
    return ProblemSet.load(small, "ps1")


@pytest.fixture
def hand_in(ps1: ProblemSet) -> Callable[..., NotebookNode]:
    """Make a hand-in: the release with some cells filled in."""

    def make(**answers: str) -> NotebookNode:
        notebook = deepcopy(ps1.release)
        for one in notebook.cells:
            one.source = answers.get(one.metadata.nbgrader.grade_id, one.source)
        return ps1.with_checks(notebook)

    return make
