"""What is done to a process before a student's code runs in it, besides its namespaces."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Mapping, Sequence

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import landlock, linux, paths, seccomp

__all__ = ["become", "environment", "filter_calls", "needed", "restrict_files", "set_limits"]

_MB = 1024 * 1024
#: Room beyond the memory limit before an allocation fails: for what is reserved and not used.
_SLACK_MB = 512


def environment(home: str, temporary: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return all that a kernel finds in its environment; of the owner's only where Python is."""
    kept = {
        name: inherited[name] for name in ("LD_LIBRARY_PATH", "PYTHONHASHSEED") if name in inherited
    }
    return kept | {
        "PATH": inherited.get("PATH", "/usr/bin:/bin"),
        "HOME": home,
        "TMPDIR": temporary,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "IPYTHONDIR": f"{temporary}/.ipython",
        "MPLCONFIGDIR": f"{temporary}/.matplotlib",
        "XDG_CACHE_HOME": f"{temporary}/.cache",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "GENCOURSE_DEVICE": "cpu",
        "GENCOURSE_GRADING": "1",
    }


def set_limits(limits: Limits, *, processes: int) -> None:
    """Set the kernel's own limits; they hold for each process, and the walls are a little wide.

    Parameters
    ----------
    limits : Limits
    processes : int
        How many processes and threads the user may have, those outside included where the user
        is shared with them.
    """
    data_now = _data_bytes()
    seconds = int(limits.total_seconds * (os.cpu_count() or 1)) + 60
    walls = {
        resource.RLIMIT_DATA: data_now + (limits.memory_mb + _SLACK_MB) * _MB,
        resource.RLIMIT_FSIZE: limits.disk_mb * _MB,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 1024,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_MEMLOCK: 8 * _MB,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for which, wall in walls.items():
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            wall = min(wall, hard)
        resource.setrlimit(which, (wall, wall))
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")  # if the machine runs out of memory, this goes first
    except OSError:
        pass


def _data_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


def become(user: int, *, keep: int | None = None) -> None:
    """Change from root to a user and group of this number, with no groups and no capabilities."""
    linux.keep_capability(keep is not None)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    linux.drop_capabilities(keep)


def restrict_files(readable: list[str], writable: list[str]) -> None:
    """Apply Landlock: for where there are no mounts of one's own."""
    system = ["/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/version"]
    system += ["/sys/devices/system/cpu", "/etc/hosts"]
    landlock.restrict([*readable, *system], writable, paths.DEVICES)


def filter_calls(*, namespaces: bool) -> None:
    """Apply the filter of system calls."""
    if namespaces:
        seccomp.install(seccomp.program(shared=False))
    else:
        signals = not landlock.keeps_signals()
        seccomp.install(seccomp.program(shared=True, own=os.getpid(), signals=signals))


def needed(folders: Sequence[str]) -> int | None:
    """Return the capability without which a user who owns nothing could not read folders.

    Python may lie in root's own home, say. Reading past the modes of files is then kept, and
    Landlock still says which files.

    Raises
    ------
    PermissionError
        If we don't have that capability ourselves.
    """
    closed = next(filter(None, map(_closed, folders)), None)
    if closed is None:
        return None
    if not linux.capabilities() >> linux.CAP_DAC_READ_SEARCH & 1:
        raise PermissionError(
            f"{closed} is closed to other users, and Python needs it: "
            "open it (chmod o+x), install Python elsewhere, or grade as a user that is not root"
        )
    return linux.CAP_DAC_READ_SEARCH


def _closed(folder: str) -> str | None:
    """Return the first folder on the way up that others may not enter, None if there is none."""
    place = os.path.realpath(folder)
    while True:
        mode = os.stat(place).st_mode
        if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH:
            return place
        if place == "/":
            return None
        place = os.path.dirname(place)
