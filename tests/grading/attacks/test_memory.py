"""A kernel is a copy of the server it was forked from: nothing of others may be in its memory."""

from __future__ import annotations

import pytest

from gencourse.grading.job import Cell, Job
from gencourse.grading.kernel.execute import execute
from gencourse.grading.sandbox import ForkServer, NoSandbox, best

# Made of two parts, so that the cell itself does not hold what it looks for.
_LOOK = """
import re
wanted = re.compile(b"whisper" b"ed-by-[a-z]+-[0-9]+")
found = set()
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        span, mode, *rest = line.split()
        low, high = (int(part, 16) for part in span.split("-"))
        if mode.startswith("rw") and "[v" not in line and high - low < 500_000_000:
            try:
                memory.seek(low)
                found |= set(wanted.findall(memory.read(high - low)))
            except (OSError, ValueError, OverflowError):
                continue
print("looked through", len(found), sorted(found)[:5])
"""


def whispered(by: str) -> bytes:
    return "".join(f"whispered-by-{by}-{n}\n" for n in range(20_000)).encode()


def test_nothing_of_the_course_or_of_other_students_is_in_memory() -> None:
    try:
        isolation = best()
    except NoSandbox as error:
        pytest.skip(str(error))
    check = Cell("c", "checks", "1.0")
    with ForkServer(isolation) as server:
        for student in ("ada", "bob", "eve"):
            job = Job(
                "ps0",
                (Cell("a", "student", f"mine = {student!r}"), check),
                files={"notes.txt": whispered(student)},
                course_files={"solutions/ps0/reference.py": whispered("reference")},
            )
            assert execute(job, server).cells[-1].score == 1.0
        job = Job(
            "ps0",
            (Cell("a", "student", _LOOK), check),
            course_files={"solutions/ps0/reference.py": whispered("reference")},
        )
        result = execute(job, server)
    assert result.problem == ""
    assert result.cells[0].outputs[0]["text"].strip() == "looked through 0 []"
