"""The line between a check and the student's code, which only values cross.

In an ordinary notebook there is no line: a check calls the student's function as it is. While
grading, checks run in one process and the student's code in another; what the check gets to
see of an object that is not a plain value is a :class:`Remote`. The process that runs checks
says with :func:`connect` how the other side is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

__all__ = [
    "AuthorError",
    "Lent",
    "OtherSide",
    "Remote",
    "StudentError",
    "connect",
    "kind_of",
    "other_side",
]


class StudentError(Exception):
    """The student's code raised an error, ended its program or ran out of time.

    Parameters
    ----------
    kind : str
        Name of the exception's class; empty where the program itself ended.
    message : str
        What it said.
    where : str
        The function and the line of the student's that raised it, for a sentence.
    """

    def __init__(self, kind: str, message: str, where: str = "") -> None:
        super().__init__(f"{kind}: {message}" if kind else message)
        self.kind = kind
        self.message = message
        self.where = where


class AuthorError(Exception):
    """A check does what cannot work across the line; for its author, not for the student."""


class OtherSide(Protocol):
    """Where the student's code is, as a check sees it."""

    def call(self, what: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a :class:`Remote`, or a function of the check's, over there."""

    def part(self, of: Remote, how: str, key: Any) -> Any:
        """Return an attribute, an item or the length of a remote object."""


class Remote:
    """A student's object that is not a plain value, seen from a check.

    It can be called, its attributes and items can be read and it can be handed back to the
    student's code. Two are equal only if they are the same: a student's ``==`` is never asked.

    Parameters
    ----------
    side : OtherSide
        Where the object is.
    ticket : dict
        What finds it there again.
    kind : str
        Name of its class.
    name : str
        The name by which the check looked it up; empty for what a call returned.
    """

    __slots__ = ("__name__", "_kind", "_side", "_ticket")
    __iter__ = None  # or Python would count items up to an IndexError that never comes
    __contains__ = None  # the same

    def __init__(self, side: OtherSide, ticket: dict[str, Any], kind: str, name: str) -> None:
        self._side = side
        self._ticket = ticket
        self._kind = kind
        self.__name__ = name or kind

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it over there."""
        return self._side.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._side.part(self, "attribute", name)

    def __getitem__(self, key: Any) -> Any:
        return self._side.part(self, "item", key)

    def __len__(self) -> int:
        size = self._side.part(self, "length", None)
        if type(size) is not int or size < 0:
            raise StudentError("TypeError", f"the length of a {self._kind} is no whole number")
        return size

    def __bool__(self) -> bool:
        raise TypeError(f"a {self._kind} is neither true nor false")

    def __repr__(self) -> str:
        return f"<a {self._kind} of the student's>"


def kind_of(thing: object) -> str:
    """Return the name of a thing's class, wherever the thing is."""
    return thing._kind if isinstance(thing, Remote) else type(thing).__name__


class Lent:
    """An instructor's function that student code may call; made by ``lend``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", "function")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it here."""
        return self.function(*args, **kwargs)


_side: OtherSide | None = None


def connect(side: OtherSide | None) -> None:
    """Say where the student's code is; None if it is in this process."""
    global _side
    _side = side


def other_side() -> OtherSide | None:
    """Return where the student's code is; None if it is in this process."""
    return _side
