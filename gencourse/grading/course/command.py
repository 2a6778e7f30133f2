"""The command ``gencourse grade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from gencourse.grading.course.batch import Grading, HandIn

__all__ = ["grade"]


def grade(
    problem_set: Annotated[str, typer.Argument(help="Problem set, such as ps5.")],
    hand_ins: Annotated[
        Path,
        typer.Argument(help="Folder or zip with <student>_ps5.ipynb, or as a platform names them."),
    ],
    course: Annotated[
        Path, typer.Option(help="The instructor's course: the folder of nbgrader_config.py.")
    ] = Path(),
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Hand-ins at a time; by default one for each processor."),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(help="Let the workers of this Dask scheduler run them: tcp://host:8786."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Grade this student alone; may be repeated.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run what is known already, too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")
    ] = False,
    unsandboxed: Annotated[
        bool,
        typer.Option(
            "--unsandboxed",
            help="Run students' code with your own rights: it can read and delete your files.",
        ),
    ] = False,
) -> None:
    """Grade a folder of hand-ins and write feedback and grades.

    Stopped or killed, it goes on where it was when it is called again. Ends with 0 if every
    hand-in was graded, with 1 if some need review, with 2 if nothing could be started.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        from gencourse.grading.course import batch
    except ModuleNotFoundError as error:
        errors.print(
            f"Grading needs {error.name}: install the course with pip install 'gencourse[grading]'",
            markup=False,
        )
        raise typer.Exit(2) from None
    if workers is not None and dask is not None:
        errors.print("--workers is for this machine and --dask for others; give one of them")
        raise typer.Exit(2)
    if unsandboxed:
        errors.print(
            "[bold red]Students' code runs without a sandbox, with your own rights.[/bold red] "
            "What it does to this account can't be undone."
        )
    options = batch.Options(
        workers=workers,
        dask=dask,
        only=tuple(only or ()),
        force=force,
        dry_run=dry_run,
        sandboxed=not unsandboxed,
    )
    try:
        with _Bar(errors, console) as bar:
            result = batch.grade(
                problem_set,
                hand_ins,
                course=course,
                options=options,
                expect=bar.expect,
                report=bar.report,
            )
    except KeyboardInterrupt:
        errors.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    except (OSError, RuntimeError, ValueError) as error:
        errors.print(str(error), markup=False, highlight=False)
        raise typer.Exit(2) from None
    _show(result, console, problem_set, dry_run=dry_run)
    if result.needs_review:
        raise typer.Exit(1)


class _Bar:
    """A line for each hand-in, and below them a progress bar where somebody is looking."""

    def __init__(self, errors: Console, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("grading"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[review]}"),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self.task = self.progress.add_task("grading", total=None, review="")
        self.review = 0

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.progress.stop()

    def expect(self, count: int) -> None:
        self.progress.update(self.task, total=count)

    def report(self, hand_in: HandIn) -> None:
        from gencourse.grading.course.batch import NEEDS_REVIEW

        score = "" if hand_in.score is None else f" {hand_in.score:g} of {hand_in.max_score:g}"
        self.console.print(
            f"{_printable(hand_in.student)}: {hand_in.status}{score}", markup=False, highlight=False
        )
        self.review += hand_in.status == NEEDS_REVIEW
        review = f"{self.review} to review" if self.review else ""
        self.progress.update(self.task, advance=1, review=review)


def _printable(text: str) -> str:
    """Keep what a terminal, or a reader of lines, would take for more than letters out of sight."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _show(result: Grading, console: Console, problem_set: str, *, dry_run: bool) -> None:
    from gencourse.grading.course.batch import BY_HAND, NEEDS_REVIEW

    table = Table("student", "points", "status", "note", title=f"{problem_set}, hand-ins")
    for hand_in in result.hand_ins:
        points = "" if hand_in.score is None else f"{hand_in.score:g} / {hand_in.max_score:g}"
        style = "bold red" if hand_in.status == NEEDS_REVIEW else ""
        cells = (hand_in.student, points, hand_in.status, hand_in.note)
        # A file name such as ``[red]x`` is not a style.
        table.add_row(*(escape(_printable(cell)) for cell in cells), style=style)
    console.print(table)
    if dry_run:
        console.print("Nothing was run or written.")
        return
    console.print(f"Grades: {result.csv}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Feedback: {result.feedback}", markup=False, highlight=False, soft_wrap=True)
    if by_hand := sum(hand_in.status == BY_HAND for hand_in in result.hand_ins):
        console.print(f"{by_hand} have written answers to be graded by hand, in formgrader.")
    if result.needs_review:
        count = len(result.needs_review)
        console.print(f"{count} of {len(result.hand_ins)} need review; their scores are empty.")


if __name__ == "__main__":
    typer.run(grade)
