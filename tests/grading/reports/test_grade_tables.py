"""Tables of grades go through readers that take them as the platforms' importers do."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gradebooks import add_hand_in, new_gradebook
from importers import Person, into_canvas, into_moodle, into_worksheet

from gencourse.grading.reports import platforms, tables
from gencourse.grading.reports.tables import BY_HAND, GRADED, MISSING, NEEDS_REVIEW, Grade

PEOPLE = [
    Person("101", "Ada Lovelace", "Lovelace, Ada", "ada", "S-1", "ada@example.org"),
    Person("102", "Emmy Noether", "Noether, Emmy", "emmy", "S-2", "emmy.noether@example.org"),
    Person("103", "Zoë Müller", "Müller, Zoë", "zm", "S-3", "zoe@example.org"),
    Person("104", "Max Müller", "Müller, Max", "mm", "S-4", "max@example.org"),
]
CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,PS4 (11),PS5: GANs (12),Final Score
    Points Possible,,,,,50,100,(read only)
"Lovelace, Ada",101,S-1,ada,A,40,,80
"Noether, Emmy",102,S-2,emmy,A,41,7,82
"Müller, Zoë",103,S-3,zm,"B, and C",42,55,84
"Müller, Max",104,S-4,mm,A,43,,86
"""
WORKSHEET = """\
Identifier,Full name,Email address,Status,Grade,Maximum grade,Last modified (grade)
Participant 901,Ada Lovelace,ada@example.org,Submitted for grading,,100.00,-
Participant 902,Emmy Noether,emmy.noether@example.org,Submitted for grading,12.00,100.00,-
Participant 903,Zoë Müller,zoe@example.org,No submission,,100.00,-
"""


def grade(student: str, raw: float | None = 80.0, **changes: object) -> Grade:
    given = {
        "first_name": "",
        "last_name": "",
        "email": "",
        "penalty": 0.0,
        "max_score": 100.0,
        "status": GRADED if raw is not None else NEEDS_REVIEW,
    }
    return Grade(student=student, raw=raw, **given | changes)


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_what_was_not_graded_is_never_0(books: Path) -> None:
    due = datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None)
    with new_gradebook(books, {"task1": 10.0, "task2": 90.0}, duedate=due) as gradebook:
        add_hand_in(gradebook, "late", {"task1": 10.0, "task2": 60.0}, timestamp=due, penalty=7.0)
        add_hand_in(gradebook, "zero", {"task1": 0.0, "task2": 0.0})
        add_hand_in(gradebook, "half", {"task1": 10.0, "task2": None})
        add_hand_in(gradebook, "fined", {"task1": 5.0, "task2": 0.0}, penalty=8.0)
        gradebook.update_or_create_student("absent", last_name='=HYPERLINK("http://x")')
        plugin = tables.GradesCsv()
        plugin.to = str(books / "grades.csv")
        plugin.export(gradebook)
        found = {g.student: g for g in tables.grades(gradebook, "ps5")}
    assert {s: (g.raw, g.score, g.status) for s, g in found.items()} == {
        "late": (70.0, 63.0, GRADED),
        "zero": (0.0, 0.0, GRADED),
        "half": (None, None, NEEDS_REVIEW),
        "fined": (5.0, 0.0, GRADED),
        "absent": (None, None, MISSING),
    }
    rows = {row["student_id"]: row for row in rows_of((books / "grades.csv").read_bytes())}
    assert tuple(rows["late"]) == tables.COLUMNS
    assert rows["late"]["score"] == "63.0"
    assert rows["late"]["timestamp"] == rows["late"]["duedate"] == "2026-11-20 12:00:00"
    assert (rows["zero"]["score"], rows["half"]["score"], rows["absent"]["score"]) == (
        "0.0",
        "",
        "",
    )
    assert rows["absent"]["last_name"].startswith("'=")  # no formula for a spreadsheet


def test_canvas_takes_a_table_made_of_its_own_gradebook(tmp_path: Path) -> None:
    roster = tmp_path / "canvas.csv"
    roster.write_text(CANVAS, encoding="utf-8-sig")
    given = [
        grade("ada", 88.0, penalty=8.8),
        grade("noetheremmy", 61.456, status=BY_HAND),
        grade("zm", None),
        grade("stranger"),
    ]
    table = platforms.canvas(given, "ps5", roster)
    name, possible, read = into_canvas(table.content, PEOPLE)
    assert (name, possible) == ("PS5: GANs (12)", 100)
    # Who was not graded has no row: an empty cell would wipe the grade that is there.
    assert read == {"101": "79.2", "102": "61.46"}
    assert [p.split(":")[0] for p in table.problems] == ["noetheremmy", "zm", "stranger"]
    assert "without them" in table.problems[0]
    assert "no row" in table.problems[2]


