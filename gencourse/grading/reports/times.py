"""When hand-ins came, from a table, for platforms whose file names do not say."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["times_of"]


def times_of(course: Path, problem_set: str) -> dict[str, str]:
    """Read ``rosters/ps5-times.csv``: {student: time}, as nbgrader's ``timestamp.txt`` has it.

    The table has a column ``student`` and a column ``time`` such as ``2026-11-25 23:58+01:00``;
    a time without an offset is one of this machine. Without a table the result is empty.

    Raises
    ------
    ValueError
        If a column is missing or a time can't be read; the message says which line.
    """
    path = course / "rosters" / f"{problem_set}-times.csv"
    if not path.is_file():
        return {}
    times = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"student", "time"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path} needs a column 'student' and a column 'time'")
        for row in reader:
            student, text = (row["student"] or "").strip(), (row["time"] or "").strip()
            if not student or not text:
                continue
            try:
                when = datetime.fromisoformat(text)
            except ValueError:
                raise ValueError(
                    f"{path}, line {reader.line_num}: {text!r} is no time; "
                    "write it as 2026-11-25 23:58+01:00"
                ) from None
            times[student] = f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return times
