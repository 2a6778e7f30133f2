"""Control groups (version 2): memory and processes counted for a kernel as a whole.

They are there where an administrator, or systemd (``Delegate=yes``), has handed a part of the
tree to this user. Where not, each process has its own limits, and the owner watches the sum.

References
----------
``Documentation/admin-guide/cgroup-v2.rst`` of Linux.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

from gencourse.grading.job import Limits

__all__ = ["enter", "find", "make", "ran_out", "remove"]

_NEEDED = {"memory", "pids"}
#: Beyond the memory that was asked for: files in memory are counted as memory, too.
_SLACK_MB = 64


def _ours() -> Path | None:
    """Return this process's group of version 2."""
    mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    places = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    paths = [line[3:] for line in lines if line.startswith("0::")]
    if not places or not paths:
        return None
    return Path(places[0] + paths[0])


def find() -> tuple[Path | None, str]:
    """Return a group beneath which kernels can have theirs, or None and why there is none."""
    try:
        ours = _ours()
    except OSError as error:
        return None, f"/proc can't be read: {error}"
    if ours is None:
        return None, "No control groups of version 2 are mounted."
    why = f"{ours} is not this user's to divide."
    for place in (ours, ours.parent):
        try:
            controls = set((place / "cgroup.controllers").read_text().split())
            enabled = set((place / "cgroup.subtree_control").read_text().split())
        except OSError:
            continue
        if not controls >= _NEEDED:
            why = f"{place} has no control of {' and '.join(sorted(_NEEDED - controls))}."
            continue
        if not os.access(place, os.W_OK) or not os.access(place / "cgroup.procs", os.W_OK):
            continue
        if not enabled >= _NEEDED:
            try:
                (place / "cgroup.subtree_control").write_text("+memory +pids")
            except OSError:
                continue
        if not _works(place):
            why = f"A process could not be moved to a group beneath {place}."
            continue
        return place, f"Kernels get groups beneath {place}."
    return None, why


def _works(place: Path) -> bool:
    """Move a process into a group of its own, for a trial."""
    try:
        group = make(place, f"gencourse-trial-{os.getpid()}", Limits())
    except OSError:
        return False
    try:
        move = 'echo 0 > "$0/cgroup.procs"'
        return (
            subprocess.run(
                ["/bin/sh", "-c", move, str(group)], stderr=subprocess.DEVNULL
            ).returncode
            == 0
        )
    except OSError:
        return False
    finally:
        remove(group)


def make(parent: Path, name: str, limits: Limits) -> Path:
    """Make a group with limits; raises ``OSError`` if it can't be."""
    group = parent / name
    if group.exists():
        remove(group)  # what was counted there is not this kernel's
    group.mkdir(exist_ok=True)
    megabytes = limits.memory_mb + limits.disk_mb + _SLACK_MB
    (group / "memory.max").write_text(str(megabytes << 20))
    with contextlib.suppress(OSError):  # without swap there is no such file
        (group / "memory.swap.max").write_text("0")
    (group / "pids.max").write_text(str(limits.processes + 2))
    return group


def enter(group: Path) -> None:
    """Move this process into a group; what it starts is counted there."""
    (group / "cgroup.procs").write_text("0")


def ran_out(group: Path) -> bool:
    """Say whether something in a group was killed for want of memory."""
    try:
        lines = (group / "memory.events").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in lines)


def remove(group: Path) -> None:
    """Kill what is left in a group, and remove it."""
    with contextlib.suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    for _ in range(20):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # what was killed takes a moment to be gone
            time.sleep(0.005)
        else:
            return
