"""Grades as CSV: nbgrader's table, with a status that keeps "not graded" apart from 0 points."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment
from nbgrader.plugins import ExportPlugin

from gencourse._files import write_atomically

__all__ = [
    "BY_HAND",
    "COLUMNS",
    "GRADED",
    "MISSING",
    "NEEDS_REVIEW",
    "Grade",
    "GradesCsv",
    "csv_bytes",
    "grades",
    "status",
    "table",
]

#: nbgrader's own columns, and the status last.
COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
    "status",
)

GRADED = "graded"
BY_HAND = "written answers to be graded"
NEEDS_REVIEW = "needs review"
MISSING = "not handed in"


def status(submission: SubmittedAssignment) -> str:
    """Say how far the grading of a hand-in has come.

    A check cell without any score was never run: that hand-in needs a person, whatever the
    sum of its points. A written answer without a score waits for the marker.
    """
    waiting = False
    for notebook in submission.notebooks:
        written = {cell.name for cell in notebook.notebook.solution_cells}
        for grade in notebook.grades:
            if grade.auto_score is None and grade.manual_score is None:
                if grade.cell.name not in written:
                    return NEEDS_REVIEW
                waiting = True
            elif grade.needs_manual_grade:
                waiting = True
    return BY_HAND if waiting else GRADED


@dataclass(frozen=True)
class Grade:
    """One student's grade of one problem set, as every table needs it.

    Attributes
    ----------
    student, first_name, last_name, email : str
        As the gradebook has them; only the first is always known.
    raw : float or None
        Points before the penalty; None where nothing was graded.
    penalty : float
        Points taken off for being late.
    max_score : float
        Points that could be reached.
    status : str
        ``GRADED``, ``BY_HAND``, ``NEEDS_REVIEW`` or ``MISSING``.
    duedate, timestamp : str
        When it was due, and when it came, in UTC; empty where unknown.
    """

    student: str
    first_name: str
    last_name: str
    email: str
    raw: float | None
    penalty: float
    max_score: float
    status: str
    duedate: str = ""
    timestamp: str = ""

    @property
    def score(self) -> float | None:
        """Points after the penalty, never below 0; None where nothing was graded."""
        return None if self.raw is None else max(0.0, self.raw - self.penalty)

    @property
    def full_name(self) -> str:
        """First and last name, as far as they are known."""
        return f"{self.first_name} {self.last_name}".strip()


def grades(gradebook: Gradebook, problem_set: str) -> list[Grade]:
    """Return the grade of every student in the gradebook, by id.

    Raises
    ------
    nbgrader.api.MissingEntry
        If the gradebook has no such problem set.
    """
    assignment = gradebook.find_assignment(problem_set)
    students = sorted(gradebook.students, key=lambda student: student.id)
    return [_grade(gradebook, assignment, student) for student in students]


def _grade(gradebook: Gradebook, assignment: Any, student: Any) -> Grade:
    raw, penalty, found, timestamp = None, 0.0, MISSING, ""
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        pass
    else:
        found, timestamp = status(submission), str(submission.timestamp or "")
        if found != NEEDS_REVIEW:
            raw = float(submission.score)
            penalty = float(submission.late_submission_penalty or 0.0)
    return Grade(
        student=student.id,
        first_name=student.first_name or "",
        last_name=student.last_name or "",
        email=student.email or "",
        raw=raw,
        penalty=penalty,
        max_score=float(assignment.max_score),
        status=found,
        duedate=str(assignment.duedate or ""),
        timestamp=timestamp,
    )


def csv_bytes(rows: Sequence[Sequence[Any]]) -> bytes:
    """Return rows as CSV in UTF-8, with cells that a spreadsheet program takes for text.

    A name that begins like a formula would be computed when the table is opened.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return table.getvalue().encode("utf-8", "replace")


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str) or len(cell) < 2 or cell[0] not in "=+-@\t\r" or _is_number(cell):
        return cell
    return "'" + cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class GradesCsv(ExportPlugin):
    """The exporter behind ``nbgrader export``: like nbgrader's, plus ``status``.

    A hand-in that could not be graded, and one that never came, has empty scores: what they
    mean is for the instructor to decide.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write ``grades.csv``, or the file named by ``--to``."""
        path = os.path.abspath(self.to or "grades.csv")
        self.log.info("Exporting grades to %s", path)
        students = {str(student) for student in self.student}
        chosen = {
            name: [g for g in grades(gradebook, name) if not students or g.student in students]
            for name in self.chosen(gradebook)
        }
        write_atomically(path, table(chosen))

    def chosen(self, gradebook: Gradebook) -> list[str]:
        """Return the problem sets to export: those named by ``--assignment``, or all."""
        known = [assignment.name for assignment in gradebook.assignments]
        return [name for name in known if not self.assignment or name in map(str, self.assignment)]


def table(by_set: Mapping[str, Sequence[Grade]]) -> bytes:
    """Return the grades of problem sets as CSV with the columns :data:`COLUMNS`."""
    rows = [list(_row(name, grade)) for name, grades in by_set.items() for grade in grades]
    return csv_bytes([COLUMNS, *rows])


def _row(name: str, grade: Grade) -> Iterator[Any]:
    graded = grade.score is not None
    yield from (name, grade.duedate, grade.timestamp, grade.student)
    yield from (grade.last_name, grade.first_name, grade.email)
    yield from (grade.raw if graded else "", grade.penalty if graded else "")
    yield from (grade.score if graded else "", grade.max_score, grade.status)
