"""Functions and classes of a check, sent as their source and the values they use.

``beside`` and ``lend`` let an instructor's function run next to the student's code. What is
importable travels as its name. Anything else travels as source text without comments and
annotations, with the values of the names it uses: plain values, modules, and functions sent in
the same way.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import symtable
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from gencourse.grading.line import AuthorError, Lent

__all__ = ["NOTEBOOK", "free_names", "is_of_the_notebook", "rebuild", "ticket_of"]

#: Name of the module in which given cells and checks run.
NOTEBOOK = "notebook"
# Functions written in C say little about where they are to be found.
_SHELVES = ("torch.nn.functional", "torch", "torch.special", "torch.linalg", "math", "numpy")


def free_names(source: str) -> set[str]:
    """Return the names that code looks up outside of itself; none if it is not Python."""
    try:
        table = symtable.symtable(source, "<names>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return set()
    names = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    for inner in _tables(table):
        names |= {s.get_name() for s in inner.get_symbols() if s.is_global() and s.is_referenced()}
    return {name for name in names if not hasattr(builtins, name)}


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _tables(child)


def ticket_of(
    thing: object, write: Callable[[object], Any], _within: tuple[object, ...] = ()
) -> dict[str, Any] | None:
    """Describe a module, function or class; None if it is none of these.

    Raises
    ------
    AuthorError
        If its source can't be found, or it uses something that can't be sent.
    """
    if isinstance(thing, Lent):
        thing = thing.function
    if isinstance(thing, types.ModuleType):
        return {"import": thing.__name__}
    if not callable(thing):
        return None
    if (place := _place(thing)) is not None:
        return {"import": place}
    if not isinstance(thing, types.FunctionType | type):
        return None
    if any(thing is other for other in _within):
        raise AuthorError(f"{thing.__name__} and a function it calls call each other")
    tree = _class_tree(thing) if isinstance(thing, type) else _function_tree(thing)
    name, source = _plain_source(tree)
    used: dict[str, Any] = {}
    for free in sorted(free_names(source) | _free(thing)):
        found, value = _lookup(thing, free)
        if found and value is not thing:
            used[free] = _written(value, f"{free}, which {name} uses,", write, (*_within, thing))
    ticket: dict[str, Any] = {"source": source, "name": name, "names": used}
    if isinstance(thing, types.FunctionType):
        defaults = (thing.__defaults__, thing.__kwdefaults__)
        ticket["defaults"] = (
            [
                write(thing.__defaults__ and list(thing.__defaults__)),
                write(thing.__kwdefaults__),
            ]
            if any(defaults)
            else None
        )
    return ticket


def _written(
    value: object, what: str, write: Callable[[object], Any], within: tuple[object, ...]
) -> Any:
    if isinstance(value, types.ModuleType | Lent) or callable(value):
        ticket = ticket_of(value, write, within)
        if ticket is not None:
            return {"$": "opaque", **ticket}
    try:
        return write(value)
    except (ValueError, AuthorError) as error:
        raise AuthorError(f"{what} can't be sent to the student's code: {error}") from None


def _place(thing: Any) -> str | None:
    """Return ``module:name`` if a thing can be imported from the library or another package."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(name, str):
        return None
    places = [module, *_SHELVES] if isinstance(module, str) else list(_SHELVES)
    for place in places:
        if place not in sys.modules or place in (NOTEBOOK, "__main__"):
            continue
        for path in (name, name.rpartition(".")[2]):
            found: Any = sys.modules[place]
            for part in path.split("."):
                found = getattr(found, part, None)
            if found is thing:
                return f"{place}:{path}"
    return None


def is_of_the_notebook(thing: Any) -> bool:
    """Whether a function or class was written in the notebook: it can't be imported."""
    return _place(thing) is None


def _free(thing: Any) -> set[str]:
    return set(thing.__code__.co_freevars) if isinstance(thing, types.FunctionType) else set()


def _lookup(thing: Any, name: str) -> tuple[bool, Any]:
    """Return whether a function or class finds a name, and what it is."""
    if isinstance(thing, type):
        methods = [f for f in vars(thing).values() if isinstance(f, types.FunctionType)]
        spaces = [f.__globals__ for f in methods] or [vars(sys.modules[thing.__module__])]
        return (True, spaces[0][name]) if name in spaces[0] else (False, None)
    closure = dict(zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True))
    if name in closure:
        try:
            return True, closure[name].cell_contents
        except ValueError:
            return False, None
    return (True, thing.__globals__[name]) if name in thing.__globals__ else (False, None)


def _trees(filename: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse("".join(linecache.getlines(filename)))))


def _function_tree(function: types.FunctionType) -> ast.FunctionDef | ast.Lambda:
    code = function.__code__
    for node in _trees(code.co_filename):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
            if first == code.co_firstlineno:
                return node
        if (
            isinstance(node, ast.Lambda)
            and code.co_name == "<lambda>"
            and node.lineno == code.co_firstlineno
            and _same(node, code)
        ):
            return node
    raise AuthorError(f"the source of {function.__name__} can't be found")


def _same(node: ast.Lambda, code: types.CodeType) -> bool:
    """Whether this lambda, one of several on its line perhaps, is the one with this code."""
    body = node.body
    place = (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
    return place in set(code.co_positions())


def _class_tree(kind: type) -> ast.ClassDef:
    methods = [f for f in vars(kind).values() if isinstance(f, types.FunctionType)]
    for method in methods:
        for node in _trees(method.__code__.co_filename):
            if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
                last = node.end_lineno or node.lineno
                if node.lineno <= method.__code__.co_firstlineno <= last:
                    return node
    raise AuthorError(f"the source of class {kind.__name__} can't be found")


def _plain_source(tree: ast.FunctionDef | ast.Lambda | ast.ClassDef) -> tuple[str, str]:
    """Return name and source, without decorators, annotations and default values."""
    tree = ast.parse(ast.unparse(tree)).body[0]  # type: ignore[assignment]
    if isinstance(tree, ast.Expr):
        lambda_ = tree.value
        assert isinstance(lambda_, ast.Lambda)
        _without_defaults(lambda_.args)
        return "function", f"function = {ast.unparse(lambda_)}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
    if isinstance(tree, ast.FunctionDef):
        tree.decorator_list = []
        _without_defaults(tree.args)
    assert isinstance(tree, ast.FunctionDef | ast.ClassDef)
    return tree.name, ast.unparse(tree)


def _without_defaults(arguments: ast.arguments) -> None:
    """Put None for each default: their values are sent."""
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [d and ast.Constant(None) for d in arguments.kw_defaults]


def rebuild(ticket: dict[str, Any], read: Callable[[Any], Any]) -> Any:
    """Make a module, function or class from what :func:`ticket_of` wrote."""
    if "import" in ticket:
        module, _, name = ticket["import"].partition(":")
        thing: Any = import_module(module)
        for part in name.split(".") if name else ():
            thing = getattr(thing, part)
        return thing
    names = {name: read(node) for name, node in ticket["names"].items()}
    space: dict[str, Any] = {"__name__": "checks", "__builtins__": builtins, **names}
    exec(compile(ticket["source"], "<checks>", "exec"), space)
    thing = space[ticket["name"]]
    if ticket.get("defaults") is not None:
        positional, keyword = (read(node) for node in ticket["defaults"])
        thing.__defaults__ = positional and tuple(positional)
        thing.__kwdefaults__ = keyword
    return thing
