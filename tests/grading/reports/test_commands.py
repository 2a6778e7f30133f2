"""``gencourse export`` and ``gencourse similarity``: files, exit codes, sentences for mistakes."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

import nbformat
import pytest
from gradebooks import add_hand_in, new_gradebook
from pages import cell
from typer.testing import CliRunner

from gencourse.cli import app

ROSTER = """\
Student,ID,SIS Login ID,Section,Problem set PS5 (12)
    Points Possible,,,,10
"Lovelace, Ada",101,ada,A,
"Noether, Emmy",102,emmy,A,
"""


@pytest.fixture
def course(books: Path) -> Path:
    with new_gradebook(books, {"task1": 10.0}) as gradebook:
        add_hand_in(gradebook, "ada", {"task1": 8.5})
        add_hand_in(gradebook, "emmy", {"task1": None})
    return books


def run(course: Path, *command: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*command, "--course", str(course)])
    return done.exit_code, done.output.replace("\n", " ")


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_tables_for_everybody_are_written_and_private(course: Path) -> None:
    code, output = run(course, "export", "ps5")
    assert code == 0, output
    for name in ("ps5.csv", "ps5-canvas.csv", "ps5-moodle.csv"):
        path = course / "grades" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert name in output
    assert [row[0] for row in rows(course / "grades" / "ps5-moodle.csv")] == ["Username", "ada"]


def test_a_roster_in_its_place_is_used_and_what_is_missing_is_told(course: Path) -> None:
    (course / "rosters").mkdir()
    (course / "rosters" / "canvas.csv").write_text(ROSTER)
    code, output = run(course, "export", "ps5")
    assert code == 1
    assert "canvas: emmy: needs review; no grade is entered." in output
    assert rows(course / "grades" / "ps5-canvas.csv")[2:] == [
        ["Lovelace, Ada", "101", "ada", "A", "8.5"]
    ]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["export", "ps9"], "the gradebook has no ps9; graded so far: ps5"),
        (["export", "ps5", "--canvas", "nowhere.csv"], "No such file"),
        (["export", "ps5", "--moodle-column", "x", "--moodle", "{roster}"], "say who a student is"),
        (["export", "ps5", "--canvas-column", "x", "--canvas", "{roster}"], "no column 'x'"),
        (["similarity", "ps5"], "has 0 graded hand-ins of ps5; two are needed"),
    ],
)
def test_mistakes_are_told_in_a_sentence(course: Path, command: list[str], sentence: str) -> None:
    (course / "roster.csv").write_text(ROSTER)
    code, output = run(course, *(c.format(roster=course / "roster.csv") for c in command))
    assert code == 2
    assert sentence in output
    assert "Traceback" not in output


def test_without_a_gradebook_none_is_made(tmp_path: Path) -> None:
    code, output = run(tmp_path, "export", "ps5")
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "nothing has been graded there" in output


def test_a_report_on_similar_hand_ins(course: Path) -> None:
    release = nbformat.v4.new_notebook(cells=[cell("# YOUR CODE HERE", "task1", "answer")])
    body = "a = [x * 2 for x in values if x > 3]\nb = {i: sum(a[:i]) for i in range(len(a))}\n"
    body += "best = max(b, key=lambda i: abs(b[i] - sum(b.values()) / len(b)))\n"
    places = [course / "assignments" / "ps5"]
    places += [course / "autograded" / student / "ps5" for student in ("ada", "bob")]
    for place in places:
        place.mkdir(parents=True)
        nbformat.write(release, place / "ps5.ipynb")
        release.cells[0].source = body
    code, output = run(course, "similarity", "ps5")
    assert code == 0, output
    assert "ada and bob" in output
    page = course / "grades" / "ps5-similarity.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "range(len(a))" in page.read_text()
