"""The student's kernel: what runs in the sandbox.

It runs cells when it is told to, and calls the student's functions on behalf of a check, with
values, on its main thread. Nothing here is trusted by anyone: student code may change all of it.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import random
import re
import signal
import socket
import sys
import threading
import traceback
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from gencourse.grading.kernel import source, standins, wire
from gencourse.grading.kernel.frames import Frame, Line, message
from gencourse.grading.kernel.shell import CELL_FILES, StudentShell, make_shell
from gencourse.grading.kernel.withheld import withhold
from gencourse.grading.session import COURSE_VARIABLE, GRADING_VARIABLE, SEED_VARIABLE

__all__ = ["main"]

_LONGEST = 300  # characters of a message of an exception


def main(ends: Sequence[socket.socket]) -> None:
    """Serve until the owner hangs up; entry point of a sandboxed child.

    Parameters
    ----------
    ends : sequence of socket
        For frames, for standard output and for standard error.
    """
    control, out, err = ends
    _streams(out, err)
    line = Line(control)
    begin = line.receive().read()
    os.environ[GRADING_VARIABLE] = "1"
    os.environ[SEED_VARIABLE] = str(begin["seed"])
    os.environ.pop(COURSE_VARIABLE, None)
    standins.without_keyboard()
    standins.without_colab()
    try:
        withhold(begin["withheld"])
    except LookupError as error:
        line.send(message(b"e", str(error)))
        return
    _Kernel(line, begin["generation"], begin["seed"]).serve()


def _streams(out: socket.socket, err: socket.socket) -> None:
    """Let everything printed, by Python or a subprocess, go to the owner."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    for end, number, name in ((out, 1, "stdout"), (err, 2, "stderr")):
        end.setblocking(True)
        os.dup2(end.detach(), number)
        file = io.FileIO(number, "w", closefd=False)
        stream = io.TextIOWrapper(
            io.BufferedWriter(file),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.stdin = io.StringIO()


def _seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


class _Kernel:
    def __init__(self, line: Line, generation: int, seed: int) -> None:
        self.line = line
        self.generation = generation
        self.seed = seed
        self.pid = os.getpid()
        self.busy = False
        self.interrupted = False
        self.things: list[object] = []
        self.shell: StudentShell = make_shell(self.report)

    def serve(self) -> None:
        _seed(self.seed)
        self.line.send(message(b"e", None))
        while True:
            try:
                frame = self.line.receive()
            except EOFError:
                return
            if frame.kind == b"x":
                self.cell(frame.read())
            elif frame.kind == b"s":
                _seed(frame.read())
            elif frame.kind == b"c":
                self.send(self.answer(frame))

    def report(self, output: dict[str, Any]) -> None:
        """Report an output, after what was printed before it and before what comes next."""
        frame = message(b"o", output)
        if len(frame.text) > wire.TEXT_LIMIT:
            frame = message(b"o", {"output_type": "left out"})
        busy, self.busy = self.busy, False  # half a frame would be none
        try:
            self.shell.flush_streams()
            self.send(frame)
            if threading.current_thread() is threading.main_thread():
                self.line.receive()
        finally:
            self.busy = busy
        if busy and self.interrupted:
            raise KeyboardInterrupt

    def send(self, frame: Frame) -> None:
        """Answer the owner; a process that student code forked off has nothing to say."""
        if os.getpid() != self.pid:
            os._exit(0)
        self.line.send(frame)

    @contextlib.contextmanager
    def interruptible(self) -> Any:
        """Let SIGINT stop student code, but nothing of this kernel's own."""

        def stop(signum: int, frame: types.FrameType | None) -> None:
            self.interrupted = True
            if self.busy:
                raise KeyboardInterrupt

        self.interrupted = False
        signal.signal(signal.SIGINT, stop)
        self.busy = True
        try:
            yield
        finally:
            self.busy = False
            signal.signal(signal.SIGINT, stop)
            signal.setitimer(signal.ITIMER_REAL, 0)

    def cell(self, code: str) -> None:
        for attempt in range(2):
            error: BaseException | None
            try:
                with self.interruptible():
                    error = self.shell.run(code)
            except BaseException as escaped:  # an interrupt that came between two lines
                error = escaped
                self.report(
                    {
                        "output_type": "error",
                        "ename": type(escaped).__name__,
                        "evalue": "",
                        "traceback": [],
                    }
                )
            if attempt or not standins.asks_for_cuda(error) or not standins.use_the_processor():
                break
            self.report({"output_type": "clear"})
            self.send(message(b"n", "processor"))
        name = type(error).__name__ if error is not None else None
        self.send(message(b"e", "MemoryError" if _out_of_memory(error) else name))

    def answer(self, frame: Frame) -> Frame:
        """Do what a check asks for; say how it went."""
        error: BaseException | None = None
        for _ in range(2):
            try:
                request = wire.decode(frame.payload, self.redeem, leaves=True)
                with self.interruptible():
                    value = getattr(self, f"do_{request.pop('do')}")(**request)
                self.shell.flush_streams()
                return Frame(b"r", *self.written({"value": value}))
            except BaseException as raised:
                error = raised
            if not standins.asks_for_cuda(error) or not standins.use_the_processor():
                break
            self.send(message(b"n", "processor"))
        self.shell.flush_streams()
        assert error is not None
        return Frame(b"r", *wire.encode({"error": _sentence(error)}))

    def written(self, answer: dict[str, Any]) -> wire.Payload:
        with self.interruptible():
            try:
                return wire.encode(answer, self.ticket)
            except Exception:
                # Endless, too deep, too large or broken: the check may hold it, no more.
                return wire.encode({"value": _Whole(answer["value"])}, self.ticket)

    def ticket(self, thing: object, write: Callable[[object], Any]) -> dict[str, Any]:
        if isinstance(thing, _Whole):
            thing = thing.thing
        self.things.append(thing)
        return {
            "remote": {"generation": self.generation, "number": len(self.things) - 1},
            "kind": str(getattr(type(thing), "__name__", "object"))[:80],
        }

    def redeem(self, ticket: dict[str, Any], read: Callable[[Any], Any]) -> object:
        if "generator" in ticket:
            generator = torch.Generator()
            generator.set_state(read(ticket["generator"]))
            return generator
        if "remote" not in ticket:
            return source.rebuild(ticket, read)
        remote, name = ticket["remote"], ticket["name"]
        if remote["generation"] == self.generation:
            return self.things[remote["number"]]
        if name:
            return self.shell.user_ns[name]
        raise RuntimeError("what your code had returned was lost when the program ended")

    def do_names(self, names: list[str]) -> dict[str, Any]:
        space = self.shell.user_ns
        return {name: _fitting(space[name]) for name in names if name in space}

    def do_call(self, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return what(*args, **kwargs)

    def do_attribute(self, of: Any, key: str) -> Any:
        return getattr(of, key)

    def do_item(self, of: Any, key: Any) -> Any:
        return of[key]

    def do_length(self, of: Any, key: None) -> int:
        return len(of)


def _out_of_memory(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError)
        and re.search("can't allocate memory|cannot allocate memory", str(error), re.I) is not None
    )


class _Whole:
    """A value to hand out as an object, although it is of a plain kind."""

    def __init__(self, thing: object) -> None:
        self.thing = thing


def _fitting(value: object) -> object:
    """The value, or a handle on it where it can't be sent."""
    try:
        wire.encode(value, lambda thing, write: {})
    except Exception:  # some objects fail at being looked at
        return _Whole(value)
    return value


def _sentence(error: BaseException) -> dict[str, str]:
    """What an exception is called, says, and on which of the student's lines it arose."""
    try:
        said = str(error)[:_LONGEST]
    except Exception:
        said = ""
    where = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(CELL_FILES):
            text = linecache.getline(frame.f_code.co_filename, number).strip()
            where = f"in {frame.f_code.co_name}" + (f", at: {text}" if text else "")
    return {
        "kind": type(error).__name__[:80],
        "message": said,
        "where": where[:_LONGEST],
    }
