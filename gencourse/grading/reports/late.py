"""What a late hand-in costs: nbgrader's plugin, with a grace period, a share per day and a cap."""

from __future__ import annotations

import math

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Enum, Float, TraitError, validate

__all__ = ["LatePolicy"]

_MINUTE, _DAY = 60.0, 86_400.0


class LatePolicy(LateSubmissionPlugin):
    """Takes off a percentage for each day begun, after a grace period, up to a limit.

    A problem set has a due date if the gradebook holds one; without, nothing is late. With
    ``grace_minutes = 15``, ``percent_per_day = 10`` and ``most_percent = 50`` a hand-in that comes
    10 minutes late loses nothing, one that comes 16 minutes or 23 hours late loses 10 %, and from
    the fifth day on it is 50 %. The grace period forgives who is just late; it moves no due date.
    """

    grace_minutes = Float(0.0, help="A hand-in not later than this loses nothing.").tag(config=True)
    percent_per_day = Float(
        0.0, help="What each day, once begun, takes off; 0 for no penalty at all."
    ).tag(config=True)
    most_percent = Float(100.0, help="The most that is taken off.").tag(config=True)
    percent_of = Enum(
        ("reached", "possible"),
        "reached",
        help="Whether percentages are of the points reached or of those that could be reached.",
    ).tag(config=True)

    @validate("grace_minutes", "percent_per_day", "most_percent")
    def _sensible(self, proposal: dict) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        highest = math.inf if name == "grace_minutes" else 100.0
        if not 0 <= value <= highest or math.isinf(value):
            raise TraitError(
                f"LatePolicy.{name} must be 0 or more"
                + ("" if math.isinf(highest) else " and at most 100")
                + f", not {value:g}"
            )
        return value

    def percentage(self, total_seconds_late: float) -> float:
        """Return what comes off, in per cent, for a hand-in that is so many seconds late."""
        if not total_seconds_late > self.grace_minutes * _MINUTE:
            return 0.0
        days = math.ceil(total_seconds_late / _DAY)
        return min(self.most_percent, days * self.percent_per_day)

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float | None:
        """Return the points to take off, or None for none; nbgrader calls this."""
        percent = self.percentage(total_seconds_late)
        if percent == 0.0:
            return None
        points = score if self.percent_of == "reached" else self._possible()
        return round(percent / 100 * points, 2)

    def _possible(self) -> float:
        """Return the points that the notebook being graded is worth, from nbgrader's gradebook."""
        step = self.parent
        notebook = step.gradebook.find_submission_notebook(
            step.notebook_id, step.assignment_id, step.student_id
        )
        return float(notebook.max_score)
