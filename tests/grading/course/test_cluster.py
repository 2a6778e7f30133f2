"""Jobs on the workers of a cluster: a worker that dies loses nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import worker_tasks
from small_set import all_well

from gencourse.grading.course import engine, environment
from gencourse.grading.course.engine import Cluster, cluster
from gencourse.grading.course.store import failed_here
from gencourse.grading.job import Cell, Job

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.slow


def jobs(n: int) -> list[tuple[str, Job]]:
    return [(f"s{i}", Job("ps1", (Cell("a", "checks", f"{i}"),))) for i in range(n)]


def expected(n: int) -> dict[str, Any]:
    return {name: all_well(job) for name, job in jobs(n)}


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=60
    ) as workers:
        yield workers


@pytest.fixture
def in_threads() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=None, silence_logs=60
    ) as workers:
        yield workers


def test_a_job_that_kills_every_worker_stops_nobody(two_workers: Any) -> None:
    with distributed.Client(two_workers) as client:
        found = dict(Cluster(client, sandboxed=True, work=worker_tasks.deadly).run(jobs(6)))
    assert "worker failed" in failed_here(found.pop("s3"))
    assert found == {name: result for name, result in expected(6).items() if name != "s3"}


def test_a_cluster_by_its_address(in_threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "in_this_process", lambda job, *, sandboxed: all_well(job))
    with cluster(in_threads.scheduler_address) as workers:
        assert dict(workers.run(jobs(5))) == expected(5)


def test_workers_of_other_versions_are_refused(
    in_threads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = environment.describe()
    answers = iter([ours, {**ours, "torch": "1.0"}])
    monkeypatch.setattr(environment, "describe", lambda: next(answers, ours))
    with (
        pytest.raises(RuntimeError, match=r"has torch 1\.0; this machine has torch 2"),
        cluster(in_threads.scheduler_address),
    ):
        pass


def test_workers_that_stay_away(in_threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.1)
    monkeypatch.setattr(engine, "FETCH", 0.5)
    with distributed.Client(in_threads) as client:
        run = Cluster(client, sandboxed=True, work=worker_tasks.well).run(jobs(40))
        next(run)
        in_threads.scale(0)
        with pytest.raises(RuntimeError, match="start workers, and give the same command again"):
            list(run)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ANSWER", 1.0)
    with (
        pytest.raises(RuntimeError, match="no Dask scheduler answers"),
        cluster("tcp://127.0.0.1:9"),
    ):
        pass
