"""Grading from release to CSV, with nbgrader's own commands and with ours."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from notebook_cells import answers, handed_in, source
from ps5_answers import right

pytestmark = pytest.mark.slow

WRONG_TASK_1 = """\
def value_function(real_logits, fake_logits):
    return -softplus(-real_logits).sum() - softplus(fake_logits).sum()
"""
RAISING_TASK_2 = """\
def optimal_discriminator(log_p, log_q):
    raise RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")
"""


def write_hand_ins(folder: Path) -> None:
    """Six hand-ins: five notebooks and a file that is none."""
    perfect = answers("ps5")
    otherwise = {f"task{i}": right(f"task{i}")[-1] for i in (*range(1, 8), *range(9, 13))}
    noise = "import sys, warnings\nwarnings.warn('careful')\nprint('progress', file=sys.stderr)\n"
    notebooks = {
        "perfect": perfect,
        "one-wrong": perfect | {"task1": WRONG_TASK_1},
        "blank": {},
        "raises": perfect | {"task2": noise + RAISING_TASK_2, "task5": "x = 1 / 0"},
        "different": perfect | otherwise,
    }
    folder.mkdir(parents=True)
    for student, changes in notebooks.items():
        nbformat.write(handed_in("ps5", changes), folder / f"{student}_ps5.ipynb")
    (folder / "broken_ps5.ipynb").write_text("<html>Please log in to download.</html>")


# Without the 11 points of the written answers, which wait for a marker; the blank one needs none.
EXPECTED = {"perfect": 89, "one-wrong": 81, "blank": 0, "raises": 75, "different": 89}


def run(course: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["student_id"]: row for row in csv.DictReader(file)}


def hidden_lines() -> set[str]:
    """Lines of hidden checks and of the marking rubric, and of nothing that students see."""
    hidden: set[str] = set()
    shown: set[str] = set()
    for cell in source("ps5").cells:
        inside = False
        for line in map(str.strip, cell.source.splitlines()):
            if re.match(r"### (BEGIN|END) (HIDDEN TESTS|MARK SCHEME)", line):
                inside = "BEGIN" in line
            else:
                (hidden if inside else shown).add(line)
    return {line for line in hidden - shown if len(line) > 25}


def read_page(path: Path) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8")))


def test_stock_nbgrader_commands(course: Path, own_jupyter: dict[str, str]) -> None:
    def nbgrader(*arguments: str, fails: bool = False) -> str:
        done = run(course, own_jupyter, "nbgrader", *arguments)
        assert (done.returncode != 0) == fails, done.stderr[-3000:]
        return done.stderr

    nbgrader("generate_assignment", "ps5", "--force")
    assert not list(course.rglob("assignments/**/reference.py"))
    write_hand_ins(course / "downloaded" / "ps5" / "archive")
    nbgrader("zip_collect", "ps5")
    log = nbgrader("autograde", "ps5", fails=True)  # says that one could not be graded
    assert "for student 'broken'" in log
    nbgrader("generate_feedback", "ps5")
    nbgrader("export")

    table = rows(course / "grades.csv")
    assert table.keys() == {*EXPECTED, "broken"}
    for student, points in EXPECTED.items():
        assert float(table[student]["score"]) == points, student
        assert float(table[student]["max_score"]) == 100
        waits = "graded" if student == "blank" else "written answers to be graded"
        assert table[student]["status"] == waits
    assert table["broken"]["score"] == ""
    assert table["broken"]["status"] == "needs review"

    # The marker gives the written answers 5 points each.
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for task in ("task8", "task13"):
            written = gradebook.find_grade(task, "ps5", "ps5", "perfect")
            written.manual_score, written.needs_manual_grade = 5, False
        gradebook.db.commit()
    nbgrader("export", "--to", "again.csv")
    again = rows(course / "again.csv")["perfect"]
    assert (float(again["score"]), again["status"]) == (99, "graded")

    pages = {s: read_page(course / "feedback" / s / "ps5" / "ps5.html") for s in EXPECTED}
    assert "Take the mean over each batch, not the sum." in pages["one-wrong"]
    assert "Your code raised RuntimeError: The size of tensor a" in pages["raises"]
    assert 'raise RuntimeError("The size of tensor a' in pages["raises"]  # on which line of theirs
    assert "saturating_gradient is not defined. Run the cell" in pages["raises"]
    assert pages["blank"].count("Not attempted yet.") >= 22
    assert "to be graded by hand" in pages["different"]
    assert "Skipped while grading: training." in pages["perfect"]
    secrets = hidden_lines()
    assert len(secrets) > 200
    for student, page in pages.items():
        assert not [line for line in secrets if line in page], student
        # Only of an error in the student's own cell.
        assert page.count("Traceback (most recent call last)") == (student == "raises")
    assert not (course / "feedback" / "broken").exists()

    for private in ("gradebook.db", "submitted", "autograded", "feedback"):
        assert (course / private).stat().st_mode & 0o077 == 0, private
    assert not list(course.rglob("autograded/**/reference.py"))


def test_gencourse_grade(course: Path, own_jupyter: dict[str, str], tmp_path: Path) -> None:
    hand_ins = tmp_path / "hand-ins"
    write_hand_ins(hand_ins)
    done = run(course, own_jupyter, "gencourse.grading.course.command", "ps5", str(hand_ins))
    assert done.returncode == 1, done.stderr  # some need review
    assert done.stderr == ""
    for student, points in EXPECTED.items():
        assert re.search(rf"^{student}: .*{points} of 100$", done.stdout, re.MULTILINE), done.stdout
    assert "1 of 6 need review; their scores are empty." in done.stdout

    table = rows(course / "grades" / "ps5.csv")
    assert {s: float(table[s]["score"]) for s in EXPECTED} == EXPECTED
    assert (table["broken"]["score"], table["broken"]["status"]) == ("", "needs review")
    for student in EXPECTED:
        assert (course / "feedback" / student / "ps5" / "ps5.html").is_file()
    assert (course / "gradebook.db").stat().st_mode & 0o077 == 0
    # nbgrader's own command finds the same points, from what is known already.
    known = sorted((course / ".grading" / "results").rglob("*"))
    again = run(course, own_jupyter, "nbgrader", "autograde", "ps5", "--force")
    assert again.returncode != 0  # one can't be graded
    assert run(course, own_jupyter, "nbgrader", "export", "--to", "stock.csv").returncode == 0
    assert rows(course / "stock.csv") == table
    assert sorted((course / ".grading" / "results").rglob("*")) == known
    # The release that students have is not touched by grading.
    kept = (course / "assignments" / "ps5" / "ps5.ipynb").read_bytes()
    assert kept == (Path(__file__).parents[2] / "assignments" / "ps5" / "ps5.ipynb").read_bytes()


def test_files_as_learning_platforms_give_them(course: Path, tmp_path: Path) -> None:
    """Folders, zips, copies; and everything that can be wrong with one file but not the others."""
    from gencourse.grading.course import batch

    perfect = handed_in("ps5", answers("ps5"))
    blank = handed_in("ps5", {})
    hand_ins = tmp_path / "hand-ins"
    (hand_ins / "in-folder").mkdir(parents=True)
    nbformat.write(blank, hand_ins / "in-folder" / "ps5.ipynb")
    nbformat.write(perfect, hand_ins / "twice_ps5.ipynb")
    nbformat.write(blank, hand_ins / "twice_ps5 (1).ipynb")
    nbformat.write(blank, hand_ins / "other_ps4.ipynb")
    (hand_ins / "paper_ps5.pdf").write_bytes(b"%PDF")
    (hand_ins / "notes.txt").write_text("all hand-ins of Tuesday")
    (hand_ins / "bad.zip").write_bytes(b"PK not really")
    (hand_ins / "list_ps5.ipynb").write_text("[1, 2]")

    stripped = handed_in("ps5", answers("ps5"))
    for cell in stripped.cells:
        cell.metadata.clear()
    nbformat.write(stripped, hand_ins / "stripped_ps5.ipynb")

    # Copied cells, a deleted check cell and tags that would skip checks: graded all the same.
    careless = handed_in("ps5", {})
    careless.cells = [c for c in careless.cells if c.id != "task2-hidden"]
    careless.cells.insert(6, json.loads(json.dumps(careless.cells[5])))
    careless.cells[6] = nbformat.from_dict({**careless.cells[6], "id": "copy"})
    for cell in careless.cells:
        cell.metadata["tags"] = ["skip-execution"]
    with zipfile.ZipFile(hand_ins / "tuesday.zip", "w") as archive:
        archive.writestr("careless_ps5.ipynb", nbformat.writes(careless))

    found = batch.grade("ps5", hand_ins, course=course)
    by_name = {hand_in.student: hand_in for hand_in in found.hand_ins}
    # "twice_ps5 (1)" comes before "twice_ps5." in the order of names, so the blank one counts.
    for student in ("in-folder", "careless", "twice"):
        assert (by_name[student].status, by_name[student].score) == (batch.GRADED, 0), student
    assert by_name["stripped"].score == 89
    notes = {hand_in.student: hand_in.note for hand_in in found.needs_review}
    expected = {
        "twice_ps5.ipynb": "second file",
        "other_ps4.ipynb": "ps4",
        "paper": "is not a notebook",
        "notes.txt": "is not a notebook",
        "bad.zip": "can't be unpacked",
        "list": "notebook",
    }
    assert notes.keys() == expected.keys()
    for name, words in expected.items():
        assert words in notes[name], notes[name]
    table = rows(found.csv)
    for student in ("paper", "list"):
        assert (table[student]["score"], table[student]["status"]) == ("", "needs review")


def test_on_a_cluster(course: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    from gencourse.grading.course import batch

    hand_ins = tmp_path / "hand-ins"
    write_hand_ins(hand_ins)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=60
    ) as workers:
        options = batch.Options(dask=workers.scheduler_address)
        found = batch.grade("ps5", hand_ins, course=course, options=options)
    scores = {hand_in.student: hand_in.score for hand_in in found.hand_ins}
    assert scores == {**EXPECTED, "broken": None}, found.hand_ins
