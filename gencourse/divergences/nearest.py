"""The Gaussian nearest to a law on the line, which is another one for each divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.divergences.base import FDivergence

__all__ = ["NearestGaussian", "nearest_gaussian"]

STARTS = 24  # along each of mean and standard deviation
NARROWEST = 1 / 60  # least standard deviation tried, as a share of the interval


@dataclass(frozen=True)
class NearestGaussian:
    """The best Gaussian q = N(mean, std²) for a given p.

    Attributes
    ----------
    mean, std : float
        Its parameters.
    value : float
        D_f(p ‖ q), the least there is.
    """

    mean: float
    std: float
    value: float


def nearest_gaussian(
    divergence: FDivergence,
    log_p: Callable[[Tensor], Tensor],
    low: float,
    high: float,
    *,
    nodes: int = 2000,
) -> NearestGaussian:
    r"""Minimise D_f(p ‖ N(m, s²)) over m and s, by quadrature on [low, high].

    Each local minimum among a grid of Gaussians is refined by the simplex method of Nelder and
    Mead, which needs no derivatives and does not mind that some divergences are infinite for a q
    with thin tails. So the result is the best Gaussian of all, not of those near a first guess.

    Parameters
    ----------
    divergence : FDivergence
    log_p : callable (n,) -> (n,)
        Log density of p, in nats.
    low, high : float
        An interval outside of which p, and q, have next to no mass.
    nodes : int
        Points of the trapezoidal rule.

    Returns
    -------
    NearestGaussian

    Raises
    ------
    ValueError
        If the interval is empty.

    References
    ----------
    S. Nowozin, B. Cseke & R. Tomioka 2016, *f-GAN*, section 2.5: the same table for a mixture.

    Examples
    --------
    For a Gaussian it is that Gaussian:

    >>> import torch
    >>> from gencourse.divergences import F_DIVERGENCES
    >>> p = torch.distributions.Normal(1.0, 0.5)
    >>> q = nearest_gaussian(F_DIVERGENCES["js"], p.log_prob, -4.0, 6.0)
    >>> round(q.mean, 3), round(q.std, 3)
    (1.0, 0.5)
    """
    from scipy.optimize import minimize

    positive(nodes, "nodes", integer=True)
    if not low < high:
        raise ValueError(f"low must be below high, not {low!r} and {high!r}")
    x = torch.linspace(low, high, nodes, dtype=torch.float64)
    a = log_p(x)

    def values(mean: Tensor, log_std: Tensor) -> Tensor:
        """Return D_f(p ‖ q) for Gaussians q of shape (k,): shape (k,)."""
        at = (x - mean[:, None]) / log_std.exp()[:, None]
        b = -at.square() / 2 - log_std[:, None] - math.log(2 * math.pi) / 2
        D = torch.trapezoid(b.exp() * divergence.generator((a - b).exp()), x)
        # Where q rounds to 0 and p does not, 0 · f(∞) is no number, and no candidate.
        return torch.where(D.isnan(), math.inf, D)

    means = torch.linspace(low, high, STARTS + 2, dtype=torch.float64)[1:-1]
    stds = torch.logspace(math.log10(NARROWEST), math.log10(0.4), STARTS, dtype=torch.float64)
    grid = torch.cartesian_prod(means, (stds * (high - low)).log())
    tried = torch.cat([values(*part.T) for part in grid.split(STARTS)])
    # A law with several parts has several minima: each that the grid shows is refined. One at its
    # outer edge is none: a q that leaves the interval loses mass there, and D with it.
    heights = -tried.reshape(1, STARTS, STARTS)
    peaks = torch.nn.functional.max_pool2d(heights, 3, stride=1, padding=1) == heights
    inside = torch.zeros_like(peaks)
    inside[:, 1:-1, :-1] = True
    starts = grid[(peaks & inside).flatten() & tried.isfinite()]
    found = min(
        (
            minimize(
                lambda theta: values(*torch.from_numpy(theta)[:, None]).item(),
                start.numpy(),
                method="Nelder-Mead",
                options={"xatol": 1e-8, "fatol": 1e-12},
            )
            for start in (starts if len(starts) else grid[tried.argmin()][None])
        ),
        key=lambda result: result.fun,
    )
    return NearestGaussian(float(found.x[0]), math.exp(found.x[1]), float(found.fun))
