"""A class is graded to the same gradebook whatever happens on the way."""

from __future__ import annotations

import csv
import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from small_set import all_well, source_notebook
from typer.testing import CliRunner

from gencourse.cli import app
from gencourse.grading.course import batch
from gencourse.grading.course.batch import BY_HAND, GRADED, NEEDS_REVIEW, HandIn, Options, grade
from gencourse.grading.course.engine import Local
from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.job import Job, Outcome, Result
from gencourse.grading.sandbox import policy

ROOT = Path(__file__).resolve().parents[3]
STUDENTS = ("ada", "bob", "cleo", "dan", "eve")


class Counting:
    """An engine that runs nothing: points by the number of letters in the answer."""

    def __init__(self, *, fails: Iterable[str] = (), stops_after: int | None = None) -> None:
        self.jobs: list[Job] = []
        self.names: list[str] = []
        self.fails = tuple(fails)
        self.stops_after = stops_after

    def run(self, jobs: Iterable[tuple[str, Job]]) -> Iterator[tuple[str, Result]]:
        for name, job in jobs:
            if len(self.jobs) == self.stops_after:
                raise KeyboardInterrupt
            self.names.append(name)
            self.jobs.append(job)
            yield name, Result((), problem="No kernel.") if name in self.fails else points(job)


def points(job: Job) -> Result:
    answer = next(cell.source for cell in job.cells if cell.name == "task1")
    result = all_well(job)
    cells = [
        replace(c, score=len(answer) % 20 / 10) if c.score is not None else c for c in result.cells
    ]
    return replace(result, cells=tuple(cells))


