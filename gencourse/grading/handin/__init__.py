"""Hand-ins before they are graded: whose they are, what is in them, and how they are put right.

:mod:`~gencourse.grading.handin.mend` rebuilds a hand-in from the release;
:mod:`~gencourse.grading.handin.names` and :mod:`~gencourse.grading.handin.collect` find the
hand-ins in what a learning platform gives; :mod:`~gencourse.grading.handin.check` looks at one
before it is handed in. Nothing here needs more than the course itself: a student has no nbgrader.
"""

from __future__ import annotations

from gencourse.grading.session import running

__all__ = ["hand_in"]


def hand_in(
    problem_set: str, student: str | None = None, *, run: bool = True, seconds: float = 300.0
) -> None:
    """Look through this notebook as grading will, and offer it under its right name.

    The last cell of a problem set calls it. While a hand-in is graded it does nothing.

    Parameters
    ----------
    problem_set : str
        Such as ``"ps5"``.
    student : str, optional
        The student's id; asked for by default.
    run : bool
        Whether to run the notebook from top to bottom, in a new process.
    seconds : float
        That running it may take.

    Raises
    ------
    ValueError
        If ``student`` can't be an id.
    KeyError
        If this version of the course has no such problem set.
    """
    if running():
        print("Skipped while grading: nothing is handed in here.")
        return
    from gencourse.grading.handin import last_cell

    last_cell.look_and_offer(problem_set, student, run=run, seconds=seconds)
