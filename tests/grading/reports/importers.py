"""Readers that take a table as Canvas and Moodle document and implement it, and nothing else.

Written after ``lib/gradebook_importer.rb`` of Canvas and ``grade/import/csv/classes/load_data.php``
and ``mod/assign/feedback/offline/importgradeslib.php`` of Moodle: which header they accept, how
they find a student, and what an empty cell does.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """A student as a platform knows them."""

    id: str
    name: str  # Ada Lovelace
    sortable: str = ""  # Lovelace, Ada
    login: str = ""
    sis: str = ""
    email: str = ""


def into_canvas(content: bytes, people: list[Person]) -> tuple[str, float, dict[str, str]]:
    """Return (assignment, points possible, {student id: grade}) as Canvas would read a table."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"))))
    header = rows[0]
    if not (len(header) > 3 and "Student" in header[0] and "ID" in header[1]):
        raise ValueError("invalid header row")
    width, sis, login = 3, None, None
    if re.search(r"SIS\s+Login\s+ID", header[2]):
        login, width = 2, 4
    elif re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3]):
        sis, login, width = 2, 3, 5
        if "Integration ID" in header[4]:
            width += 1
        if "Root Account" in header[width - 1]:
            width += 1
    if "Section" not in header[width - 1]:
        raise ValueError("invalid header row")
    (assignment,) = header[width:]
    possible, grades = 0.0, {}
    for row in rows[1:]:
        if "Points Possible" in row[0]:
            possible = float(row[width])
            continue
        if all(re.fullmatch(r"\s*(Muted|Manual Posting.*)?\s*", cell) for cell in row):
            continue
        found = (
            [p for p in people if row[1] and p.id == row[1]]
            or [p for p in people if sis and row[sis] and p.sis == row[sis]]
            or [p for p in people if login and row[login] and p.login == row[login]]
            or [p for p in people if row[0] in (p.name, p.sortable)]
        )
        if not found:
            raise ValueError(f"Canvas would ask who {row[0]!r} is")
        grades[found[0].id] = row[width].strip()
    return assignment, possible, grades


def into_moodle(
    content: bytes, people: list[Person], *, by: str, column: str, maximum: float = 100.0
) -> dict[str, float | None]:
    """Return {student id: grade} as Moodle's CSV import would; None wipes the grade there is."""
    field = {"Username": "login", "Email address": "email", "ID number": "sis"}[by]
    grades: dict[str, float | None] = {}
    for row in csv.DictReader(io.StringIO(content.decode("utf-8"))):
        found = [p for p in people if getattr(p, field) == row[by].strip()]
        if not found:
            raise ValueError(f"user mapping error: {row[by]!r}")
        value = row[column].strip()
        if value in ("", "-"):
            grades[found[0].id] = None
        elif float(value) > maximum:
            raise ValueError(f"the grade {value} is too big")
        else:
            grades[found[0].id] = float(value)
    return grades


def into_worksheet(content: bytes) -> dict[str, float]:
    """Return {participant: grade} as Moodle's **Upload grading worksheet** would."""
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
    if not rows or not {"Identifier", "Grade", "Last modified (grade)"} <= set(rows[0]):
        raise ValueError("invalid grade import")
    return {
        row["Identifier"].removeprefix("Participant "): float(row["Grade"])
        for row in rows
        if row["Grade"].strip()
    }
