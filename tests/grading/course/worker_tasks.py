"""What the workers of these tests do with a job; they find it by PYTHONPATH."""

from __future__ import annotations

import os
import time

from small_set import all_well

from gencourse.grading.job import Job


def well(job: bytes, expected: str, sandboxed: bool) -> bytes:
    time.sleep(0.2)
    return all_well(Job.from_bytes(job)).to_bytes()


def deadly(job: bytes, expected: str, sandboxed: bool) -> bytes:
    """Take the worker along, whenever it is job 3."""
    if Job.from_bytes(job).cells[0].source == "3":
        os._exit(1)
    return well(job, expected, sandboxed)
