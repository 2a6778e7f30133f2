"""Examine a sandbox from the inside: put up what must not be reached, and try to reach it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import processes
from gencourse.grading.sandbox.forkserver import Child, ForkServer
from gencourse.grading.sandbox.paths import COURSE_FILES, readable
from gencourse.grading.sandbox.policy import Isolation

__all__ = ["CHECKS", "Check", "examine"]

#: What is checked: a sentence for each, and the attempts that must all fail.
CHECKS: dict[str, tuple[str, ...]] = {
    "network (TCP, UDP, other families)": ("tcp", "tcp6", "udp", "other_families"),
    "names of hosts (DNS)": ("dns",),
    "local sockets of others": ("unix_path", "unix_abstract", "unix_datagram"),
    "gradebook, solutions and home folders": ("read_files", "list_folders"),
    "files by detours": ("climb",),
    "writing outside": ("write_outside", "change_modes"),
    "open files and environment of the grader": ("descriptors", "environment"),
    "other processes": ("see_processes", "signals", "hinder"),
    "memory of other processes": ("trace",),
    "privileges and kernel interfaces": ("privileges",),
    "a fork bomb": ("fork_bomb",),
    "more memory than allowed": ("memory", "shared_memory"),
    "more disk than allowed": ("disk",),
    "deleted files that fill the disk": ("deleted_files",),
    "programs that stay behind": ("daemon",),
}
#: What may end the kernel that tries it; each has a kernel of its own.
_FATAL = ("fork_bomb", "memory", "shared_memory", "disk", "deleted_files", "daemon")
_LIMITS = Limits(memory_mb=256, processes=16, disk_mb=16, total_seconds=120)
_SECONDS = 60.0


@dataclass(frozen=True)
class Check:
    """One thing a sandbox must keep out of reach.

    Attributes
    ----------
    name : str
    ok : bool
        Whether it did.
    detail : str
        What was reached.
    """

    name: str
    ok: bool
    detail: str = ""


def examine(isolation: Isolation, checks: Sequence[str] = tuple(CHECKS)) -> list[Check]:
    """Try to get out of kernels of this isolation, in every way that is known here.

    Parameters
    ----------
    isolation : Isolation
    checks : sequence of str
        Names from :data:`CHECKS`.

    Returns
    -------
    list of Check

    Raises
    ------
    SpawnError, NoSandbox
        If no kernel can be started.
    """
    with _targets(isolation) as (targets, witnesses), ForkServer(isolation, warm=()) as server:
        other = _ask(server, None, targets, files={"hand-in-of-another.txt": b"secret"})[0]
        assert other is not None
        with other:
            targets["pids"] += [other.pid, server.pid]
            targets["secrets"] += map(str, Path(server.place).rglob("hand-in-of-another.txt"))
            together = [a for name in checks for a in CHECKS[name] if a not in _FATAL]
            reached = _ask(server, together, targets)[1]
            for name in checks:
                for each in CHECKS[name]:
                    if each in _FATAL:
                        reached |= _alone(server, each, targets)
        for name, detail in witnesses():
            reached[name] = ", ".join(filter(None, (reached.get(name), detail)))
    results = []
    for name in checks:
        details = [reached[each] for each in CHECKS[name] if reached.get(each)]
        results.append(Check(name, not details, "; ".join(details)))
    return results


def _alone(server: ForkServer, name: str, targets: dict[str, Any]) -> dict[str, str]:
    """Make one attempt in a kernel of its own, and look at what it leaves behind."""
    if name != "daemon":
        return _ask(server, [name], targets)[1]
    napping = f"sleep\0{targets['nap']}\0".encode()
    reached = _ask(server, [name], targets, looking_for=napping)[1]
    end = time.monotonic() + 5
    while _running(napping) and time.monotonic() < end:
        time.sleep(0.05)
    if _running(napping):
        reached[name] = "a program outlived its kernel"
    return reached


def _running(command: bytes) -> list[int]:
    found = []
    for pid in processes.everyone():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command:
                found.append(pid)
    return found


def _ask(
    server: ForkServer,
    attempts: list[str] | None,
    targets: dict[str, Any],
    *,
    files: dict[str, bytes] | None = None,
    looking_for: bytes | None = None,
) -> tuple[Child | None, dict[str, str]]:
    """Have a kernel make attempts; with None, leave it waiting, and return it.

    A kernel that was ended before it could answer has reached nothing. A program that the
    attempt is to start, and that is not seen to run, is an answer of its own.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = server.spawn(
                "gencourse.grading.sandbox.inside:main",
                [theirs.fileno()],
                sandboxed=True,
                files=files or {},
                limits=_LIMITS,
            )
        if attempts is None:
            # Its socket is kept open by the child object, so that it goes on waiting.
            child.held = ours.dup()  # type: ignore[attr-defined]
            return child, {}
        with child:
            ours.sendall(json.dumps({"attempts": attempts, "targets": targets}).encode() + b"\n")
            ours.settimeout(0.05)
            said, seen, end = b"", False, time.monotonic() + _SECONDS
            while not said.endswith(b"\n") and time.monotonic() < end:
                if looking_for is not None and not seen:
                    seen = bool(_running(looking_for))
                try:
                    part = ours.recv(1 << 16)
                except TimeoutError:
                    continue
                except ConnectionResetError:
                    part = b""
                if not part:
                    break
                said += part
    if looking_for is not None and not seen:
        return None, dict.fromkeys(attempts, "it was not seen to start; try again")
    if said.endswith(b"\n"):
        return None, {str(k): str(v) for k, v in json.loads(said).items()}
    if len(attempts) == 1:
        return None, dict.fromkeys(attempts, "")
    return None, dict.fromkeys(attempts, "the kernel ended before it could answer")


