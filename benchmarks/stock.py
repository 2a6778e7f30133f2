"""What stock nbgrader makes of the hand-ins that the tests attack with.

    python benchmarks/stock.py            # the table, Markdown

Each hand-in is graded by itself with nbgrader's own settings, in the style of checks that most
courses use (``assert``). WARNING: that runs the attacks of ``SAFE`` without any sandbox; only
those that do no harm outside their own course are in it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "grading" / "attacks"))

from corpus import CASES, Case  # noqa: E402
from small_course import NAME, write_course  # noqa: E402

__all__ = ["SAFE", "Stock", "environment", "grade_one", "prepare"]

#: Rows of the table of nbgrader's weak points that may run on a machine that is used for more.
SAFE = (
    *("perfect", "blank", "tags-skip-execution", "input-transformer", "patched-do-execute"),
    *("patched-run-cell", "patched-run-code", "always-equal", "always-close", "asserts-removed"),
    *("patched-torch", "forged-results", "writes-the-gradebook", "looks-at-callers"),
    *("warns", "asks-for-cuda", "uses-colab", "asks-for-input", "own-cells", "exits-politely"),
    *("copied-cells", "copied-stub", "stripped-metadata", "checks-deleted", "other-flags"),
    *("answer-in-a-new-cell", "retyped-as-text", "large-outputs", "corrupt", "truncated"),
    *("loops-in-a-cell", "loops-and-ignores", "exits-in-a-cell", "segfaults-in-a-cell"),
)


@dataclass(frozen=True)
class Stock:
    """What became of one hand-in."""

    name: str
    score: float | None
    seconds: float
    note: str


def environment(scratch: Path) -> dict[str, str]:
    """Nothing of the user's own Jupyter settings, one thread."""
    own = {k: str(scratch / k.lower()) for k in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, **own, "OMP_NUM_THREADS": "1", "PATH": path}


def prepare(scratch: Path, style: str) -> Path:
    """Make a course that nbgrader grades with its own means."""
    course = write_course(scratch / "course", style)  # type: ignore[arg-type]
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", NAME, "--force"]
    subprocess.run(command, cwd=course, env=environment(scratch), check=True, capture_output=True)
    return course


def grade_one(course: Path, scratch: Path, case: Case) -> Stock:
    """Run ``nbgrader autograde`` for one student and read the gradebook."""
    import time

    from nbgrader.api import Gradebook, MissingEntry

    place = course / "submitted" / case.name / NAME
    place.mkdir(parents=True)
    for data in case.files.values():
        (place / f"{NAME}.ipynb").write_bytes(data)
    (place / "points.txt").write_text("0.5\n-1.5\n2.0\n")
    command = [sys.executable, "-m", "nbgrader", "autograde", NAME, "--student", case.name]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=course, env=environment(scratch), capture_output=True, timeout=240
        )
        note = "" if done.returncode == 0 else f"exit {done.returncode}: {_why(done.stderr)}"
    except subprocess.TimeoutExpired:
        note = "had to be killed after 240 s"
    seconds = time.monotonic() - start
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        try:
            submission = gradebook.find_submission(NAME, case.name)
        except MissingEntry:
            return Stock(case.name, None, seconds, note)
        scores = [grade.auto_score for book in submission.notebooks for grade in book.grades]
        if None in scores:
            note = f"{scores.count(None)} of {len(scores)} NULL, exported as 0; {note}"
        return Stock(case.name, float(submission.score), seconds, note)


def _why(log: bytes) -> str:
    lines = [x for x in log.decode(errors="replace").splitlines() if "rror" in x]
    return lines[-1][:160] if lines else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=SAFE)
    parser.add_argument("--checks", choices=("assert", "task"), default="assert")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stock-") as folder:
        scratch = Path(folder)
        course = prepare(scratch, arguments.checks)
        print("| hand-in | right | stock nbgrader | seconds | |\n|---|---|---|---|---|")
        for name in arguments.names:
            if name not in SAFE:
                raise SystemExit(f"{name} may not run without a sandbox")
            row = grade_one(course, scratch, CASES[name])
            right = CASES[name].points
            score = "none" if row.score is None else f"{row.score:g}"
            print(
                f"| {name} | {'review' if right is None else f'{right:g}'} | {score} "
                f"| {row.seconds:.1f} | {row.note} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
