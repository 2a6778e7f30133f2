"""Grade one hand-in: run its cells in one kernel and the checks in another, within limits.

This process owns both kernels and trusts neither. It never runs a student's code, builds no
object of theirs and waits for nobody without a deadline: a kernel that does not answer is
interrupted, then ended.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gencourse.grading.job import Cell, CellResult, Job, Outcome, Result
from gencourse.grading.kernel.agreed import COURSE_FOLDER, seed_of
from gencourse.grading.kernel.frames import Broken, Frame, Link, message
from gencourse.grading.kernel.outputs import Outputs

if TYPE_CHECKING:
    from gencourse.grading.sandbox.forkserver import Child, ForkServer

__all__ = ["execute"]

#: How often a student's kernel that ended is started again.
RESTARTS = 3
# Seconds: to start a kernel, to obey an interrupt, for the checks' own work between two calls.
_START, _GRACE, _OWN_WORK = 60.0, 2.0, 180.0
_MEMORY_EVERY = 0.1
# Beyond this many times the limit of output a cell is stopped, not only cut; and no more than
# this is kept of all cells of a hand-in.
_FLOOD = 20
# And beyond this many times that, of what it reports: replaced plots, and reports that are none,
# which cost this process time that other hand-ins need.
_REPORTS, _FRAME = 10, 100
_PRINTED = 8000  # characters of what a student's function prints, in a visible check

_STUDENT = "gencourse.grading.kernel.student:main"
_CHECKS = "gencourse.grading.kernel.checks:main"

_PROCESSOR = "Your notebook asks for a GPU. It was graded on a processor, without one."


def execute(job: Job, server: ForkServer) -> Result:
    """Run every cell and every check of a hand-in.

    Parameters
    ----------
    job : Job
        The hand-in.
    server : ForkServer
        Where the kernels come from. It may be used by several threads at once.

    Returns
    -------
    Result
        Never an exception, whatever the student's code did; what goes wrong on our side is in
        its ``problem``, and the cells concerned are ``INFRASTRUCTURE``.
    """
    hand_in = _HandIn(job, server)
    try:
        hand_in.run()
    except Exception as error:
        hand_in.blame(f"{type(error).__name__}: {error}")
    finally:
        hand_in.close()
    return hand_in.result()


class _Ended(Exception):
    """A kernel is no more.

    Attributes
    ----------
    outcome : Outcome
        Why.
    note : str
        A sentence for the student.
    """

    def __init__(self, outcome: Outcome, note: str) -> None:
        super().__init__(note)
        self.outcome = outcome
        self.note = note


class _Infrastructure(Exception):
    """Something that is our fault."""


@dataclass
class _Kernel:
    """A child, the ends of its sockets, and what it was last told."""

    child: Child
    link: Link
    streams: dict[str, socket.socket] = field(default_factory=dict)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.child.kill()
        self.link.close()
        for end in self.streams.values():
            end.close()


class _HandIn:
    def __init__(self, job: Job, server: ForkServer) -> None:
        self.job = job
        self.server = server
        self.limits = job.limits
        self.began = time.monotonic()
        self.results: dict[str, CellResult] = {}
        self.notes: list[str] = []
        self.problem = ""
        self.student: _Kernel | None = None
        self.checks: _Kernel | None = None
        self.generation = 0
        self.room = _FLOOD * self.limits.output_kb * 1024  # for outputs of all cells together
        self.ran: list[Cell] = []  # what a new kernel of the student's has to run again
        self.gone = ""  # why there is no kernel of the student's, for a sentence
        self.deadly: set[str] = set()  # names that ended the program when a check called them
        self.printed = Outputs(1)

    # ------------------------------------------------------------------ the whole

    def run(self) -> None:
        self.checks = self.start(_CHECKS, (), sandboxed=False)
        self.begin(self.checks, {"seed": self.job.seed})
        self.new_student()
        for cell in self.job.cells:
            if cell.name in self.job.known:
                continue
            began = time.monotonic()
            result = self.check(cell) if cell.kind == "checks" else self.cell(cell)
            seconds = round(time.monotonic() - began, 3)
            self.results[cell.name] = CellResult(
                cell.name,
                result.outcome,
                result.outputs,
                seconds,
                result.score,
                result.note,
            )

    def result(self) -> Result:
        """Return what is known; cells that we could not run are our fault."""
        cells = []
        for cell in self.job.cells:
            if cell.name in self.results:
                cells.append(self.results[cell.name])
            elif cell.name not in self.job.known:
                cells.append(CellResult(cell.name, Outcome.INFRASTRUCTURE))
        return Result(
            tuple(cells), str(self.server.isolation), tuple(dict.fromkeys(self.notes)), self.problem
        )

    def blame(self, problem: str) -> None:
        """Note what went wrong on our side; the first thing is the one that counts."""
        self.problem = self.problem or problem

    def close(self) -> None:
        for kernel in (self.student, self.checks):
            if kernel is not None:
                kernel.close()
        self.student = self.checks = None

    def left(self) -> float:
        """Seconds of the whole hand-in's that are left."""
        return self.limits.total_seconds - (time.monotonic() - self.began)

    # ------------------------------------------------------------------ kernels

    def start(self, entry: str, streams: Sequence[str], *, sandboxed: bool) -> _Kernel:
        pairs = [socket.socketpair() for _ in range(1 + len(streams))]
        files = dict(self.job.files)
        if not sandboxed:
            own = {f"{COURSE_FOLDER}/{k}": v for k, v in self.job.course_files.items()}
            # Files of a hand-in's may be called anything.
            files = {k: v for k, v in files.items() if COURSE_FOLDER not in k} | own
        try:
            child = self.server.spawn(
                entry,
                [theirs.fileno() for _, theirs in pairs],
                sandboxed=sandboxed,
                files=files,
                limits=self.limits,
                withheld=self.job.withheld,
            )
        except BaseException:
            for ours, _ in pairs:
                ours.close()
            raise
        finally:
            for _, theirs in pairs:
                theirs.close()
        for ours, _ in pairs:
            ours.setblocking(False)
        ends = {name: ours for name, (ours, _) in zip(streams, pairs[1:], strict=True)}
        return _Kernel(child, Link(pairs[0][0]), ends)

    def begin(self, kernel: _Kernel, settings: dict[str, Any]) -> None:
        kernel.link.put(message(b"b", settings))
        deadline = time.monotonic() + _START
        while True:
            try:
                frame = kernel.link.get()
            except Broken as error:
                raise _Infrastructure(f"a kernel did not start: {error}") from None
            if frame is not None:
                if (problem := frame.read()) is not None:
                    raise _Infrastructure(f"a kernel did not start: {problem}")
                return
            if time.monotonic() > deadline:
                raise _Infrastructure("a kernel did not start in time")
            _wait([kernel], 0.5)

    def new_student(self) -> None:
        """Start the student's kernel, and run again what ran well in the one before."""
        self.generation += 1
        self.student = self.start(_STUDENT, ("stdout", "stderr"), sandboxed=True)
        self.begin(
            self.student,
            {
                "seed": seed_of(self.job.seed, "the student's own"),
                "withheld": list(self.job.withheld),
                "generation": self.generation,
            },
        )
        for cell in list(self.ran):
            try:
                self.in_student(message(b"x", cell.source), self.cell_seconds(), Outputs(1))
            except _Ended:
                # What ran well once does not now: leave it out.
                self.ran.remove(cell)
                if self.student is None:
                    self.gone = "your program ended when its cells were run again"
                    return

    def end_student(self) -> None:
        if self.student is not None:
            self.student.close()
        self.student = None

    def revive(self) -> bool:
        """Have a student's kernel; False if there can't be one any more."""
        while self.student is None and self.generation <= RESTARTS and self.left() > 0:
            self.gone = ""
            self.new_student()
        if self.student is None and not self.gone:
            self.gone = "your program ended too often to be started again"
        return self.student is not None

    # ------------------------------------------------------------------ cells

    def cell_seconds(self) -> float:
        return min(self.limits.cell_seconds, self.left())

    def cell(self, cell: Cell) -> CellResult:
        """Run a student's or a given cell; the latter for the checks too."""
        result = self.run_in_student(cell)
        if cell.kind == "given":
            answer = self.ask_checks(cell)
            if answer["blame"] == "author":
                self.blame(f"the given cell {cell.name} fails: {answer['error']}")
        return result

    def run_in_student(self, cell: Cell) -> CellResult:
        if self.left() <= 0 or not self.revive():
            return CellResult(cell.name, Outcome.NOT_RUN, note=self.not_run())
        self.deadly.clear()
        outputs = Outputs(min(self.limits.output_kb * 1024, self.room))
        try:
            raised = self.in_student(message(b"x", cell.source), self.cell_seconds(), outputs)
        except _Ended as ended:
            return CellResult(cell.name, ended.outcome, outputs.finished(), note=ended.note)
        finally:
            self.room -= outputs.kept
        self.ran.append(cell)
        outcome, note = Outcome.OK, ""
        if raised is not None:
            outcome = Outcome.ERROR
            if raised == "MemoryError":
                outcome, note = Outcome.MEMORY, self.memory_note()
        if outputs.cut:
            outcome = Outcome.OUTPUT if outcome is Outcome.OK else outcome
            note = note or (
                f"This cell's output is longer than {self.limits.output_kb} kB; "
                "the rest was left out."
                if self.room > 0
                else "The notebook's outputs are too long; the rest was left out."
            )
        return CellResult(cell.name, outcome, outputs.finished(), note=note)

    def not_run(self) -> str:
        if self.left() <= 0:
            return self.total_note()
        return f"Not run: {self.gone}."

    def total_note(self) -> str:
        return (
            f"Not run: the notebook as a whole took longer than "
            f"{self.limits.total_seconds:g} seconds."
        )

    def memory_note(self) -> str:
        return f"Your code used more than {self.limits.memory_mb} MB of memory and was stopped."

    def in_student(self, frame: Frame, seconds: float, outputs: Outputs) -> Any:
        """Have the student's kernel do something; return what ends it.

        Returns
        -------
        str or None
            Name of the exception that a cell raised; for a call, its frame.

        Raises
        ------
        _Ended
            If it was stopped. The kernel is gone, unless an interrupt was enough.
        """
        kernel = self.student
        assert kernel is not None
        call = frame.kind == b"c"
        deadline = time.monotonic() + max(seconds, 0.0)
        next_look = time.monotonic() + _MEMORY_EVERY
        stopped: _Ended | None = None
        kernel.link.put(frame)
        while True:
            now = time.monotonic()
            if stopped is None and now >= deadline:
                stopped = self.late(seconds)
            flood = _FLOOD * self.limits.output_kb * 1024
            if stopped is None and (outputs.size > flood or outputs.heard > _REPORTS * flood):
                stopped = _Ended(
                    Outcome.OUTPUT,
                    f"Your code was stopped: its output is much longer than "
                    f"{self.limits.output_kb} kB.",
                )
            if stopped is not None:
                if deadline < math.inf:
                    deadline, give_up = math.inf, now + _GRACE
                    kernel.child.interrupt()
                elif now > give_up:
                    self.end_student()
                    raise stopped
            if now >= next_look:
                if kernel.child.memory() > self.limits.memory_mb << 20:
                    self.end_student()
                    raise _Ended(Outcome.MEMORY, self.memory_note())
                next_look = time.monotonic() + _MEMORY_EVERY
            _wait([kernel], max(0.0, min(next_look, deadline) - now))
            kernel.link.write()
            self.drain(kernel, outputs)
            try:
                answer = kernel.link.get()
            except Broken:
                self.drain(kernel, outputs)
                raise (stopped or self.crashed()) from None
            if answer is None:
                continue
            self.drain(kernel, outputs)
            outputs.heard += _FRAME + len(answer.text)
            try:
                if answer.kind == b"o":
                    outputs.report(answer.read())
                    kernel.link.put(message(b"a", None))
                elif answer.kind == b"n":
                    if _PROCESSOR not in self.notes:
                        self.notes.append(_PROCESSOR)
                elif answer.kind == (b"r" if call else b"e"):
                    if stopped is not None:
                        if stopped.outcome is Outcome.OUTPUT and self.still_prints(kernel):
                            self.end_student()
                        raise stopped
                    return answer if call else _name(answer.read())
            except Broken:
                raise (stopped or self.crashed()) from None

    def late(self, seconds: float) -> _Ended:
        if self.left() <= 0:
            return _Ended(
                Outcome.TIME,
                f"Your code was stopped: the notebook as a whole took longer than "
                f"{self.limits.total_seconds:g} seconds.",
            )
        return _Ended(
            Outcome.TIME, f"Your code was still running after {seconds:g} seconds and was stopped."
        )

    def crashed(self) -> _Ended:
        """Say how a kernel ended that ended by itself.

        Raises
        ------
        SpawnError
            If it ended with the fork server or its supervisor, which no student's code can end.
        """
        from gencourse.grading.sandbox.forkserver import SpawnError

        kernel = self.student
        assert kernel is not None
        status = kernel.child.wait(1.0)
        self.end_student()
        if kernel.child.reason == "server":
            raise SpawnError("The fork server ended.")
        if status == -9:
            return _Ended(
                Outcome.MEMORY,
                "Your code ended the program: it was killed, as happens when it uses more than "
                f"{self.limits.memory_mb} MB of memory.",
            )
        if status is not None and status < 0:
            return _Ended(Outcome.CRASH, f"Your code crashed the program (signal {-status}).")
        return _Ended(Outcome.CRASH, "Your code ended the program.")

    def drain(self, kernel: _Kernel, outputs: Outputs) -> None:
        """Take what was printed; not without end, if more is printed all the time."""
        for name, end in kernel.streams.items():
            for _ in range(64):
                try:
                    data = end.recv(1 << 16)
                except (BlockingIOError, InterruptedError):
                    break
                except OSError:
                    data = b""
                if not data:
                    break
                outputs.stream(name, data)

    def still_prints(self, kernel: _Kernel) -> bool:
        """Whether something goes on printing that an interrupt did not reach."""
        self.drain(kernel, Outputs(1))
        time.sleep(0.05)
        after = Outputs(1)
        self.drain(kernel, after)
        return after.size > 0

    # ------------------------------------------------------------------ checks

    def check(self, cell: Cell) -> CellResult:
        """Run a check cell; its points, or whose fault it is that there are none."""
        if self.left() <= 0:
            return CellResult(cell.name, Outcome.TIME, score=0.0, note=self.total_note())
        self.revive()
        answer = self.ask_checks(cell)
        outputs: list[dict[str, Any]] = []
        if answer["text"]:
            shown = answer["text"][: self.limits.output_kb * 1024]
            outputs.append({"output_type": "stream", "name": "stdout", "text": shown})
        if answer["blame"] == "author":
            self.blame(f"the checks {cell.name} fail: {answer['error']}")
            return CellResult(cell.name, Outcome.INFRASTRUCTURE, tuple(outputs))
        outcome, note, score = Outcome.OK, "", answer["score"]
        if answer["blame"] == "student":
            outcome, score = Outcome.ERROR, 0.0
            note = f"These checks could not be run: {answer['error'][:300]}."
        if self.trouble is not None and score is not None:
            outcome, note = self.trouble.outcome, note or self.trouble.note
        outputs.append(
            {
                "output_type": "execute_result",
                "data": {"text/plain": repr(float(score))},
                "metadata": {},
                "execution_count": None,
            }
        )
        return CellResult(cell.name, outcome, tuple(outputs), score=score, note=note)

    trouble: _Ended | None = None

    def ask_checks(self, cell: Cell) -> dict[str, Any]:
        """Have the checks' kernel run a cell, and answer its calls meanwhile."""
        kernel = self.checks
        assert kernel is not None
        self.trouble = None
        alive_before = self.student is not None
        if self.student is not None:
            self.student.link.put(message(b"s", seed_of(self.job.seed, f"student, {cell.name}")))
        kernel.link.put(
            message(b"x", {"name": cell.name, "source": cell.source, "kind": cell.kind})
        )
        about: dict[str, Any] = {}
        while True:
            frame = self.from_checks(kernel)
            if frame.kind == b"d":
                about = frame.read()
            elif frame.kind == b"e":
                return frame.read()
            elif frame.kind == b"c":
                for answer in self.call(frame, about, alive_before):
                    kernel.link.put(answer)

    def from_checks(self, kernel: _Kernel) -> Frame:
        deadline = time.monotonic() + _OWN_WORK
        while True:
            try:
                frame = kernel.link.get()
            except Broken:
                raise _Infrastructure("the kernel of the checks ended") from None
            if frame is not None:
                return frame
            if time.monotonic() > deadline:
                raise _Infrastructure(f"the checks were busy for {_OWN_WORK:g} seconds")
            _wait([kernel], 1.0)
            kernel.link.write()

    def call(self, frame: Frame, about: dict[str, Any], alive_before: bool) -> list[Frame]:
        """Pass a call of the checks on to the student's kernel; return what to answer."""
        names = set(about["names"])
        if self.student is None:
            why = "your program had ended" if alive_before else self.gone
            return [message(b"g", f"not run: {why}")]
        if deadly := sorted(names & self.deadly):
            return [message(b"g", f"{deadly[0]} was not called again: it had ended the program")]
        outputs = Outputs(4 * _PRINTED)
        asked, most = about["seconds"] or math.inf, self.cell_seconds()
        try:
            answer = self.in_student(frame, min(asked, most), outputs)
        except _Ended as ended:
            self.trouble = self.trouble or ended
            if self.student is None:
                self.deadly |= names
            if ended.outcome is Outcome.TIME and asked < most:
                return [message(b"t", None)]
            return [message(b"g", ended.note[:1].lower() + ended.note[1:].rstrip("."))]
        printed = outputs.text(_PRINTED)
        return [message(b"p", printed), answer] if printed else [answer]


def _name(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) else None


def _wait(kernels: Sequence[_Kernel], seconds: float) -> None:
    """Wait until something can be read, or written where something waits for it."""
    poll = select.poll()
    for kernel in kernels:
        writes = select.POLLOUT if kernel.link.wants_write else 0
        poll.register(kernel.link.fileno(), select.POLLIN | writes)
        for end in kernel.streams.values():
            poll.register(end.fileno(), select.POLLIN)
    poll.poll(max(0.0, seconds) * 1000 + 1)
