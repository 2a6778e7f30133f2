"""A problem set is graded with its own solution, and blank, before students get it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))
import release

IMPORTS = "from gencourse.grading import Task, close, reference"
ANSWER = "def double(x):\n    ### BEGIN SOLUTION\n    return {}\n    ### END SOLUTION"
CHECKS = """\
### BEGIN HIDDEN TESTS
task = Task("Task 1", points=2)
ref = reference("ps1")


@task.check("doubles", points=2)
def _():
    close({got}, ref.double(3.0))


task.score()
### END HIDDEN TESTS"""


def course(tmp_path: Path, answer: str, got: str) -> Path:
    folder = tmp_path / "solutions" / "ps1"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    (folder / "reference.py").write_text("def double(x):\n    return x + x\n")
    cells = []
    for name, code, solution, points in (
        ("imports", IMPORTS, False, None),
        ("task1", ANSWER.format(answer), True, None),
        ("task1-hidden", CHECKS.format(got=got), False, 2),
    ):
        meta = {"grade_id": name, "schema_version": 3, "task": False, "locked": not solution}
        meta |= {"solution": solution, "grade": points is not None}
        meta |= {"points": points} if points else {}
        cells.append(nbformat.v4.new_code_cell(code, id=name, metadata={"nbgrader": meta}))
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "ps1.ipynb")
    return tmp_path


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """The configuration that is read changes umask and environment of its process."""
    environment, umask = dict(os.environ), os.umask(0)
    os.umask(umask)
    yield
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.skipif(sys.platform != "linux", reason="the fork server runs on Linux alone")
@pytest.mark.parametrize(
    ("answer", "got", "words"),
    [
        ("2 * x", "double(3.0)", ""),
        ("3 * x", "double(3.0)", "the solution gets 0 points in task1-hidden, not 2"),
        ("2 * x", "6.0", "a blank hand-in gets 2 points in task1-hidden, not 0"),
        ("2 * x", "double(lambda: 1)", "the checks task1-hidden fail: "),
    ],
)
def test_what_is_wrong_with_a_set_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server,
    answer: str,
    got: str,
    words: str,  # type: ignore[no-untyped-def]
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = release.validate("ps1", course(tmp_path, answer, got), server)
    assert words in "; ".join(faults)
    assert bool(faults) == bool(words)
