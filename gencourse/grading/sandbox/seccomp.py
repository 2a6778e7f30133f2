"""A filter of system calls, written out in the kernel's own bytecode (classic BPF).

It takes away what no exercise needs: sockets to other machines, other processes' memory,
mounts, namespaces, kernel keys, tracing, clocks, and whatever a kernel newer than this file
adds. The rest stays, so that NumPy, PyTorch and Matplotlib notice nothing.

References
----------
``seccomp(2)``, ``Documentation/userspace-api/seccomp_filter.rst`` of Linux, and the profile
that Docker applies by default, of which this is a stricter relative.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from gencourse.grading.sandbox import linux

__all__ = ["install", "program"]

# Numbers of the calls that are refused: x86-64, AArch64; None where a machine has no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # the kernel itself
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "vhangup": (153, 58),
    "personality": (135, 92),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # clocks
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    # users
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setgroups": (116, 159),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "capset": (126, 91),
    # memory that no limit counts
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
}
# Programs try these and do without when there is "no such call".
_ABSENT: dict[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435),  # its flags lie in memory, where a filter can't see them
    "io_uring_setup": (425, 425),  # would make calls that no filter sees
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "memfd_create": (319, 279),  # memory that no limit counts
}
_SOCKET, _SOCKETPAIR, _CLONE, _IOCTL, _PRCTL = "socket", "socketpair", "clone", "ioctl", "prctl"
_FCNTL = "fcntl"
_FILTERED: dict[str, tuple[int | None, int | None]] = {
    _SOCKET: (41, 198),
    _SOCKETPAIR: (53, 199),
    _CLONE: (56, 220),
    _IOCTL: (16, 29),
    _PRCTL: (157, 167),
    _FCNTL: (72, 25),
}
# Landlock leaves these alone: what they change is not seen by it.
_ATTRIBUTES: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
_UNSEEN: dict[str, tuple[int | None, int | None]] = {
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
}
# What changes processes that are named by their number: only oneself.
_NUMBERED: dict[str, tuple[int | None, int | None]] = {
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "prlimit64": (302, 261),
}
# Signals, where Landlock can't yet keep them inside (before Linux 6.12).
_SIGNALS: dict[str, tuple[int | None, int | None]] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}
# The last call this file knows of (mseal, Linux 6.10). What is newer is refused.
_NEWEST = 462

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
# Offsets in struct seccomp_data; both machines are little-endian.
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24
_LOAD, _JEQ, _JGE, _JSET, _RET, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54

_NAMESPACES = 0x7E020000  # every CLONE_NEW… that clone(2) takes
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_PTRACER = 1, 4, 0x59616D61
_STREAM, _SEQPACKET, _TYPE = 1, 5, 0xF
# Ways to have the kernel signal others: F_SETOWN, F_SETSIG, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP.
_F_OWNERS, _IOCTL_OWNERS = (8, 10, 15), (0x8901, 0x8902)


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, jump_true, jump_false, k & 0xFFFFFFFF)


def _errno(number: int) -> int:
    return _ERRNO | number


def program(
    *, machine: str = linux.MACHINE, shared: bool, own: int = 0, signals: bool = False
) -> bytes:
    """Return the filter's bytecode.

    Parameters
    ----------
    machine : {"x86_64", "aarch64"}
    shared : bool
        Whether the file system, the network and the table of processes are the machine's own.
        Then Unix sockets are refused, files' modes, owners and times can't be changed (such
        calls do nothing and say that all went well, since copying and unpacking use them), and
        processes can't be named by number, but for one.
    own : int
        That one: the process itself.
    signals : bool
        Whether signals, too, may only go to that one; else the kernel says where they may go.

    Raises
    ------
    OSError
        On a machine whose system calls this file doesn't know.
    """
    if machine not in _AUDIT_ARCH:
        raise OSError(errno.ENOSYS, f"no filter of system calls is known for {machine}")
    column = list(_AUDIT_ARCH).index(machine)

    def numbers(table: dict[str, tuple[int | None, int | None]]) -> dict[str, int]:
        return {name: n for name, pair in table.items() if (n := pair[column]) is not None}

    code = [
        _instruction(_LOAD, _ARCH),
        _instruction(_JEQ, _AUDIT_ARCH[machine], 1, 0),
        _instruction(_RET, _KILL),  # calls of another architecture have other numbers
        _instruction(_LOAD, _NR),
        _instruction(_JGE, _NEWEST + 1, 0, 1),  # also those of x32, which begin at 2³⁰
        _instruction(_RET, _errno(errno.ENOSYS)),
    ]

    def when(number: int, *then: bytes) -> None:
        """Run instructions, the last of which returns, if the call has this number."""
        code.append(_instruction(_JEQ, number, 0, len(then)))
        code.extend(then)

    allow, refuse = _instruction(_RET, _ALLOW), _instruction(_RET, _errno(errno.EPERM))

    def one_of(offset: int, values: Sequence[int], yes: bytes, no: bytes) -> list[bytes]:
        """Load an argument, and return one thing or the other as it is among the values or not."""
        jumps = [_instruction(_JEQ, v, len(values) - i, 0) for i, v in enumerate(values)]
        return [_instruction(_LOAD, offset), *jumps, no, yes]

    for table, answer in (
        (_REFUSED, errno.EPERM),
        (_ABSENT, errno.ENOSYS),
        (_ATTRIBUTES if shared else {}, 0),
        (_UNSEEN if shared else {}, errno.EPERM),
    ):
        for number in numbers(table).values():
            when(number, _instruction(_RET, _errno(answer)))

    filtered = numbers(_FILTERED)
    unreachable = _instruction(_RET, _errno(errno.ENETUNREACH))
    when(
        filtered[_SOCKET],
        _instruction(_LOAD, _ARG0),
        _instruction(_JEQ, _AF_UNIX, 0, 1),
        _instruction(_RET, _errno(errno.EACCES) if shared else _ALLOW),
        *one_of(
            _ARG0,
            (_AF_INET, _AF_INET6),
            unreachable,
            _instruction(_RET, _errno(errno.EAFNOSUPPORT)),
        ),
    )
    # A datagram socket of a pair may still be pointed at others.
    kinds = [_instruction(_LOAD, _ARG1), _instruction(_AND, _TYPE)]
    kinds += one_of(_ARG1, (_STREAM, _SEQPACKET), allow, refuse)[1:]
    when(
        filtered[_SOCKETPAIR],
        _instruction(_LOAD, _ARG0),
        _instruction(_JEQ, _AF_UNIX, 1, 0),
        _instruction(_RET, _errno(errno.EAFNOSUPPORT)),
        *(kinds if shared else [allow]),
    )
    when(
        filtered[_CLONE],
        _instruction(_LOAD, _ARG0),
        _instruction(_JSET, _NAMESPACES, 0, 1),
        refuse,
        allow,
    )
    requests = (_TIOCSTI, _TIOCLINUX, *(_IOCTL_OWNERS if shared else ()))
    when(filtered[_IOCTL], *one_of(_ARG1, requests, refuse, allow))
    options = (_PR_SET_DUMPABLE, _PR_SET_PTRACER, *((_PR_SET_PDEATHSIG,) if shared else ()))
    when(filtered[_PRCTL], *one_of(_ARG0, options, refuse, allow))
    if shared:
        when(filtered[_FCNTL], *one_of(_ARG1, _F_OWNERS, refuse, allow))
        # 0 is oneself, or one's own group: each kernel leads a session of its own.
        for name, number in numbers(_NUMBERED).items():
            which = _ARG1 if name in ("setpriority", "ioprio_set") else _ARG0
            when(number, *one_of(which, (0, own), allow, refuse))
    if signals:
        for name, number in numbers(_SIGNALS).items():
            when(
                number,
                *(one_of(_ARG0, (0, own), allow, refuse) if "pidfd" not in name else [refuse]),
            )
    code.append(allow)
    return b"".join(code)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def install(code: bytes) -> None:
    """Filter the calls of this process, and of all it will start, for good.

    Needs :func:`~gencourse.grading.sandbox.linux.no_new_privileges` before.
    """
    set_mode_filter, spec_allow = 1, 4  # no slowing down against speculation: nothing is secret
    linux.syscall(
        "seccomp",
        set_mode_filter,
        spec_allow,
        ctypes.byref(_Program(len(code) // 8, code)),
    )


def supported() -> bool:
    """Say whether this kernel and machine have the filter."""
    return linux.MACHINE in _AUDIT_ARCH and os.path.exists("/proc/sys/kernel/seccomp")
