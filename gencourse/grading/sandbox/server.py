"""The fork server: imports what kernels need, once, and forks a kernel for each request.

Run as ``python -P -m gencourse.grading.sandbox.server`` by
:class:`~gencourse.grading.sandbox.forkserver.ForkServer`, with a socket to its owner. It has one
thread, does nothing but import, and ends when its owner does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any, NoReturn

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import cgroup, linux, namespaces, paths, processes, supervisor

__all__ = ["main", "pack", "unpack"]

#: Kernels at one time; each has a user of its own where we are root.
SLOTS = 256
# systemd and Debian leave these to nobody: https://systemd.io/UIDS-GIDS
_FIRST_USER = 0x70000000
_FEW_USERS = 60578
_MESSAGE = 1 << 16


def pack(files: dict[str, bytes]) -> bytes:
    """Return the files of a kernel as bytes.

    They hold what other kernels must never see: another student's work, the course's reference.
    So the server does not read them, or it would have them in memory that it hands to all it
    forks from then on; the new process does (:func:`unpack`), once it is on its own.
    """
    names = [[name, len(content)] for name, content in files.items()]
    head = json.dumps(names).encode("utf-8", "surrogatepass")
    return b"".join([struct.pack("<Q", len(head)), head, *files.values()])


def unpack(data: bytes) -> dict[str, bytes]:
    """Read what :func:`pack` wrote."""
    (length,) = struct.unpack_from("<Q", data)
    begin = 8 + length
    files = {}
    for name, size in json.loads(data[8:begin].decode("utf-8", "surrogatepass")):
        files[name] = data[begin : begin + size]
        begin += size
    return files


class _Server:
    def __init__(self, control: socket.socket, isolation: str, place: str) -> None:
        self.control = control
        self.isolation = isolation
        self.place = place
        self.owner = os.getppid()
        self.readable = tuple(paths.readable())
        self.slots: dict[int, int] = {}  # by supervisor
        self.lifeline, self.lifeline_end = os.pipe()
        self.groups, _ = cgroup.find()

    def serve(self) -> None:
        linux.adopt_orphans()
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to the owner
        while os.getppid() == self.owner:
            ready, _, _ = select.select([self.control.fileno(), wake_read], [], [], 1.0)
            if wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
                self.reap()
            if self.control.fileno() in ready and not self.answer():
                break
        self.end()

    def end(self) -> None:
        """End all kernels: each supervisor sees that the lifeline is cut."""
        os.close(self.lifeline_end)
        deadline = time.monotonic() + 5.0
        while self.slots and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.005)
        for pid in self.slots:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.reap()

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                slot = self.slots.get(pid)
                if slot is None:
                    continue
                if status and self.isolation != "namespaces":
                    # A supervisor that was killed has left a kernel, which is ours now.
                    self.kill_adopted()
                    user = self.user(slot)
                    if user is not None:
                        processes.kill_user(user)
                if self.groups is not None:
                    cgroup.remove(self.groups / self.group(slot))
                shutil.rmtree(self.folder(slot), ignore_errors=True)
                del self.slots[pid]

    def kill_adopted(self) -> None:
        for pid in processes.children(os.getpid()):
            if pid not in self.slots:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def answer(self) -> bool:
        """Take one request; False when the owner is gone."""
        try:
            message, fds, _, _ = socket.recv_fds(self.control, _MESSAGE, 253)
        except OSError:
            return False
        if not message:
            return False
        channel, payload, *rest = fds
        with socket.socket(fileno=channel) as line:
            try:
                self.spawn(json.loads(message), line, payload, rest)
            except Exception as error:
                with contextlib.suppress(OSError):
                    line.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
            finally:
                for each in (payload, *rest):
                    os.close(each)
        return True

    def spawn(
        self, asked: dict[str, Any], line: socket.socket, payload: int, fds: list[int]
    ) -> None:
        slot = next((s for s in range(SLOTS) if s not in self.slots.values()), None)
        if slot is None:
            raise RuntimeError(f"{SLOTS} kernels run already")
        isolation = self.isolation if asked["sandboxed"] else "none"
        place = self.folder(slot)
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place, 0o700)
        flags = 0
        limits = Limits(**asked["limits"])
        group = None
        if self.groups is not None and asked["sandboxed"]:
            group = str(cgroup.make(self.groups, self.group(slot), limits))
        user = self.user(slot) if isolation != "none" else None
        if isolation == "namespaces":
            flags = namespaces.FLAGS | (linux.CLONE_NEWUSER if user is None else 0)
        plan = supervisor.Plan(
            isolation=isolation,
            sandboxed=asked["sandboxed"],
            entry=asked["entry"],
            files={},
            limits=limits,
            withheld=tuple(asked["withheld"]),
            user=user,
            place=place,
            readable=self.readable,
            group=group,
        )
        pid = linux.fork_into(flags) if flags else os.fork()
        if pid == 0:
            self.become_supervisor(plan, payload, line, fds)
        self.slots[pid] = slot
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                socket.send_fds(line, [json.dumps({"pid": pid}).encode()], [handle])
            finally:
                os.close(handle)

    def become_supervisor(
        self, plan: supervisor.Plan, payload: int, line: socket.socket, fds: list[int]
    ) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            self.control.close()
            os.close(self.lifeline_end)
            with open(payload, "rb") as file:
                plan = replace(plan, files=unpack(file.read()))
            supervisor.run(plan, line, self.lifeline, [socket.socket(fileno=fd) for fd in fds])
        finally:
            os._exit(1)

    def group(self, slot: int) -> str:
        return f"gencourse-{os.getpid()}-{slot}"

    def folder(self, slot: int) -> str:
        return os.path.join(self.place, str(slot))

    def user(self, slot: int) -> int | None:
        """Return a user that nobody else is, if we may become others."""
        if os.geteuid() != 0:
            return None
        user = _FIRST_USER + (os.getpid() % (1 << 20)) * SLOTS + slot
        return user if user in _mapped_users() else _FEW_USERS + slot


def _mapped_users() -> range:
    """Return the users that exist in this user namespace, the widest stretch of them."""
    with open("/proc/self/uid_map") as lines:
        stretches = [tuple(map(int, line.split())) for line in lines]
    first, _, count = max(stretches, key=lambda stretch: stretch[2])
    return range(first, first + count)


def _warm(names: list[str]) -> list[str]:
    """Import modules; return those that are not installed."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name + ".").startswith(error.name + "."):
                raise
            missing.append(name)
    return missing


def main(arguments: list[str]) -> None:
    """Serve the owner at the other end of the socket with number ``arguments[0]``."""
    control = socket.socket(fileno=int(arguments[0]))
    asked = json.loads(arguments[1])
    os.chdir("/")
    place = tempfile.mkdtemp(prefix="gencourse-")
    try:
        missing = _warm(asked["warm"])
        gc.collect()
        gc.freeze()
        if asked["collapse"]:
            linux.collapse_memory()
        threads = len(os.listdir("/proc/self/task"))
        os.chmod(place, 0o711)
        if shown := paths.exposed(paths.readable(), asked["hidden"]):
            raise RuntimeError(
                f"a sandbox would show {', '.join(shown)}, since it shows Python's own folders; "
                "make the virtual environment in a folder of its own (.venv)"
            )
        server = _Server(control, asked["isolation"], place)
        control.send(
            json.dumps(
                {"ready": True, "threads": threads, "missing": missing, "place": place}
            ).encode()
        )
        server.serve()
    except Exception as error:
        with contextlib.suppress(OSError):
            control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
        raise
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
