"""The system calls that Python's standard library lacks, as functions that raise ``OSError``.

Nothing here decides anything; :mod:`~gencourse.grading.sandbox.namespaces`,
:mod:`~gencourse.grading.sandbox.landlock` and :mod:`~gencourse.grading.sandbox.seccomp` do.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Callable
from typing import Any

__all__ = [
    "BIND",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "MACHINE",
    "NODEV",
    "NOEXEC",
    "NOSUID",
    "NUMBERS",
    "PRIVATE",
    "READ_ONLY",
    "REC",
    "REMOUNT",
    "capabilities",
    "drop_capabilities",
    "fork_into",
    "keep_capability",
    "mount",
    "no_new_privileges",
    "pivot_root",
    "prctl",
    "read_only",
    "set_dumpable",
    "syscall",
    "unmount",
    "use_capabilities",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

READ_ONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND = 1, 2, 4, 8, 32, 4096
REC, PRIVATE = 16384, 1 << 18

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 1, 4, 8, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47

CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN = 2, 21
_LAST_CAP = 40

#: ``uname -m``, under the names that system call tables use.
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())

#: Numbers of the calls made here, on the machines we know.
NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "capget": 125, "capset": 126, "seccomp": 317},
    "aarch64": {"clone": 220, "pivot_root": 41, "capget": 90, "capset": 91, "seccomp": 277},
}.get(MACHINE, {})
# The calls made since 2019 have one number on all machines.
NUMBERS |= {
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}

# PyDLL keeps the interpreter's lock, so that a fork below finds it held in the child as well.
_libc: Any = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(name: str, *arguments: Any) -> int:
    """Make a system call by name; integers, bytes and ctypes objects may be its arguments."""
    if _libc is None or name not in NUMBERS:
        raise OSError(38, f"{name}: not known on {sys.platform} {MACHINE}")
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(NUMBERS[name]), *passed), name)


def prctl(option: int, *arguments: int) -> int:
    """Call ``prctl(2)``."""
    if _libc is None:
        raise OSError(38, f"prctl: not known on {sys.platform}")
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(_libc.prctl(option, *map(ctypes.c_ulong, padded)), f"prctl({option})")


def mount(
    source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    """Call ``mount(2)``."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _checked(
        _libc.mount(*encoded, ctypes.c_ulong(flags), os.fsencode(data) or None),
        f"mount {kind or source} on {target}",
    )


def read_only(target: str) -> None:
    """Make a mount read-only, with everything mounted beneath it; no devices, no set-user-ID."""
    attributes = struct.pack("QQQQ", READ_ONLY | NOSUID | NODEV, 0, 0, 0)
    at_cwd, recursive = -100, 0x8000
    try:
        syscall("mount_setattr", at_cwd, os.fsencode(target), recursive, attributes, 32)
    except OSError as error:
        if error.errno not in (1, 38):  # before Linux 5.12, or under a filter that hides it
            raise
        for place in sorted(_mounts_beneath(target)):
            mount(None, place, None, BIND | REMOUNT | READ_ONLY | _kept_flags(place))


def _mounts_beneath(target: str) -> set[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        places = {line.split()[4].encode().decode("unicode_escape") for line in lines}
    return {target} | {p for p in places if p.startswith(target.rstrip("/") + "/")}


def _kept_flags(place: str) -> int:
    """Flags a remount must repeat: a user namespace may not take away what was set before."""
    found = os.statvfs(place).f_flag
    relatime = 4096
    return (
        (found & (NOEXEC | 1024 | 2048)) | ((1 << 21) if found & relatime else 0) | NOSUID | NODEV
    )


def unmount(target: str) -> None:
    """Detach a mount from the tree."""
    _checked(_libc.umount2(os.fsencode(target), 2), f"umount {target}")  # MNT_DETACH


def pivot_root(new_root: str) -> None:
    """Make a mounted directory the root, and let go of the old one."""
    os.chdir(new_root)
    syscall("pivot_root", b".", b".")  # the old root lies on top of the new one now
    unmount(".")
    os.chdir("/")


def fork_into(flags: int) -> int:
    """Fork as ``os.fork`` does, with the child in new namespaces (``CLONE_NEW…``)."""
    import signal

    # Python's own hooks around a fork; the child must renew its locks and thread states.
    api = ctypes.pythonapi
    before: Callable[[], None] = api.PyOS_BeforeFork
    before()
    pid = _libc.syscall(
        ctypes.c_long(NUMBERS["clone"]),
        ctypes.c_long(flags | signal.SIGCHLD),
        *[ctypes.c_long(0)] * 4,
    )
    if pid == 0:
        api.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return int(pid)


def capabilities() -> int:
    """Return the effective capabilities of this process, one bit for each."""
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    syscall("capget", header, data)
    low, _, _, high, _, _ = struct.unpack("6I", data.raw)
    return low | high << 32


def use_capabilities() -> None:
    """Make every capability effective that is permitted: a change of user has set them aside."""
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    syscall("capget", header, data)
    _, low, inherited_low, _, high, inherited_high = struct.unpack("6I", data.raw)
    syscall(
        "capset", header, struct.pack("6I", low, low, inherited_low, high, high, inherited_high)
    )


def drop_capabilities(keep: int | None = None) -> None:
    """Give up every capability for good, but for one that may be kept, also across ``exec``."""
    for capability in range(_LAST_CAP + 1):
        if capability != keep:
            try:
                prctl(_PR_CAPBSET_DROP, capability)
            except OSError:  # it takes a capability to give them up; without it there are none
                break
    kept = 0 if keep is None else 1 << keep
    header = struct.pack("Ii", 0x20080522, 0)
    syscall("capset", header, struct.pack("6I", kept, kept, kept, 0, 0, 0))
    if keep is not None:
        prctl(_PR_CAP_AMBIENT, 2, keep)  # PR_CAP_AMBIENT_RAISE


def keep_capability(keep: bool) -> None:
    """Say whether the next change of user leaves the permitted capabilities."""
    prctl(_PR_SET_KEEPCAPS, int(keep))


def no_new_privileges() -> None:
    """Make set-user-ID programs ordinary ones, for this process and all it starts."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(value: bool) -> None:
    """Say whether processes of the same user may look into this one's memory."""
    prctl(_PR_SET_DUMPABLE, int(value))


def collapse_memory() -> None:
    """Put this process's memory into large pages, as far as it goes: forks copy one entry for 512.

    A page that a child writes to is copied by itself, as before (Linux 6.1; else nothing is done).
    """
    large, collapse = 2 << 20, 25
    with open("/proc/self/maps") as lines:
        stretches = [line.split() for line in lines]
    for span, modes, _, _, inode, *name in stretches:
        if modes != "rw-p" or inode != "0" or name not in ([], ["[heap]"]):
            continue
        low, high = (int(end, 16) for end in span.split("-"))
        low, high = -(-low // large) * large, high // large * large
        if low < high:
            _libc.madvise(ctypes.c_void_p(low), ctypes.c_size_t(high - low), collapse)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    prctl(_PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
