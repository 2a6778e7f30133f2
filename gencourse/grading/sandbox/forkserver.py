"""The owner's side of the fork server: start it, ask it for kernels, watch and end them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any, Self

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import supervisor
from gencourse.grading.sandbox.policy import Isolation, NoSandbox

__all__ = ["WARM", "Child", "ForkServer", "SpawnError"]

#: What kernels find imported; those that are not installed are passed over.
WARM = (
    "numpy",
    "numpy.random",
    "torch",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    "IPython.core.interactiveshell",
    "gencourse",
    "gencourse.grading",
    "gencourse.grading.kernel.student",
    "gencourse.grading.kernel.checks",
    "gencourse.grading.kernel.warm",
)


class SpawnError(RuntimeError):
    """A kernel, or the fork server, could not be started; nothing of the student's has run."""


class ForkServer:
    """A process that has imported everything, and forks kernels from it.

    Use it as a context manager, or call :meth:`start` and :meth:`close`. Several threads may
    spawn from one server. It ends with its owner, and all kernels end with it.

    Attributes
    ----------
    place : str
        Folder of the kernels' files, where they have no disk of their own.
    threads : int
        Of the server, after importing: it must be 1, or a fork may inherit a lock that is held.

    Parameters
    ----------
    isolation : Isolation
        Of the kernels that are sandboxed: what :func:`~gencourse.grading.sandbox.policy.best`
        returns.
    warm : sequence of str
        Modules to import beforehand.
    collapse : bool
        Put what was imported into large pages, some tenths of a second once: kernels then start
        in half the time. Not worth it for a few.
    hidden : sequence of path
        Folders that a sandbox must not show, besides the present one. It shows nothing but Python
        and the system; a course that lies in one of their folders is refused.
    start_seconds : float
        How long importing may take, and then starting one kernel.
    """

    def __init__(
        self,
        isolation: Isolation,
        *,
        warm: Sequence[str] = WARM,
        collapse: bool = True,
        hidden: Sequence[str | os.PathLike[str]] = (),
        start_seconds: float = 120.0,
    ) -> None:
        self.isolation = Isolation(isolation)
        self.warm = tuple(warm)
        self.collapse = bool(collapse and warm)
        self.hidden = [os.path.abspath(path) for path in (*hidden, os.curdir)]
        self.start_seconds = start_seconds
        self.place, self.threads = "", 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the server runs and takes requests."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the server, None before the start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server, again if it died; returns when everything is imported.

        Raises
        ------
        SpawnError
            If it does not start; the message has what it printed.
        NoSandbox
            On a machine that is not Linux.
        """
        with self._lock:
            if self.alive:
                return
            self._close()
            if sys.platform != "linux":
                raise NoSandbox(f"the fork server runs on Linux alone, and this is {sys.platform}")
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control = ours
            self._log = tempfile.TemporaryFile()  # noqa: SIM115
            asked = json.dumps(
                {
                    "isolation": str(self.isolation),
                    "warm": self.warm,
                    "collapse": self.collapse,
                    "hidden": self.hidden,
                }
            )
            with theirs:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "gencourse.grading.sandbox.server",
                        str(theirs.fileno()),
                        asked,
                    ],
                    env=_environment(),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    start_new_session=True,
                )
            answer = _receive(ours, time.monotonic() + self.start_seconds)
            if not answer.get("ready"):
                said = self._said()
                self._close()
                raise SpawnError(
                    f"The fork server did not start: {answer.get('failed', 'it ended')}\n{said}"
                )
            self.place, self.threads = answer["place"], answer["threads"]

    def _said(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace")

    def close(self) -> None:
        """End the server and every kernel."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self.place:  # which a server that was killed has left behind
            shutil.rmtree(self.place, ignore_errors=True)
            self.place = ""
        if self._log is not None:
            self._log.close()
            self._log = None

    def spawn(
        self,
        entry: str,
        fds: Sequence[int],
        *,
        sandboxed: bool,
        files: Mapping[str, bytes] | None = None,
        limits: Limits | None = None,
        withheld: Sequence[str] = (),
    ) -> Child:
        """Fork a kernel, and return when it is isolated and about to call its entry.

        Parameters
        ----------
        entry : str
            ``module:function``; called with a list of sockets, one for each descriptor, in a
            working directory with the files. The kernel ends when it returns.
        fds : sequence of int
            Sockets for the kernel; close them here afterwards.
        sandboxed : bool
            False for a kernel that only runs the course's own code.
        files : mapping of str to bytes
            What lies in the working directory, by relative path.
        limits : Limits
            What it may use: processes, disk, and memory of one process; time is the caller's.
        withheld : sequence of str
            Passed on in the environment variable ``GENCOURSE_WITHHELD``, separated by commas.

        Returns
        -------
        Child

        Raises
        ------
        SpawnError
            If the server is dead, or the sandbox could not be built, or the entry not imported.
        ValueError
            If a file's name is no path beneath the working directory.
        """
        from gencourse.grading.sandbox.server import pack

        limits, checked = limits or Limits(), dict(files or {})
        for name in checked:
            _check_name(name)
        request = {
            "sandboxed": bool(sandboxed),
            "entry": entry,
            "withheld": list(withheld),
            "limits": {name: getattr(limits, name) for name in Limits.__dataclass_fields__},
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, tempfile.TemporaryFile() as payload:
                payload.write(pack(checked))
                payload.flush()
                payload.seek(0)
                asked = json.dumps(request).encode()
                with self._lock:
                    if not self.alive or self._control is None:
                        raise SpawnError("The fork server is not running.")
                    try:
                        socket.send_fds(
                            self._control, [asked], [theirs.fileno(), payload.fileno(), *fds]
                        )
                    except OSError as error:
                        raise SpawnError(f"The fork server is gone: {error}") from None
            return Child(ours, limits, time.monotonic() + self.start_seconds)
        except BaseException:
            ours.close()
            raise


class Child:
    """A kernel and everything it started.

    Attributes
    ----------
    pid : int
        Process id, as seen from here, of the first process of the sandbox, which holds the
        kernel and ends with it.
    reason : str
        Why it was ended from within: ``"memory"``, far beyond the limit, ``"disk"``, where
        kernels have no disk of their own, or ``"server"``, where the fork server has ended, or
        what watched the kernel for it; else empty.
    """

    def __init__(self, channel: socket.socket, limits: Limits, deadline: float) -> None:
        self._channel = channel
        self._limits = limits
        self._lock = threading.RLock()
        self._handle: int | None = None
        self._status: int | None = None
        self._memory = 0
        self.pid = 0
        self.reason = ""
        try:
            while True:
                answer = self._next(deadline - time.monotonic())
                if answer is None:
                    raise SpawnError("The kernel did not start in time.")
                if "failed" in answer:
                    raise SpawnError(f"The kernel did not start: {answer['failed']}")
                if "exit" in answer:
                    raise SpawnError(f"The kernel ended at once, with {answer['exit']}.")
                if answer.get("ready"):
                    break
        except BaseException:
            self.kill()
            raise

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the kernel has ended."""
        return self._channel.fileno()

    def poll(self) -> int | None:
        """Return the exit status, minus the signal's number if one killed it; None if it runs."""
        with self._lock:
            while self._status is None and self._next(0.0) is not None:
                pass
            return self._status

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until the kernel has ended; return as :meth:`poll` does."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            _readable(self._channel, left)
        return self._status

    def interrupt(self) -> None:
        """Send SIGINT to the kernel, not to what it started."""
        self._ask(supervisor.INTERRUPT)

    def memory(self) -> int:
        """Return the bytes that all processes in it use beyond a kernel that has done nothing."""
        with self._lock:
            if not self._ask(supervisor.MEMORY):
                return 0
            end = time.monotonic() + 5.0
            while self._status is None:
                answer = self._next(end - time.monotonic())
                if answer is None:
                    break
                if "memory" in answer:
                    self._memory = int(answer["memory"])
                    break
            return self._memory

    def kill(self, timeout: float = 10.0) -> int:
        """End the kernel and everything it started; return the exit status."""
        with self._lock:
            self._ask(supervisor.KILL)
            if self.wait(min(2.0, timeout)) is None and self._handle is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                self.wait(timeout)
            if self._status is None:
                self._status = -signal.SIGKILL
            self.close()
            return self._status

    def close(self) -> None:
        """Let go of the kernel; it ends if it still runs."""
        with self._lock:
            self._channel.close()
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
            if self._status is None:
                self._status = -signal.SIGKILL

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # as when the start was refused
            self.close()

    def _ask(self, what: bytes) -> bool:
        if self._status is not None:
            return False
        try:
            self._channel.send(what)
        except OSError:
            return False
        return True

    def _next(self, seconds: float) -> dict[str, Any] | None:
        """Return the next message, None if none comes in time; note what it says."""
        if self._channel.fileno() < 0:
            return None
        if not _readable(self._channel, seconds):
            return None
        try:
            message, fds, _, _ = socket.recv_fds(self._channel, 1 << 16, 4)
        except OSError:
            message, fds = b"", []
        gone: dict[str, Any] = {"exit": -signal.SIGKILL, "reason": "server"}
        answer = json.loads(message) if message else gone
        if fds:
            self._handle, self.pid = fds[0], int(answer["pid"])
        if "exit" in answer:
            self._status = int(answer["exit"])
            self.reason = str(answer.get("reason", ""))
        return answer


def _readable(channel: socket.socket, seconds: float | None) -> bool:
    """Wait for a message or the end of the line; ``poll``, since ``select`` knows few files."""
    number = channel.fileno()
    if number < 0:  # closed by another thread
        return True
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0, round(1000 * seconds))))


def _receive(channel: socket.socket, deadline: float) -> dict[str, Any]:
    if not _readable(channel, deadline - time.monotonic()):
        return {"failed": "it took too long"}
    try:
        message = channel.recv(1 << 16)
    except OSError:
        message = b""
    return json.loads(message) if message else {}


def _environment() -> dict[str, str]:
    """Return the server's environment: where Python is, and nothing else of ours."""
    kept = {n: os.environ[n] for n in ("LD_LIBRARY_PATH", "TMPDIR") if n in os.environ}
    return kept | {
        "PATH": os.pathsep.join(
            [os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin"]
        ),
        "HOME": "/nonexistent",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": tempfile.gettempdir(),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "GENCOURSE_DEVICE": "cpu",
    }


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if (
        not name
        or "\0" in name
        or path.is_absolute()
        or ".." in path.parts
        or path == PurePosixPath(".")
    ):
        raise ValueError(f"{name!r} is no path beneath the working directory")
