"""The command ``gencourse grade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from gencourse.grading.batch import HandIn

__all__ = ["grade"]


def grade(
    problem_set: Annotated[str, typer.Argument(help="Problem set, such as ps5.")],
    hand_ins: Annotated[
        Path, typer.Argument(help="Folder with <student>_ps5.ipynb, <student>/ps5.ipynb or zips.")
    ],
    course: Annotated[
        Path, typer.Option(help="The instructor's course: the folder of nbgrader_config.py.")
    ] = Path(),
) -> None:
    """Grade a folder of hand-ins and write feedback and grades.

    Ends with 0 if every hand-in was graded, with 1 if some need review, with 2 if nothing could
    be started.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        from gencourse.grading import batch
    except ModuleNotFoundError as error:
        errors.print(
            f"Grading needs {error.name}: install the course with pip install 'gencourse[grading]'",
            markup=False,
        )
        raise typer.Exit(2) from None

    def line(hand_in: HandIn) -> None:
        score = "" if hand_in.score is None else f" {hand_in.score:g} of {hand_in.max_score:g}"
        console.print(f"{hand_in.student}: {hand_in.status}{score}", markup=False, highlight=False)

    try:
        result = batch.grade(problem_set, hand_ins, course=course, report=line)
    except (OSError, RuntimeError) as error:
        errors.print(str(error), markup=False, highlight=False)
        raise typer.Exit(2) from None

    table = Table("student", "points", "status", "note", title=f"{problem_set}, hand-ins")
    for hand_in in result.hand_ins:
        points = "" if hand_in.score is None else f"{hand_in.score:g} / {hand_in.max_score:g}"
        style = "bold red" if hand_in.status == batch.NEEDS_REVIEW else ""
        cells = (hand_in.student, points, hand_in.status, hand_in.note)
        # A file name such as ``[red]x`` is not a style.
        table.add_row(*map(escape, cells), style=style)
    console.print(table)
    console.print(f"Grades: {result.csv}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Feedback: {result.feedback}", markup=False, highlight=False, soft_wrap=True)
    if result.needs_review:
        count = len(result.needs_review)
        console.print(f"{count} of {len(result.hand_ins)} need review; their scores are empty.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(grade)
