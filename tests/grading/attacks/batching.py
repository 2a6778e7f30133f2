"""Batches of hand-ins, graded once by ``gencourse grade`` and looked at by many tests."""

from __future__ import annotations

import csv
import html
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from corpus import CASES, Case
from small_course import NAME, write_course


@dataclass(frozen=True)
class Batch:
    """What ``gencourse grade`` wrote and said about a folder of hand-ins."""

    course: Path
    returncode: int
    printed: str

    @cached_property
    def rows(self) -> dict[str, dict[str, str]]:
        with (self.course / "grades" / f"{NAME}.csv").open(newline="") as file:
            return {row["student_id"]: row for row in csv.DictReader(file)}

    def page(self, student: str) -> str:
        """The feedback, as HTML; empty where there is none."""
        path = self.course / "feedback" / student / NAME / f"{NAME}.html"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def text(self, student: str) -> str:
        """The feedback as it is read."""
        return html.unescape(re.sub(r"<[^>]*>", "", self.page(student)))

    def graded_notebook(self, student: str) -> str:
        path = self.course / "autograded" / student / NAME / f"{NAME}.ipynb"
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def environment(folder: Path) -> dict[str, str]:
    """This process's, without settings of whoever runs the tests."""
    own = {n: str(folder / n.lower()) for n in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GENCOURSE_GRADING")}
    kept.pop("GENCOURSE_COURSE", None)
    return kept | own | {"OMP_NUM_THREADS": "1"}


def put(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = os.path.join(os.fsencode(folder), name.encode("utf-8", "surrogateescape"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def command(course: Path, hand_ins: Path, *options: str) -> list[str]:
    program = [sys.executable, "-m", "gencourse", "grade", NAME, str(hand_ins)]
    return [*program, "--course", str(course), *options]


def grade(folder: Path, cases: Iterable[Case], *options: str) -> Batch:
    """Grade these in a new course below an empty folder."""
    course = write_course(folder / "course")
    for case in cases:
        put(case.files, folder / "hand-ins")
    done = subprocess.run(
        command(course, folder / "hand-ins", *options),
        env=environment(folder),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=1500,
    )
    return Batch(course, done.returncode, done.stdout + done.stderr)


def group(name: str) -> list[Case]:
    return [case for case in CASES.values() if case.group == name]
