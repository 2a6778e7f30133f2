"""Attempts to get out of a sandbox, made from within: what the doctor and the tests run there.

:func:`main` is the entry of a kernel. It receives one line of JSON with the names of attempts and
with targets that its owner has put up: a file, a socket, a process. It answers with one line of
JSON: for each attempt an empty string if it was refused, or else what was reached.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from gencourse.grading.sandbox import linux

__all__ = ["ATTEMPTS", "attempt", "main"]

Targets = Mapping[str, Any]
#: The attempts, by name. Each returns what it reached, or "" or an ``OSError`` if nothing.
ATTEMPTS: dict[str, Callable[[Targets], str]] = {}

# Numbers of system calls that are tried directly: x86-64 and AArch64.
_CALLS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "prlimit64": (302, 261),
    "shmget": (29, 194),
}


def attempt(function: Callable[[Targets], str]) -> Callable[[Targets], str]:
    """Add an attempt, under the name of its function."""
    ATTEMPTS[function.__name__] = function
    return function


def main(sockets: list[socket.socket]) -> None:
    """Make the attempts that are asked for, and answer what came of them."""
    line = sockets[0].makefile("r").readline()
    asked = json.loads(line)
    asked["targets"]["expected"] = [each.fileno() for each in sockets]
    answers = {}
    for name in asked["attempts"]:
        try:
            answers[name] = ATTEMPTS[name](asked["targets"]) or ""
        except (OSError, MemoryError):
            answers[name] = ""
    sockets[0].sendall(json.dumps(answers).encode() + b"\n")


def _call(name: str, *arguments: Any) -> int:
    number = _CALLS[name][linux.MACHINE == "aarch64"]
    libc = ctypes.CDLL(None, use_errno=True)
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return int(result)


# -------------------------------------------------------------------------- network


@attempt
def tcp(targets: Targets) -> str:
    """A connection to the owner's machine."""
    with socket.create_connection(("127.0.0.1", targets["tcp"]), timeout=2):
        return "a TCP connection"


@attempt
def tcp6(targets: Targets) -> str:
    """The same over IPv6."""
    with socket.socket(socket.AF_INET6) as line:
        line.settimeout(2)
        line.connect(("::1", targets["tcp"]))
        return "a TCP connection over IPv6"


@attempt
def udp(targets: Targets) -> str:
    """A datagram, which Landlock alone would let through."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"out", ("127.0.0.1", targets["udp"]))
        return "a UDP datagram"


@attempt
def dns(targets: Targets) -> str:
    """A name, looked up."""
    found = socket.getaddrinfo(targets["host"], 80)
    return f"a name was looked up: {found[0][4][0]}" if found else ""


@attempt
def other_families(targets: Targets) -> str:
    """Raw, packet, netlink, kernel crypto, virtual machine and Bluetooth sockets."""
    reached = []
    for family, kind in ((2, 3), (17, 3), (16, 3), (38, 5), (40, 1), (31, 3)):
        with contextlib.suppress(OSError):
            socket.socket(family, kind).close()
            reached.append(str(family))
    return f"sockets of families {', '.join(reached)}" if reached else ""


@attempt
def unix_path(targets: Targets) -> str:
    """A socket of the owner's in the file system."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(targets["unix"])
        return "a Unix socket by its path"


@attempt
def unix_abstract(targets: Targets) -> str:
    """A socket of the owner's that has a name and no path."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect("\0" + targets["abstract"])
        return "an abstract Unix socket"


@attempt
def unix_datagram(targets: Targets) -> str:
    """One end of a pair of datagram sockets, pointed elsewhere."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        for address in (targets["datagram"], "\0" + targets["abstract"] + "-datagram"):
            with contextlib.suppress(OSError):
                one.sendto(b"out", address)
                return "a datagram to a Unix socket"
    return ""


# -------------------------------------------------------------------------- files


@attempt
def read_files(targets: Targets) -> str:
    """Gradebook, solutions, other hand-ins: whatever the owner names."""
    reached = []
    for path in [*targets["secrets"], *targets["real"]]:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.read(1)
            reached.append(path)
    return ", ".join(reached)


@attempt
def list_folders(targets: Targets) -> str:
    """The folders they lie in, and everybody's homes."""
    reached = []
    for path in [*targets["folders"], *targets["real"], "/proc/1/root" + targets["folders"][0]]:
        with contextlib.suppress(OSError):
            # On the way to Python lie empty folders with the names of the real ones.
            if set(os.listdir(path)) - set(targets["shown"]):
                reached.append(path)
    return ", ".join(reached)


