"""A graded task: named checks with points, each of which passes or says what is wrong.

A check cell of a notebook reads::

    from gencourse.grading import Task, close

    task = Task("Task 1, visible checks", points=2)

    @task.check("D = 1/2 everywhere gives V = -log 4", points=2)
    def _():
        logits = torch.zeros(5, 1)
        close(value_function(logits, logits), -math.log(4))

    task.score()

The score is the value of the cell, which is how nbgrader gives partial credit. Nothing a
student's function does (raise, warn, print, loop for ever) makes the cell itself fail.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import logging
import re
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType

from gencourse.grading.line import AuthorError, StudentError
from gencourse.grading.session import STUB_MESSAGE
from gencourse.grading.values import CheckFailed, expectations, that

__all__ = ["Task"]

_NOT_ATTEMPTED = "Not attempted yet."


@dataclass(frozen=True)
class _Line:
    """What came of one check: what it earned of its points, and what is said about the rest."""

    sentence: str
    points: float
    earned: float
    problem: str | None


class _TimeUp(BaseException):
    """The check ran out of time. Not an Exception, so that a bare ``except`` lets it through."""


class Task:
    """Checks of one task and the points they are worth.

    Parameters
    ----------
    name : str
        Printed above the results.
    points : float
        What all checks together are worth; the points of the cell in nbgrader.
    hidden : bool
        Whether to withhold numbers and what the student's code prints.
    seconds : float
        Time limit of each check.
    """

    def __init__(
        self, name: str, points: float, *, hidden: bool = False, seconds: float = 10.0
    ) -> None:
        self.name = name
        self.points = points
        self.hidden = hidden
        self.seconds = seconds
        self._results: list[_Line] = []
        self._stopped: str | None = None

    def check(self, sentence: str, points: float) -> Callable[[Callable[[], None]], None]:
        """Run the decorated function now, as one check worth ``points``.

        The function calls the student's code and states what it expects through
        :func:`~gencourse.grading.close` and its kin. A check worth 0 points is a gate: when
        it fails, its sentence is all the student reads, and the later checks are not run.

        Raises
        ------
        ValueError
            If ``points`` is negative, or the check passes without having expected anything.
        """
        if points < 0:
            raise ValueError(f"check {sentence!r} is worth {points} points")

        def run(body: Callable[[], None]) -> None:
            self._run(sentence, points, body, body.__code__)

        return run

    def measure(
        self, sentence: str, points: float
    ) -> Callable[[Callable[[], tuple[float, str]]], None]:
        """Run the decorated function now; it is worth the share of ``points`` that it returns.

        For what has no right answer, only better and worse ones: the quality of samples, say.
        Points are rounded to a tenth.

        Parameters
        ----------
        sentence : str
            What is measured.
        points : float
            For a share of 1.

        Returns
        -------
        callable
            Decorator of a function that returns a share from 0 to 1, and a sentence that is shown
            when it is not 1. What it raises is told as in :meth:`check`, and earns nothing.

        Raises
        ------
        ValueError
            If ``points`` is not positive, or the share does not lie between 0 and 1.
        """
        if points <= 0:
            raise ValueError(f"measure {sentence!r} is worth {points} points")

        def run(body: Callable[[], tuple[float, str]]) -> None:
            found: list[tuple[float, str]] = []

            def once() -> None:
                found.append(body())
                that(True, sentence)  # the share is what is expected

            if not self._run(sentence, points, once, body.__code__):
                return
            share, said = found[0]
            if not 0 <= share <= 1:
                raise ValueError(f"the share that {sentence!r} earns is {share!r}, not in [0, 1]")
            if share < 1:
                self._results[-1] = _Line(sentence, points, round(share * points, 1), said)

        return run

    def _run(self, sentence: str, points: float, body: Callable[[], None], code: CodeType) -> bool:
        """Note what a check that passes or fails earns; return whether it passed."""
        problem = self._stopped
        if problem is None:
            problem = self._problem(sentence, body, code)
            if problem is not None and points == 0:
                self._stopped = "Not looked at before the first line above is right."
        self._results.append(_Line(sentence, points, 0.0 if problem else points, problem))
        return problem is None

    def score(self) -> float:
        """Print what passed and what did not, and return the points.

        Raises
        ------
        ValueError
            If the checks are not worth ``points`` in all.
        """
        worth = sum(line.points for line in self._results)
        if abs(worth - self.points) > 1e-9:
            raise ValueError(
                f"{self.name}: the checks are worth {worth:g} points, the task {self.points:g}"
            )
        earned = round(sum(line.earned for line in self._results), 6)
        print(f"{self.name}: {earned:g} of {self.points:g} points")
        shown = [line for line in self._results if line.points > 0 or line.problem is not None]
        if all(line.problem in (_NOT_ATTEMPTED, self._stopped) for line in shown) and any(
            line.problem == _NOT_ATTEMPTED for line in shown
        ):
            print("  " + _NOT_ATTEMPTED)
            return float(earned)
        for line in shown:
            mark = "✓" if line.problem is None else "✗"
            print(f"  {mark} {line.sentence}" + (f" [{line.points:g}]" if line.points else ""))
            if line.problem is not None:
                print("\n".join("      " + part for part in line.problem.splitlines()))
        return float(earned)

    def _problem(self, sentence: str, body: Callable[[], None], code: CodeType) -> str | None:
        """Run one check; return what is wrong in a sentence, or None."""
        before = expectations()
        try:
            with _quiet(keep_prints=not self.hidden), _deadline(self.seconds):
                body()
        except CheckFailed as failed:
            detail = f"\n({failed.detail})" if failed.detail and not self.hidden else ""
            return f"{failed}{detail}"
        except NotImplementedError as error:
            if str(error) in ("", STUB_MESSAGE):
                return _NOT_ATTEMPTED
            return _what_was_raised(error, code, self._told)
        except AuthorError:
            raise
        except StudentError as error:
            return _what_was_raised_over_there(error, self._told)
        except _TimeUp:
            self._stopped = "Not run: an earlier check ran out of time."
            return f"Your code was still running after {self.seconds:g} seconds and was stopped."
        except (Exception, SystemExit, GeneratorExit) as error:
            return _what_was_raised(error, code, self._told)
        if expectations() == before:
            raise ValueError(f"check {sentence!r} of {self.name!r} expects nothing")
        return None

    def _told(self, message: str) -> str:
        """Return the first line of an error's message, without numbers that a hidden check drew.

        Sizes of tensors are kept: they tell what is wrong, and are no secret.
        """
        first = (message.strip().splitlines() or [""])[0][:160]
        return _DRAWN.sub("…", first) if self.hidden else first


# A number with a decimal point or an exponent, or one of more than four digits.
_DRAWN = re.compile(r"-?(\d*\.\d+|\d+\.)(e[+-]?\d+)?|-?\d+e[+-]?\d+|-?\d{5,}", re.IGNORECASE)


def _what_was_raised(error: BaseException, check: CodeType, told: Callable[[str], str]) -> str:
    """Say what the student's code raised and on which of its lines; no traceback."""
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        frames = list(traceback.walk_tb(error.__traceback__))
        if frames[-1][0].f_code.co_filename == check.co_filename:
            return (
                f"{error.name} is not defined. Run the cell that defines it first; "
                "if you did, it raised an error before it got there."
            )
    first = told(str(error))
    what = type(error).__name__ + (f": {first}" if first else "")
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_from_notebook(frame, check):
            text = linecache.getline(frame.f_code.co_filename, line).strip()
            where = f"\nin {frame.f_code.co_name}" + (f", at: {text}" if text else "")
    return f"Your code raised {what}{where}"


