"""What can be amiss in the cells of a hand-in, in sentences for the student and the marker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Kind"]


class Kind(Enum):
    """What is amiss; the value says how it was put right, and what the student could do.

    ``{cell}`` stands for the name of a cell in the release.
    """

    MISSING = (
        "There is no answer to {cell}: its cell is missing.",
        "Copy the cell from a fresh copy of the problem set and write your answer in it.",
    )
    MISSING_GIVEN = ("The cell {cell} is missing; it is put back for grading.", "")
    MISSING_CHECKS = ("The check cell {cell} is missing; it is put back for grading.", "")
    COPIES = (
        "Several cells answer {cell}; the last one that is written counts.",
        "Keep one of them, so that you know which is graded.",
    )
    CHANGED = (
        "The cell {cell} was changed; it counts as it was given, and what was added to it is "
        "taken for a cell of your own.",
        "Write in cells of your own instead.",
    )
    RETYPED = (
        "The cell {cell} was turned into another type; for grading it is turned back.",
        "Choose its type again: code for a function, text for an answer in words.",
    )
    MOVED = (
        "Your answer to {cell} stands in another cell; for grading it is put in its place.",
        "Put it into the cell of the task.",
    )
    TOGETHER = ("Your answer to {cell} stands in the cell of another task; it is left there.", "")
    RENAMED = (
        "The cell in the place of {cell} does not define what the task asks for.",
        "Write the function under the name that the task gives it.",
    )
    LOST_TEXT = (
        "The answer to {cell} is empty or missing, and it may be in one of the other text cells.",
        "Write it in its own cell; a fresh copy of the problem set has it.",
    )

    @property
    def ambiguous(self) -> bool:
        """Whether a person should look at the hand-in."""
        return self in (Kind.RENAMED, Kind.LOST_TEXT)


@dataclass(frozen=True)
class Finding:
    """One thing that is amiss.

    Attributes
    ----------
    kind : Kind
    cell : str
        Name of the cell in the release.
    """

    kind: Kind
    cell: str

    @property
    def note(self) -> str:
        """What was found, and done about it, in a sentence."""
        return self.kind.value[0].format(cell=self.cell)

    @property
    def advice(self) -> str:
        """What the student can do before handing in; empty if nothing."""
        return self.kind.value[1]
