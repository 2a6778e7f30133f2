"""The commands ``gencourse export``, ``gencourse similarity`` and ``gencourse leaderboard``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["export", "leaderboard", "similarity"]

ProblemSet = Annotated[str, typer.Argument(help="Problem set, such as ps5.")]
Course = Annotated[
    Path, typer.Option(help="The instructor's course: the folder of nbgrader_config.py.")
]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """End with status 2 and a sentence instead of a traceback."""
    errors = Console(stderr=True)
    try:
        yield
    except ModuleNotFoundError as error:
        errors.print(
            f"This needs {error.name}: install the course with pip install 'gencourse[grading]'",
            markup=False,
        )
        raise typer.Exit(2) from None
    except (OSError, KeyError, ValueError) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
        errors.print(text, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None


def export(
    problem_set: ProblemSet,
    course: Course = Path(),
    canvas: Annotated[
        Path | None,
        typer.Option(help="Gradebook exported from Canvas; by default rosters/canvas.csv."),
    ] = None,
    moodle: Annotated[
        Path | None,
        typer.Option(
            help="Grading worksheet or grade export of Moodle; by default rosters/moodle.csv."
        ),
    ] = None,
    canvas_column: Annotated[
        str | None, typer.Option(help="Header of the column to fill in, if several fit.")
    ] = None,
    moodle_column: Annotated[
        str | None, typer.Option(help="Header of the column to fill in, if several fit.")
    ] = None,
) -> None:
    """Write the grades as CSV: one table for you, one for Canvas, one for Moodle.

    Ends with 1 if a grade could not be put into a table that was made from a roster.
    """
    console = Console()
    with _clear_errors():
        from gencourse.grading.reports.export import check_known, opened, write_tables

        rosters = {"canvas": canvas, "moodle": moodle}
        columns = {"canvas": canvas_column, "moodle": moodle_column}
        with opened(course) as gradebook:
            check_known(gradebook, problem_set)
            written = write_tables(
                gradebook,
                problem_set,
                course,
                rosters={name: path for name, path in rosters.items() if path is not None},
                columns={name: text for name, text in columns.items() if text is not None},
            )
    for name, path in written.paths.items():
        console.print(f"{name}: {path}", markup=False, highlight=False, soft_wrap=True)
    for name, problems in written.problems.items():
        for problem in problems:
            console.print(f"{name}: {problem}", markup=False, highlight=False, soft_wrap=True)
    if any(written.problems.values()):
        raise typer.Exit(1)


def similarity(
    problem_set: ProblemSet,
    course: Course = Path(),
    earlier: Annotated[
        list[Path] | None,
        typer.Option(help="Course of an earlier year to compare with, too; may be repeated."),
    ] = None,
    common: Annotated[
        int | None,
        typer.Option(min=2, help="Leave out what more hand-ins than this share."),
    ] = None,
    least: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="List pairs of this similarity and above.")
    ] = 0.5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="By default grades/ps5-similarity.html.")
    ] = None,
) -> None:
    """Compare the graded hand-ins with each other, and write a page that shows similar ones."""
    console = Console()
    with _clear_errors():
        from gencourse._files import write_atomically
        from gencourse.grading.reports.similarity import compare, read_answers, read_release
        from gencourse.grading.reports.similarity_page import similarity_page

        hand_ins = read_answers(course, problem_set)
        if len(hand_ins) < 2:
            raise ValueError(
                f"{course / 'autograded'} has {len(hand_ins)} graded hand-ins of {problem_set}; "
                "two are needed"
            )
        others = {
            f"{folder.resolve().name}: {student}": answers
            for folder in earlier or ()
            for student, answers in read_answers(folder, problem_set).items()
        }
        report = compare(
            hand_ins, read_release(course, problem_set), earlier=others, common=common, least=least
        )
        path = out or course / "grades" / f"{problem_set}-similarity.html"
        if out is None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, similarity_page(report, problem_set).encode("utf-8", "replace"))
        path.chmod(0o600)
    if report.pairs:
        table = Table("hand-ins", "similar", "same lines", title=f"{problem_set}, similar hand-ins")
        for pair in report.pairs[:20]:
            names = escape(f"{pair.left} and {pair.right}")
            table.add_row(names, f"{pair.similarity:.0%}", str(len(pair.lines)))
        console.print(table)
        if len(report.pairs) > 20:
            console.print(f"and {len(report.pairs) - 20} more pairs")
    else:
        console.print(f"No two of {report.hand_ins} hand-ins resemble each other.")
    console.print(f"Report: {path}", markup=False, highlight=False, soft_wrap=True)


def leaderboard(
    problem_set: ProblemSet,
    course: Course = Path(),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="By default grades/capstone-leaderboard.html."),
    ] = None,
) -> None:
    """Write a page that puts handed-in samples in order, under names that tell nobody's identity.

    Who is behind each name is printed here, and is not on the page.
    """
    console = Console()
    with _clear_errors():
        from gencourse._files import write_atomically
        from gencourse.grading.course.private import Private
        from gencourse.grading.reports.export import check_known, opened
        from gencourse.grading.reports.leaderboard import leaderboard_page, read_entries
        from gencourse.grading.reports.tables import grades

        with opened(course) as gradebook:
            check_known(gradebook, problem_set)
            names = {
                grade.student: [n for n in (grade.first_name, grade.last_name, grade.email) if n]
                for grade in grades(gradebook, problem_set)
            }
        entries = read_entries(course, problem_set, key=Private(course).key(), names=names)
        path = out or course / "grades" / f"{problem_set}-leaderboard.html"
        if out is None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, leaderboard_page(entries, problem_set).encode("utf-8", "replace"))
    table = Table("rank", "name on the page", "student", "points", title=f"{problem_set}, entries")
    for rank, entry in enumerate(entries, start=1):
        table.add_row(str(rank), escape(entry.name), escape(entry.student), f"{entry.points:g}")
    console.print(table)
    console.print(f"Page: {path}", markup=False, highlight=False, soft_wrap=True)
