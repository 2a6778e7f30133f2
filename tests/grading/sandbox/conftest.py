"""Servers of kernels for these tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if sys.platform != "linux":
    collect_ignore_glob = ["test_[!p]*.py"]
else:
    from sandboxed import WALLS, Kernel, skip_without

    from gencourse.grading.sandbox import ForkServer

    @pytest.fixture(scope="module", params=WALLS, ids=str)
    def server(request: pytest.FixtureRequest) -> Iterator[ForkServer]:
        """A server of each isolation, that has imported nothing beforehand."""
        skip_without(request.param)
        with ForkServer(request.param, warm=()) as running:
            yield running

    @pytest.fixture
    def kernel(server: ForkServer) -> Iterator[Callable[..., Kernel]]:
        """Start kernels that end with the test."""
        started: list[Kernel] = []

        def start(program: str, **options: Any) -> Kernel:
            started.append(Kernel(server, program, **options))
            return started[-1]

        yield start
        for each in started:
            each.__exit__()
