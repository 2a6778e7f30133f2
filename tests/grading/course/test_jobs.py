"""From a hand-in to its job: what the student's code sees, and what only the checks see."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from gencourse.grading.course.jobs import job_of, seed_of
from gencourse.grading.course.private import Private
from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.job import Cell, Job, Limits

KEY = b"k" * 32
Make = Callable[..., NotebookNode]


def job(ps1: ProblemSet, notebook: NotebookNode, student: str = "ada") -> Job:
    return job_of(ps1, notebook, student=student, key=KEY)


def test_template_and_release(ps1: ProblemSet) -> None:
    hidden = "score += 2.0"
    assert hidden in ps1.entries["task1-checks"].source
    assert hidden not in nbformat.writes(ps1.release)
    assert "return 2 * x" not in nbformat.writes(ps1.template)
    assert ps1.points == {"task1-checks": 3, "task2-checks": 2, "words": 5}


def test_students_never_get_what_only_checks_see(ps1: ProblemSet) -> None:
    assert ps1.files == {"table.csv": b"1,2\n"}
    assert list(ps1.course_files) == ["solutions/ps1/reference.py"]


def test_kinds_of_cells_and_their_names(ps1: ProblemSet, hand_in: Make) -> None:
    notebook = hand_in(task1="def double(x): return 2 * x")
    notebook.cells.insert(2, nbformat.v4.new_code_cell("mine = 1"))
    notebook.cells.insert(3, nbformat.v4.new_markdown_cell("my notes"))
    cells = job(ps1, notebook).cells
    assert [(c.name, c.kind) for c in cells] == [
        ("given", "given"),
        ("extra-1", "student"),
        ("task1", "student"),
        ("task1-checks", "checks"),
        ("task2", "student"),
        ("task2-checks", "checks"),
    ]
    assert "score += 2.0" in cells[3].source


def test_the_course_s_cells_win(ps1: ProblemSet, hand_in: Make) -> None:
    notebook = hand_in()
    by_name = {c.metadata.nbgrader.grade_id: c for c in notebook.cells}
    by_name["given"].source = "raise SystemExit"
    by_name["task1-checks"].source = "3.0"
    by_name["task1-checks"].metadata.nbgrader.points = 300
    ps1.with_checks(notebook)
    assert by_name["given"].source == "import math"
    assert "score" in by_name["task1-checks"].source
    assert by_name["task1-checks"].metadata.nbgrader.points == 3


@pytest.mark.parametrize("change", ["missing", "twice", "retyped"])
def test_what_was_not_mended_is_refused(ps1: ProblemSet, hand_in: Make, change: str) -> None:
    notebook = hand_in()
    if change == "missing":
        del notebook.cells[3]
    elif change == "twice":
        notebook.cells.append(notebook.cells[3])
    else:
        notebook.cells[2].cell_type = "markdown"
    with pytest.raises(ValueError, match="task1"):
        ps1.with_checks(notebook)


def test_seeds_differ_by_student_content_and_course_but_not_by_checks() -> None:
    def seed(student: str = "ada", key: bytes = KEY, source: str = "x", checks: str = "1") -> int:
        return seed_of(key, student, (Cell("a", "student", source), Cell("b", "checks", checks)))

    assert seed() == seed(checks="2")
    assert len({seed(), seed("bob"), seed(key=b"other"), seed(source="y")}) == 4
    assert 0 <= seed(source="\ud800") < 2**48


def test_limits_and_withheld_names_come_from_the_source(small: Path) -> None:
    path = small / "solutions" / "ps1" / "ps1.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["gencourse"] = {"withheld": ["gencourse.kl"], "limits": {"cell_seconds": 3}}
    nbformat.write(notebook, path)
    found = ProblemSet.load(small, "ps1")
    assert (found.withheld, found.limits) == (("gencourse.kl",), Limits(cell_seconds=3))
    notebook.metadata["gencourse"] = {"limits": {"seconds": 3}}
    nbformat.write(notebook, path)
    with pytest.raises(ValueError, match="no limit is called seconds; there are: cell_seconds"):
        ProblemSet.load(small, "ps1")


def test_a_set_that_is_not_there(small: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there are: ps1"):
        ProblemSet.load(small, "ps9")


def test_the_key_is_drawn_once_and_is_private(tmp_path: Path) -> None:
    private = Private(tmp_path)
    key = private.key()
    assert len(key) == 32
    assert Private(tmp_path).key() == key
    assert stat.S_IMODE((tmp_path / ".grading").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / ".grading" / "key").stat().st_mode) == 0o600
    assert not list(private.unfinished().iterdir())


def test_one_grader_at_a_time_and_what_dead_ones_left_goes(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    private = Private(tmp_path)
    left = private.unfinished() / f"{gone.pid}-half"
    mine = private.unfinished() / f"{os.getpid()}-half"
    for path in (left, mine):
        path.mkdir()
    code = (
        "import sys; from pathlib import Path; from gencourse.grading.course.private import Private"
        "\nwith Private(Path(sys.argv[1])).lock(): pass"
    )

    def another() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with private.lock():
        assert not left.exists()
        assert mine.exists()
        assert "another grader is at work" in another().stderr
    assert another().returncode == 0
