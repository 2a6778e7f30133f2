"""The first cell of a student's notebook answers at once: nothing is imported before its use."""

from __future__ import annotations

import importlib
import json
import statistics
import subprocess
import sys
from functools import cache

import pytest

import gencourse

# What is large, and what only some readers install.
HEAVY = (
    "torchvision", "matplotlib", "sklearn", "pandas", "scipy", "ot",
    "typer", "rich", "tqdm", "ipywidgets", "nbgrader", "nbclient", "nbformat",
)  # fmt: skip


def run(code: str) -> tuple[float, set[str]]:
    """Run ``code`` after ``import torch``; return its seconds and the heavy imports so far."""
    script = f"""
import json, sys, time, torch
begun = time.perf_counter()
{code}
seconds = time.perf_counter() - begun
print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, names = json.loads(result.stdout)
    return seconds, set(names)


@cache
def of_torch() -> set[str]:
    """Return the heavy packages that torch itself imports."""
    return run("pass")[1]


def test_importing_the_course_costs_little_over_torch() -> None:
    """At most 0.3 s, and none of the large packages; the median, as machines are busy."""
    runs = [run("import gencourse; gencourse.device()") for _ in range(3)]
    assert statistics.median(seconds for seconds, _ in runs) < 0.3
    for _, names in runs:
        assert names <= of_torch()


def test_models_of_points_import_none_of_them_either() -> None:
    """Each package is imported where it is used, and these use none."""
    code = """
import gencourse
data = gencourse.data.load("ring8")
for system in gencourse.systems():
    if "points" in system.kinds:
        gencourse.build(system.slug, data).sample(3)
"""
    assert run(code)[1] <= of_torch()


def test_the_test_would_notice() -> None:
    seconds, names = run("import gencourse; gencourse.History().to_frame(); time.sleep(0.3)")
    assert seconds > 0.3
    assert "pandas" in names
    assert not names <= of_torch()


@pytest.mark.parametrize("name", gencourse.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(gencourse, name) is not None
    assert name in dir(gencourse)


def test_unknown_attributes() -> None:
    with pytest.raises(AttributeError, match="module 'gencourse' has no attribute 'evalute'"):
        gencourse.evalute  # noqa: B018
    with pytest.raises(ImportError):
        importlib.import_module("gencourse.nothing")


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert gencourse.__version__ == version("gencourse")
