"""Older kernels have less of Landlock; the filter of system calls makes up for what they lack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandboxed import python, skip_without

from gencourse.grading.sandbox import Isolation, landlock

CONFINED = """
import contextlib, json, os, signal, socket, subprocess, sys
from gencourse.grading.sandbox import confine, landlock, linux, paths
version, secret, victim = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
landlock.abi = lambda: version
work, group = os.getcwd(), os.getpgid(victim)
os.setsid()
linux.no_new_privileges()
confine.restrict_files(paths.readable(), [work])
confine.filter_calls(namespaces=False)
def reached(attempt):
    try: attempt()
    except OSError: return False
    return True
def signal_from_the_kernel():
    import fcntl
    ours, theirs = socket.socketpair()
    fcntl.fcntl(ours, fcntl.F_SETOWN, victim)
print(json.dumps({
    "reads": reached(lambda: open(secret).close()),
    "signals": reached(lambda: os.kill(victim, 0)),
    "groups": reached(lambda: os.killpg(group, 0)),
    "asks for signals": reached(signal_from_the_kernel),
    "connects": reached(lambda: socket.socket()),
    "itself": reached(lambda: os.kill(os.getpid(), 0)),
    "writes": reached(lambda: open(os.path.join(work, "new"), "w").close()),
    "starts": subprocess.run([sys.executable, "-c", "pass"]).returncode == 0,
}))
"""


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_whatever_the_version(version: int, tmp_path: Path) -> None:
    skip_without(Isolation.LANDLOCK)
    if version > landlock.abi():
        pytest.skip(f"this kernel has version {landlock.abi()}")
    secret = tmp_path / "secret"
    secret.write_text("x")
    work = tmp_path / "work"
    work.mkdir()
    before = Path.cwd()
    os.chdir(work)
    try:
        came = python("ourselves", CONFINED, str(version), str(secret), str(os.getpid()))
    finally:
        os.chdir(before)
    assert came == {
        "reads": False,
        "signals": False,
        "groups": False,
        "asks for signals": False,
        "connects": False,
        "itself": True,
        "writes": True,
        "starts": True,
    }
