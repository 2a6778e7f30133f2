"""Processes of a sandbox, as ``/proc`` shows them: who they are, what they use, ending them."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import time
from collections.abc import Iterable

__all__ = [
    "descendants",
    "disk_bytes",
    "everyone",
    "kill_descendants",
    "kill_user",
    "memory",
    "of_user",
]

_PAGE = resource.getpagesize()


def everyone() -> list[int]:
    """Return the ids of all processes that ``/proc`` shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(ancestor: int) -> list[int]:
    """Return the ids of a process's children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for pid in everyone():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name, in parentheses, may hold anything; the parent comes after the state.
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(pid)
    found, to_visit = [], [ancestor]
    while to_visit:
        below = children.get(to_visit.pop(), [])
        found += below
        to_visit += below
    return found


def of_user(user: int) -> int:
    """Count the threads of a user, which is what its limit of processes counts."""
    count = 0
    for pid in everyone():
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == user:
                count += len(os.listdir(f"/proc/{pid}/task"))
    return count


def statm(pid: int) -> int:
    """Return the bytes of a process that are in memory and not from files, shared or not."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE


def _shared_memory(pid: int) -> int:
    """Return the bytes of memory shared between processes, which no file on disk backs."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"RssShmem:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def _private(pid: int) -> int | None:
    """Return the bytes that only this process has, and its part of what few share."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file.read().splitlines()[1:])
        anonymous = int(fields[b"Pss_Anon"].split()[0])
        shared = int(fields[b"Pss_Shmem"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return (anonymous + shared) * 1024


def memory(pids: Iterable[int], base: int, limit: int) -> int:
    """Return how many bytes processes use beyond what they had when they were forked.

    Far below the limit an estimate does that takes microseconds; near it, the kernel walks the
    page tables, some milliseconds for each process.

    Parameters
    ----------
    pids : iterable of int
    base : int
        Bytes of :func:`statm` of a process that has only just been forked.
    limit : int
        Bytes of memory that are allowed.
    """
    members = list(pids)
    estimates = [max(0, statm(pid) - base) + _shared_memory(pid) for pid in members]
    if sum(estimates) < limit // 2:
        return sum(estimates)
    exact = [_private(pid) for pid in members]
    # What is shared with the server counts as a part of each; never more than the estimate.
    return sum(
        estimate if real is None else min(real, estimate) if estimate else real
        for real, estimate in zip(exact, estimates, strict=True)
    )


def kill_descendants(ancestor: int, seconds: float = 5.0) -> None:
    """Kill a process's descendants until there are none, or the time is over.

    The ancestor adopts orphans, so no descendant can leave the tree. A process that is to be
    killed can no longer fork, so the loop gains on a fork bomb.
    """
    end = time.monotonic() + seconds
    while below := descendants(ancestor):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in below:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > end:
            return
        time.sleep(0.001)


def kill_user(user: int) -> None:
    """Kill every process of a user at one stroke; only for a user that is nobody else's."""
    helper = os.fork()
    if helper == 0:
        with contextlib.suppress(OSError):
            os.setresuid(user, user, user)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    os.waitpid(helper, 0)


def disk_bytes(folder: str) -> int:
    """Return the bytes that the files beneath a folder take on disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(place, name))
                if stat.S_ISREG(found.st_mode):
                    total += found.st_blocks * 512
    return total


def children(parent: int) -> list[int]:
    """Return the ids of a process's own children."""
    found = []
    for pid in everyone():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    found.append(pid)
        except (OSError, IndexError, ValueError):
            continue
    return found
