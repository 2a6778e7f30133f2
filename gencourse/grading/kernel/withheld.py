"""Names of the library that a set asks for, and that student code finds missing while grading."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

__all__ = ["withhold"]

_LIBRARY = "gencourse"


def withhold(names: Iterable[str]) -> None:
    """Let each of these raise a sentence when anyone but the library itself calls it.

    Parameters
    ----------
    names : iterable of str
        Such as ``"gencourse.divergences.kl"``: functions, or classes, which can't be made.

    Raises
    ------
    LookupError
        If there is no such name; the set's list of them is wrong then.
    """
    for name in names:
        thing = _find(name)
        if isinstance(thing, type):
            thing.__init__ = _guarded(thing.__init__, name)  # type: ignore[misc]
            continue
        guard = _guarded(thing, name)
        for module in [m for key, m in sys.modules.items() if key.split(".")[0] == _LIBRARY]:
            for key, value in list(vars(module).items()):
                if value is thing:
                    setattr(module, key, guard)


def _find(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise LookupError(f"nothing is called {name}, so it can't be withheld") from None


def _guarded(function: Any, name: str) -> Any:
    @functools.wraps(function)
    def guard(*args: Any, **options: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if str(caller).split(".")[0] != _LIBRARY:
            raise NotImplementedError(
                f"{name} is what this set asks you to write; it is not available while grading"
            )
        return function(*args, **options)

    del guard.__wrapped__
    return guard