def _what_was_raised_over_there(error: StudentError, told: Callable[[str], str]) -> str:
    """Say the same of an error that crossed the line."""
    if error.kind == "NotImplementedError" and error.message in ("", STUB_MESSAGE):
        return _NOT_ATTEMPTED
    first = told(error.message)
    if not error.kind:
        return first[:1].upper() + first[1:] + "."
    what = error.kind + (f": {first}" if first else "")
    return f"Your code raised {what}" + (f"\n{error.where}" if error.where else "")


def _is_from_notebook(frame: FrameType, check: CodeType) -> bool:
    """Whether a frame belongs to the student's cells: not this check's cell, nor a library."""
    name = frame.f_code.co_filename
    return name != check.co_filename and ("ipykernel" in name or name.startswith("<"))


@contextlib.contextmanager
def _quiet(*, keep_prints: bool) -> Iterator[None]:
    """Keep warnings, logs and progress bars off stderr, where nbgrader would take the points."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        if not keep_prints:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        yield


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise :class:`_TimeUp` after ``seconds``, where the system can (POSIX, main thread)."""
    if not hasattr(signal, "setitimer") or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def up(signum: int, frame: FrameType | None) -> None:
        raise _TimeUp

    previous = signal.signal(signal.SIGALRM, up)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        if outer:
            signal.setitimer(signal.ITIMER_REAL, outer)
