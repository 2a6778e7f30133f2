"""Find check cells that cannot work across two kernels, before students get them.

A check sees values of the student's and handles on everything else. What would need more is
found in the syntax of the cells: it is better to hear of it when a set is released than when it
is graded.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gencourse.grading.job import Cell
from gencourse.grading.kernel.source import free_names

__all__ = ["faults"]

_PLAIN = {"bool", "int", "float", "complex", "str", "bytes", "list", "tuple", "dict", "set"}
_PLAIN |= {"frozenset", "Tensor", "torch.Tensor", "np.ndarray", "numpy.ndarray"}

# What every notebook has.
_EVERYWHERE = {*dir(builtins), "display", "get_ipython", "__name__"}


@dataclass
class _Seen:
    """What the cells read so far define at their top level, and where."""

    student: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    checks: dict[str, str] = field(default_factory=dict)
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)


def faults(cells: Sequence[Cell]) -> list[str]:
    """Return what is wrong with the check cells of a set, in sentences for its author.

    Parameters
    ----------
    cells : sequence of Cell
        All code cells of the source, in order, with solutions and hidden checks.
    """
    seen, found = _Seen(), []
    for cell in cells:
        try:
            tree = ast.parse(_without_magics(cell.source))
        except SyntaxError as error:
            if cell.kind != "student":
                found.append(f"cell {cell.name} is no Python, line {error.lineno}: {error.msg}")
            continue
        defined = _defined(tree)
        if cell.kind == "student":
            seen.student |= defined
            continue
        seen.functions |= {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        if cell.kind == "given":
            seen.given |= defined
            continue
        found += [f"check cell {cell.name} {fault}" for fault in _of_checks(tree, cell, seen)]
        seen.checks |= dict.fromkeys(defined, cell.name)
    return found


def _without_magics(source: str) -> str:
    lines = source.splitlines()
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in lines)


def _defined(tree: ast.Module) -> set[str]:
    """Names that a cell binds at its top level, or within loops and conditions there."""
    names: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(a.asname or a.name).split(".")[0] for a in node.names}
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, ast.Lambda):
            pending += list(ast.iter_child_nodes(node))
    return names


def _of_checks(tree: ast.Module, cell: Cell, seen: _Seen) -> Iterator[str]:
    own = _defined(tree)
    yield from _foreign_names(cell, own, seen)
    theirs = seen.student - seen.given - own
    secrets = {"reference"} | _bound_to_references(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_a_call(node, theirs, secrets, seen)
        if isinstance(node, ast.Try) and any(
            isinstance(n, ast.Call) and _root(n.func) in theirs
            for part in node.body
            for n in ast.walk(part)
        ):
            yield (
                f"catches exceptions of the student's code (line {node.lineno}); they arrive "
                'as another kind: use raises(f, "ValueError", …)'
            )
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                if _root(base) in theirs:
                    yield f"derives {node.name} from the student's {ast.unparse(base)}: use beside"
        is_set = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if is_set and _root(node) in theirs:
            yield f"sets {ast.unparse(node)}, which is the student's: use beside"


def _foreign_names(cell: Cell, own: set[str], seen: _Seen) -> Iterator[str]:
    for name in sorted(free_names(_without_magics(cell.source)) - own - seen.given - seen.student):
        if name in seen.checks:
            yield (
                f"uses {name} of check cell {seen.checks[name]}; each begins afresh: "
                "put it into a given cell"
            )
        elif name not in _EVERYWHERE:
            yield f"uses {name}, which no cell above defines"


def _of_a_call(node: ast.Call, theirs: set[str], secrets: set[str], seen: _Seen) -> Iterator[str]:
    called = ast.unparse(node.func)
    if called in ("isinstance", "issubclass") and len(node.args) == 2:
        kinds = node.args[1]
        for kind in kinds.elts if isinstance(kinds, ast.Tuple) else _united(kinds):
            name = ast.unparse(kind)
            if name not in _PLAIN:
                better = "is_module(…)" if name.endswith("Module") else "values, or beside"
                yield f"asks for an object's class ({ast.unparse(node)}): use {better}"
    if called in ("lend", "beside") and node.args:
        for name in sorted(_reached(node.args[0], seen) & secrets):
            yield (
                f"lets the student's code read {name} ({called} sends "
                f"{ast.unparse(node.args[0])[:40]} as source)"
            )
    if _root(node.func) in theirs:
        for argument in [*node.args, *(k.value for k in node.keywords)]:
            is_function = isinstance(argument, ast.Lambda) or (
                isinstance(argument, ast.Name) and argument.id in seen.functions
            )
            if is_function and _root(argument) not in theirs:
                text = ast.unparse(argument)[:40]
                yield f"hands a function to {called}: write lend({text})"


def _united(kinds: ast.expr) -> list[ast.expr]:
    """The classes in ``A | B``."""
    if isinstance(kinds, ast.BinOp) and isinstance(kinds.op, ast.BitOr):
        return [*_united(kinds.left), *_united(kinds.right)]
    return [kinds]


def _root(node: ast.AST) -> str:
    """The name that an expression begins with, such as ``a`` of ``a.b[0](c)``."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _bound_to_references(tree: ast.Module) -> set[str]:
    """Names that hold what ``reference(…)`` returned."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=False)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(target, node.value)]
                )
                names |= {
                    a.id for a, b in pairs if isinstance(a, ast.Name) and _root(b) == "reference"
                }
    return names


def _reached(function: ast.AST, seen: _Seen) -> set[str]:
    """All names that a function uses, and the functions of the checks that it calls."""
    names: set[str] = set()
    pending = [function]
    while pending:
        for node in ast.walk(pending.pop()):
            if isinstance(node, ast.Name) and node.id not in names:
                names.add(node.id)
                if node.id in seen.functions:
                    pending.append(seen.functions[node.id])
    return names