def test_canvas_without_a_roster(tmp_path: Path) -> None:
    given = [grade("ada", 88.0), grade("emmy", 0.0), grade("zm", None)]
    table = platforms.canvas(given, "ps5")
    name, possible, read = into_canvas(table.content, PEOPLE)
    assert (name, possible, read) == ("ps5", 100, {"101": "88", "102": "0"})
    assert len(table.problems) == 1


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_two_students_who_may_be_meant_get_no_grade(tmp_path: Path, delimiter: str) -> None:
    roster = tmp_path / "canvas.csv"
    lines = [["Student", "ID", "SIS Login ID", "Section", "ps5 (1)"]]
    lines += [["Ray, Ann", "1", "x1", "A", ""], ["Ray, Ann", "2", "x2", "A", ""]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    roster.write_text(text.getvalue())
    table = platforms.canvas([grade("rayann"), grade("x2", 5.0), grade("2", 6.0)], "ps5", roster)
    read = into_canvas(table.content, [Person("1", "Ann Ray"), Person("2", "Ann Ray")])[2]
    assert read == {"2": "5"}
    assert "several rows" in table.problems[0]
    assert "fits the row of x2 too" in table.problems[1]


def test_the_column_must_be_told_where_it_is_not_clear(tmp_path: Path) -> None:
    roster = tmp_path / "canvas.csv"
    roster.write_text(
        "Student,ID,SIS Login ID,Section,ps5 a (1),ps5 b (2),ps55 (3)\nX,1,ada,A,,,\n"
    )
    with pytest.raises(ValueError, match=r"more than one column .* 'ps5 a \(1\)', 'ps5 b \(2\)'$"):
        platforms.canvas([grade("ada")], "ps5", roster)
    with pytest.raises(ValueError, match="no column of"):
        platforms.canvas([grade("ada")], "ps6", roster)
    with pytest.raises(ValueError, match="no column 'ps7'"):
        platforms.canvas([grade("ada")], "ps5", roster, column="ps7")
    table = platforms.canvas([grade("ada")], "ps5", roster, column="ps5 b (2)")
    assert into_canvas(table.content, [Person("1", "X")])[0] == "ps5 b (2)"
    roster.write_text("name,points\nada,3\n")
    with pytest.raises(ValueError, match="not a gradebook exported from Canvas"):
        platforms.canvas([grade("ada")], "ps5", roster)
    with pytest.raises(ValueError, match="say who a student is"):
        platforms.moodle([grade("ada")], "ps5", roster)


def test_moodle_imports_what_was_graded(tmp_path: Path) -> None:
    given = [
        grade("ada", 88.0, email="ada@example.org", penalty=8.0),
        grade("emmy", 0.0, email="emmy.noether@example.org"),
        grade("zm", None),
    ]
    table = platforms.moodle(given, "ps5")
    for by in ("Username", "Email address"):
        read = into_moodle(table.content, PEOPLE, by=by, column="ps5")
        assert read == {"101": 80.0, "102": 0.0}
    assert "8 taken off for being late" in rows_of(table.content)[0]["ps5 (feedback)"]
    assert len(table.problems) == 1
    more = platforms.moodle([grade("ada", 110.0, max_score=120.0)], "ps5")
    with pytest.raises(ValueError, match="too big"):
        into_moodle(more.content, PEOPLE, by="Username", column="ps5")
    assert "refuses grades above 100" in more.problems[-1]


def test_a_grade_export_of_moodle_goes_back_as_an_import(tmp_path: Path) -> None:
    roster = tmp_path / "moodle.csv"
    roster.write_text(
        "First name,Last name,ID number,Assignment: ps4 (Real),Assignment: ps5 (Real)\n"
        "Ada,Lovelace,S-1,50.00,-\n"
        "Zoë,Müller,S-3,-,33.00\n"
    )
    table = platforms.moodle([grade("S-1", 70.0), grade("zm", None)], "ps5", roster)
    column = "Assignment: ps5 (Real)"
    assert into_moodle(table.content, PEOPLE, by="ID number", column=column) == {"101": 70.0}
    assert "Assignment: ps4 (Real)" not in rows_of(table.content)[0]


def test_a_grading_worksheet_is_filled_in(tmp_path: Path) -> None:
    roster = tmp_path / "worksheet.csv"
    roster.write_text(WORKSHEET)
    # By participant as in Moodle's folders, by the part of an address before the @, and by name.
    given = [grade("901", 70.0), grade("emmy.noether", 71.5), grade("zoe-muller", 3.0)]
    table = platforms.moodle(given, "ps5", roster)
    assert into_worksheet(table.content) == {"901": 70.0, "902": 71.5, "903": 3.0}
    assert table.problems == ()
    assert list(rows_of(table.content)[0]) == WORKSHEET.splitlines()[0].split(",")
    other = platforms.moodle([grade("901", 7.0, max_score=10.0)], "ps5", roster)
    assert "maximum grade is 100.00 and ours 10" in other.problems[0]
