"""A problem set of three tasks, 5 + 3 + 2 points, made to be attacked: its checks take no time.

Two styles of the same checks: with :class:`gencourse.grading.Task`, as the course writes them,
and with bare ``assert`` statements, as most courses that use nbgrader do. The second is for
:mod:`benchmarks.grading`, which shows what stock nbgrader makes of the attacks.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Literal

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[3]
NAME = "ps99"  # of no set that there is
STUB = '# YOUR CODE HERE\nraise NotImplementedError("write your answer here")'
POINTS = {"task1": 5.0, "task2": 3.0, "task3": 2.0}
LIMITS = {
    "cell_seconds": 5,
    "total_seconds": 60,
    "memory_mb": 512,
    "processes": 32,
    "disk_mb": 32,
    "output_kb": 256,
}
#: A name of the library that this set asks students to write themselves.
WITHHELD = "gencourse.metrics.mode_coverage"
#: In the reference and the hidden checks alone: no output, feedback or log may hold them.
SECRETS = ("canary-of-the-reference", "canary-of-the-hidden-checks")

#: Of a course that uses nbgrader as it comes.
STOCK_CONFIG = f"""\
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "reference.py"]
c.ClearSolutions.code_stub = {{"python": {STUB!r}}}
c.ExecutePreprocessor.timeout = 10
"""

RIGHT = {
    "task1": """\
def second_moment(x):
    return (x**2).mean()
""",
    "task2": """\
def log_density(x, mean):
    return -0.5 * (x - mean) ** 2 - 0.5 * math.log(2 * math.pi)
""",
    "task3": """\
def count_above(values, threshold):
    return sum(1 for v in values if v > threshold)
""",
}
#: Answers that run and are wrong everywhere.
WRONG = {
    "task1": "def second_moment(x):\n    return x.mean()\n",
    "task2": "def log_density(x, mean):\n    return 0.25 * (x - mean) ** 2\n",
    "task3": "def count_above(values, threshold):\n    return -1\n",
}

REFERENCE = '''\
"""Reference functions of the small set."""

import math

CANARY = "canary-of-the-reference"


def second_moment(x):
    return (x * x).sum() / x.numel()


def log_density(x, mean):
    return -((x - mean) ** 2) / 2 - math.log(2 * math.pi) / 2


def count_above(values, threshold):
    return len([v for v in values if v > threshold])
'''

_IMPORTS = """\
import math

import torch

from gencourse.grading import Task, close, fresh, grad_of, reference, running, same, tensor_of
"""
_GIVEN = """\
# One number a line; the file lies beside the notebook.
with open("points.txt") as file:
    points = torch.tensor([float(line) for line in file])
"""
_TRAIN = """\
if running():
    print("Skipped while grading: training.")
else:
    print("training")
"""
_STUBS = {
    "task1": '''\
def second_moment(x):
    """Mean of the squares of x, shape (n,); a tensor of shape ()."""
    ### BEGIN SOLUTION
    return (x**2).mean()
    ### END SOLUTION
''',
    "task2": '''\
def log_density(x, mean):
    """Log density of N(mean, 1) at x, any shape."""
    ### BEGIN SOLUTION
    return -0.5 * (x - mean) ** 2 - 0.5 * math.log(2 * math.pi)
    ### END SOLUTION
''',
    "task3": '''\
def count_above(values, threshold):
    """How many of a list of numbers are above the threshold."""
    ### BEGIN SOLUTION
    return sum(1 for v in values if v > threshold)
    ### END SOLUTION
''',
}
_CHECKS = {
    "task1-visible": (
        2,
        """\
task = Task("Task 1, visible checks", points=2, seconds=2)


@task.check("of the numbers 1, 2, 3", points=1)
def _():
    close(second_moment(torch.tensor([1.0, 2.0, 3.0])), 14 / 3, what="the moment")


@task.check("of the points in the file", points=1)
def _():
    close(second_moment(points), (points**2).sum() / len(points), what="the moment")


task.score()
""",
    ),
    "task1-hidden": (
        3,
        """\
# The hidden checks of Task 1 (3 points) run here when your notebook is graded.
### BEGIN HIDDEN TESTS
task = Task("Task 1, hidden checks", points=3, hidden=True, seconds=2)
ref, g, secret = reference("ps99"), fresh(), "canary-of-the-hidden-checks"


@task.check("returns one finite number", points=0)
def _():
    tensor_of(second_moment(torch.randn(4, generator=g)), (), what="the moment")


@task.check("agrees with the definition", points=3)
def _():
    x = torch.randn(9, generator=g)
    close(
        second_moment(x),
        ref.second_moment(x),
        what="the moment",
        mistakes={"That is the mean of x; square it first.": x.mean()},
    )


task.score()
### END HIDDEN TESTS
""",
    ),
    "task2-hidden": (
        3,
        """\
# The hidden checks of Task 2 (3 points) run here when your notebook is graded.
### BEGIN HIDDEN TESTS
task = Task("Task 2, hidden checks", points=3, hidden=True, seconds=2)
ref, g, secret = reference("ps99"), fresh(), "canary-of-the-hidden-checks"


