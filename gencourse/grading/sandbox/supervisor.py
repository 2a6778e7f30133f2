"""The first process of a sandbox: builds it, starts the kernel in it, and sees that all of it ends.

One runs for each kernel, forked from the server. It never runs anything of the student's. It
reports to the owner, on a socket that the kernel does not have, and obeys it; when the owner or
the server is gone, it takes everything with it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import cgroup, confine, linux, namespaces, processes

__all__ = ["Plan", "run"]

#: What the owner may ask, one byte each.
INTERRUPT, KILL, MEMORY = b"i", b"k", b"m"
_WATCH_SECONDS, _SLACK_MB = 0.25, 128


@dataclass(frozen=True)
class Plan:
    """What one kernel is to be.

    Attributes
    ----------
    isolation : {"namespaces", "landlock", "none"}
    sandboxed : bool
        Whether it runs a student's code, and has limits; what isolation there is, is said above.
    entry : str
        ``module:function``, called with the sockets.
    files : dict of str to bytes
    limits : Limits
    withheld : tuple of str
        Put into the environment as ``GENCOURSE_WITHHELD``, separated by commas.
    user : int or None
        User and group to become; None to stay who we are.
    place : str
        An empty folder of this kernel's own.
    readable : tuple of str
        What it may read of the machine.
    group : str or None
        Control group of this kernel's own, where there are such.
    """

    isolation: str
    sandboxed: bool
    entry: str
    files: dict[str, bytes]
    limits: Limits
    withheld: tuple[str, ...]
    user: int | None
    place: str
    readable: tuple[str, ...]
    group: str | None = None


def run(
    plan: Plan, channel: socket.socket, lifeline: int, sockets: Sequence[socket.socket]
) -> NoReturn:
    """Build the sandbox, run the entry in it, report how it ended, and end."""
    status = 1
    try:
        _own_session(keep=[channel.fileno(), lifeline, *(s.fileno() for s in sockets)])
        status = _Supervisor(plan, channel, lifeline).run(sockets)
    except Exception as error:
        _say(channel, {"failed": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status & 0xFF)


def _own_session(keep: Sequence[int]) -> None:
    """Leave the server's terminal, files and signal handlers behind."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    _close_others({0, 1, 2, *keep})


def _close_others(keep: set[int]) -> None:
    edges = sorted(keep)
    for low, high in zip([-1, *edges], [*edges, 1 << 20], strict=True):
        if low + 1 < high:
            os.closerange(low + 1, high)


