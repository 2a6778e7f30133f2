"""The checks of every problem set are checked.

Right answers written in different ways get full marks, plausible wrong ones lose points and
get a sentence that helps, and what is no answer gets nothing. The answers of a set are in
``<set>_answers.py``, as ``RIGHT[task]`` (at least three) and ``WRONG[task]`` (at least five, each
with part of the sentence it must get). The suite ends with a table of what was tried.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest
from notebook_cells import ROOT, Session, answers, release, source

from gencourse.grading.session import STUB_MESSAGE

SETS = sorted(path.parent.name for path in ROOT.glob("solutions/*/*.ipynb"))
ANSWERS = {name: import_module(f"{name}_answers") for name in SETS}
POINTS = {
    name: {cell.id: cell.metadata.nbgrader.get("points") for cell in source(name).cells}
    for name in SETS
}
TASKS = [
    (name, cell.removesuffix("-hidden"))
    for name in SETS
    for cell in POINTS[name]
    if cell.endswith("-hidden")
]
Record = Callable[[str, object], None]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Session]:
    """Make what a kernel holds when a student comes to a task with all earlier ones solved."""
    monkeypatch.setenv("GENCOURSE_COURSE", str(ROOT))
    monkeypatch.setenv("GENCOURSE_GRADING", "1")

    def start(name: str, task: str) -> Session:
        session = Session(name)
        solved = answers(name)
        for cell in session.cells:
            if cell == task:
                break
            if cell in solved and session.cells[cell].cell_type == "code":
                session.run(solved[cell], cell)
            elif cell == "imports" or cell.endswith("-given"):
                session.cell(cell)
        after = list(session.cells)[list(session.cells).index(task) + 1 :]
        # What is given between an answer and its checks.
        for cell in after:
            if cell.endswith("-hidden"):
                break
            if cell.endswith("-given"):
                session.cell(cell)
        return session

    return start


def full_marks(session: Session, name: str, task: str) -> None:
    for cell in (f"{task}-visible", f"{task}-hidden"):
        outcome = session.checks(cell)
        assert outcome.points == POINTS[name][cell], outcome.printed
        assert "✗" not in outcome.printed


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_the_solution_gets_full_marks_on_every_draw(
    session: Callable[[str, str], Session], name: str, task: str
) -> None:
    here = session(name, task)
    here.run(answers(name)[task], "answer")
    for _ in range(5):  # fresh random inputs each time
        full_marks(here, name, task)


@pytest.mark.parametrize(
    ("name", "task", "code"),
    [
        pytest.param(name, task, code, id=f"{name}-{task}-{number}")
        for name, task in TASKS
        for number, code in enumerate(ANSWERS[name].right(task))
    ],
)
def test_right_answers_written_differently_pass(
    session: Callable[[str, str], Session],
    record_property: Record,
    name: str,
    task: str,
    code: str,
) -> None:
    record_property("answer", (name, task, "right"))
    here = session(name, task)
    here.run(code, "answer")
    full_marks(here, name, task)


@pytest.mark.parametrize(
    ("name", "task", "code", "sentence"),
    [
        pytest.param(name, task, code, sentence, id=f"{name}-{task}-{number}")
        for name in SETS
        for task in ANSWERS[name].WRONG
        for number, (code, sentence) in enumerate(ANSWERS[name].wrong(task))
    ],
)
def test_wrong_answers_fail_with_a_sentence_that_helps(
    session: Callable[[str, str], Session],
    record_property: Record,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    task: str,
    code: str,
    sentence: str,
) -> None:
    # One draw: on one in many thousands two mistakes give the same numbers, and the sentence is
    # that of the other.
    monkeypatch.setenv("GENCOURSE_GRADING_SEED", "1")
    task = task.split("-")[0]
    record_property("answer", (name, task, "wrong"))
    here = session(name, task)
    here.run(code, "answer")
    cell = f"{task}-hidden"
    outcome = here.checks(cell)
    assert outcome.points < POINTS[name][cell], outcome.printed
    assert sentence.lower() in outcome.printed.lower(), outcome.printed


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_enough_answers_are_tried(name: str, task: str) -> None:
    assert len(ANSWERS[name].right(task)) >= 3
    assert len(ANSWERS[name].wrong(task)) >= 5


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_zeros_and_the_stub_score_nothing(
    session: Callable[[str, str], Session], name: str, task: str
) -> None:
    stub = next(cell.source for cell in release(name).cells if cell.id == task)
    raised = f'raise NotImplementedError("{STUB_MESSAGE}")'
    assert raised in stub
    for code, printed in ((stub, "Not attempted yet."), (stub.replace(raised, "return 0.0"), "✗")):
        here = session(name, task)
        here.run(code, "answer")
        for cell in (f"{task}-visible", f"{task}-hidden"):
            outcome = here.checks(cell)
            assert outcome.points == 0, outcome.printed
            assert printed in outcome.printed


def asked(name: str, task: str) -> list[str]:
    """Names of the functions and classes that a task asks for."""
    here = Session(name)
    return here.defined(answers(name)[task])


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_an_undefined_answer_scores_nothing_and_is_named(
    session: Callable[[str, str], Session], name: str, task: str
) -> None:
    here = session(name, task)
    for function in asked(name, task):
        here.names.pop(function, None)
    outcome = here.checks(f"{task}-hidden")
    assert outcome.points == 0
    assert "is not defined. Run the cell" in outcome.printed


EQUAL_TO_EVERYTHING = """
class Yes(torch.Tensor):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __bool__(self): return True
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None): return True
def yes(*args, **kwargs): return torch.zeros(()).as_subclass(Yes)
"""


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_an_answer_equal_to_everything_scores_nothing(
    session: Callable[[str, str], Session], name: str, task: str
) -> None:
    for answer in ("yes", "lambda *a, **k: (yes(), yes())"):
        here = session(name, task)
        here.run("import torch\n" + EQUAL_TO_EVERYTHING, "answer")
        for function in asked(name, task):
            here.run(f"{function} = {answer}", "answer")
        assert here.checks(f"{task}-hidden").points == 0


@pytest.mark.parametrize("name", SETS)
def test_points_add_up_as_the_table_says(name: str) -> None:
    notebook = source(name)
    overview = next(cell.source for cell in notebook.cells if cell.id == "overview")
    rows = [line for line in overview.splitlines() if line.startswith("| ")][1:]
    numbers = {int(row.split("|")[1]): row for row in rows if row.split("|")[1].strip().isdigit()}
    assert sum(points or 0 for points in POINTS[name].values()) == ANSWERS[name].TOTAL
    for number, row in numbers.items():
        worth = sum(
            points or 0
            for cell, points in POINTS[name].items()
            if cell.split("-")[0] == f"task{number}"
        )
        assert row.endswith(f"| {worth:g} |")
        (title,) = (
            cell.source.splitlines()[0]
            for cell in notebook.cells
            if cell.id == f"task{number}-text"
        )
        assert f"({worth:g} points" in title
    tasks = {cell.split("-")[0] for cell, points in POINTS[name].items() if points}
    assert tasks == {f"task{number}" for number in numbers}


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_hidden_checks_print_no_numbers_of_theirs(
    session: Callable[[str, str], Session], name: str, task: str
) -> None:
    """Neither what they expected, nor what the student's code prints on being called."""
    here = session(name, task)
    for function in asked(name, task):
        here.run(
            f"def {function}(*args, **kwargs):\n    print('inputs', args)\n    return 0.125",
            "answer",
        )
    printed = here.checks(f"{task}-hidden").printed
    assert "expected:" not in printed
    assert "inputs" not in printed
