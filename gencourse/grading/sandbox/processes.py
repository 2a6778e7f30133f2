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
    "children",
    "deleted_bytes",
    "descendants",
    "disk_bytes",
    "everyone",
    "kill_descendants",
    "kill_user",
    "memory",
    "of_user",
    "statm",
]

_PAGE = resource.getpagesize()


def everyone() -> list[int]:
    """Return the ids of all processes that ``/proc`` shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _by_parent() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid in everyone():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name, in parentheses, may hold anything; the parent comes after the state.
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(pid)
    return children


def children(parent: int) -> list[int]:
    """Return the ids of a process's own children."""
    return _by_parent().get(parent, [])


def descendants(ancestor: int) -> list[int]:
    """Return the ids of a process's children, their children, and so on."""
    tree = _by_parent()
    found, to_visit = [], [ancestor]
    while to_visit:
        below = tree.get(to_visit.pop(), [])
        found += below
        to_visit += below
    return found


def of_user(user: int) -> int:
    """Count the threads of a user, which is what its limit of processes counts."""
    count = 0
    for pid in everyone():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
            # The folder's owner would not do: it is root's where a process can't be dumped.
            fields = dict(line.split(b":", 1) for line in file if b":" in line)
            if int(fields[b"Uid"].split()[0]) == user:
                count += int(fields[b"Threads"])
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


def _proportional(pid: int) -> int | None:
    """Return a process's bytes of memory; of what several share, its part."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file.read().splitlines()[1:])
        anonymous = int(fields[b"Pss_Anon"].split()[0])
        shared = int(fields[b"Pss_Shmem"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return (anonymous + shared) * 1024


def memory(main: int, others: Iterable[int], base: int, limit: int) -> int:
    """Return how many bytes a kernel and what it started use, beyond what it began with.

    Far below the limit an estimate from above does, which takes microseconds. Near it, the
    kernel of the system walks the page tables, some milliseconds for each process.

    Parameters
    ----------
    main : int
        The kernel.
    others : iterable of int
        The processes that it started.
    base : int
        Bytes of :func:`statm` that the kernel began with, and shares with the server.
    limit : int
        Bytes of memory that are allowed.
    """
    estimates = {pid: statm(pid) + _shared_memory(pid) for pid in others}
    estimates[main] = max(0, statm(main) - base) + _shared_memory(main)
    if sum(estimates.values()) < limit // 2:
        return sum(estimates.values())
    total = 0
    for pid, estimate in estimates.items():
        exact = _proportional(pid)
        total += estimate if exact is None else exact
    # What none of the three has changed, server, supervisor and kernel share between them.
    return max(0, total - base // 3)


def kill_descendants(ancestor: int, seconds: float = 5.0) -> bool:
    """Kill a process's descendants; say whether there were none left before the time was over.

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
            return False
        time.sleep(0.001)
    return True


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
                total += _file_bytes(os.lstat(os.path.join(place, name)))
    return total


def deleted_bytes(pids: Iterable[int]) -> int:
    """Return the bytes of files that processes hold open and that have no name any more."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    file = os.stat(f"/proc/{pid}/fd/{name}")
                    if file.st_nlink == 0:
                        found[file.st_dev, file.st_ino] = _file_bytes(file)
    return sum(found.values())


def _file_bytes(found: os.stat_result) -> int:
    return found.st_blocks * 512 if stat.S_ISREG(found.st_mode) else 0