def _say(channel: socket.socket, message: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        channel.send(json.dumps(message).encode())


class _Supervisor:
    def __init__(self, plan: Plan, channel: socket.socket, lifeline: int) -> None:
        self.plan = plan
        self.channel = channel
        self.lifeline = lifeline
        self.main = 0
        self.base = 0
        self.reason = ""
        self.group = None if plan.group is None else Path(plan.group)
        self.namespaces = plan.isolation == "namespaces"
        self.work = namespaces.WORK if self.namespaces else f"{plan.place}/work"

    def run(self, sockets: Sequence[socket.socket]) -> int:
        self.prepare()
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        started_read, started_write = os.pipe()
        # From here on no process of this user may look into this one's memory.
        linux.set_dumpable(False)
        self.main = os.fork()
        if self.main == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.channel.close()
            for end in (self.lifeline, wake_read, wake_write, started_read):
                os.close(end)
            self.become_kernel(sockets, started_write)
        os.close(started_write)
        for each in sockets:
            each.close()
        status = self.watch(wake_read, started_read)
        self.end_all()
        if not self.namespaces:
            shutil.rmtree(self.plan.place, ignore_errors=True)
        if self.group is not None and cgroup.ran_out(self.group):
            self.reason = "memory"
        _say(self.channel, {"exit": status, "reason": self.reason})
        return 0

    def prepare(self) -> None:
        """Do what needs the privileges of the server, and give them up if there are namespaces."""
        plan = self.plan
        if self.group is not None:
            cgroup.enter(self.group)
        if not self.namespaces:
            linux.adopt_orphans()
            namespaces.write_files(Path(self.work), plan.files)
            for folder in (Path(self.work), Path(plan.place, "tmp")):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
                if plan.user is not None:
                    namespaces.give(folder, plan.user)
            os.chmod(plan.place, 0o711)
            return
        if plan.user is None:
            namespaces.map_user(os.getuid(), os.getgid())
        namespaces.build_root(
            plan.place,
            plan.readable,
            plan.files,
            disk_mb=plan.limits.disk_mb,
            owner=plan.user,
        )
        if plan.user is not None:
            confine.become(plan.user)
        else:
            linux.drop_capabilities()
        linux.no_new_privileges()
        linux.die_with_parent()

    # ---------------------------------------------------------------- the kernel

    def become_kernel(self, sockets: Sequence[socket.socket], started: int) -> NoReturn:
        status = 1
        try:
            try:
                function = self.confined(started)
            except BaseException as error:
                os.write(
                    started, f"{type(error).__name__}: {error}".encode()[:4000]
                )  # at most PIPE_BUF
                raise
            os.write(started, b"!")
            os.close(started)
            function(list(sockets))
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except KeyboardInterrupt:
            status = 130
        except BaseException:
            status = 1
        finally:
            os._exit(status & 0xFF)

    def confined(self, started: int) -> Callable[[list[socket.socket]], object]:
        """Put on every restriction, and return the function to call."""
        plan = self.plan
        linux.set_dumpable(True)  # or /proc/self would be closed to itself
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        inside = self.namespaces
        home = namespaces.HOME if inside else plan.place + "/work"
        temporary = "/tmp" if inside else plan.place + "/tmp"
        variables = confine.environment(home, temporary, os.environ)
        if plan.withheld:
            variables["GENCOURSE_WITHHELD"] = ",".join(plan.withheld)
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(self.work)
        tempfile.tempdir = None  # the server has looked for its own
        if plan.sandboxed:
            self.restrict()
            sys.path.insert(0, "")
        _reseed()
        module, _, name = plan.entry.partition(":")
        return getattr(importlib.import_module(module), name)

    def restrict(self) -> None:
        plan = self.plan
        allowed = plan.limits.processes + 2
        if not self.namespaces and plan.user is None:
            allowed += processes.of_user(os.getuid())
        confine.set_limits(plan.limits, processes=allowed)
        if plan.isolation == "none":
            return
        if not self.namespaces:
            if plan.user is not None:
                confine.become(plan.user, keep=confine.needed(plan.readable))
            linux.no_new_privileges()
            linux.die_with_parent()
            confine.restrict_files(list(plan.readable), [self.work, plan.place + "/tmp"])
        linux.set_dumpable(True)  # a change of user has cleared it
        confine.filter_calls(namespaces=self.namespaces)

    # ---------------------------------------------------------------- watching

    def watch(self, wake: int, started: int) -> int:
        """Serve the owner until the kernel ends; return its exit status, negative for a signal."""
        poll = select.poll()
        for each in (started, self.channel.fileno(), self.lifeline, wake):
            poll.register(each, select.POLLIN)
        starting = True
        wait = 1000 * _WATCH_SECONDS if self.plan.sandboxed else None
        looked = time.monotonic()
        while True:
            for number, _ in poll.poll(wait):
                if number == started:
                    poll.unregister(started)
                    self.report_start(started)
                    starting = False
                elif number == self.lifeline:
                    self.reason = "server"
                    return self.kill_main()
                elif number == wake:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake, 4096)
                elif number == self.channel.fileno() and not self.obey():
                    return self.kill_main()
            ended = self.reap()
            if ended is not None:
                if starting:  # it ended before we had looked
                    self.report_start(started)
                return ended
            if wait is None or starting or time.monotonic() - looked < _WATCH_SECONDS:
                continue
            begun = time.monotonic()
            self.reason = self.beyond()
            if self.reason:
                return self.kill_main()
            looked = time.monotonic()
            looked += min(2.0, 20 * (looked - begun))  # looking shall not take much of the time

    def beyond(self) -> str:
        """Say which limit the kernel is far beyond, if any: a net under its owner's own watch."""
        limits = self.plan.limits
        if self.used() > (limits.memory_mb + limits.memory_mb // 4 + _SLACK_MB) << 20:
            return "memory"
        if self.namespaces:  # where the disk is one of its own, and full when it is full
            return ""
        written = processes.disk_bytes(self.plan.place)
        with self.as_student():
            written += processes.deleted_bytes(self.members())
        return "disk" if written > limits.disk_mb << 20 else ""

    def used(self) -> int:
        """Return the bytes of memory that the kernel and what it started use."""
        others = [pid for pid in self.members() if pid != self.main]
        with self.as_student():
            return processes.memory(self.main, others, self.base, self.plan.limits.memory_mb << 20)

    def report_start(self, started: int) -> None:
        # All of it at once: it is shorter than what a pipe takes in one piece.
        said = os.read(started, 1 << 16)
        os.close(started)
        if said == b"!":
            self.base = processes.statm(self.main)
            _say(self.channel, {"ready": True})
        else:
            _say(self.channel, {"failed": said.decode(errors="replace") or "it ended at once"})

    def obey(self) -> bool:
        """Do what the owner asks; False if everything is to end."""
        try:
            asked = self.channel.recv(16)
        except OSError:
            return False
        if asked == INTERRUPT:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.main, signal.SIGINT)
        elif asked == MEMORY:
            _say(self.channel, {"memory": self.used()})
        return asked not in (b"", KILL)

    @contextlib.contextmanager
    def as_student(self) -> Iterator[None]:
        """Look at processes as their own user: root in a container may not look at others'.

        Our real user stays, so they can do nothing to us meanwhile.
        """
        user = None if self.namespaces else self.plan.user
        if user is None:
            yield
            return
        group = os.getegid()
        os.setegid(user)
        os.seteuid(user)
        linux.use_capabilities()  # it takes those that they have
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(group)

    def members(self) -> list[int]:
        """Return every process of this sandbox but this one."""
        if self.namespaces:
            return [pid for pid in processes.everyone() if pid != os.getpid()]
        return processes.descendants(os.getpid())

    def reap(self) -> int | None:
        """Collect children that ended; return the kernel's exit status if it is among them."""
        result = None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.main:
                    result = os.waitstatus_to_exitcode(status)
        return result

    def kill_main(self) -> int:
        os.kill(self.main, signal.SIGKILL)
        os.waitpid(self.main, 0)
        return -signal.SIGKILL

    def end_all(self) -> None:
        """Kill what the kernel left behind."""
        if self.namespaces:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)  # everyone in this process table, but us
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)
            return
        ended = processes.kill_descendants(os.getpid())
        if not ended and self.plan.user is not None:
            processes.kill_user(self.plan.user)


def _reseed() -> None:
    """Have forked kernels draw different numbers: all begin with the server's generators."""
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(int.from_bytes(os.urandom(6)))
