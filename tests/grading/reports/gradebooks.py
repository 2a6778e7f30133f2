"""Small gradebooks, made without running anything."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy.exc import SAWarning


def new_gradebook(
    folder: Path, points: Mapping[str, float] | None = None, *, duedate: datetime | None = None
) -> Gradebook:
    """Open ``gradebook.db``; with ``points`` first add ps5 with these check cells."""
    gradebook = Gradebook(f"sqlite:///{folder / 'gradebook.db'}")
    if points is not None:
        gradebook.add_assignment("ps5", duedate=duedate)
        gradebook.add_notebook("ps5", "ps5")
        for name, worth in points.items():
            gradebook.add_grade_cell(name, "ps5", "ps5", max_score=worth, cell_type="code")
    return gradebook


def add_hand_in(
    gradebook: Gradebook,
    student: str,
    scores: Mapping[str, float | None],
    *,
    timestamp: datetime | None = None,
    penalty: float | None = None,
    **about: str,
) -> None:
    """Add a student and a hand-in; a score of None is a check that was never run."""
    gradebook.update_or_create_student(student, **about)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own way with its database
        submission = gradebook.add_submission("ps5", student, timestamp=timestamp)
    for grade in submission.notebooks[0].grades:
        grade.auto_score, grade.needs_manual_grade = scores[grade.name], False
    submission.notebooks[0].late_submission_penalty = penalty
    gradebook.db.commit()
