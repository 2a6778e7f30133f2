"""Run a hand-in from top to bottom in a new process, as it will be run when it is graded.

The process is an ordinary one of the student's own: no sandbox, and one kernel for everything.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

__all__ = ["CellRun", "Rehearsal", "rehearse"]


@dataclass(frozen=True)
class CellRun:
    """How one cell went.

    Attributes
    ----------
    name : str
    error : str
        What it raised, as a sentence; empty if nothing.
    score : float or None
        The value of its last line, if that is a number.
    printed : str
        What a check cell printed.
    """

    name: str
    error: str = ""
    score: float | None = None
    printed: str = ""


@dataclass(frozen=True)
class Rehearsal:
    """How all cells went.

    Attributes
    ----------
    cells : tuple of CellRun
        Those that ended.
    stopped : str
        Name of the cell at which the process ended or ran out of time; empty if none.
    why : str
        Why it ended there.
    """

    cells: tuple[CellRun, ...]
    stopped: str = ""
    why: str = ""


def rehearse(notebook: Mapping[str, Any], *, seconds: float = 300.0) -> Rehearsal:
    """Run the code cells of a notebook, which need not be all right.

    Parameters
    ----------
    notebook : dict
        With names as the ids of cells.
    seconds : float
        That all of it may take.
    """
    cells = [
        {"name": cell["id"], "source": cell["source"]}
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and cell["source"].strip()
    ]
    withheld = notebook["metadata"].get("gencourse", {}).get("withheld", [])
    # Files that lie beside the notebook are not handed in, so they are not there.
    with tempfile.TemporaryDirectory(prefix="gencourse-check-") as folder:
        environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8"}
        environment["GENCOURSE_GRADING"] = "1"
        # The course may not be installed, only imported from where it lies.
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Event()

        def too_late() -> None:
            late.set()
            _end(process)

        alarm = threading.Timer(seconds, too_late)
        alarm.daemon = True
        alarm.start()
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                pipe.write(json.dumps({"cells": cells, "withheld": withheld}).encode())
            ended, begun = _read(process.stdout)
        finally:
            alarm.cancel()
            _end(process)
            process.wait()
            process.stdout.close()
    names = [cell["name"] for cell in cells]
    if len(ended) == len(names):
        return Rehearsal(tuple(ended))
    stopped = begun or (names[len(ended)] if len(ended) < len(names) else "")
    why = (
        f"it was still running after {seconds:g} seconds" if late.is_set() else "the program ended"
    )
    return Rehearsal(tuple(ended), stopped, why)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and where that can be done what it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _read(stream: IO[bytes]) -> tuple[list[CellRun], str]:
    """Read reports until the process ends; return what ended, and the cell that didn't."""
    ended: list[CellRun] = []
    begun = ""
    for line in stream:
        try:
            report = json.loads(line)
        except ValueError:
            continue
        if "begin" in report:
            begun = report["begin"]
        elif "name" in report:
            ended.append(CellRun(**report))
            begun = ""
    return ended, begun


def main() -> None:
    """Run cells read from standard input; report to standard output, one JSON on each line."""
    spec = json.loads(sys.stdin.buffer.read())
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)

    from gencourse.grading.kernel import standins
    from gencourse.grading.kernel.shell import make_shell
    from gencourse.grading.kernel.withheld import withhold

    standins.without_keyboard()
    standins.without_colab()
    withhold(spec["withheld"])
    errors: list[dict[str, Any]] = []
    shell = make_shell(
        lambda output: errors.append(output) if output["output_type"] == "error" else None
    )
    for cell in spec["cells"]:
        print(json.dumps({"begin": cell["name"]}), file=reports)
        print(json.dumps(_run(shell, cell, errors)), file=reports)


def _run(shell: Any, cell: Mapping[str, str], errors: list[dict[str, Any]]) -> dict[str, Any]:
    from gencourse.grading.kernel import standins

    printed = io.StringIO()
    for _ in range(2):
        errors.clear()
        shell.source = cell["source"]
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            result = shell.run_cell(cell["source"], store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if not standins.asks_for_cuda(error) or not standins.use_the_processor():
            break
    sentence = ""
    if error is not None:
        line = _line(error)
        said = error.msg if isinstance(error, SyntaxError) else error
        sentence = f"{type(error).__name__}: {said}".strip().rstrip(":")[:300]
        sentence += f" (line {line})" if line else ""
    value = result.result
    score = float(value) if isinstance(value, int | float) else None
    return {
        "name": cell["name"],
        "error": sentence,
        "score": score,
        "printed": printed.getvalue()[-20_000:],
    }


def _line(error: BaseException) -> int | None:
    """Return the line of the cell at which an error arose."""
    from gencourse.grading.kernel.shell import CELL_FILES

    if isinstance(error, SyntaxError):
        return error.lineno
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(CELL_FILES):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


if __name__ == "__main__":
    main()
