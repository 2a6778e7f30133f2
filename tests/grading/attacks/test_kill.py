"""A grader that is killed at any moment loses nothing and counts nothing twice."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from batching import command, environment, put
from corpus import CASES
from corpus_case import filled, written
from small_course import NAME, RIGHT, WRONG, write_course

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("attacks-kill")]

KILLS, HAND_INS = 20, 30
_GRADES = """
    select student.id, notebook.name, cell.name, grade.auto_score, grade.manual_score,
           grade.needs_manual_grade, submission.timestamp
    from grade join base_cell cell on grade.cell_id = cell.id
    join submitted_notebook on grade.notebook_id = submitted_notebook.id
    join submitted_assignment submission on submitted_notebook.assignment_id = submission.id
    join notebook on submitted_notebook.notebook_id = notebook.id
    join student on submission.student_id = student.id
    order by 1, 2, 3
"""


def write_class(folder: Path) -> None:
    """Thirty different hand-ins, one of them broken, one that crashes, one that forges."""
    draw = random.Random(0)
    for n in range(HAND_INS - 3):
        answers = {task: draw.choice([RIGHT, WRONG, {}]).get(task) for task in RIGHT}
        book = filled({k: v for k, v in answers.items() if v is not None})
        put({f"s{n:02}_{NAME}.ipynb": written(book)}, folder)
    for name in ("corrupt", "exits-in-a-call", "patched-torch"):
        put(CASES[name].files, folder)


def grades(course: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"file:{course / 'gradebook.db'}?mode=ro", uri=True) as base:
        return base.execute(_GRADES).fetchall()


def contents(course: Path) -> dict[str, str]:
    """Digests of all that was written for instructors and students."""
    return {
        str(path.relative_to(course)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("autograded", "feedback", "grades")
        for path in sorted((course / name).rglob("*"))
        if path.is_file()
    }


def test_killed_at_twenty_moments(sandbox: None, tmp_path: Path) -> None:
    write_class(tmp_path / "hand-ins")
    calm, troubled = (write_course(tmp_path / name) for name in ("calm", "troubled"))
    env = environment(tmp_path)
    grade_calm = command(calm, tmp_path / "hand-ins")
    done = subprocess.run(grade_calm, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # one needs review
    # Random inputs are drawn with the course's key.
    (troubled / ".grading").mkdir(mode=0o700)
    shutil.copy(calm / ".grading" / "key", troubled / ".grading" / "key")

    draw = random.Random(1)
    seen, killed_at_work = 0, 0
    for _ in range(KILLS):
        # Usually after one or two more hand-ins and a moment; sometimes while it still starts.
        more, moment = draw.choice([0, 1, 1, 2]), draw.uniform(0, 0.3)
        grader = subprocess.Popen(
            command(troubled, tmp_path / "hand-ins"),
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        start = time.monotonic()
        while grader.poll() is None and time.monotonic() - start < 60:
            now = len(list((troubled / "autograded").glob("*/*/*.ipynb")))
            if now >= seen + more:
                break
            time.sleep(0.005)
        time.sleep(moment if more else draw.uniform(0, 3))
        killed_at_work += grader.poll() is None
        grader.send_signal(signal.SIGKILL)
        grader.wait()
        seen = len(list((troubled / "autograded").glob("*/*/*.ipynb")))
    assert killed_at_work >= KILLS // 2

    last = subprocess.run(
        command(troubled, tmp_path / "hand-ins"), env=env, capture_output=True, text=True
    )
    assert last.returncode == 1, last.stderr
    assert grades(troubled) == grades(calm)
    assert len({row[0] for row in grades(calm)}) == HAND_INS
    assert contents(troubled) == contents(calm)
