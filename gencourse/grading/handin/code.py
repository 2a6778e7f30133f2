"""What a cell of Python defines, and how much of it still is the stub that a release has."""

from __future__ import annotations

import ast
import contextlib
import re
import warnings
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Progress", "Stub", "additions", "code_of", "defines_something", "normal", "parsed"]


class Progress(IntEnum):
    """How far somebody has come with one function."""

    STUB = 0
    UNFINISHED = 1
    WRITTEN = 2


def normal(source: str) -> str:
    """Return a source without what is invisible: spaces at the ends of lines, empty ends."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


_MAGIC = re.compile(r"^([ \t]*)[%!?][^\n]*$", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\A\s*%%[^\n]*")
# Nobody types as much; parsing it would take long.
_LONGEST = 500_000
_FENCE = re.compile(r"\A\s*```[ \t]*\w*[ \t]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def code_of(source: str) -> str:
    """Return the code in a text: what stands between fences, if that is all there is."""
    fenced = _FENCE.match(source)
    return fenced[1] if fenced else source


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree, with a ``pass`` for each magic; None if it is not Python."""
    if len(source) > _LONGEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in the student's strings
        # A line may begin with % or ! for other reasons than magic.
        plain = _CELL_MAGIC.sub("", source)
        for text in (source, plain, _MAGIC.sub(r"\1pass", plain)):
            try:
                return _tree(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return None


def _tree(text: str) -> ast.Module:
    """Parse a text, again if another thread parsed one meanwhile.

    Before Python 3.11.9 and 3.12.3 all threads share the count of how deep the parser is, and it
    raises ``SystemError`` when it finds it changed (CPython's issue 106905).
    """
    for _ in range(9):
        with contextlib.suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


_Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _bound(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a cell gives a value."""
    if isinstance(statement, _Defined):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(a.asname or a.name).partition(".")[0] for a in statement.names]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [
        n.id
        for t in targets
        for n in ast.walk(t)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]


def _body(statement: ast.stmt) -> list[ast.stmt]:
    """Return the statements of a function or a class without its docstring."""
    if not isinstance(statement, _Defined):
        return [statement]
    body = list(statement.body)
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
    return body


def _dump(statement: ast.stmt) -> str:
    return "\n".join(ast.dump(part) for part in _body(statement))


def _gives_up(statement: ast.stmt) -> bool:
    """Whether a body ends in ``raise NotImplementedError`` before it returns anything."""
    for part in _body(statement):
        if isinstance(part, ast.Return):
            return False
        if isinstance(part, ast.Raise) and part.exc is not None:
            raised = part.exc.func if isinstance(part.exc, ast.Call) else part.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                return True
    return False


# Where a cell can't be parsed, the lines that look as if they defined something.
_LOOKS_LIKE = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^(\w+)\s*=(?!=)", re.MULTILINE)


@dataclass(frozen=True)
class Stub:
    """The stub of one answer: what the student is asked to write.

    Attributes
    ----------
    source : str
        Of the cell in the release.
    names : tuple of str
        The functions that are to be written; if none is marked, everything it defines.
    """

    source: str
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: str) -> Stub:
        """Read the names from the stub itself."""
        tree = parsed(source)
        body = tree.body if tree else []
        asked = [s for s in body if isinstance(s, _Defined) and _gives_up(s)]
        return cls(source, tuple(dict.fromkeys(n for s in asked or body for n in _bound(s))))

    def progress(self, source: str) -> dict[str, Progress]:
        """Say how far a cell has come with each of the names that it defines; the last counts."""
        tree = parsed(source)
        if tree is None:
            found = {a or b for a, b in _LOOKS_LIKE.findall(source)}
            return {name: Progress.UNFINISHED for name in self.names if name in found}
        stub = parsed(self.source)
        untouched = {n: _dump(s) for s in (stub.body if stub else []) for n in _bound(s)}
        result: dict[str, Progress] = {}
        for statement in tree.body:
            for name in _bound(statement):
                if name not in self.names:
                    continue
                if _dump(statement) == untouched.get(name):
                    result[name] = Progress.STUB
                elif isinstance(statement, _Defined) and _gives_up(statement):
                    result[name] = Progress.UNFINISHED
                else:
                    result[name] = Progress.WRITTEN
        return result

    def is_left(self, source: str) -> bool:
        """Whether a cell is still the stub, or holds no statement at all."""
        if normal(source) == normal(self.source):
            return True
        tree = parsed(source)
        if tree is None or _MAGIC.search(source):
            return False
        stub = parsed(self.source)
        left = set(map(_dump, stub.body)) if stub else set()
        return all(_dump(s) in left or isinstance(s, ast.Pass) for s in tree.body)


def defines_something(source: str) -> bool:
    """Whether a cell has a function or a class, or can't be parsed and may have one."""
    tree = parsed(source)
    return tree is None or any(isinstance(s, _Defined) for s in tree.body)


def additions(source: str, given: str) -> str:
    """Return what a student added to a given cell: imports, functions and values of other names.

    Changes to what was there, and statements that only do something, are left out.
    """
    theirs, ours = parsed(source), parsed(given)
    if theirs is None or ours is None:
        return ""
    known = {ast.dump(s) for s in ours.body}
    taken = {name for s in ours.body for name in _bound(s)}
    lines = source.split("\n")
    kept = []
    for statement in theirs.body:
        names = _bound(statement)
        if not names or ast.dump(statement) in known or not taken.isdisjoint(names):
            continue
        decorators = getattr(statement, "decorator_list", ())
        first = min(part.lineno for part in (statement, *decorators))
        kept.append("\n".join(lines[first - 1 : statement.end_lineno]))
    return "\n".join(kept)
