"""Every way a hand-in can end is told apart, and one bad cell costs only what depends on it."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from two_kernels import by_name, checks, hand_in, text

from gencourse.grading.job import Job, Limits, Outcome, Result
from gencourse.grading.kernel.execute import execute

DOUBLE = "# student\ndef double(x):\n    return 2 * x"
ONE = checks("double-checks", "close(double(3.0), 6.0)")
# Writes nonsense to every socket it finds.
NOISE = """
import os, stat
for n in range(3, 50):
    try:
        if stat.S_ISSOCK(os.fstat(n).st_mode):
            os.write(n, b"x" * 99)
    except OSError:
        pass
"""
FAST = Limits(cell_seconds=2, total_seconds=60)


def run(server, job: Job):  # type: ignore[no-untyped-def]
    result = execute(job, server)
    assert result.problem == ""
    assert result == Result.from_bytes(result.to_bytes())
    return by_name(result)


def test_a_right_answer_gets_its_points(server) -> None:  # type: ignore[no-untyped-def]
    cells = run(server, hand_in(DOUBLE, ONE))
    assert cells["double-checks"].score == 1.0
    assert {cell.outcome for cell in cells.values()} == {Outcome.OK}
    printed, value = cells["double-checks"].outputs
    assert printed["text"].startswith("double-checks: 1 of 1 points")
    assert value["data"]["text/plain"] == "1.0"


def test_an_error_is_shown_and_costs_no_other_cell(server) -> None:  # type: ignore[no-untyped-def]
    cells = run(server, hand_in("# student a\nprint('before')\n1 / 0", DOUBLE, ONE))
    assert cells["a"].outcome is Outcome.ERROR
    assert cells["a"].outputs[0]["text"] == "before\n"
    assert cells["a"].outputs[1]["ename"] == "ZeroDivisionError"
    assert any("1 / 0" in line for line in cells["a"].outputs[1]["traceback"])
    assert cells["double-checks"].score == 1.0


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise KeyError('k')", "Your code raised KeyError: 'k'\n      in double, at: raise Key"),
        ("raise NotImplementedError('write your answer here')", "Not attempted yet."),
        ("import sys; sys.exit(3)", "Your code raised SystemExit: 3"),
        ("return object()", "The result is a object; a tensor"),
        ("return (x for _ in 'ab')", "The result is a generator"),
        ("x = []; x.append(x); return x", "The result is a list"),
        ("return 'x' * (1 << 24)", "The result is a str"),
        ("return unknown", "raised NameError: name 'unknown'"),
        ("raise type('E' * 500, (Exception,), {'__str__': lambda e: 1 / 0})", "raised EEE"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    ],
)
def test_what_a_function_does_wrong_is_a_sentence(server, code: str, sentence: str) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(f"# student\ndef double(x):\n    {code}", ONE, checks("next", "that(True, '')"))
    cells = run(server, job)
    assert cells["double-checks"].score == 0.0
    assert sentence in text(cells["double-checks"])
    assert "Traceback" not in text(cells["double-checks"])
    assert cells["next"].score == 1.0


def test_a_missing_function_is_named(server) -> None:  # type: ignore[no-untyped-def]
    cells = run(server, hand_in(ONE, "# checks bare\ndouble(3.0)\n1.0"))
    assert "double is not defined. Run the cell" in text(cells["double-checks"])
    assert cells["double-checks"].outcome is Outcome.OK
    assert (cells["bare"].outcome, cells["bare"].score) == (Outcome.ERROR, 0.0)
    assert "could not be run" in cells["bare"].note


@pytest.mark.parametrize(
    ("loop", "lost"),
    [
        ("while True: pass", False),
        # One that will not be interrupted ends the program; what ran before runs again.
        (
            "import signal\nwhile True:\n    try:\n        signal.signal(2, signal.SIG_IGN)\n"
            "    except BaseException: pass",
            True,
        ),
    ],
)
def test_an_endless_cell_is_stopped_alone(server, loop: str, lost: bool) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(DOUBLE, f"# student loop\nkept = 1\n{loop}", "# student after\nkept", ONE)
    cells = run(server, replace(job, limits=FAST))
    assert cells["loop"].outcome is Outcome.TIME
    assert "still running after 2 seconds" in cells["loop"].note
    assert cells["after"].outcome is (Outcome.ERROR if lost else Outcome.OK)
    assert cells["double-checks"].score == 1.0


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("import os; os._exit(0)", "ended the program"),
        ("import os; os.kill(os.getpid(), 11)", "crashed the program (signal 11)"),
        ("import ctypes; ctypes.string_at(0)", "crashed the program"),
        ("import os; os.closerange(3, 100)", "ended the program"),
        (NOISE, "ended the program"),
    ],
)
def test_a_crash_costs_only_its_own_cell(server, code: str, note: str) -> None:  # type: ignore[no-untyped-def]
    cells = run(server, hand_in(DOUBLE, f"# student crash\n{code}", "# student\ny = 4", ONE))
    assert cells["crash"].outcome is Outcome.CRASH
    assert note in cells["crash"].note
    assert cells["double-checks"].score == 1.0


def test_a_crash_in_a_check_keeps_what_was_earned(server) -> None:  # type: ignore[no-untyped-def]
    bad = "# student\ndef bad(x):\n    import os; os._exit(1)"
    calls = [checks(f"bad{i}", "that(True, '')", "close(bad(1.0), 1.0)") for i in range(2)]
    cells = run(server, hand_in(DOUBLE, bad, *calls, checks("again", "close(double(1.0), 2.0)")))
    assert [cells[f"bad{i}"].score for i in range(2)] == [1.0, 1.0]
    assert "Your code ended the program." in text(cells["bad0"])
    assert cells["bad0"].outcome is Outcome.CRASH
    # It is not called a second time, or two such functions would use up all restarts.
    assert "Bad was not called again" in text(cells["bad1"])
    assert cells["again"].score == 1.0


def test_a_program_that_always_ends_is_given_up(server) -> None:  # type: ignore[no-untyped-def]
    crash = [f"# student crash{i}\nimport os; os._exit(1)" for i in range(6)]
    cells = run(server, hand_in(DOUBLE, *crash, ONE))
    outcomes = [cells[f"crash{i}"].outcome for i in range(6)]
    assert outcomes == [Outcome.CRASH] * 4 + [Outcome.NOT_RUN] * 2
    assert "ended too often" in cells["crash5"].note
    assert cells["double-checks"].score == 0.0


def test_an_endless_function_is_stopped_by_its_check(server) -> None:  # type: ignore[no-untyped-def]
    endless = "# student\ndef endless(x):\n    while True: pass"
    job = hand_in(
        DOUBLE,
        endless,
        checks("a", "close(endless(1.0), 1.0)", "close(double(1.0), 2.0)", seconds=1),
        ONE,
    )
    cells = run(server, job)
    assert cells["a"].outcome is Outcome.TIME
    assert "still running after 1 seconds" in text(cells["a"])
    assert "Not run: an earlier check ran out of time." in text(cells["a"])
    assert cells["double-checks"].score == 1.0


def test_the_limit_of_a_cell_holds_for_functions_too(server) -> None:  # type: ignore[no-untyped-def]
    endless = "# student\ndef endless(x):\n    while True: pass"
    job = hand_in(DOUBLE, endless, checks("a", "endless(1.0)", "close(double(1.0), 2.0)"))
    cells = run(server, replace(job, limits=Limits(cell_seconds=1)))
    assert cells["a"].score == 1.0
    assert "Your code was still running after 1 seconds" in text(cells["a"])


def test_the_whole_has_a_limit(server) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(DOUBLE, ONE, "# student slow\nwhile True: pass", "# student after", checks("b"))
    cells = run(server, replace(job, limits=Limits(total_seconds=3)))
    assert cells["double-checks"].score == 1.0
    assert cells["slow"].outcome is Outcome.TIME
    assert "as a whole took longer than 3 seconds" in cells["slow"].note
    assert cells["after"].outcome is Outcome.NOT_RUN
    assert (cells["b"].outcome, cells["b"].score) == (Outcome.TIME, 0.0)


@pytest.mark.parametrize(
    "code",
    [
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "torch.ones(1 << 40)",
        "x = [torch.ones(1 << 24) for _ in range(100)]",
    ],
)
def test_memory_is_limited(server, code: str) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(DOUBLE, f"# student hog\n{code}", ONE)
    cells = run(server, replace(job, limits=Limits(memory_mb=300)))
    assert cells["hog"].outcome is Outcome.MEMORY
    assert "more than 300 MB of memory" in cells["hog"].note
    assert cells["double-checks"].score == 1.0


def test_checks_that_fail_by_themselves_are_our_fault(server) -> None:  # type: ignore[no-untyped-def]
    for broken in ("1 / 0\n1.0", "'points'", "-1.0", "float('nan')", "undefined\n1.0", "def ("):
        result = execute(hand_in(DOUBLE, f"# checks broken\n{broken}", ONE), server)
        cells = by_name(result)
        if broken.startswith("undefined"):  # a student's name, as far as anyone can tell
            assert (cells["broken"].outcome, cells["broken"].score) == (Outcome.ERROR, 0.0)
            continue
        assert cells["broken"].outcome is Outcome.INFRASTRUCTURE
        assert cells["broken"].score is None
        assert "broken" in result.problem
        assert cells["double-checks"].score == 1.0


def test_a_dead_server_is_our_fault() -> None:
    class Dead:
        isolation = "namespaces"

        def spawn(self, *args: object, **options: object) -> None:
            raise RuntimeError("no server")

    result = execute(hand_in(DOUBLE, ONE), Dead())  # type: ignore[arg-type]
    assert {cell.outcome for cell in result.cells} == {Outcome.INFRASTRUCTURE}
    assert all(cell.score is None for cell in result.cells)
    assert "no server" in result.problem


def test_known_checks_are_left_out_and_change_nothing(server) -> None:  # type: ignore[no-untyped-def]
    noisy = checks("noise", "that(float(torch.rand((), generator=fresh())) < 2, '')")
    drawn = "# checks drawn\nprint(torch.rand((), generator=fresh()), torch.rand(()))\n1.0"
    students = "# checks students\nprint(draw())\n1.0"
    draw = "# student\nimport random\ndef draw():\n    return random.random(), torch.rand(2)"
    job = hand_in(draw, noisy, drawn, students, seed=5)
    full, less = run(server, job), run(server, replace(job, known=("noise",)))
    assert set(full) - set(less) == {"noise"}
    for name in ("drawn", "students"):
        assert full[name].outputs == less[name].outputs
    other = run(server, replace(job, seed=6))
    for name in ("drawn", "students"):
        assert full[name].outputs != other[name].outputs


def test_checks_that_end_their_kernel_give_nobody_zero(server) -> None:  # type: ignore[no-untyped-def]
    result = execute(hand_in(DOUBLE, ONE, "# checks end\nimport os; os._exit(0)"), server)
    cells = by_name(result)
    assert cells["double-checks"].score == 1.0
    assert (cells["end"].outcome, cells["end"].score) == (Outcome.INFRASTRUCTURE, None)
    assert "the kernel of the checks ended" in result.problem


def test_one_server_serves_several_threads(server) -> None:  # type: ignore[no-untyped-def]
    jobs = [
        hand_in(f"# student\ndef double(x):\n    return {n} * x", ONE, seed=n) for n in (1, 2, 3)
    ]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda job: execute(job, server), jobs * 2))
    assert [by_name(r)["double-checks"].score for r in results] == [0.0, 1.0, 0.0] * 2
    assert all(r.problem == "" for r in results)


@pytest.mark.parametrize("isolation", ["landlock", "none"])
def test_other_isolations_grade_alike(isolation: str) -> None:
    from gencourse.grading.sandbox.forkserver import ForkServer
    from gencourse.grading.sandbox.policy import Isolation, available

    if sys.platform != "linux":
        pytest.skip("the fork server runs on Linux alone")
    if isolation != "none" and not available()[isolation].ok:
        pytest.skip(available()[isolation].reason)
    crash = "# student crash\nimport os; os._exit(0)"
    hog = "# student hog\nx = []\nwhile True: x.append(bytearray(1 << 20))"
    job = replace(hand_in(DOUBLE, crash, hog, ONE), limits=Limits(memory_mb=300))
    with ForkServer(Isolation(isolation)) as other:
        result = execute(job, other)
    cells = by_name(result)
    assert result.isolation == isolation
    assert cells["crash"].outcome is Outcome.CRASH
    assert cells["hog"].outcome is Outcome.MEMORY
    assert cells["double-checks"].score == 1.0