@contextlib.contextmanager
def _targets(isolation: Isolation) -> Iterator[tuple[dict[str, Any], Any]]:
    """Put up what must not be reached; the second value tells afterwards what was."""
    mark = secrets.token_hex(8)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gencourse-doctor-")))
        folder.chmod(0o755)  # what keeps a student out must be the sandbox
        course = folder / "course"
        names = ("gradebook.db", "solutions/ps5/reference.py", "submitted/ada/ps5/ps5.ipynb")
        for name in names:
            (course / name).parent.mkdir(parents=True, exist_ok=True)
            (course / name).write_text(mark)
        lines = {
            "tcp": socket.socket(),
            "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "unix": socket.socket(socket.AF_UNIX),
            "abstract": socket.socket(socket.AF_UNIX),
            "datagram": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
            "nameless": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        }
        for each in lines.values():
            stack.enter_context(each)
            each.setblocking(False)
        lines["tcp"].bind(("127.0.0.1", 0))
        lines["udp"].bind(("127.0.0.1", 0))
        lines["unix"].bind(str(folder / "socket"))
        lines["abstract"].bind(f"\0{mark}")
        lines["datagram"].bind(str(folder / "datagrams"))
        lines["nameless"].bind(f"\0{mark}-datagram")
        for name in ("tcp", "unix", "abstract"):
            lines[name].listen(8)
        for name in ("socket", "datagrams"):
            (folder / name).chmod(0o777)
        victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        os.environ["GENCOURSE_DOCTOR_MARK"] = mark
        stack.callback(os.environ.pop, "GENCOURSE_DOCTOR_MARK", None)
        here = Path.cwd()
        real = [str(here / name) for name in COURSE_FILES if (here / name).exists()]
        real += [str(path) for path in (Path.home(), Path("/etc/shadow")) if path.exists()]
        targets: dict[str, Any] = {
            "mark": mark,
            "tcp": lines["tcp"].getsockname()[1],
            "udp": lines["udp"].getsockname()[1],
            "unix": str(folder / "socket"),
            "abstract": mark,
            "datagram": str(folder / "datagrams"),
            "host": "example.org",
            "secrets": [str(course / name) for name in names],
            "real": real,
            "folders": [str(course), str(folder)],
            # Only where a sandbox is to keep them safe.
            "system": []
            if isolation is Isolation.NONE
            else [sys.prefix, str(Path(__file__).parent), "/etc", "/", str(Path.home())],
            "shown": sorted({part for path in readable() for part in Path(path).parts}),
            "pids": [victim.pid],
            "processes": _LIMITS.processes,
            "memory_mb": _LIMITS.memory_mb,
            "disk_mb": _LIMITS.disk_mb,
            "sleep": shutil.which("sleep") or "/bin/sleep",
            "nap": 100_000 + secrets.randbelow(800_000),
        }
        before = {path: _attributes(path) for path in targets["secrets"]}

        def witnesses() -> Iterator[tuple[str, str]]:
            """Say what came through, as seen from outside."""
            for path, attributes in before.items():
                if _attributes(path) != attributes:
                    yield "change_modes", f"{path} was changed"
            for name, attempt in (
                ("udp", "udp"),
                ("datagram", "unix_datagram"),
                ("nameless", "unix_datagram"),
            ):
                with contextlib.suppress(BlockingIOError):
                    lines[name].recv(16)
                    yield attempt, "a datagram came through"
            for name, attempt in (
                ("tcp", "tcp"),
                ("unix", "unix_path"),
                ("abstract", "unix_abstract"),
            ):
                with contextlib.suppress(BlockingIOError):
                    lines[name].accept()[0].close()
                    yield attempt, "a connection came through"

        yield targets, witnesses


def _attributes(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mode, found.st_uid, found.st_mtime_ns, found.st_size
