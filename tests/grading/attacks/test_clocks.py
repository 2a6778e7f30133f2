"""Clocks that jump, and files from the future and from before there were computers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from batching import command, environment, grade, put
from corpus import CASES
from small_course import write_course

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("attacks-clocks")]

_JUMPING = """\
# Each look at the clock is years away from the one before, in either direction.
import random, time
_true = time.time
time.time = lambda: _true() + random.choice([-1, 1]) * random.random() * 3e8
time.time_ns = lambda: int(time.time() * 1e9)
"""


def test_points_do_not_depend_on_clocks(sandbox: None, tmp_path: Path) -> None:
    chosen = [CASES[n] for n in ("perfect", "first-task-only", "blank", "in-a-zip", "copy-of")]
    calm = grade(tmp_path / "calm", chosen)
    for case in chosen:
        put(case.files, tmp_path / "hand-ins")
    for number, path in enumerate(sorted((tmp_path / "hand-ins").iterdir())):
        when = (-1e9, 0, 4e9, 1e10)[number % 4]
        os.utime(path, (when, when))
    (tmp_path / "jumping").mkdir()
    (tmp_path / "jumping" / "sitecustomize.py").write_text(_JUMPING)
    course = write_course(tmp_path / "course")
    done = subprocess.run(
        command(course, tmp_path / "hand-ins"),
        env=environment(tmp_path) | {"PYTHONPATH": str(tmp_path / "jumping")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == calm.returncode == 0, done.stdout + done.stderr
    troubled = type(calm)(course, done.returncode, done.stdout)
    for name, row in calm.rows.items():
        kept = {k: v for k, v in row.items() if k != "timestamp"}
        assert kept == {k: v for k, v in troubled.rows[name].items() if k != "timestamp"}
