"""A Task gives the points it says, explains every loss, and survives what it checks."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import pytest
import torch

from gencourse.grading import Task, close, that


def score_of(
    body: Callable[[], None], capsys: pytest.CaptureFixture[str], **options: object
) -> tuple[float, str]:
    task = Task("T", points=2, **options)  # type: ignore[arg-type]
    task.check("the check", points=2)(body)
    points = task.score()
    captured = capsys.readouterr()
    assert captured.err == ""  # nbgrader would take all points for a line on stderr
    return points, captured.out


def test_points_are_those_of_the_checks_that_pass(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task("T", points=5)

    @task.check("passes", points=1.5)
    def _() -> None:
        close(1.0, 1.0)

    @task.check("fails", points=3)
    def _() -> None:
        close(2.0, 1.0)

    @task.check("passes too", points=0.5)
    def _() -> None:
        that(True, "no")

    points = task.score()
    assert type(points) is float
    assert points == 2.0
    out = capsys.readouterr().out
    assert out.startswith("T: 2 of 5 points")
    assert "✓ passes [1.5]" in out
    assert "✗ fails [3]\n      The result is twice" in out
    assert "(yours: 2; expected: 1)" in out


def test_hidden_checks_withhold_numbers_and_prints(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        print("the input is 42")
        close(2.0, 1.0)

    _, shown = score_of(body, capsys)
    _, hidden = score_of(body, capsys, hidden=True)
    assert "42" in shown
    assert "expected" in shown
    assert "42" not in hidden
    assert "expected" not in hidden
    assert "twice" in hidden


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RuntimeError("shapes (2) and (3)\nsecond line"),
            "raised RuntimeError: shapes (2) and (3)",
        ),
        (SystemExit(3), "raised SystemExit: 3"),
        (RecursionError("deep"), "raised RecursionError"),
        (NotImplementedError(), "Not attempted yet."),
        (NotImplementedError("write your answer here"), "Not attempted yet."),
        (NotImplementedError("'aten::x' on mps"), "raised NotImplementedError: 'aten::x' on mps"),
    ],
)
def test_what_the_code_raises_is_a_sentence(
    error: BaseException, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> None:
        raise error

    points, out = score_of(body, capsys)
    assert points == 0
    assert words in out
    assert "Traceback" not in out
    assert "second line" not in out


def test_an_error_does_not_tell_what_a_hidden_check_drew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Numbers of the inputs, in whatever form; sizes, which help, are kept."""

    def body() -> None:
        raise ValueError("sizes (3, 12): 0.25 -1.5e-3 tensor([3., 2e5]) seed 104729")

    _, hidden = score_of(body, capsys, hidden=True)
    assert "ValueError: sizes (3, 12): … … tensor([…, …]) seed …" in hidden
    _, shown = score_of(body, capsys)
    assert "0.25 -1.5e-3 tensor([3., 2e5]) seed 104729" in shown


def test_an_interrupt_is_not_swallowed() -> None:
    def body() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Task("T", points=1).check("x", points=1)(body)


def test_the_line_of_the_error_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Callable[[], None]] = {}
    exec(compile("def answer():\n    return torch.zeros(2) @ 1", "<cell 3>", "exec"), names)

    _, out = score_of(lambda: close(names["answer"](), 0.0), capsys)
    assert "in answer" in out
    assert "NameError" in out  # torch is not defined inside the answer: not the check's fault


def test_stderr_warnings_and_logs_are_kept_away(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def body() -> None:
        warnings.warn("careful", stacklevel=1)
        print("10 %", file=sys.stderr)
        logging.getLogger("student").error("log")
        close(1.0, 1.0)

    points, _ = score_of(body, capsys)
    assert points == 2
    logging.getLogger("student").error("back")
    assert caplog.messages == ["back"]  # and logging works again


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX timers")
def test_an_endless_loop_is_stopped_and_the_rest_not_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def loop() -> None:
        while True:
            try:
                time.sleep(0.001)
            except Exception:
                continue

    task = Task("T", points=2, seconds=0.2)
    started = time.monotonic()
    for _ in range(2):
        task.check("stops", points=1)(loop)
    assert time.monotonic() - started < 2
    assert task.score() == 0
    out = capsys.readouterr().out
    assert "still running after 0.2 seconds" in out
    assert "Not run: an earlier check" in out


def test_a_gate_holds_back_the_later_checks(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task("T", points=1)
    task.check("has a shape", points=0)(lambda: close(torch.zeros(2), 0.0))
    task.check("never run", points=1)(lambda: that(True, ""))
    assert task.score() == 0
    out = capsys.readouterr().out
    assert "a single number" in out
    assert "Not looked at" in out


def test_a_check_that_expects_nothing_is_an_error_of_the_author() -> None:
    with pytest.raises(ValueError, match="expects nothing"):
        Task("T", points=1).check("vacuous", points=1)(lambda: None)


def test_points_that_do_not_add_up_are_an_error_of_the_author() -> None:
    task = Task("T", points=3)
    task.check("one", points=1)(lambda: that(True, ""))
    with pytest.raises(ValueError, match="worth 1 points, the task 3"):
        task.score()
    with pytest.raises(ValueError, match="-1"):
        task.check("negative", points=-1)


def test_checks_need_only_torch_and_the_standard_library() -> None:
    """What a student's machine imports: nothing of nbgrader, nothing of the models."""
    code = (
        "import sys, gencourse.grading as g; g.Task, g.close, g.run_step, g.fresh;"
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('nbgrader', 'nbformat', 'matplotlib', 'ot', 'sklearn') or m == 'gencourse.models'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_measure_earns_a_share_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task("Task 9", points=10)

    @task.measure("quality", points=6)
    def _() -> tuple[float, str]:
        return 0.333333, "Half of it is missing."

    @task.measure("all of it", points=3)
    def _() -> tuple[float, str]:
        return 1.0, "not shown"

    @task.measure("what can't be measured", points=1)
    def _() -> tuple[float, str]:
        raise ZeroDivisionError("no samples")

    assert task.score() == 5.0
    printed = capsys.readouterr().out
    assert "✗ quality [6]\n      Half of it is missing." in printed
    assert "✓ all of it [3]" in printed
    assert "ZeroDivisionError" in printed
    assert "not shown" not in printed

    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share"):
            Task("Task 9", points=1).measure("x", points=1)(lambda share=share: (share, ""))
    with pytest.raises(ValueError, match="is worth 0"):
        Task("Task 9", points=1).measure("x", points=0)
