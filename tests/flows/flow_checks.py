"""Transforms to test, with weights that do something, and the truth about their Jacobians."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gencourse import flows, nets
from gencourse.flows import Transform, architectures

IMAGE = (1, 4, 4)
COLOUR = (3, 4, 2)
ODD = (1, 3, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def shaken(transform: Transform, seed: int = 0, by: float = 0.3) -> Transform:
    """In float64, with noise on every weight: layers that start at zero would hide errors."""
    transform.double()
    g = generator(seed)
    with torch.no_grad():
        for p in transform.parameters():
            p.add_(by * torch.randn(p.shape, generator=g, dtype=torch.float64))
    return transform.eval()


def mlp(a: int, b: int) -> nn.Module:
    return nets.mlp(a, b, width=8, depth=2, activation=nn.Tanh)


def convolutions(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nets.ResidualConvolutions(shape, outputs, width=4, depth=1)


def masked(d: int, order: list[int] | None = None) -> nn.Module:
    return nets.MaskedMLP(d, 2, width=12, depth=2, order=order, activation=nn.Tanh)


def masked_convolutions(shape: tuple[int, ...]) -> nn.Module:
    return nets.MaskedConvolutions(shape, 2, width=6, depth=1, radius=2)


def standardise() -> Transform:
    transform = flows.Standardise((3,))
    transform.measure(3 * torch.randn(50, 3, generator=generator()) + 1)
    return transform


#: Name to (transform, shape of what it maps).
CASES: dict[str, tuple[Callable[[], Transform], tuple[int, ...]]] = {
    "standardise": (standardise, (3,)),
    "diagonal": (partial(flows.DiagonalScaling, (3,)), (3,)),
    "permutation": (partial(flows.Permutation, [2, 0, 1]), (3,)),
    "reverse": (flows.Reverse, (3,)),
    "reverse image": (flows.Reverse, COLOUR),
    "squeeze": (flows.Squeeze, COLOUR),
    "additive": (lambda: flows.AdditiveCoupling(mlp(2, 2)), (4,)),
    "additive swap": (lambda: flows.AdditiveCoupling(mlp(2, 3), swap=True), (5,)),
    "affine": (lambda: flows.AffineCoupling(mlp(3, 4)), (5,)),
    "affine swap": (lambda: flows.AffineCoupling(mlp(1, 2), swap=True), (2,)),
    "affine channels": (lambda: flows.AffineCoupling(convolutions((2, 2, 2), 4)), (4, 2, 2)),
    "board": (lambda: flows.CheckerboardCoupling(ODD, convolutions(ODD, 2)), ODD),
    "board additive": (
        lambda: flows.CheckerboardCoupling(COLOUR, convolutions(COLOUR, 3), swap=True, bound=None),
        COLOUR,
    ),
    "half": (
        lambda: flows.OnHalf(flows.CheckerboardCoupling((2, 2, 2), convolutions((2, 2, 2), 4))),
        (4, 2, 2),
    ),
    "masked affine": (lambda: flows.MaskedAffine(masked(4, [2, 0, 3, 1])), (4,)),
    "one coordinate": (lambda: flows.MaskedAffine(masked(1)), (1,)),
    "inverse": (lambda: flows.Inverse(flows.MaskedAffine(masked(3))), (3,)),
    "masked image": (lambda: flows.MaskedAffine(masked_convolutions(COLOUR)), COLOUR),
    "nice": (partial(architectures.nice, (3,), layers=3, width=8, depth=1), (3,)),
    "realnvp": (partial(architectures.realnvp, (3,), layers=4, width=8, depth=1, bound=2.0), (3,)),
    "maf": (partial(architectures.maf, (3,), layers=3, width=8, depth=1, bound=2.0), (3,)),
    "iaf": (partial(architectures.iaf, (3,), layers=3, width=8, depth=1, bound=2.0), (3,)),
    "nice image": (partial(architectures.nice, IMAGE, layers=2, width=3, depth=1), IMAGE),
    "realnvp image": (
        partial(architectures.realnvp, IMAGE, layers=2, width=3, depth=1, bound=2.0),
        IMAGE,
    ),
    "realnvp odd": (
        partial(architectures.realnvp, ODD, layers=2, width=3, depth=1, bound=2.0),
        ODD,
    ),
    "maf image": (partial(architectures.maf, IMAGE, layers=2, width=3, depth=1, bound=2.0), IMAGE),
}


def case(name: str) -> tuple[Transform, Tensor]:
    """Return a transform and five points to map."""
    make, shape = CASES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transform = shaken(make())
    return transform, normal(5, *shape, seed=1)


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂f/∂x of each row by itself, shape ``(n, d, d)``, whatever the shapes of rows."""
    rows = []
    for row in x:
        J = torch.autograd.functional.jacobian(lambda r: function(r[None])[0].flatten(), row)
        rows.append(J.reshape(row.numel(), row.numel()))
    return torch.stack(rows)
