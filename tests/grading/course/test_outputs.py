"""What nbgrader reads off the notebook: points where there are some, and never by accident."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.utils import determine_grade
from small_set import all_well

from gencourse.grading.course.jobs import job_of
from gencourse.grading.course.outputs import NotGraded, write_outputs
from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.job import CellResult, Outcome, Result

Graded = Callable[..., dict[str, NotebookNode]]
HTML = {"output_type": "display_data", "data": {"text/html": "<script>", "text/plain": "x"}}
STDERR = {"output_type": "stream", "name": "stderr", "text": "careful"}
FORGED = {"output_type": "execute_result", "data": {"text/plain": "3.0"}}


@pytest.fixture
def graded(ps1: ProblemSet, hand_in: Callable[..., NotebookNode]) -> Graded:
    """Grade a hand-in whose cells came out so; return its cells by name."""

    def grade(problem: str = "", **results: CellResult) -> dict[str, NotebookNode]:
        notebook = hand_in()
        job = job_of(ps1, notebook, student="ada", key=b"")
        cells = [results.get(c.name.replace("-", "_"), c) for c in all_well(job).cells]
        write_outputs(
            notebook,
            Result(tuple(cells), "namespaces", ("Twice.",), problem),
            ps1.points,
            notes=("Mended.", "Twice."),
        )
        nbformat.validate(notebook)
        assert notebook.metadata.gencourse == {
            "isolation": "namespaces",
            "notes": ["Mended.", "Twice."],
        }
        return {c.metadata.nbgrader.grade_id: c for c in notebook.cells}

    return grade


def points(cell: NotebookNode) -> float | None:
    return determine_grade(cell)[0]


def test_the_score_is_what_nbgrader_reads(graded: Graded) -> None:
    cells = graded(task1_checks=CellResult("task1-checks", Outcome.OK, score=2.25))
    assert points(cells["task1-checks"]) == 2.25
    assert points(cells["task2-checks"]) == 0.5


def test_only_the_score_counts_in_a_check_cell(graded: Graded) -> None:
    stdout = {"output_type": "stream", "name": "stdout", "text": "Task 1: 1 of 3 points"}
    outputs = (FORGED, STDERR, HTML, stdout)
    cells = graded(task1_checks=CellResult("task1-checks", Outcome.OK, outputs, score=1.0))
    shown = cells["task1-checks"].outputs
    assert [o.output_type for o in shown] == ["stream", "execute_result"]
    assert points(cells["task1-checks"]) == 1


@pytest.mark.parametrize(
    "outcome",
    [Outcome.ERROR, Outcome.TIME, Outcome.MEMORY, Outcome.CRASH, Outcome.NOT_RUN, Outcome.OUTPUT],
)
def test_checks_that_were_stopped_give_no_points_and_say_why(
    graded: Graded, outcome: Outcome
) -> None:
    cells = graded(task1_checks=CellResult("task1-checks", outcome))
    assert points(cells["task1-checks"]) == 0
    noted = cells["task1-checks"].metadata.gencourse
    assert noted.outcome == str(outcome)
    assert noted.note.startswith("The checks in this cell could not be run to their end")
    cells = graded(task1_checks=CellResult("task1-checks", outcome, note="Too slow."))
    assert cells["task1-checks"].metadata.gencourse.note == "Too slow."


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -1.0, 3.5])
def test_checks_without_a_possible_score_are_not_graded(
    graded: Graded, score: float | None
) -> None:
    with pytest.raises(NotGraded, match="task1-checks"):
        graded(task1_checks=CellResult("task1-checks", Outcome.OK, score=score))


def test_our_own_failures_are_not_graded(graded: Graded) -> None:
    with pytest.raises(NotGraded, match="fork server"):
        graded(problem="The fork server died.")
    with pytest.raises(NotGraded, match="given"):
        graded(given=CellResult("given", Outcome.INFRASTRUCTURE))


def test_a_missing_result_is_not_graded(
    ps1: ProblemSet, hand_in: Callable[..., NotebookNode]
) -> None:
    notebook = hand_in()
    result = all_well(job_of(ps1, notebook, student="ada", key=b""))
    with pytest.raises(NotGraded, match="no result of task2-checks"):
        write_outputs(notebook, replace(result, cells=result.cells[:-1]), ps1.points)


def test_text_and_pictures_of_the_student_s_cells_are_kept(graded: Graded) -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "aGk=", "text/html": "<b>"}}
    error = {"output_type": "error", "ename": "E", "evalue": "\ud800", "traceback": ["a", "b"]}
    outputs = (STDERR, HTML, picture, error, FORGED)
    shown = graded(task1=CellResult("task1", Outcome.ERROR, outputs))["task1"].outputs
    assert shown[0].text == "careful"
    assert shown[1].data == {"text/plain": "x"}
    assert shown[2].data == {"image/png": "aGk="}
    assert (shown[3].evalue, shown[3].traceback) == ("?", ["a", "b"])
