"""The gradebook holds what nbgrader would have written, and marks given by hand stay."""

from __future__ import annotations

import datetime
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from small_set import all_well, source_notebook
from traitlets.config import Config

from gencourse.grading.course.jobs import job_of
from gencourse.grading.course.ledger import Ledger
from gencourse.grading.course.outputs import write_outputs
from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.reports.late import LatePolicy
from gencourse.grading.reports.tables import BY_HAND, GRADED, NEEDS_REVIEW

# nbgrader's own way with its database.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

Hand = Callable[..., NotebookNode]
MONDAY, TUESDAY = "2026-11-23 10:00:00 UTC", "2026-11-24 09:00:00 UTC"


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course whose gradebook knows ps1."""
    root = tmp_path_factory.mktemp("registered")
    (root / "solutions" / "ps1").mkdir(parents=True)
    nbformat.write(source_notebook(), root / "solutions" / "ps1" / "ps1.ipynb")
    coursedir, config = opened(root)
    with pytest.MonkeyPatch.context() as patch:
        # nbgrader calls alembic by its bare name.
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        done = NbGraderAPI(coursedir=coursedir, config=config).generate_assignment("ps1")
    assert done["success"], done
    return root


def opened(root: Path) -> tuple[CourseDirectory, Config]:
    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.source_directory = "solutions"
    config.AssignLatePenalties.plugin_class = LatePolicy
    config.LatePolicy.percent_per_day = 10
    return CourseDirectory(config=config), config


@pytest.fixture
def ledger(registered: Path, tmp_path: Path, ps1: ProblemSet) -> Iterator[Ledger]:
    root = tmp_path / "course"
    shutil.copytree(registered, root)
    coursedir, config = opened(root)
    with Ledger(ps1, coursedir, config) as open_ledger:
        yield open_ledger


def graded(ps1: ProblemSet, notebook: NotebookNode) -> NotebookNode:
    result = all_well(job_of(ps1, notebook, student="ada", key=b""))
    return write_outputs(notebook, result, ps1.points)


def words(ledger: Ledger, student: str = "ada"):
    return ledger.gradebook.find_grade("words", "ps1", "ps1", student)


def test_scores_and_what_waits(ledger: Ledger, ps1: ProblemSet, hand_in: Hand) -> None:
    found = ledger.record("ada", graded(ps1, hand_in(words="Because.")), MONDAY, {"t.csv": b"1"})
    assert (found.status, found.score, found.max_score) == (BY_HAND, 1.0, 10.0)
    blank = ledger.record("bob", graded(ps1, hand_in()), "", {})
    assert (blank.status, blank.score) == (GRADED, 1.0)
    assert ledger.standing("eve") is None
    comment = ledger.gradebook.find_comment("words", "ps1", "ps1", "bob")
    assert comment.auto_comment == "No response."

    folder = ledger.folder("autograded", "ada")
    assert sorted(p.name for p in folder.iterdir()) == ["ps1.ipynb", "t.csv", "timestamp.txt"]
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE((folder.parents[2] / "gradebook.db").stat().st_mode) == 0o600


def test_a_mark_on_the_same_answer_needs_no_second_look(
    ledger: Ledger, ps1: ProblemSet, hand_in: Hand
) -> None:
    ledger.record("ada", graded(ps1, hand_in(words="Because.")), MONDAY, {})
    grade = words(ledger)
    grade.manual_score, grade.needs_manual_grade = 4, False
    ledger.gradebook.db.commit()

    again = ledger.record("ada", graded(ps1, hand_in(words="Because.")), MONDAY, {})
    assert (again.status, again.score) == (GRADED, 5.0)
    changed = ledger.record("ada", graded(ps1, hand_in(words="Otherwise.")), TUESDAY, {})
    assert (changed.status, changed.score) == (BY_HAND, 5.0)
    # And so it stays, until the marker has looked.
    assert ledger.record("ada", graded(ps1, hand_in(words="Otherwise.")), TUESDAY, {}) == changed


def test_late_hand_ins(ledger: Ledger, ps1: ProblemSet, hand_in: Hand) -> None:
    ledger.gradebook.update_or_create_assignment(
        "ps1", duedate=datetime.datetime(2026, 11, 23, 12, 0)
    )
    ledger.record("ada", graded(ps1, hand_in()), MONDAY, {})
    ledger.record("bob", graded(ps1, hand_in()), TUESDAY, {})
    find = ledger.gradebook.find_submission
    assert find("ps1", "ada").late_submission_penalty == 0
    assert find("ps1", "bob").late_submission_penalty == pytest.approx(0.1)
    ledger.record("bob", graded(ps1, hand_in()), MONDAY, {})
    assert find("ps1", "bob").late_submission_penalty == 0


def test_what_fails_half_way_leaves_the_gradebook_as_it_was(
    ledger: Ledger, ps1: ProblemSet, hand_in: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(ledger.penalties, "save", die)
        with pytest.raises(RuntimeError):
            ledger.record("ada", graded(ps1, hand_in()), MONDAY, {})
    assert ledger.standing("ada") is None
    assert not ledger.folder("autograded", "ada").exists()
    assert ledger.record("ada", graded(ps1, hand_in()), MONDAY, {}).score == 1.0


def test_scores_are_taken_back_but_not_those_given_by_hand(
    ledger: Ledger, ps1: ProblemSet, hand_in: Hand
) -> None:
    ledger.record("ada", graded(ps1, hand_in(words="Because.")), MONDAY, {})
    words(ledger).manual_score = 4
    ledger.gradebook.db.commit()
    ledger.clear("ada")
    standing = ledger.standing("ada")
    assert standing is not None
    assert (standing.status, standing.score) == (NEEDS_REVIEW, 4.0)
    assert not ledger.folder("autograded", "ada").exists()
    ledger.clear("eve")
    assert ledger.standing("eve").status == NEEDS_REVIEW  # type: ignore[union-attr]


@pytest.mark.parametrize("student", ["", "..", "../bob", "/etc", "a*", "[ab]"])
def test_no_id_leads_out_of_the_course(ledger: Ledger, student: str) -> None:
    with pytest.raises(ValueError, match="can't be the id"):
        ledger.take_in(student, b"{}", "")


def test_hand_ins_are_kept_as_they_came(ledger: Ledger) -> None:
    for data in (b"not json", b"other"):
        ledger.take_in("ada", data, MONDAY)
        folder = ledger.folder("submitted", "ada")
        assert (folder / "ps1.ipynb").read_bytes() == data
        assert (folder / "timestamp.txt").read_text() == MONDAY
        assert stat.S_IMODE((folder / "ps1.ipynb").stat().st_mode) == 0o600
    assert not list(ledger.private.unfinished().iterdir())
