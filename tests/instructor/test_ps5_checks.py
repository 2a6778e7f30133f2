"""The checks of problem set 5 are checked: right answers pass, wrong ones get a useful sentence."""

from __future__ import annotations

import pytest
from notebook_cells import ROOT, Session, answers, release, source
from ps5_answers import right, wrong

TASKS = [f"task{i}" for i in range(1, 8)]
POINTS = {cell.id: cell.metadata.nbgrader.get("points") for cell in source("ps5").cells}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("GENCOURSE_COURSE", str(ROOT))
    session = Session("ps5")
    session.cell("imports")
    for name in session.cells:
        if name.endswith("-given"):
            session.cell(name)
    # Task 4 may be answered with Task 1's function.
    session.run(answers("ps5")["task1"], "task1")
    return session


def full_marks(session: Session, task: str) -> None:
    for cell in (f"{task}-visible", f"{task}-hidden"):
        outcome = session.checks(cell)
        assert outcome.points == POINTS[cell], outcome.printed
        assert "✗" not in outcome.printed


@pytest.mark.parametrize("task", TASKS)
def test_the_solution_gets_full_marks_on_every_draw(session: Session, task: str) -> None:
    session.run(answers("ps5")[task], "answer")
    for _ in range(5):  # fresh random inputs each time
        full_marks(session, task)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("number", range(4))
def test_right_answers_written_differently_pass(session: Session, task: str, number: int) -> None:
    codes = right(task)
    assert len(codes) >= 3
    if number < len(codes):
        session.run(codes[number], "answer")
        full_marks(session, task)


CASES = [
    pytest.param(task, code, sentence, id=f"{task}-{number}")
    for task in [*TASKS, "task3-criterion"]
    for number, (code, sentence) in enumerate(wrong(task))
]


@pytest.mark.parametrize(("task", "code", "sentence"), CASES)
def test_wrong_answers_fail_with_a_sentence_that_helps(
    session: Session, task: str, code: str, sentence: str
) -> None:
    session.run(code, "answer")
    cell = f"{task.split('-')[0]}-hidden"
    outcome = session.checks(cell)
    assert outcome.points < POINTS[cell], outcome.printed
    assert sentence.lower() in outcome.printed.lower(), outcome.printed


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_tried_with_five_wrong_answers(task: str) -> None:
    assert len(wrong(task)) >= 5


@pytest.mark.parametrize("task", TASKS)
def test_zeros_and_the_stub_score_nothing(session: Session, task: str) -> None:
    stub = next(cell.source for cell in release("ps5").cells if cell.id == task)
    constant = stub.replace('raise NotImplementedError("write your answer here")', "return 0.0")
    for code, printed in ((stub, "Not attempted yet."), (constant, "✗")):
        session.run(code, "answer")
        for cell in (f"{task}-visible", f"{task}-hidden"):
            outcome = session.checks(cell)
            assert outcome.points == 0
            assert printed in outcome.printed


@pytest.mark.parametrize("task", TASKS)
def test_an_undefined_function_scores_nothing_and_is_named(session: Session, task: str) -> None:
    session.names.pop("value_function")
    outcome = session.checks(f"{task}-hidden")
    assert outcome.points == 0
    assert "is not defined. Run the cell" in outcome.printed


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_equal_to_everything_scores_nothing(session: Session, task: str) -> None:
    session.run(
        """
class Yes(torch.Tensor):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __bool__(self): return True
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None): return True
def yes(*args): return torch.zeros(()).as_subclass(Yes)
value_function = optimal_discriminator = jensen_shannon = criterion = yes
discriminator_step = generator_step = saturating_gradient = non_saturating_gradient = yes
def mode_coverage(*args): return yes(), yes()
""",
        "answer",
    )
    assert session.checks(f"{task}-hidden").points == 0


def test_points_add_up_to_a_hundred_as_the_table_says() -> None:
    notebook = source("ps5")
    assert sum(points or 0 for points in POINTS.values()) == 100
    overview = next(cell.source for cell in notebook.cells if cell.id == "overview")
    for number in range(1, 9):
        worth = sum(
            points or 0 for name, points in POINTS.items() if name.startswith(f"task{number}")
        )
        (row,) = (x for x in overview.splitlines() if x.startswith(f"| {number} |"))
        assert row.endswith(f"| {worth} |")
        (title,) = (
            cell.source.splitlines()[0]
            for cell in notebook.cells
            if cell.id == f"task{number}-text"
        )
        assert f"({worth} points" in title


def test_hidden_checks_print_no_numbers_of_theirs(session: Session) -> None:
    session.run(
        "def value_function(r, f):\n    print('inputs', r)\n    return -softplus(-r).sum()",
        "answer",
    )
    printed = session.checks("task1-hidden").printed
    assert "expected" not in printed
    assert "inputs" not in printed
    assert "expected" in session.checks("task1-visible").printed
