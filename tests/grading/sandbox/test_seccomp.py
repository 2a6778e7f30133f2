"""The filter of system calls, run by an interpreter of its bytecode: on both machines."""

from __future__ import annotations

import errno
import struct

import pytest

from gencourse.grading.sandbox.seccomp import program

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = 0x7FFF0000, 0x80000000
# Numbers from the tables of Linux: arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h.
READ, CLONE, SOCKET, PAIR, KILL_CALL, PRCTL = (
    {"x86_64": 0, "aarch64": 63},
    {"x86_64": 56, "aarch64": 220},
    {"x86_64": 41, "aarch64": 198},
    {"x86_64": 53, "aarch64": 199},
    {"x86_64": 62, "aarch64": 129},
    {"x86_64": 157, "aarch64": 167},
)
PTRACE = {"x86_64": 101, "aarch64": 117}
FCHMOD = {"x86_64": 91, "aarch64": 52}
PRLIMIT = {"x86_64": 302, "aarch64": 261}
FCNTL = {"x86_64": 72, "aarch64": 25}

machines = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


def refused(number: int) -> int:
    return 0x00050000 | number


def verdict(code: bytes, machine: str, number: int, *arguments: int) -> int:
    """Run the bytecode as Linux does: bpf(4), seccomp(2)."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<iIQ6Q", number, ARCH[machine], 0, *(a & (2**64 - 1) for a in padded))
    instructions = list(struct.iter_unpack("<HBBI", code))
    accumulator, at = 0, 0
    while True:
        operation, yes, no, k = instructions[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif operation == 0x54:
            accumulator &= k
        elif operation == 0x06:
            return k
        else:
            test = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}
            at += yes if test[operation] else no


@machines
def test_ordinary_calls_pass_and_dangerous_ones_do_not(machine: str) -> None:
    for code in (program(machine=machine, shared=False), program(machine=machine, shared=True)):
        assert verdict(code, machine, READ[machine]) == ALLOW
        assert verdict(code, machine, PTRACE[machine]) == refused(errno.EPERM)
        assert verdict(code, machine, 435) == refused(errno.ENOSYS)  # clone3
        assert verdict(code, machine, 425) == refused(errno.ENOSYS)  # io_uring_setup
        assert verdict(code, machine, 463) == refused(errno.ENOSYS)  # newer than the filter
        assert verdict(code, machine, 0x40000000 | READ[machine]) == refused(errno.ENOSYS)  # x32
        assert len(code) // 8 < 4096  # what the system takes


@machines
def test_calls_of_another_architecture_kill(machine: str) -> None:
    other = next(name for name in ARCH if name != machine)
    assert verdict(program(machine=machine, shared=False), other, 1) == KILL


@machines
def test_threads_may_be_made_and_namespaces_not(machine: str) -> None:
    code, clone = program(machine=machine, shared=False), CLONE[machine]
    thread = 0x003D0F00
    assert verdict(code, machine, clone, thread) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(code, machine, clone, thread | flag) == refused(errno.EPERM)


@machines
@pytest.mark.parametrize("shared", [False, True])
def test_sockets(machine: str, shared: bool) -> None:
    code = program(machine=machine, shared=shared)
    unix = refused(errno.EACCES) if shared else ALLOW
    assert verdict(code, machine, SOCKET[machine], 1, 1) == unix
    for family in (2, 10):
        assert verdict(code, machine, SOCKET[machine], family) == refused(errno.ENETUNREACH)
    for family in (0, 3, 9, 11, 16, 17, 31, 38, 40, 44):
        assert verdict(code, machine, SOCKET[machine], family) == refused(errno.EAFNOSUPPORT)
    flags = 0o2004000  # close-on-exec, non-blocking
    assert verdict(code, machine, PAIR[machine], 1, 1 | flags) == ALLOW
    assert verdict(code, machine, PAIR[machine], 1, 5 | flags) == ALLOW
    datagrams = refused(errno.EPERM) if shared else ALLOW
    assert verdict(code, machine, PAIR[machine], 1, 2 | flags) == datagrams
    assert verdict(code, machine, PAIR[machine], 2, 1) == refused(errno.EAFNOSUPPORT)


@machines
def test_others_can_not_be_named_where_processes_are_shared(machine: str) -> None:
    code = program(machine=machine, shared=True, own=1234, signals=True)
    for number in (KILL_CALL[machine], PRLIMIT[machine]):
        assert verdict(code, machine, number, 1234) == ALLOW
        assert verdict(code, machine, number, 0) == ALLOW
        for stranger in (1, 1235, -1, -1234):
            assert verdict(code, machine, number, stranger) == refused(errno.EPERM)
    assert verdict(code, machine, 424, 5) == refused(errno.EPERM)  # pidfd_send_signal
    for command in (8, 10, 15):  # F_SETOWN, F_SETSIG, F_SETOWN_EX
        assert verdict(code, machine, FCNTL[machine], 0, command) == refused(errno.EPERM)
    assert verdict(code, machine, FCNTL[machine], 0, 2) == ALLOW
    assert verdict(code, machine, PRCTL[machine], 4, 0) == refused(errno.EPERM)  # not dumpable
    assert verdict(code, machine, PRCTL[machine], 15, 0) == ALLOW  # its name
    alone = program(machine=machine, shared=False)
    assert verdict(alone, machine, KILL_CALL[machine], 1) == ALLOW


@machines
def test_modes_seem_to_change_where_files_are_shared(machine: str) -> None:
    assert verdict(program(machine=machine, shared=True), machine, FCHMOD[machine]) == refused(0)
    assert verdict(program(machine=machine, shared=False), machine, FCHMOD[machine]) == ALLOW


def test_other_machines_are_refused() -> None:
    with pytest.raises(OSError, match="riscv64"):
        program(machine="riscv64", shared=True)
