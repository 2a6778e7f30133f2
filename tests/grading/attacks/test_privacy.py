"""What lies about after a class was graded: nothing that runs, and nothing others may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from batching import Batch
from small_course import RIGHT, SECRETS

pytestmark = pytest.mark.xdist_group("attacks")

BatchOf = Callable[[str], Batch]


def test_files_are_for_their_owner_alone(batch_of: BatchOf) -> None:
    course = batch_of("forging").course
    given = {"solutions", "assignments", "nbgrader_config.py"}
    made = [path for path in course.iterdir() if path.name not in given]
    assert {"gradebook.db", "submitted", "autograded", "feedback", "grades"} <= {
        path.name for path in made
    }
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path} has mode {mode:o}"


def test_what_is_printed_holds_no_answers(batch_of: BatchOf) -> None:
    for name in ("honest", "forging"):
        batch = batch_of(name)
        for text in (*SECRETS, *RIGHT.values(), "def second_moment", "Traceback"):
            assert text not in batch.printed
        for log in batch.course.rglob("*.log"):
            assert "second_moment" not in log.read_text()


def test_nothing_goes_on_running(batch_of: BatchOf) -> None:
    batch_of("forging")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", pid, "cmdline").read_text()
        except OSError:
            continue
        assert "left-behind" not in command


def test_nothing_was_left_outside(batch_of: BatchOf) -> None:
    batch_of("forging")
    for folder in ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~")):
        if os.path.isdir(folder):
            assert not [name for name in os.listdir(folder) if "left-behind" in name]


def test_the_course_itself_is_unchanged(batch_of: BatchOf) -> None:
    import nbformat
    from small_course import NAME, REFERENCE, source

    course = batch_of("forging").course
    assert (course / "solutions" / NAME / "reference.py").read_text() == REFERENCE
    kept = nbformat.read(course / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    assert [cell.source for cell in kept.cells] == [cell.source for cell in source().cells]
