"""Kernels that run a program for a test, and running a test as somebody else."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import Child, ForkServer, Isolation, available

HERE = Path(__file__).parent
WALLS = [Isolation.NAMESPACES, Isolation.LANDLOCK]

# What runs in a kernel: executes what it is sent, and may answer.
ENTRY = b"""
def main(sockets):
    source = b""
    while part := sockets[0].recv(65536):
        source += part
    def answer(value):
        sockets[0].sendall(repr(value).encode() + b"\\n")
    exec(source.decode(), {"answer": answer, "line": sockets[0]})
"""


@functools.cache
def found() -> dict[str, Any]:
    return dict(available())


def skip_without(isolation: Isolation) -> None:
    """Skip where this machine lacks a layer."""
    if isolation is not Isolation.NONE and not found()[isolation].ok:
        pytest.skip(f"no {isolation} here: {found()[isolation].reason}")


class Kernel:
    """A kernel that runs a program, and its answers."""

    def __init__(self, server: ForkServer, program: str, **options: Any) -> None:
        self.line, theirs = socket.socketpair()
        self.line.settimeout(30)
        options.setdefault("sandboxed", True)
        options.setdefault("limits", Limits(memory_mb=512, processes=32, disk_mb=32))
        files = {"probe.py": ENTRY} | options.pop("files", {})
        with theirs:
            self.child: Child = server.spawn(
                "probe:main", [theirs.fileno()], files=files, **options
            )
        self.line.sendall(program.encode())
        self.line.shutdown(socket.SHUT_WR)
        self.reader = self.line.makefile()

    def answer(self) -> Any:
        line = self.reader.readline()
        return eval(line) if line else None

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *exception: object) -> None:
        self.child.kill()
        self.reader.close()
        self.line.close()


def python(user: str, program: str, *arguments: str) -> Any:
    """Run a program that prints JSON, as ourselves or as nobody; return what it printed."""
    command = [sys.executable]
    if user == "nobody":
        if os.geteuid() != 0:
            pytest.skip("only root can become nobody")
        command.append(str(HERE / "as_nobody.py"))
    environment = os.environ | {"PYTHONPATH": "", "TMPDIR": "/tmp"}
    done = subprocess.run(
        [*command, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    if user == "nobody" and "no mount namespace" in done.stderr:
        pytest.skip("root may not mount here, so nobody can't be shown this Python")
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
