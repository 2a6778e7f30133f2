"""The example in the guide on checks works, in two kernels and in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from two_kernels import GIVEN, by_name, hand_in, text

from gencourse.grading.job import Cell
from gencourse.grading.kernel.execute import execute
from gencourse.grading.kernel.lint import faults

GUIDE = Path(__file__).resolve().parents[3] / "CONTRIBUTING.md"
SECTION = GUIDE.read_text(encoding="utf-8").split("### Two kernels")[1].split("\n## ")[0]
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)

RIGHT = """
def step(x, gradient, rate):
    x -= rate * gradient
def newton(f, x):
    x = torch.as_tensor(x, dtype=torch.float64).requires_grad_(True)
    for _ in range(20):
        (slope,) = torch.autograd.grad(f(x), x)
        x = (x - f(x) / slope).detach().requires_grad_(True)
    return x
"""
WRONG = """
def step(x, gradient, rate):
    x = x - rate * gradient
def newton(f, x):
    return x - f(x) / 2
"""


@pytest.mark.parametrize(("answer", "points"), [(RIGHT, 2.0), (WRONG, 0.0)])
def test_the_example_tells_right_from_wrong(server, answer: str, points: float) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(f"# student\n{answer}", f"# checks c\n{EXAMPLE}")
    result = execute(job, server)
    assert result.problem == ""
    assert by_name(result)["c"].score == points, text(by_name(result)["c"])
    # And in a notebook of one's own.
    names: dict[str, object] = {}
    for code in (GIVEN, answer, EXAMPLE.removesuffix("task.score()\n")):
        exec(code, names)
    assert names["task"].score() == points  # type: ignore[attr-defined]


def test_the_example_may_be_released() -> None:
    cells = [Cell("given", "given", "import torch\nfrom gencourse.grading import fresh")]
    cells += [Cell("a", "student", RIGHT), Cell("c", "checks", EXAMPLE)]
    assert faults(cells) == []
