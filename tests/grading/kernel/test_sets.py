"""Every problem set through the two kernels: the points are those of an ordinary notebook."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
import torch
from two_kernels import by_name, text

from gencourse.grading.job import Cell, Job, Outcome
from gencourse.grading.kernel.agreed import seed_of
from gencourse.grading.kernel.execute import execute

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "instructor"))
from notebook_cells import Session, answers, release, source

SETS = sorted(path.parent.name for path in ROOT.glob("solutions/*/*.ipynb"))
SEED = 11


def job(name: str, changes: dict[str, str]) -> Job:
    cells = []
    for cell in source(name).cells:
        if cell.cell_type == "code":
            meta = cell.metadata.nbgrader
            kind = "checks" if meta.grade else "student" if meta.solution else "given"
            code = changes[cell.id] if kind == "student" else cell.source
            cells.append(Cell(cell.id, kind, code))
    path = f"solutions/{name}/reference.py"
    wishes = source(name).metadata.get("gencourse", {})
    return Job(
        name,
        tuple(cells),
        course_files={path: (ROOT / path).read_bytes()},
        withheld=tuple(wishes.get("withheld", ())),
        seed=SEED,
    )


@cache
def points(name: str) -> dict[str, float]:
    return {
        cell.id: cell.metadata.nbgrader.points
        for cell in source(name).cells
        if cell.cell_type == "code" and cell.metadata.nbgrader.grade
    }


@pytest.mark.parametrize("name", SETS)
def test_the_solution_gets_all_points_and_the_blank_release_none(server, name: str) -> None:  # type: ignore[no-untyped-def]
    blank = {cell.id: cell.source for cell in release(name).cells}
    for changes, expected in (
        (answers(name), points(name)),
        (blank, dict.fromkeys(points(name), 0.0)),
    ):
        result = execute(job(name, changes), server)
        assert result.problem == ""
        assert result.notes == ()
        assert {c.name: c.score for c in result.cells if c.score is not None} == expected
        assert {cell.outcome for cell in result.cells} == {Outcome.OK}


def hand_ins(name: str) -> list[dict[str, str]]:
    """Hand-ins that hold, between them, every wrong answer and every other right one."""
    module = import_module(f"{name}_answers")
    variants: dict[str, list[str]] = {}
    for task in module.WRONG:
        variants.setdefault(task.split("-")[0], []).extend(code for code, _ in module.wrong(task))
    for task in module.RIGHT:
        variants.setdefault(task, []).extend(module.right(task))
    count = max(map(len, variants.values()))
    return [
        answers(name) | {task: codes[n] for task, codes in variants.items() if n < len(codes)}
        for n in range(count)
    ]


def same_words(printed: str) -> str:
    """What does not depend on where the code ran.

    The plain session knows no lines of source, and takes a function that the checks run beside
    the student's code for one of the student's; a kind of tuple arrives as a tuple.
    """
    without_place = re.sub(r"\n +in [\w<>]+(, at: .*)?(?=\n|$)", "", printed)
    without_kind = re.sub(r"is a \w+; a tensor", "is no tensor", without_place)
    # Sums of float32 are rounded in another order in another process: four decimals are the same.
    return re.sub(r"(\.\d{4})\d+", r"\1", without_kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    "every",
    [pytest.param(5, id="some"), pytest.param(1, marks=pytest.mark.nightly, id="all")],
)
def test_every_answer_gets_what_it_gets_in_an_ordinary_notebook(  # type: ignore[no-untyped-def]
    server, name: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENCOURSE_COURSE", str(ROOT))
    monkeypatch.setenv("GENCOURSE_GRADING", "1")
    seen, solved = 0, answers(name)
    cells = source(name).cells
    for changes in hand_ins(name)[::every]:
        # Only the checks of tasks that are answered in a new way here.
        same = [task for task, code in changes.items() if code == solved.get(task)]
        known = [c for c in points(name) if c.split("-")[0] in same]
        todo = replace(job(name, changes), known=tuple(known))
        graded = by_name(execute(todo, server))
        here = Session(name)
        for cell in cells:
            if cell.cell_type != "code" or cell.id == "setup":
                continue
            if cell.id in known:
                continue
            if cell.id not in points(name):
                here.run(changes.get(cell.id, cell.source), cell.id)
                continue
            monkeypatch.setenv("GENCOURSE_GRADING_SEED", str(seed_of(SEED, cell.id)))
            # An answer that draws numbers of its own draws the same ones here.
            torch.manual_seed(seed_of(SEED, f"student, {cell.id}"))
            expected = here.checks(cell.id)
            got = graded[cell.id]
            assert got.score == expected.points, (cell.id, changes, text(got), expected.printed)
            assert same_words(got.outputs[0]["text"]) == same_words(expected.printed)
            seen += 1
    # The capstone has two tasks, the others about ten.
    assert seen >= min(100, 10 * len(points(name))) / every