@attempt
def climb(targets: Targets) -> str:
    """The same files by detours: through links, descriptors of folders, and /proc."""
    reached = []
    for path in targets["secrets"]:
        detours = ["../" * 40 + path.lstrip("/"), "/proc/1/root" + path, "/proc/1/cwd" + path]
        with contextlib.suppress(OSError):
            os.symlink(path, "detour")
            detours.append("detour")
        for detour in detours:
            with contextlib.suppress(OSError), open(detour, "rb") as file:
                file.read(1)
                reached.append(detour)
        with contextlib.suppress(OSError):
            os.unlink("detour")
        with contextlib.suppress(OSError):
            os.link(path, "hard-link")
            reached.append(f"a link to {path}")
    return ", ".join(reached)


@attempt
def write_outside(targets: Targets) -> str:
    """Files beside the working directory: new ones, and those that are there."""
    reached = []
    for folder in [*targets["folders"], *targets["system"]]:
        with contextlib.suppress(OSError):
            path = os.path.join(folder, "written-from-inside")
            with open(path, "w"):
                reached.append(path)
            os.unlink(path)
    for path in targets["secrets"]:
        with contextlib.suppress(OSError):
            os.truncate(path, 0)
            reached.append(path)
        with contextlib.suppress(OSError):
            os.unlink(path)
            reached.append(path)
        with contextlib.suppress(OSError):
            os.rename(path, path + "-moved")
            reached.append(path)
    return ", ".join(reached)


@attempt
def change_modes(targets: Targets) -> str:
    """Modes, owners and times of the owner's files; the owner looks whether they changed."""
    for path in targets["secrets"]:
        for change in (
            lambda path: os.chmod(path, 0o777),
            lambda path: os.chown(path, os.getuid(), -1),
            lambda path: os.utime(path, (1, 1)),
            lambda path: os.setxattr(path, "user.mark", b"1"),
        ):
            with contextlib.suppress(OSError):
                change(path)
    return ""


@attempt
def descriptors(targets: Targets) -> str:
    """Files left open by whoever forked this process."""
    reached = []
    for number in range(3, 4096):
        try:
            found = os.fstat(number)
        except OSError:
            continue
        if number not in targets["expected"]:
            name = ""
            with contextlib.suppress(OSError):
                name = os.readlink(f"/proc/self/fd/{number}")
            reached.append(f"{number} {name} {oct(found.st_mode)}")
    return ", ".join(reached)


@attempt
def environment(targets: Targets) -> str:
    """The owner's environment, where people keep tokens."""
    return ", ".join(name for name, value in os.environ.items() if targets["mark"] in value)


# -------------------------------------------------------------------------- processes


@attempt
def see_processes(targets: Targets) -> str:
    """What /proc tells of others: their command lines, environments, open files."""
    reached = []
    for pid in (*targets["pids"], os.getppid(), 1):
        for name in ("environ", "cmdline", "maps", "mem", "stack", "fd", "cwd", "root"):
            path = f"/proc/{pid}/{name}"
            with contextlib.suppress(OSError):
                if name in ("fd", "cwd", "root"):
                    os.listdir(path)
                    reached.append(path)
                    continue
                with open(path, "rb") as file:
                    if name == "cmdline" and pid == 1:
                        continue  # our own supervisor, which has no secrets in its name
                    if file.read(1):
                        reached.append(path)
    return ", ".join(reached)


@attempt
def signals(targets: Targets) -> str:
    """Signals to the owner, the server and the supervisor, by number, group and handle."""
    reached = []
    for pid in (*targets["pids"], os.getppid()):
        if pid <= 1:  # the first process of a table of its own can't be hurt
            continue
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            reached.append(f"process {pid}")
        with contextlib.suppress(OSError):
            os.killpg(pid, 0)
            reached.append(f"group {pid}")
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(_call("pidfd_open", pid, 0), 0)
            reached.append(f"the handle of {pid}")
    return ", ".join(reached)


@attempt
def trace(targets: Targets) -> str:
    """The memory of others, by ptrace and by process_vm_readv."""
    reached = []
    seize = 0x4206
    for pid in (*targets["pids"], os.getppid()):
        with contextlib.suppress(OSError):
            _call("ptrace", seize, pid, 0, 0)
            reached.append(f"ptrace of {pid}")
        buffer = ctypes.create_string_buffer(8)

        class Piece(ctypes.Structure):
            _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

        ours = Piece(ctypes.addressof(buffer), 8)
        with contextlib.suppress(OSError):
            _call("process_vm_readv", pid, ctypes.byref(ours), 1, ctypes.byref(ours), 1, 0)
            reached.append(f"memory of {pid}")
        with contextlib.suppress(OSError):
            _call("pidfd_getfd", _call("pidfd_open", pid, 0), 0, 0)
            reached.append(f"a descriptor of {pid}")
    return ", ".join(reached)


@attempt
def hinder(targets: Targets) -> str:
    """Limits and priorities of others."""
    reached = []
    for pid in targets["pids"]:
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_CORE)
            reached.append(f"limits of {pid}")
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, 19)
            reached.append(f"priority of {pid}")
        with contextlib.suppress(OSError):
            os.sched_setaffinity(pid, {0})
            reached.append(f"processors of {pid}")
    return ", ".join(reached)


