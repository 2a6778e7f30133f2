"""What the problems of this package ask of their input, said once."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite, points

__all__ = ["balanced", "clouds", "cost_matrix", "masses", "order", "weights"]

# Totals may differ by the rounding of their own dtype, and by what a user's file rounds off.
ROUNDING = 32
LEAST_TOLERANCE = 1e-9


def clouds(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Check two clouds of points and that they live in the same space."""
    x, y = points(x, "x"), points(y, "y")
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"x and y must hold points of the same shape, not {tuple(x.shape[1:])} "
            f"and {tuple(y.shape[1:])}"
        )
    return x, y


def order(p: float) -> float:
    """Check the order of a distance."""
    if isinstance(p, bool) or not isinstance(p, int | float) or not 1 <= p < float("inf"):
        raise ValueError(f"p must be a finite number of at least 1, not {p!r}")
    return float(p)


def cost_matrix(C: Tensor) -> Tensor:
    """Check a matrix of costs."""
    C = points(C, "C")
    if C.ndim != 2:
        raise ValueError(f"C must be a matrix of costs, not of shape {tuple(C.shape)}")
    return C


def masses(p: Tensor, name: str, n: int) -> Tensor:
    """Check n masses, and return them in float64."""
    if not isinstance(p, Tensor) or not p.is_floating_point():
        what = p.dtype if isinstance(p, Tensor) else type(p).__name__
        raise ValueError(f"{name} must be a tensor of a floating dtype, not {what}")
    if p.shape != (n,):
        raise ValueError(f"{name} must have shape {(n,)}, one mass each, not {tuple(p.shape)}")
    finite(p, name)
    if bool((p < 0).any()):
        raise ValueError(f"{name} holds negative masses, the least {p.min().item():g}")
    if not bool((p > 0).any()):
        raise ValueError(f"{name} holds no mass at all")
    return double(p)


def balanced(p: Tensor, q: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Check masses p of the rows and q of the columns; return them in float64, of one total."""
    n, m = C.shape
    sent, received = masses(p, "p", n).to(C.device), masses(q, "q", m).to(C.device)
    total, other = sent.sum(), received.sum()
    eps = max(torch.finfo(p.dtype).eps, torch.finfo(q.dtype).eps)
    if not bool((total - other).abs() <= max(ROUNDING * eps, LEAST_TOLERANCE) * total):
        raise ValueError(
            f"what is sent and what is received must agree, but p sums to {total.item():.9g} and "
            f"q to {other.item():.9g}; scale one of them"
        )
    return sent, received * (total / other)


def weights(w: Tensor | None, name: str, n: int, like: Tensor) -> Tensor:
    """Return n weights that sum to 1, in float64 beside ``like``; by default equal ones."""
    if w is None:
        return torch.full((n,), 1 / n, dtype=torch.float64, device=like.device)
    w = masses(w, name, n).to(like.device)
    return w / w.sum()
