"""Jobs and results are values: they survive the way to another machine, and equal ones agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencourse.grading.job import Cell, CellResult, Job, Limits, Outcome, Result

TEXT = st.text(max_size=20)
CELLS = st.lists(
    st.builds(Cell, TEXT, st.sampled_from(["student", "given", "checks"]), TEXT),
    max_size=4,
    unique_by=lambda cell: cell.name,
).map(tuple)
JOBS = st.builds(
    Job,
    problem_set=TEXT,
    cells=CELLS,
    files=st.dictionaries(TEXT, st.binary(max_size=20), max_size=3),
    course_files=st.dictionaries(TEXT, st.binary(max_size=20), max_size=3),
    withheld=st.lists(TEXT, max_size=3).map(tuple),
    seed=st.integers(0, 2**63),
)


@given(JOBS)
def test_a_job_survives_the_journey(job: Job) -> None:
    assert Job.from_bytes(job.to_bytes()) == job


def test_a_result_survives_the_journey() -> None:
    cell = CellResult(
        "task1", Outcome.TIME, ({"output_type": "stream", "text": "\ud800"},), 1.5, None, "Slow."
    )
    result = Result((cell,), "namespaces", ("A note.",))
    assert Result.from_bytes(result.to_bytes()) == result


def test_the_digest_is_of_what_decides_the_result() -> None:
    cells = (Cell("a", "student", "x = 1"), Cell("b", "checks", "x"))
    job = Job("ps5", cells, files={"a": b"1", "b": b"2"})
    assert Job("ps5", cells, files={"b": b"2", "a": b"1"}).digest() == job.digest()
    assert replace(job, known=("b",)).digest() == job.digest()
    others = [
        replace(job, seed=1),
        replace(job, cells=cells[:1]),
        replace(job, files={"a": b"1"}),
        replace(job, course_files={"r.py": b""}),
        replace(job, withheld=("gencourse.kl",)),
        replace(job, limits=Limits(memory_mb=1)),
    ]
    assert len({job.digest(), *(other.digest() for other in others)}) == len(others) + 1


def test_bad_jobs_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Limits(cell_seconds=0)
    with pytest.raises(ValueError, match="above 0"):
        Limits(memory_mb=float("nan"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no known kind"):
        Cell("a", "other", "")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="several cells are called a"):
        Job("ps5", (Cell("a", "student", ""), Cell("a", "given", "")))
    with pytest.raises(ValueError, match="no checks are called a"):
        Job("ps5", (Cell("a", "student", ""),), known=("a",))
