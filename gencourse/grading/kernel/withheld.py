"""Names that a set asks for, and that student code finds missing while grading.

They are the library's own, and their twins in other packages. The latter are not imported for
this: they are withheld when the student's code imports them.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import types
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

__all__ = ["withhold"]

_LIBRARY = "gencourse"


def withhold(names: Iterable[str]) -> None:
    """Let each of these raise a sentence when anyone but the library itself calls it.

    Parameters
    ----------
    names : iterable of str
        Such as ``"gencourse.divergences.kl"`` or ``"scipy.stats.gaussian_kde"``: functions, or
        classes, which can't be made. The package that a name comes from may go on using it.

    Raises
    ------
    LookupError
        If there is no such name; the set's list of them is wrong then. Names of packages that
        are not imported yet are looked up when they are.
    """
    later: dict[str, list[str]] = {}
    for name in names:
        module = name.rpartition(".")[0]
        if _root(name) == _LIBRARY or module in sys.modules:
            _withhold(name, _find(name))
        else:
            later.setdefault(module, []).append(name)
    if later:
        sys.meta_path.insert(0, _WhenImported(later))


def _root(name: str) -> str:
    return name.partition(".")[0]


def _find(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        raise LookupError(f"nothing is called {name}, so it can't be withheld") from None


def _withhold(name: str, thing: Any) -> None:
    if isinstance(thing, type):
        thing.__init__ = _guarded(thing.__init__, name)  # type: ignore[misc]
        return
    guard = _guarded(thing, name) if isinstance(thing, types.FunctionType) else _Guard(thing, name)
    for module in [m for key, m in sys.modules.items() if _root(key) in (_LIBRARY, _root(name))]:
        for key, value in list(vars(module).items()):
            if value is thing:
                setattr(module, key, guard)


def _refuse(name: str, caller: types.FrameType) -> None:
    """Raise unless the calling code is the library's, or of the package the name comes from.

    The part that grades does not count as the library: it calls what the student handed in,
    which may be the withheld name itself.
    """
    module = str(caller.f_globals.get("__name__", ""))
    grades = module.startswith(f"{_LIBRARY}.grading")
    if grades or _root(module) not in (_LIBRARY, _root(name)):
        raise NotImplementedError(
            f"{name} is what this set asks you to write; it is not available while grading"
        )


def _guarded(function: Any, name: str) -> Any:
    @functools.wraps(function)
    def guard(*args: Any, **options: Any) -> Any:
        _refuse(name, sys._getframe(1))
        return function(*args, **options)

    del guard.__wrapped__
    return guard


class _Guard:
    """In place of something that is no plain function: it can be called, or looked up in."""

    __slots__ = ("__name", "__thing")

    def __init__(self, thing: Any, name: str) -> None:
        self.__thing = thing
        self.__name = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        _refuse(self.__name, sys._getframe(1))
        return self.__thing(*args, **options)

    # Of a table, such as the one of f-divergences.
    def __getitem__(self, key: Any) -> Any:
        _refuse(self.__name, sys._getframe(1))
        return self.__thing[key]

    def __iter__(self) -> Any:
        _refuse(self.__name, sys._getframe(1))
        return iter(self.__thing)

    def __len__(self) -> int:
        _refuse(self.__name, sys._getframe(1))
        return len(self.__thing)

    def __contains__(self, key: Any) -> bool:
        _refuse(self.__name, sys._getframe(1))
        return key in self.__thing

    def __getattr__(self, attribute: str) -> Any:
        if not attribute.startswith("__"):  # introspection asks whoever is asked
            _refuse(self.__name, sys._getframe(1))
        return getattr(self.__thing, attribute)


class _WhenImported(MetaPathFinder):
    """Withholds names of modules right after these are imported."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of these modules as it would be found without us."""
        names = self.names.pop(fullname, None)  # so that the next line does not ask us again
        spec = importlib.util.find_spec(fullname) if names else None
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenWithhold(spec.loader, names or [])
        return spec


class _ThenWithhold(Loader):
    def __init__(self, loader: Loader, names: list[str]) -> None:
        self.loader = loader
        self.names = names

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self.loader.exec_module(module)
        for name in self.names:
            attribute = name.rpartition(".")[2]
            if hasattr(module, attribute):
                _withhold(name, getattr(module, attribute))