@task.check("agrees with the definition", points=2)
def _():
    x, mean = torch.randn(7, generator=g), torch.randn(7, generator=g)
    close(log_density(x, mean), ref.log_density(x, mean), what="the log density")


@task.check("its gradient is the score", points=1)
def _():
    x, mean = torch.randn(7, generator=g), torch.randn(7, generator=g)
    close(grad_of(log_density, x, mean), mean - x, what="the gradient")


task.score()
### END HIDDEN TESTS
""",
    ),
    "task3-hidden": (
        2,
        """\
# The hidden checks of Task 3 (2 points) run here when your notebook is graded.
### BEGIN HIDDEN TESTS
task = Task("Task 3, hidden checks", points=2, hidden=True, seconds=2)
ref, g, secret = reference("ps99"), fresh(), "canary-of-the-hidden-checks"


@task.check("agrees with the definition", points=2)
def _():
    for _ in range(3):
        values = torch.rand(20, generator=g).tolist()
        same(count_above(values, 0.5), ref.count_above(values, 0.5), what="the count")


task.score()
### END HIDDEN TESTS
""",
    ),
}
_ASSERTS = {
    "task1-visible": (
        2,
        "assert torch.allclose(second_moment(torch.tensor([1.0, 3.0])), torch.tensor(5.0))\n",
    ),
    "task1-hidden": (
        3,
        """\
# Hidden tests
### BEGIN HIDDEN TESTS
x = torch.tensor([1.0, -2.0, 4.0])
assert torch.equal(second_moment(x), torch.tensor(7.0))
### END HIDDEN TESTS
""",
    ),
    "task2-hidden": (
        3,
        """\
# Hidden tests
### BEGIN HIDDEN TESTS
assert abs(float(log_density(torch.tensor(1.0), torch.tensor(1.0))) + 0.9189385) < 1e-4
assert abs(float(log_density(torch.tensor(2.0), torch.tensor(1.0))) + 1.4189385) < 1e-4
### END HIDDEN TESTS
""",
    ),
    "task3-hidden": (
        2,
        """\
# Hidden tests
### BEGIN HIDDEN TESTS
assert count_above([0.1, 0.6, 0.7], 0.5) == 2
### END HIDDEN TESTS
""",
    ),
}


def _meta(name: str, **changes: object) -> dict[str, object]:
    entry: dict[str, object] = {
        "grade": False,
        "grade_id": name,
        "locked": True,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }
    return {"nbgrader": entry | changes}


def source(checks: Literal["task", "assert"] = "task") -> NotebookNode:
    """The instructor's notebook, with solutions and hidden checks."""
    imports = _IMPORTS if checks == "task" else "import math\n\nimport torch\n"
    cells = [
        new_markdown_cell("# A small set", id="title", metadata=_meta("title")),
        new_code_cell(imports.strip(), id="imports", metadata=_meta("imports")),
        new_code_cell(_GIVEN.strip(), id="points", metadata=_meta("points")),
    ]
    table = _CHECKS if checks == "task" else _ASSERTS
    for task, stub in _STUBS.items():
        answer = _meta(task, locked=False, solution=True)
        cells.append(new_code_cell(stub.strip(), id=task, metadata=answer))
        for name, (points, code) in table.items():
            if name.startswith(task):
                graded = _meta(name, grade=True, points=points)
                cells.append(new_code_cell(code.strip(), id=name, metadata=graded))
    train = _TRAIN if checks == "task" else "print('training')\n"
    cells.append(new_code_cell(train.strip(), id="train", metadata=_meta("train")))
    notebook = new_notebook(cells=cells)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "gencourse": {"limits": LIMITS, "withheld": [WITHHELD]},
        }
    )
    return notebook


_SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)
_HIDDEN = re.compile(r"\n?### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", re.DOTALL)


def release(checks: Literal["task", "assert"] = "task") -> NotebookNode:
    """What students get: the same without solutions and hidden checks, as nbgrader writes it."""

    def stub(match: re.Match[str]) -> str:
        return "\n".join(match[1] + line for line in STUB.splitlines())

    notebook = source(checks)
    for cell in notebook.cells:
        cell.source = _HIDDEN.sub("", _SOLUTION.sub(stub, cell.source))
    return notebook


def write_course(folder: Path, checks: Literal["task", "assert"] = "task") -> Path:
    """Lay the set out as a course of its own; nbgrader's configuration is the real one."""
    solutions, assignments = folder / "solutions" / NAME, folder / "assignments" / NAME
    for place, notebook in ((solutions, source(checks)), (assignments, release(checks))):
        place.mkdir(parents=True)
        (place / "points.txt").write_text("0.5\n-1.5\n2.0\n")
        nbformat.write(notebook, place / f"{NAME}.ipynb")
    (solutions / "reference.py").write_text(REFERENCE)
    if checks == "task":
        shutil.copy(ROOT / "nbgrader_config.py", folder)
    else:
        (folder / "nbgrader_config.py").write_text(STOCK_CONFIG)
    return folder
