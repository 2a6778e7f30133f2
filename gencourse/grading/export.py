"""Grades as CSV, with a status that keeps "not graded" apart from "0 points"."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment
from nbgrader.plugins import ExportPlugin

from gencourse._files import write_atomically

__all__ = ["COLUMNS", "GradesCsv", "status"]

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


class GradesCsv(ExportPlugin):
    """The exporter behind ``nbgrader export``: like nbgrader's, plus ``status``.

    A hand-in that could not be graded, and one that never came, has empty scores: what they
    mean is for the instructor to decide.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write ``grades.csv``, or the file named by ``--to``."""
        path = os.path.abspath(self.to or "grades.csv")
        self.log.info("Exporting grades to %s", path)
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for assignment in gradebook.assignments:
            if self.assignment and assignment.name not in map(str, self.assignment):
                continue
            for student in gradebook.students:
                if self.student and student.id not in map(str, self.student):
                    continue
                writer.writerow(_row(gradebook, assignment, student))
        write_atomically(path, table.getvalue().encode())


def _row(gradebook: Gradebook, assignment: Any, student: Any) -> dict[str, Any]:
    row = {
        "assignment": assignment.name,
        "duedate": assignment.duedate or "",
        "student_id": student.id,
        "last_name": student.last_name or "",
        "first_name": student.first_name or "",
        "email": student.email or "",
        "max_score": assignment.max_score,
        "status": MISSING,
    }
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        return row
    row |= {"timestamp": submission.timestamp or "", "status": status(submission)}
    if row["status"] != NEEDS_REVIEW:
        penalty = submission.late_submission_penalty or 0.0
        row |= {
            "raw_score": submission.score,
            "late_submission_penalty": penalty,
            "score": max(0.0, submission.score - penalty),
        }
    return row
