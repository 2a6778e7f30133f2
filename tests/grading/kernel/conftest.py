"""One fork server for these tests, with the best sandbox that this machine has."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

if sys.platform == "linux":
    from gencourse.grading.sandbox.forkserver import ForkServer
    from gencourse.grading.sandbox.policy import Isolation, NoSandbox, best


@pytest.fixture(scope="session")
def server() -> Iterator[ForkServer]:
    if sys.platform != "linux":
        pytest.skip("the fork server runs on Linux alone")
    try:
        isolation = best()
    except NoSandbox:
        isolation = Isolation.NONE
    with ForkServer(isolation) as started:
        yield started
