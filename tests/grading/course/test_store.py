"""Results are found again by what decides them, and by nothing else."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from small_set import all_well

from gencourse.grading.course.private import Private
from gencourse.grading.course.store import Store, failed_here, merge
from gencourse.grading.job import Cell, CellResult, Job, Limits, Outcome, Result

JOB = Job(
    "ps1",
    (
        Cell("given", "given", "import math"),
        Cell("task1", "student", "x = 1"),
        Cell("checks1", "checks", "x"),
        Cell("task2", "student", "y = 1"),
        Cell("checks2", "checks", "y"),
    ),
    seed=7,
)


def changed(name: str, source: str = "0") -> Job:
    cells = [replace(c, source=source) if c.name == name else c for c in JOB.cells]
    return replace(JOB, cells=tuple(cells))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Private(tmp_path), "here")


def test_a_result_is_found_again(store: Store) -> None:
    assert store.get(JOB) is None
    store.put(JOB, all_well(JOB))
    assert store.get(JOB) == all_well(JOB)
    assert store.get(replace(JOB, known=("checks1",))) == all_well(JOB)
    assert replace(store, environment="elsewhere").get(JOB) is None
    assert replace(store, environment="elsewhere").known(JOB) == {}


@pytest.mark.parametrize(
    ("job", "known"),
    [
        (changed("checks1"), {"checks2"}),
        (changed("checks2"), {"checks1"}),
        (changed("task2"), {"checks1"}),  # it comes after the first check
        (changed("task1"), set()),
        (changed("given"), set()),
        (replace(JOB, seed=8), set()),
        (replace(JOB, course_files={"reference.py": b""}), set()),
        (replace(JOB, limits=Limits(cell_seconds=1)), set()),
        (replace(JOB, withheld=("gencourse.kl",)), set()),
    ],
    ids=["checks1", "checks2", "task2", "task1", "given", "seed", "reference", "limits", "names"],
)
def test_a_change_reruns_what_depends_on_it(store: Store, job: Job, known: set[str]) -> None:
    store.put(JOB, all_well(JOB))
    assert store.get(job) is None
    assert store.known(job).keys() == known


def test_known_checks_are_put_back_in_their_places(store: Store) -> None:
    store.put(JOB, all_well(JOB))
    job = changed("checks1", "x + 1")
    known = store.known(job)
    rest = all_well(replace(job, known=tuple(known)))
    assert [c.name for c in rest.cells] == ["given", "task1", "checks1", "task2"]
    whole = merge(job, rest, known)
    assert [c.name for c in whole.cells] == [c.name for c in job.cells]
    store.put(job, whole)
    assert store.get(job) == whole


def test_our_own_failures_are_never_kept(store: Store) -> None:
    well = all_well(JOB)
    broken = replace(well.cells[2], outcome=Outcome.INFRASTRUCTURE)
    for result in (
        replace(well, problem="The fork server died."),
        replace(well, cells=(*well.cells[:2], broken, *well.cells[3:])),
    ):
        assert failed_here(result)
        store.put(JOB, result)
        assert store.get(JOB) is None
        assert store.known(JOB) == {}


def test_a_check_that_was_cut_off_is_kept_only_with_the_whole(store: Store) -> None:
    well = all_well(JOB)
    late = CellResult("checks2", Outcome.TIME, note="Too slow.")
    result = replace(well, cells=(*well.cells[:4], late))
    store.put(JOB, result)
    assert store.get(JOB) == result
    assert store.known(JOB).keys() == {"checks1"}


def test_a_result_that_lacks_cells_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="lacks checks2"):
        store.put(JOB, replace(all_well(JOB), cells=all_well(JOB).cells[:4]))


def test_damaged_files_are_as_good_as_none(store: Store, tmp_path: Path) -> None:
    store.put(JOB, all_well(JOB))
    files = [p for p in (tmp_path / ".grading" / "results").rglob("*") if p.is_file()]
    assert len(files) == 3
    for path in files:
        content = path.read_bytes()
        for damage in (content[:-5], b"", content.replace(b"ok", b"no"), b"\xff" * 80):
            path.write_bytes(damage)
            assert (store.get(JOB) is None) == (path.parts[-3] == "hand-ins")
            assert len(store.known(JOB)) == (2 if path.parts[-3] == "hand-ins" else 1)
        path.write_bytes(content)
    assert store.get(JOB) == all_well(JOB)


def test_files_and_folders_are_private(store: Store, tmp_path: Path) -> None:
    store.put(JOB, all_well(JOB))
    for path in (tmp_path / ".grading").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_an_odd_output_survives(store: Store) -> None:
    odd = {"output_type": "stream", "name": "stdout", "text": "\ud800 \0 é"}
    cells = tuple(replace(c, outputs=(odd,)) for c in all_well(JOB).cells)
    store.put(JOB, Result(cells, "namespaces"))
    assert store.get(JOB) == Result(cells, "namespaces")
    assert store.known(JOB)["checks1"].outputs == (odd,)
