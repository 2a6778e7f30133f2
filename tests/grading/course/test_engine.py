"""Jobs side by side: every one has its result, whatever happens to the others."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from small_set import all_well

from gencourse.grading.course import engine
from gencourse.grading.course.engine import ATTEMPTS, Local
from gencourse.grading.course.store import failed_here
from gencourse.grading.job import Cell, Job, Result
from gencourse.grading.sandbox import policy


def jobs(n: int) -> list[tuple[str, Job]]:
    return [(f"s{i}", Job("ps1", (Cell("a", "checks", f"{i}"),))) for i in range(n)]


def test_every_job_has_its_result() -> None:
    found = dict(Local(all_well, 3).run(jobs(20)))
    assert found == {name: all_well(job) for name, job in jobs(20)}
    assert list(Local(all_well, 3).run([])) == []


def test_no_more_at_a_time_than_workers_and_jobs_are_taken_as_there_is_room() -> None:
    running, most, taken = 0, 0, 0
    lock = threading.Lock()

    def execute(job: Job) -> Result:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return all_well(job)

    def supply():
        nonlocal taken
        for entry in jobs(12):
            taken += 1
            yield entry

    results = Local(execute, 2).run(supply())
    next(results)
    assert taken <= 4
    assert len(list(results)) == 11
    assert most == 2


def test_a_job_that_raises_stops_nobody() -> None:
    def execute(job: Job) -> Result:
        if job.cells[0].source == "3":
            raise OSError("disk full")
        return all_well(job)

    found = dict(Local(execute, 2).run(jobs(6)))
    assert failed_here(found["s3"]) == "It could not be run (OSError: disk full)."
    assert all(not failed_here(found[f"s{i}"]) for i in (0, 1, 2, 4, 5))


def test_what_failed_here_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def execute(job: Job) -> Result:
        tries.append(job.cells[0].source)
        if job.cells[0].source == "0" and tries.count("0") < ATTEMPTS:
            return Result((), problem="The fork server died.")
        return all_well(job)

    found = dict(Local(execute, 1).run(jobs(2)))
    assert not failed_here(found["s0"])
    assert tries.count("0") == ATTEMPTS
    assert tries.count("1") == 1


def test_giving_up_begins_no_further_job() -> None:
    begun: list[Job] = []

    def execute(job: Job) -> Result:
        begun.append(job)
        return all_well(job)

    results = Local(execute, 1).run(jobs(50))
    next(results)
    results.close()
    assert len(begun) <= 5


def test_giving_up_ends_what_is_under_way() -> None:
    gone = threading.Event()

    def execute(job: Job) -> Result:
        if job.cells[0].source != "0":
            gone.wait(60)
        return all_well(job)

    results = Local(execute, 2, stop=gone.set).run(jobs(4))
    next(results)
    results.close()
    assert gone.is_set()
    unhurried = Local(all_well, 2, stop=lambda: pytest.fail("stopped"))
    assert len(list(unhurried.run(jobs(4)))) == 4


@pytest.mark.slow
@pytest.mark.parametrize("during", ["the first cell", "the last cell"])
def test_the_fork_server_dies_and_the_grading_goes_on(during: str) -> None:
    """What is lost is done again; after a last cell nothing is left that could not be run."""
    try:
        policy.best()
    except policy.NoSandbox as reason:
        pytest.skip(str(reason))
    long, short = "import time; time.sleep(3)", "1"
    first, last = (long, short) if during == "the first cell" else (short, long)
    slow = (Cell("a", "student", first), Cell("b", "checks", "1.0"), Cell("c", "student", last))
    fast = tuple(Cell(cell.name, cell.kind, short) for cell in slow)
    work = [(f"s{i}", Job("ps1", cells)) for i, cells in enumerate((fast, slow, fast))]
    with engine.local(2) as here:
        results = here.run(work)
        found = dict([next(results)])
        time.sleep(1)  # into the long cell
        os.kill(here.start().pid, signal.SIGKILL)
        found |= dict(results)
    assert found.keys() == dict(work).keys()
    for result in found.values():
        assert not failed_here(result)
        assert [cell.outcome for cell in result.cells] == ["ok"] * 3


def test_workers_must_be_some() -> None:
    with pytest.raises(ValueError, match="at least one worker"):
        Local(all_well, 0)


def test_a_worker_of_other_versions_does_not_grade() -> None:
    _, job = jobs(1)[0]
    result = Result.from_bytes(engine.on_a_worker(job.to_bytes(), "other", True))
    assert "other versions" in failed_here(result)
