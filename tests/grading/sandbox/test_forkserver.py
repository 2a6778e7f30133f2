"""Kernels start, speak, end, and take everything they started with them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from gencourse.grading.sandbox import ForkServer, Isolation, NoSandbox, best

if sys.platform != "linux":
    pytest.skip("the sandbox is Linux's", allow_module_level=True)

ENTRY = b"""
def main(sockets):
    source = b""
    while part := sockets[0].recv(65536):
        source += part
    exec(source.decode(), {"answer": lambda value: sockets[0].sendall(repr(value).encode())})
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    try:
        isolation = best()
    except NoSandbox as reason:
        pytest.skip(str(reason))
    with ForkServer(isolation, warm=()) as running:
        yield running


def test_a_kernel_speaks_over_its_socket_and_ends(server: ForkServer) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        child = server.spawn(
            "probe:main",
            [theirs.fileno()],
            sandboxed=True,
            files={"probe.py": ENTRY, "data/x.txt": b"seven"},
        )
    ours.sendall(b"answer(open('data/x.txt').read())")
    ours.shutdown(socket.SHUT_WR)
    ours.settimeout(20)
    assert ours.recv(100) == b"'seven'"
    assert child.wait(20) == 0
    assert server.isolation is not Isolation.NONE
