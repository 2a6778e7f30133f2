"""Functions travel as source with what they use, and arrive as the same functions."""

from __future__ import annotations

import linecache
import math
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gencourse.grading.kernel import source, wire
from gencourse.grading.line import AuthorError

CELL = """
import math, torch
from torch import nn
from torch.nn.functional import softplus
SCALE = torch.tensor([1.0, 2.0])

def plain(x: float, *, power: int = 2, factor=SCALE) -> "Tensor":
    return factor * x**power  # a secret

def outer(n):
    offset = n + 1
    def inner(x, y=n): return plain(x) + offset + y + softplus(torch.zeros(()))
    return inner

def factorial(n): return 1 if n == 0 else n * factorial(n - 1)
def even(n): return True if n == 0 else odd(n - 1)
def odd(n): return False if n == 0 else even(n - 1)
pair = [lambda x: x + 1, lambda x: x + SCALE]; same = [lambda: 1, lambda: 1]
made = (lambda a: lambda b: a * b)(3)
class Toy(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.scale = SCALE[:1] * width
    def forward(self, x): return [self.scale * v for v in x]
class Child(Toy):
    def forward(self, x): return super().forward(x) + [helper()]
def helper(): return math.pi
def build(): return Child(2)
stuck = object()
def unsendable(): return stuck
def nested(xs): return [math.exp(x) for x in xs if (lambda: x > 0)()]
"""


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What a notebook holds after its given cell."""
    module = types.ModuleType(source.NOTEBOOK)
    file = "<cell given>"
    linecache.cache[file] = (len(CELL), None, CELL.splitlines(keepends=True), file)
    import sys

    sys.modules[source.NOTEBOOK] = module
    exec(compile(CELL, file, "exec"), module.__dict__)
    yield module.__dict__
    del sys.modules[source.NOTEBOOK]


def journey(thing: object) -> Any:
    def ticket(value: object, write: Any) -> dict[str, Any]:
        written = source.ticket_of(value, write)
        if written is None:
            raise AuthorError("no function")
        return written

    payload = wire.encode(thing, ticket)
    assert b"secret" not in payload[0]
    return wire.decode(payload, source.rebuild)


def test_functions_bring_what_they_use(names: dict[str, Any]) -> None:
    x = torch.tensor(3.0)
    assert torch.equal(journey(names["plain"])(x), torch.tensor([9.0, 18.0]))
    assert torch.equal(journey(names["plain"])(x, power=1, factor=1), x)
    inner = names["outer"](4)
    assert torch.equal(journey(inner)(x), inner(x))
    assert journey(names["factorial"])(5) == 120
    assert journey(names["made"])(5) == 15
    assert journey(names["nested"])([-1.0, 0.0, 1.0]) == [math.e]
    assert [
        journey(f)(1).tolist() if i else journey(f)(1) for i, f in enumerate(names["pair"])
    ] == [
        2,
        [2.0, 3.0],
    ]
    assert [journey(f)() for f in names["same"]] == [1, 1]


def test_classes_and_what_builds_them(names: dict[str, Any]) -> None:
    built = journey(names["build"])()
    assert isinstance(built, torch.nn.Module)
    assert type(built).__name__ == "Child"
    assert built([1.0]) == [torch.tensor([2.0]), math.pi]


@pytest.mark.parametrize(
    "thing", [math, torch.nn.functional, torch.exp, torch.nn.Linear, math.sin, len, wire.encode]
)
def test_what_can_be_imported_travels_by_name(thing: object) -> None:
    assert journey(thing) is thing


def test_what_can_not_travel_is_explained(names: dict[str, Any]) -> None:
    with pytest.raises(AuthorError, match="stuck, which unsendable uses, can't be sent"):
        journey(names["unsendable"])
    with pytest.raises(AuthorError, match="call each other"):
        journey(names["even"])
    space: dict[str, Any] = {}
    exec("def f(): return 1", space)
    with pytest.raises(AuthorError, match="source of f can't be found"):
        journey(space["f"])


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("x = f(y)\ndef g(a): return a + b + len(c)", {"f", "y", "b", "c"}),
        ("class A(B):\n    x: C = d\n    def m(self): return e", {"B", "d", "e", "C"}),
        ("[i + k for i in j]", {"k", "j"}),
        ("def f():\n    global g\n    g = h", {"h"}),
        ("lambda x: (x.attribute, name)", {"name"}),
        ("x = 1\nx", {"x"}),
        ("not python (", set()),
    ],
)
def test_free_names_are_those_looked_up_outside(code: str, names: set[str]) -> None:
    assert source.free_names(code) == names