@attempt
def privileges(targets: Targets) -> str:
    """Namespaces, mounts, tracing, keys, and what else takes a capability."""
    reached = []
    new_user = linux.CLONE_NEWUSER
    handle = ctypes.create_string_buffer(128)
    for name, arguments in {
        "unshare": (new_user,),
        "setns": (os.open("/", os.O_RDONLY) if os.access("/", os.R_OK) else 0, 0),
        "mount": (b"tmpfs", b"/tmp", b"tmpfs", 0, 0),
        "chroot": (b"/tmp",),
        "clone": (new_user | signal.SIGCHLD, 0, 0, 0, 0),
        "clone3": (0, 0),
        "bpf": (0, handle, 64),
        "perf_event_open": (handle, 0, -1, -1, 0),
        "userfaultfd": (1,),
        "keyctl": (0, -3, 1),
        "io_uring_setup": (4, handle),
        "memfd_create": (b"x", 0),
        "open_by_handle_at": (-100, handle, 0),
        "shmget": (0, 4096, 0o1600),
    }.items():
        try:
            if _call(name, *arguments) == 0 and name == "clone":
                os._exit(0)
            reached.append(name)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EACCES):
                reached.append(f"{name}: {error.strerror} {error.errno}")
    for name, change in {
        "setuid": lambda: os.setuid(0),
        "setgid": lambda: os.setgid(0),
        "setgroups": lambda: os.setgroups([0]),
        "hostname": lambda: socket.sethostname("changed"),
        "nice": lambda: os.nice(-5),
        "limits": lambda: resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6)),
    }.items():
        with contextlib.suppress(OSError, ValueError):
            change()
            reached.append(name)
    if linux.capabilities() & ~(1 << linux.CAP_DAC_READ_SEARCH):
        reached.append(f"capabilities {linux.capabilities():x}")
    if os.getuid() == 0:
        reached.append("root")
    return ", ".join(reached)


# -------------------------------------------------------------------------- resources


@attempt
def fork_bomb(targets: Targets) -> str:
    """As many processes as there can be."""
    count, most = 0, targets["processes"]
    try:
        while count <= 4 * most + 64:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        pass
    return f"{count} processes where {most} are allowed" if count > most + 8 else ""


@attempt
def memory(targets: Targets) -> str:
    """Twice the memory that is allowed, and then some, in one process."""
    megabytes = 2 * targets["memory_mb"] + 1024
    held = []
    for _ in range(0, megabytes, 64):
        piece = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, 64 << 20, 4096):
            piece[offset] = 1
        held.append(piece)
    return f"{megabytes} MB where {targets['memory_mb']} are allowed"


@attempt
def shared_memory(targets: Targets) -> str:
    """The same in memory that processes share, and which no limit of one process counts."""
    megabytes = 2 * targets["memory_mb"] + 1024
    held = []
    for _ in range(0, megabytes, 64):
        piece = mmap.mmap(-1, 64 << 20)
        for offset in range(0, 64 << 20, 4096):
            piece[offset] = 1
        held.append(piece)
        time.sleep(0.05)
    return f"{megabytes} MB where {targets['memory_mb']} are allowed"


@attempt
def disk(targets: Targets) -> str:
    """Four times the disk that is allowed, in many files, wherever files can be written."""
    allowed, written = targets["disk_mb"], 0
    content = b"x" * (1 << 20)
    for folder in (".", os.environ["TMPDIR"], "/dev/shm", "/var/tmp", os.environ["HOME"]):
        with contextlib.suppress(OSError):
            for number in range(4 * allowed):
                with open(os.path.join(folder, f"full-{number}"), "wb", buffering=0) as file:
                    written += file.write(content) >> 20
                if written > 2 * allowed:
                    time.sleep(0.02)  # where files are watched, give the watch its turns
                if written > 8 * allowed:
                    return f"{written} MB where {allowed} are allowed"
    return f"{written} MB where {allowed} are allowed" if written > 2 * allowed else ""


@attempt
def deleted_files(targets: Targets) -> str:
    """The same in files that have no name any more."""
    allowed, written, held = targets["disk_mb"], 0, []
    content = b"x" * (1 << 20)
    for number in range(8 * allowed):
        try:
            file = open(f"gone-{number}", "wb", buffering=0)  # noqa: SIM115
            held.append(file)
            os.unlink(f"gone-{number}")
            written += file.write(content) >> 20
        except OSError:
            break
        if written > 2 * allowed:
            time.sleep(0.02)
    return f"{written} MB where {allowed} are allowed" if written > 2 * allowed else ""


@attempt
def daemon(targets: Targets) -> str:
    """A process that means to stay; the owner looks for it, by the length of its sleep."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.execv(targets["sleep"], ["sleep", str(targets["nap"])])
        os._exit(0)
    os.wait()
    time.sleep(0.2)
    return ""
