"""Four distances side by side, and the examples on which they disagree (deck E)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite
from gencourse.divergences.base import masses
from gencourse.divergences.table import F_DIVERGENCES

__all__ = ["Distances", "distances", "parallel_lines"]


@dataclass(frozen=True)
class Distances:
    r"""Four distances between the same two laws.

    Attributes
    ----------
    tv : float
        Total variation ½ ∫ \|p - q\|, between 0 and 1.
    kl : float
        KL(p ‖ q) in nats, infinite where p has mass and q has none.
    js : float
        ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q), between 0 and log 2.
    w1 : float
        Wasserstein distance of order 1, in units of x.
    """

    tv: float
    kl: float
    js: float
    w1: float


def distances(p: Tensor, q: Tensor, x: Tensor) -> Distances:
    r"""Measure how far apart two laws on finitely many points of the line are.

    Deck E's table: for a sequence of laws q_n, KL(p ‖ q_n) → 0 implies JS → 0 and TV → 0
    (each implies the other), which on a bounded set implies W₁ → 0; and W₁ → 0 says that q_n
    converges to p in distribution. No arrow can be turned round.

    Parameters
    ----------
    p, q : Tensor of shape (n,)
        Masses, with sum 1 each.
    x : Tensor of shape (n,)
        Where they lie, in increasing order.

    Returns
    -------
    Distances

    Raises
    ------
    ValueError
        If shapes differ, the points do not increase, or the masses are no laws.

    Examples
    --------
    All mass at 0 against all mass at 5: only W₁ says how far that is.

    >>> import torch
    >>> x = torch.arange(6.0)
    >>> p, q = torch.eye(6)[0], torch.eye(6)[5]
    >>> distances(p, q, x)
    Distances(tv=1.0, kl=inf, js=0.6931471805599453, w1=5.0)
    """
    if not (p.ndim == 1 and p.shape == q.shape == x.shape):
        raise ValueError(
            "p, q and x must have one shape (n,), not "
            f"{tuple(p.shape)}, {tuple(q.shape)} and {tuple(x.shape)}"
        )
    at = double(finite(x, "x"))
    if not bool((at.diff() > 0).all()):
        raise ValueError("x must increase strictly")
    a, b = masses(p, "p"), masses(q, "q")
    # On the line W₁ is the area between the distribution functions.
    between = (a - b).cumsum(0)[:-1].abs()
    return Distances(
        tv=F_DIVERGENCES["tv"].value(a, b).item(),
        kl=F_DIVERGENCES["kl"].value(a, b).item(),
        js=F_DIVERGENCES["js"].value(a, b).item() / 2,
        w1=(between * at.diff()).sum().item(),
    )


def parallel_lines(theta: float) -> Distances:
    r"""Return the distances between two parallel unit segments at distance \|θ\| (decks A, C, E).

    (0, U) against (θ, U) with U uniform on [0, 1]. Unless θ = 0 the supports are disjoint, and
    TV, KL and JS are at their largest, however near the segments come; only W₁ = \|θ\|
    falls to 0 with θ, and has a gradient (Arjovsky, Chintala & Bottou 2017, example 1).

    Raises
    ------
    ValueError
        If θ is not finite.
    """
    if not math.isfinite(theta):
        raise ValueError(f"theta must be finite, not {theta!r}")
    if theta == 0:
        return Distances(0.0, 0.0, 0.0, 0.0)
    # The second coordinate has the same law in both, so the distances are those of the first.
    ends = sorted([0.0, float(theta)])
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    if theta < 0:
        p, q = q, p
    return distances(p, q, torch.tensor(ends, dtype=torch.float64))