@pytest.fixture(scope="session")
def registered_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course with the real configuration, whose gradebook knows ps1."""
    root = tmp_path_factory.mktemp("registered") / "course"
    (root / "solutions" / "ps1").mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", root)
    nbformat.write(source_notebook(), root / "solutions" / "ps1" / "ps1.ipynb")
    hand_ins = tmp_path_factory.mktemp("nobody")
    (hand_ins / "nobody_ps1.ipynb").write_text("{}")
    grade("ps1", hand_ins, course=root, engine=Counting())
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        gradebook.remove_student("nobody")
    return root


@pytest.fixture
def course(registered_course: Path, tmp_path: Path) -> Path:
    shutil.copytree(registered_course, tmp_path / "course")
    return tmp_path / "course"


@pytest.fixture
def hand_ins(tmp_path: Path, course: Path) -> Path:
    folder = tmp_path / "hand-ins"
    folder.mkdir()
    for i, student in enumerate(STUDENTS):
        write(folder, course, student, task1=f"def double(x):\n    return 2 * x{' ' * i}#")
    return folder


def write(folder: Path, course: Path, student: str, **answers: str) -> None:
    with batch._course(course) as config:  # what stubs look like
        notebook = ProblemSet.load(course, "ps1", config).release
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.nbgrader.grade_id, cell.source)
    nbformat.write(notebook, folder / f"{student}_ps1.ipynb")


def gradebook_of(course: Path) -> dict[str, object]:
    """What the gradebook says of every cell of every student, and what is in the folders."""
    found: dict[str, object] = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for one in gradebook.assignment_submissions("ps1"):
            for notebook in one.notebooks:
                for entry in notebook.grades:
                    key = f"{one.student_id} {entry.name}"
                    found[key] = (entry.auto_score, entry.manual_score, entry.needs_manual_grade)
            found[one.student_id] = (one.score, str(one.timestamp))
    for step in ("submitted", "autograded", "feedback"):
        for path in (course / step).rglob("*"):
            if path.is_file():
                found[str(path.relative_to(course))] = path.read_bytes()
    found["csv"] = (course / "grades" / "ps1.csv").read_bytes()
    return found


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["student_id"]: row for row in csv.DictReader(file)}


def test_a_class(course: Path, hand_ins: Path) -> None:
    write(hand_ins, course, "words", words="Because.")
    (hand_ins / "broken_ps1.ipynb").write_text("<html>")
    (hand_ins / "fay_ps2.ipynb").write_text("{}")
    seen: list[HandIn] = []
    counts: list[int] = []
    found = grade(
        "ps1", hand_ins, course=course, engine=Counting(), report=seen.append, expect=counts.append
    )
    assert counts == [8]
    assert {h.student for h in seen} == {h.student for h in found.hand_ins}
    by_name = {h.student: h for h in found.hand_ins}
    assert all(by_name[student].status == GRADED for student in STUDENTS)
    assert by_name["words"].status == BY_HAND
    assert {h.student for h in found.needs_review} == {"broken", "fay_ps2.ipynb"}
    table = rows(found.csv)
    assert (table["broken"]["score"], table["broken"]["status"]) == ("", NEEDS_REVIEW)
    assert float(table["ada"]["score"]) == by_name["ada"].score
    for path in course.rglob("*"):
        if path.relative_to(course).parts[0] not in ("solutions", "nbgrader_config.py"):
            assert path.stat().st_mode & 0o077 == 0, path


def test_nothing_is_run_or_written_twice(course: Path, hand_ins: Path) -> None:
    first = grade("ps1", hand_ins, course=course, engine=Counting())
    before = gradebook_of(course)
    again = Counting()
    second = grade("ps1", hand_ins, course=course, engine=again)
    assert again.jobs == []
    assert second.hand_ins == first.hand_ins
    assert gradebook_of(course) == before
    forced = Counting()
    grade("ps1", hand_ins, course=course, engine=forced, options=Options(force=True))
    assert sorted(forced.names) == sorted(STUDENTS)
    assert gradebook_of(course) == before


def test_marks_given_by_hand_stay(course: Path, hand_ins: Path) -> None:
    write(hand_ins, course, "ada", words="Because.")
    grade("ps1", hand_ins, course=course, engine=Counting())
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        mark = gradebook.find_grade("words", "ps1", "ps1", "ada")
        mark.manual_score, mark.needs_manual_grade = 4, False
        gradebook.db.commit()
    for options in (Options(), Options(force=True)):
        found = grade("ps1", hand_ins, course=course, engine=Counting(), options=options)
        assert found.hand_ins[0].status == GRADED
        assert float(rows(found.csv)["ada"]["score"]) == found.hand_ins[0].score
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        assert gradebook.find_grade("words", "ps1", "ps1", "ada").manual_score == 4


def test_a_changed_check_reruns_that_check_alone(course: Path, hand_ins: Path) -> None:
    grade("ps1", hand_ins, course=course, engine=Counting())
    path = course / "solutions" / "ps1" / "ps1.ipynb"
    source = nbformat.read(path, as_version=4)
    next(c for c in source.cells if c.id == "task2-checks").source = "1.5"
    nbformat.write(source, path)
    again = Counting()
    found = grade("ps1", hand_ins, course=course, engine=again)
    assert [job.known for job in again.jobs] == [("task1-checks",)] * len(STUDENTS)
    assert all(hand_in.status == GRADED for hand_in in found.hand_ins)
    text = (course / "autograded" / "ada" / "ps1" / "ps1.ipynb").read_text()
    assert '"1.5"' in text
    third = Counting()
    grade("ps1", hand_ins, course=course, engine=third)
    assert third.jobs == []


def test_a_changed_hand_in_is_run_again(course: Path, hand_ins: Path) -> None:
    first = grade("ps1", hand_ins, course=course, engine=Counting())
    write(hand_ins, course, "bob", task1="def double(x): return x + x")
    again = Counting()
    second = grade("ps1", hand_ins, course=course, engine=again)
    assert again.names == ["bob"]
    assert [h.student for h in second.hand_ins if h not in first.hand_ins] == ["bob"]


def test_what_could_not_be_run_is_not_zero_and_is_tried_next_time(
    course: Path, hand_ins: Path
) -> None:
    undisturbed = grade("ps1", hand_ins, course=course, engine=Counting())
    before = gradebook_of(course)
    found = grade(
        "ps1", hand_ins, course=course, engine=Counting(fails=["bob"]), options=Options(force=True)
    )
    (review,) = found.needs_review
    assert (review.student, review.score, review.note) == ("bob", None, "No kernel.")
    assert rows(found.csv)["bob"]["score"] == ""
    assert not (course / "feedback" / "bob" / "ps1").exists()
    again = Counting()
    assert grade("ps1", hand_ins, course=course, engine=again).hand_ins == undisturbed.hand_ins
    assert gradebook_of(course) == before


def test_stopped_and_taken_up_again(course: Path, hand_ins: Path, tmp_path: Path) -> None:
    other = tmp_path / "undisturbed"
    shutil.copytree(course, other)
    grade("ps1", hand_ins, course=other, engine=Counting())
    with pytest.raises(KeyboardInterrupt):
        grade("ps1", hand_ins, course=course, engine=Counting(stops_after=2))
    rest = Counting()
    grade("ps1", hand_ins, course=course, engine=rest)
    assert rest.names == ["cleo", "dan", "eve"]
    assert differences(gradebook_of(course), gradebook_of(other)) == []


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    return sorted(key for key in one | other if str(one.get(key)) != str(other.get(key)))


def test_only_one_student(course: Path, hand_ins: Path) -> None:
    engine = Counting()
    options = Options(only=["cleo"])
    found = grade("ps1", hand_ins, course=course, engine=engine, options=options)
    assert (engine.names, [h.student for h in found.hand_ins]) == (["cleo"], ["cleo"])
    with pytest.raises(FileNotFoundError, match="no hand-in of zoe"):
        grade("ps1", hand_ins, course=course, engine=engine, options=Options(only=["zoe"]))


def test_a_dry_run_writes_nothing(course: Path, hand_ins: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        paths = [p for p in course.rglob("*") if "__pycache__" not in p.parts]
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in paths if p.is_file()}

    grade("ps1", hand_ins, course=course, engine=Counting())
    write(hand_ins, course, "bob", task1="def double(x): return x + x")
    (hand_ins / "broken_ps1.ipynb").write_text("<html>")
    before, engine = state(), Counting()
    found = grade("ps1", hand_ins, course=course, engine=engine, options=Options(dry_run=True))
    assert (state(), engine.jobs) == (before, [])
    said = {h.student: h.status for h in found.hand_ins}
    assert (said["ada"], said["bob"]) == (batch.KNOWN, batch.TO_RUN)
    assert said["broken"] == NEEDS_REVIEW


def test_what_is_not_there(course: Path, hand_ins: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for message, arguments, where in (
        ("is no course", ("ps1", hand_ins), tmp_path),
        ("no problem set 'ps9'", ("ps9", hand_ins), course),
        ("no folder or zip", ("ps1", tmp_path / "nowhere"), course),
        ("no hand-ins", ("ps1", tmp_path / "empty"), course),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            grade(*arguments, course=where, engine=Counting())


def test_the_log_holds_no_answers(course: Path, hand_ins: Path) -> None:
    secret = "def double(x): return 'my secret'"
    write(hand_ins, course, "bob", task1=secret)
    grade("ps1", hand_ins, course=course, engine=Counting(fails=["eve"]))
    log = (course / ".grading" / "log").read_text()
    assert "bob: graded" in log
    assert "eve: needs review" in log
    assert "secret" not in log
    assert "double" not in log


def slowly(job: Job) -> Result:
    time.sleep(0.05)
    return points(job)


def test_killed_at_any_moment(course: Path, hand_ins: Path, tmp_path: Path) -> None:
    """SIGKILL again and again, a little later each time, then one run to the end."""
    other = tmp_path / "undisturbed"
    shutil.copytree(course, other)
    grade("ps1", hand_ins, course=other, engine=Local(points, 2))

    def run() -> None:
        grade("ps1", hand_ins, course=course, engine=Local(slowly, 2))

    killed = 0
    for n in range(1, 16):
        process = multiprocessing.get_context("fork").Process(target=run)
        process.start()
        time.sleep(0.03 * n)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed >= 3
    run()
    assert differences(gradebook_of(course), gradebook_of(other)) == []
    assert not list((course / ".grading" / "unfinished").iterdir())


def test_limits_that_were_hit_are_mentioned(course: Path, hand_ins: Path) -> None:
    def execute(job: Job) -> Result:
        result = points(job)
        cells = [replace(c, outcome=Outcome.TIME) if c.name == "task2" else c for c in result.cells]
        return replace(result, cells=tuple(cells))

    found = grade("ps1", hand_ins, course=course, engine=Local(execute, 2))
    assert all(h.note == "time: task2." and h.status == GRADED for h in found.hand_ins)


def test_without_a_sandbox_nothing_is_graded(
    course: Path, hand_ins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise policy.NoSandbox("There is no sandbox on this machine.")

    monkeypatch.setattr(policy, "best", none)
    with pytest.raises(RuntimeError, match="no sandbox"):
        grade("ps1", hand_ins, course=course)
    assert not (course / "autograded").exists()
    shown = CliRunner().invoke(app, ["grade", "ps1", str(hand_ins), "--course", str(course)])
    assert (shown.exit_code, shown.output.strip()) == (2, "There is no sandbox on this machine.")


def test_results_of_another_isolation_are_others(course: Path, hand_ins: Path) -> None:
    grade("ps1", hand_ins, course=course, engine=Counting())
    bare = Counting()
    grade("ps1", hand_ins, course=course, engine=bare, options=Options(sandboxed=False))
    assert sorted(bare.names) == sorted(STUDENTS)


def test_the_command_refuses_what_contradicts_itself(hand_ins: Path) -> None:
    arguments = ["grade", "ps1", str(hand_ins), "--workers", "2", "--dask", "tcp://here:8786"]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 2
    assert "give one of them" in shown.output
