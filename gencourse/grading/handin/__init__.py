"""Hand-ins before they are graded: whose they are, what is in them, and how they are put right.

:mod:`~gencourse.grading.handin.mend` rebuilds a hand-in from the release;
:mod:`~gencourse.grading.handin.names` and :mod:`~gencourse.grading.handin.collect` find the
hand-ins in what a learning platform gives; :mod:`~gencourse.grading.handin.check` looks at one
before it is handed in. Nothing here needs more than the course itself: a student has no nbgrader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gencourse.grading.handin.last_cell import hand_in

__all__ = ["hand_in"]


def __getattr__(name: str) -> Any:
    """Import what the last cell of a problem set needs when it is asked for."""
    if name == "hand_in":
        from gencourse.grading.handin.last_cell import hand_in

        return hand_in
    raise AttributeError(f"module 'gencourse.grading.handin' has no attribute {name!r}")
