"""Landlock: a process tells the kernel which files it will ever need, and gets no others.

Works for any user, also where user namespaces are off. It covers what is done through paths
(reading, writing, listing, executing), TCP, abstract Unix sockets and signals; what it leaves
open (UDP, a file's mode, looking up whether a file exists) the filter of system calls closes,
but for the last.

References
----------
``Documentation/userspace-api/landlock.rst`` of Linux.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from gencourse.grading.sandbox import linux

__all__ = ["abi", "restrict"]

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_WITH_IOCTL = (1 << 16) - 1
_TCP = 3  # bind and connect
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2
# What may be granted on a file that is no directory.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR


def abi() -> int:
    """Return the version of Landlock in this kernel, 0 if it has none or it is off."""
    try:
        return linux.syscall("landlock_create_ruleset", 0, 0, 1)
    except OSError:
        return 0


def keeps_signals() -> bool:
    """Say whether processes outside can be protected from signals (Linux 6.12)."""
    return abi() >= 6


def restrict(read: Iterable[str], write: Iterable[str], devices: Iterable[str] = ()) -> None:
    """Leave this process only the given files and folders, for good.

    Needs :func:`~gencourse.grading.sandbox.linux.no_new_privileges` before. Paths that don't
    exist are passed over.

    Parameters
    ----------
    read : iterable of str
        What may be read and executed, with everything beneath.
    write : iterable of str
        What may be done anything with.
    devices : iterable of str
        Files that may be read and written.

    Raises
    ------
    OSError
        If the kernel has no Landlock.
    """
    version = abi()
    everything = _ALL_OF_ABI.get(version, _WITH_IOCTL)
    fields = [everything]
    if version >= 4:
        fields.append(_TCP)
    if version >= 6:
        fields.append(_ABSTRACT_SOCKETS | _SIGNALS)
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = linux.syscall("landlock_create_ruleset", attributes, len(attributes), 0)
    try:
        for paths, rights in (
            (read, _READ),
            (write, everything),
            (devices, _READ_FILE | _WRITE_FILE),
        ):
            for path in paths:
                _allow(ruleset, path, rights & everything)
        linux.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        beneath = 1
        rule = struct.pack("=Qi", rights, place)
        linux.syscall("landlock_add_rule", ruleset, beneath, ctypes.c_char_p(rule), 0)
    finally:
        os.close(place)
