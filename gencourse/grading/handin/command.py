"""The command ``gencourse check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = ["check"]


def check(
    notebook: Annotated[Path, typer.Argument(help="The notebook that you want to hand in.")],
    problem_set: Annotated[
        str, typer.Option("--set", help="Problem set, such as ps5; by default the file says.")
    ] = "",
    run: Annotated[
        bool, typer.Option(help="Run it from top to bottom, as grading will, in a new process.")
    ] = True,
    seconds: Annotated[float, typer.Option(min=1, help="That running it may take.")] = 300.0,
) -> None:
    """Look at a notebook as grading will, before you hand it in.

    Ends with 0 if there is nothing to do, with 1 if something may cost points, with 2 if the file
    can't be graded.
    """
    from gencourse.grading.handin.check import Level, examine
    from gencourse.grading.handin.reading import LARGEST

    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        with notebook.open("rb") as file:
            data = file.read(LARGEST + 1)
        with errors.status("running the notebook from the top" if run else "looking"):
            result = examine(
                data, problem_set=problem_set, name=notebook.absolute(), run=run, seconds=seconds
            )
    except OSError as error:
        errors.print(f"{notebook} can't be read: {error.strerror}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyError as error:
        errors.print(error.args[0], markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    styles = {Level.FINE: "green", Level.LOOK: "yellow", Level.STOP: "bold red"}
    for remark in result.remarks:
        console.print(str(remark), style=styles[remark.level], markup=False, soft_wrap=True)
    summary = {
        Level.FINE: "Ready to hand in.",
        Level.LOOK: "It can be handed in as it is; look at what is marked with ! first.",
        Level.STOP: "It can't be graded like this.",
    }
    console.print(summary[result.level])
    raise typer.Exit(int(result.level))
