"""The kernel of the checks: it runs given cells and check cells, and no line of a student's.

A name that a check uses and the given cells don't define is looked up on the student's side,
anew for each cell; what is no plain value there is a :class:`~gencourse.grading.line.Remote`
here. Each check cell begins with the names that the given cells left, and with seeds that depend
on the hand-in and on its own name alone.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import math
import os
import random
import signal
import socket
import sys
import time
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from IPython.core.inputtransformer2 import TransformerManager

from gencourse.grading.kernel import source, wire
from gencourse.grading.kernel.agreed import COURSE_FOLDER, seed_of
from gencourse.grading.kernel.frames import Frame, Line, message
from gencourse.grading.line import AuthorError, Lent, Remote, StudentError, connect
from gencourse.grading.session import COURSE_VARIABLE, GRADING_VARIABLE, SEED_VARIABLE
from gencourse.grading.values import CheckFailed

__all__ = ["main"]


def main(ends: Sequence[socket.socket]) -> None:
    """Serve until the owner hangs up; entry point of a child."""
    (control,) = ends
    line = Line(control)
    begin = line.receive().read()
    os.environ[GRADING_VARIABLE] = "1"
    os.environ[COURSE_VARIABLE] = os.path.abspath(COURSE_FOLDER)
    _Kernel(line, begin["seed"]).serve()


class _Side:
    """The student's side, reached through the owner."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.generators: list[torch.Generator] = []
        self.named: set[str] = set()  # what of the student's takes part in a call, by its name

    def call(self, what: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call something over there."""
        return self.ask(do="call", what=_Shipped.of(what), args=tuple(args), kwargs=dict(kwargs))

    def part(self, of: Remote, how: str, key: Any) -> Any:
        """Read a part of something over there."""
        return self.ask(do=how, of=of, key=key)

    def names(self, names: Sequence[str]) -> dict[str, Any]:
        """Look up names over there; those that aren't there are left out."""
        found = self.ask(do="names", names=list(names))
        if type(found) is not dict or not set(found) <= set(names):
            raise StudentError("", "your notebook's names could not be read")
        for name, value in found.items():
            if isinstance(value, Remote):
                value.__name__ = name
                value._ticket["name"] = name
        return found

    def ask(self, **request: Any) -> Any:
        """Ask, and wait for the answer; the clock of a check runs on the owner's side."""
        self.named.clear()
        try:
            payload = wire.encode(request, self.ticket)
        except wire.WireError as error:
            raise AuthorError(f"a check hands over what can't be sent: {error}") from None
        finally:
            self.advance()
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        began = time.monotonic()
        late = False
        try:
            about = {"seconds": left or None, "names": sorted(self.named - {""})}
            self.line.send(message(b"d", about))
            self.line.send(Frame(b"c", *payload))
            frame = self.line.receive()
            if frame.kind == b"p":
                print(frame.read(), end="")
                frame = self.line.receive()
            late = frame.kind == b"t"
        finally:
            if left:
                spent = time.monotonic() - began
                signal.setitimer(signal.ITIMER_REAL, 1e-6 if late else max(left - spent, 1e-6))
        if late:
            time.sleep(0.2 if left else 0)  # the check's own clock strikes here
            raise StudentError("", "your code was still running when its time was up")
        if frame.kind == b"g":
            raise StudentError("", str(frame.read()))
        return self.value(frame.payload)

    def value(self, payload: wire.Payload) -> Any:
        try:
            answer = wire.decode(payload, self.remote)
        except wire.WireError:
            raise StudentError("", "what your code returned can't be read") from None
        if type(answer) is dict and set(answer) == {"value"}:
            return answer["value"]
        error = answer.get("error") if type(answer) is dict else None
        if type(error) is not dict:
            raise StudentError("", "what your code returned can't be read")
        kind, said, where = (_line(error.get(key)) for key in ("kind", "message", "where"))
        raise StudentError(kind or "Exception", said, where)

    def ticket(self, thing: object, write: Callable[[object], Any]) -> dict[str, Any]:
        if isinstance(thing, Remote):
            self.named.add(thing._ticket["name"])
            return thing._ticket
        if isinstance(thing, torch.Generator):
            self.generators.append(thing)
            return {"generator": write(thing.get_state())}
        if isinstance(thing, _Shipped | Lent):
            ticket = source.ticket_of(thing.function, write)
            if ticket is not None:
                return ticket
        if isinstance(thing, types.FunctionType | type) and source.is_of_the_notebook(thing):
            raise AuthorError(
                f"{thing.__name__} is a function of the checks; hand over lend({thing.__name__})"
            )
        ticket = source.ticket_of(thing, write)
        if ticket is None:
            raise AuthorError(f"a {type(thing).__name__} can't be handed to the student's code")
        return ticket

    def remote(self, ticket: dict[str, Any], read: Callable[[Any], Any]) -> Remote:
        place, kind = ticket.get("remote"), ticket.get("kind")
        if type(place) is not dict or type(kind) is not str:
            raise wire.WireError("a ticket that is none")
        numbers = [place.get(key) for key in ("generation", "number")]
        if any(type(n) is not int for n in numbers):
            raise wire.WireError("a ticket that is none")
        known = {"generation": numbers[0], "number": numbers[1]}
        return Remote(self, {"remote": known, "name": ""}, _line(kind)[:80], "")

    def advance(self) -> None:
        """Move on generators that were handed over as copies, whatever was drawn from those."""
        for generator in self.generators:
            generator.manual_seed(int(torch.randint(1 << 62, (), generator=generator)))
        self.generators.clear()


class _Shipped:
    """A function of the instructor's, to be called over there."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @classmethod
    def of(cls, what: object) -> object:
        return what if isinstance(what, Remote) else cls(what)  # type: ignore[arg-type]


class _NoShell:
    """What magics in given cells find: they do nothing here."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None


class _Kernel:
    def __init__(self, line: Line, seed: int) -> None:
        self.line = line
        self.seed = seed
        self.side = _Side(line)
        connect(self.side)
        module = types.ModuleType(source.NOTEBOOK)
        sys.modules[source.NOTEBOOK] = module
        self.space = module.__dict__
        self.space["get_ipython"] = lambda: _NoShell()
        self.space["display"] = lambda *things, **options: None
        self.transform = TransformerManager().transform_cell
        self.wanted: set[str] = set()

    def serve(self) -> None:
        self.line.send(message(b"e", None))
        while True:
            try:
                frame = self.line.receive()
            except EOFError:
                return
            cell = frame.read()
            answer = self.run(cell["name"], cell["source"], cell["kind"] == "checks")
            self.line.send(message(b"e", answer))

    def run(self, name: str, code: str, checks: bool) -> dict[str, Any]:
        """Run a cell; return its text, its score, and who is to blame if it failed."""
        printed = io.StringIO()
        kept = dict(self.space)
        answer: dict[str, Any] = {"score": None, "blame": "", "error": ""}
        missing: set[str] = set()
        found: dict[str, Any] = {}
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
                code = self.python(code)
                wanted = source.free_names(code)
                if not checks:
                    self.wanted |= wanted
                seed = seed_of(self.seed, name)
                os.environ[SEED_VARIABLE] = str(seed)
                random.seed(seed)
                np.random.seed(seed % 2**32)
                torch.manual_seed(seed)
                asked = sorted((self.wanted | wanted) - set(self.space))
                found = self.side.names(asked) if asked else {}
                missing = set(asked) - set(found)
                self.space.update(found)
                value = self.execute(code, name)
            if checks:
                answer["score"] = _score(value)
        except (StudentError, CheckFailed) as error:
            answer.update(blame="student", error=str(error))
        except NameError as error:
            blame = "student" if error.name in missing else "author"
            answer.update(blame=blame, error=str(error))
        except BaseException as error:
            answer.update(blame="author", error="".join(traceback.format_exception(error)[-6:]))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            if checks:
                self.space.clear()
                self.space.update(kept)
            else:
                for key, value in found.items():
                    if self.space.get(key) is value:
                        del self.space[key]
        answer["text"] = printed.getvalue().encode("utf-8", "replace").decode()
        return answer

    def python(self, code: str) -> str:
        """Return a cell as Python: magics, which do nothing here, are calls."""
        try:
            ast.parse(code)
        except SyntaxError:
            return self.transform(code)
        return code

    def execute(self, code: str, name: str) -> Any:
        """Execute a cell; return the value of its last line."""
        file = f"<cell {name}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        tree = ast.parse(code, file)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            exec(compile(tree, file, "exec"), self.space)
            return None
        del tree.body[-1]
        exec(compile(tree, file, "exec"), self.space)
        return eval(compile(ast.Expression(last.value), file, "eval"), self.space)


def _line(text: object) -> str:
    """Return the first line of what a student's program calls something, without controls."""
    first = (str(text or "").strip().splitlines() or [""])[0]
    return "".join(c for c in first[:300] if c.isprintable())


def _score(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:  # type: ignore[operator,arg-type]
        raise AuthorError(f"a check cell must end in its points, not in {value!r}")
    return float(value)  # type: ignore[arg-type]
