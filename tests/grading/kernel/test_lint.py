"""What cannot work across two kernels is found before a set is released."""

from __future__ import annotations

import pytest
from two_kernels import GIVEN

from gencourse.grading.job import Cell
from gencourse.grading.kernel.lint import faults

NAMES = GIVEN.replace("*", "Task, beside, close, is_module, lend, raises, reference, running")


def found(
    *checks: str, given: str = "", answer: str = "def f(x): return x\nclass Net: pass"
) -> str:
    cells = [Cell("imports", "given", NAMES + given), Cell("task1", "student", answer)]
    cells += [Cell(f"checks{n}", "checks", code) for n, code in enumerate(checks)]
    return "; ".join(faults(cells))


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("isinstance(Net(), nn.Module)", "use is_module(…)"),
        ("isinstance(f(1), Net | int)", "asks for an object's class"),
        ("issubclass(Net, (dict, nn.Linear))", "asks for an object's class"),
        ("undefined(f)", "uses undefined, which no cell above defines"),
        ("try:\n    f(1)\nexcept ValueError:\n    pass", 'use raises(f, "ValueError", …)'),
        ("class Mine(Net): pass", "derives Mine from the student's Net: use beside"),
        ("f.calls = 0", "sets f.calls, which is the student's"),
        ("f(lambda x: x)", "hands a function to f: write lend(lambda x: x)"),
        ("def g(x): return x\nf(key=g)", "write lend(g)"),
        ("ref = reference('ps0')\nf(lend(lambda x: ref.f(x)))", "read ref"),
        ("ref, n = reference('ps0'), 1\ndef g(x): return ref.f(x)\nbeside(g, f)", "read ref"),
        ("def h(x): return reference('ps0')\ndef g(x): return h(x)\nlend(g)", "read reference"),
        ("f(", "is no Python"),
    ],
)
def test_faults_are_found(check: str, words: str) -> None:
    assert words in found(check)


def test_names_do_not_pass_from_one_check_cell_to_another() -> None:
    assert "uses helper of check cell checks0" in found("def helper(): return 1", "helper()")
    assert found("helper = 1\nhelper", "helper = 2\nhelper") == ""


@pytest.mark.parametrize(
    "check",
    [
        "isinstance(f(1), tuple | list) and isinstance(f(1), torch.Tensor)",
        "task = Task('x', 1)\n@task.check('y', points=1)\ndef _():\n    close(f(1.0), 1.0)",
        "ref = reference('ps0')\nclose(f(1), ref.f(1))",
        "f(lend(lambda x: x))\nraises(f, 'ValueError', 1)\nis_module(Net())",
        "def g(h): return h(1)\nclose(beside(g, f), 1)\n[x + y for x in [1] for y in [2]]",
        "try:\n    n = 1\nexcept ValueError:\n    n = 2\nn",
    ],
)
def test_good_checks_pass(check: str) -> None:
    assert found(check, given="%matplotlib inline\n") == ""


def test_the_sets_of_the_course_pass() -> None:
    from test_sets import SETS, answers, job

    for name in SETS:
        assert faults(job(name, answers(name)).cells) == []
