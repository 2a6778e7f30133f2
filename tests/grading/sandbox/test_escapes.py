"""Ways out of a sandbox, tried from inside: behind each wall, as root and as nobody."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from sandboxed import WALLS, python

from gencourse.grading.sandbox import Isolation
from gencourse.grading.sandbox.doctor import CHECKS

EXAMINE = """
import dataclasses, json, os, sys
from gencourse.grading.sandbox import Isolation, ForkServer, SpawnError, doctor
isolation = Isolation(sys.argv[1])
try:
    ForkServer(isolation, warm=()).__enter__().spawn("builtins:len", [], sandboxed=True).kill()
except SpawnError as error:
    print(json.dumps({"missing": str(error)}))
else:
    checks = doctor.examine(isolation)
    print(json.dumps({c.name: c.detail for c in checks}))
"""


@functools.cache
def examined(isolation: Isolation, user: str) -> dict[str, Any]:
    return python(user, EXAMINE, isolation)


# One process runs all the checks of a kind once, wherever the tests run side by side.
@pytest.mark.parametrize("check", list(CHECKS))
@pytest.mark.parametrize(
    ("isolation", "user"),
    [
        pytest.param(wall, user, marks=pytest.mark.xdist_group(f"escapes-{wall}-{user}"))
        for wall in WALLS
        for user in ("ourselves", "nobody")
    ],
)
def test_nothing_is_reached(isolation: Isolation, user: str, check: str) -> None:
    reached = examined(isolation, user)
    if "missing" in reached:
        pytest.skip(f"no {isolation} here: {reached['missing']}")
    assert reached[check] == ""


# Without a wall. DNS is not among them, since a machine may have none; and limits hold there too.
REACHED = {
    "network (TCP, UDP, other families)": "a datagram came through",
    "local sockets of others": "a datagram to a Unix socket",
    "gradebook, solutions and home folders": "gradebook.db",
    "files by detours": "detour",
    "writing outside": "was changed",
    "other processes": "priority of",
    "memory of other processes": "memory of",
    "privileges and kernel interfaces": "memfd_create",
}


@pytest.mark.parametrize("user", ["ourselves", "nobody"])
def test_every_attempt_succeeds_without_a_wall(user: str) -> None:
    reached = examined(Isolation.NONE, user)
    if Path("/proc/sys/kernel/yama").exists():  # which keeps processes apart by itself
        reached["memory of other processes"] = "memory of"
    missing = {name: reached[name] for name, words in REACHED.items() if words not in reached[name]}
    assert not missing


BOMB = """
import json, sys, time
from gencourse.grading.job import Limits
from gencourse.grading.sandbox import ForkServer, Isolation, SpawnError
from gencourse.grading.sandbox.processes import descendants
entry = b'''
import os, signal
def main(sockets):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            if os.fork() == 0: os.setsid()
        except OSError: pass
'''
with ForkServer(Isolation(sys.argv[1]), warm=()) as server:
    try:
        child = server.spawn("bomb:main", [], sandboxed=True, files={"bomb.py": entry},
                             limits=Limits(processes=24))
    except SpawnError as error:
        print(json.dumps({"missing": str(error)}))
        raise SystemExit
    time.sleep(1.0)
    count = len(descendants(child.pid))
    status = child.kill()
    end = time.monotonic() + 10
    while (left := len(descendants(server.pid))) and time.monotonic() < end:
        time.sleep(0.05)
    again = server.spawn("builtins:len", [], sandboxed=True).wait(20)
    print(json.dumps({"count": count, "status": status, "left": left, "again": again}))
"""


@pytest.mark.parametrize("user", ["ourselves", "nobody"])
@pytest.mark.parametrize("isolation", WALLS)
def test_a_fork_bomb_that_goes_on_is_ended(isolation: Isolation, user: str) -> None:
    came = python(user, BOMB, isolation)
    if "missing" in came:
        pytest.skip(f"no {isolation} here: {came['missing']}")
    assert 8 <= came["count"] <= 24 + 8
    assert came["status"] == -9
    assert came["left"] == 0
    assert came["again"] == 0
