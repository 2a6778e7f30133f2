r"""Instance noise: blur both laws, and JS has something to say again (deck E).

Parallel lines at distance θ have JS = log 2 for every θ ≠ 0. With noise of variance V added to
both, across the lines, the JS of the blurred laws falls with θ and has a gradient; and it bounds
the distance of the laws themselves,

    W₁(P, Q) ≤ 2 √V + 2 C √JS(P_ε ‖ Q_ε),

where C is the *diameter* of a ball that holds both blurred laws (Arjovsky & Bottou 2017, theorem
3.3). With the radius in its place the bound fails: two points at opposite ends of a ball without
noise have W₁ = 2 r, and 2 r √(log 2) is less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas
import torch
from torch import Tensor

from gencourse._validate import not_negative, positive
from gencourse.divergences import F_DIVERGENCES, divergence_on_a_line, parallel_lines
from gencourse.failures._draw import curves
from gencourse.failures.pairs import normal_cdf

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["instance_noise", "plot_instance_noise"]

NOISES = ("gaussian", "uniform")
#: θ from 0.05 to 2.
THETAS = tuple(i / 20 for i in range(1, 41))


def instance_noise(
    thetas: Sequence[float] = THETAS, *, sigma: float = 0.3, noise: str = "gaussian"
) -> pandas.DataFrame:
    r"""Measure two parallel segments of length 1 with and without noise, at several distances.

    Noise is added across the lines only: along them both laws are the same, and what is left
    is a pair of laws on the line.

    Parameters
    ----------
    thetas : sequence of float
        Distances θ ≥ 0 of the segments.
    sigma : float
        Standard deviation σ of the noise.
    noise : "gaussian" or "uniform"
        N(0, σ²), which makes JS informative at every distance; or uniform on
        [-√3 σ, √3 σ], whose bounded support the theorem asks for, and for which
        JS = min(1, θ / (2√3 σ)) log 2.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``theta``: ``w1``; ``js`` without noise and ``noisy_js`` with it;
        ``slope``, the derivative of the latter in θ; ``accuracy`` of the best discriminator
        of the blurred laws, ½ + ½ TV; and ``bound``, the right-hand side of the theorem, NaN for
        Gaussian noise, which no ball holds.

    Raises
    ------
    ValueError
        If a distance is negative, σ is not positive, or there is no such noise.

    Examples
    --------
    >>> frame = instance_noise([0.1, 0.2])
    >>> frame["js"].round(3).tolist(), frame["noisy_js"].round(3).tolist()
    ([0.693, 0.693], [0.014, 0.053])
    """
    positive(sigma, "sigma")
    if noise not in NOISES:
        raise ValueError(f"noise must be 'gaussian' or 'uniform', not {noise!r}")
    rows = []
    for theta in thetas:
        not_negative(theta, "theta")
        row = _gaussian(theta, sigma) if noise == "gaussian" else _uniform(theta, sigma)
        exact = parallel_lines(theta)
        rows.append({"theta": theta, "w1": exact.w1, "js": exact.js, **row})
    return pandas.DataFrame(rows).set_index("theta")


def _gaussian(theta: float, sigma: float) -> dict[str, float]:
    distance = torch.tensor(float(theta), dtype=torch.float64, requires_grad=True)

    def log_density(x: Tensor, at: Tensor | float) -> Tensor:
        return -0.5 * ((x - at) / sigma).square() - math.log(sigma * math.sqrt(2 * math.pi))

    js = 0.5 * divergence_on_a_line(
        F_DIVERGENCES["js"],
        lambda x: log_density(x, 0.0),
        lambda x: log_density(x, distance),
        -10 * sigma,
        theta + 10 * sigma,
        nodes=4000,
    )
    js.backward()
    assert distance.grad is not None
    return {
        "noisy_js": js.item(),
        "slope": distance.grad.item(),
        "accuracy": normal_cdf(theta / (2 * sigma)),
        "bound": math.nan,
    }


def _uniform(theta: float, sigma: float) -> dict[str, float]:
    half = math.sqrt(3) * sigma
    apart = min(1.0, theta / (2 * half))  # the total variation
    js = apart * math.log(2)
    # The least ball holds a rectangle, θ + 2 · half wide and 1 high.
    diameter = math.hypot(theta + 2 * half, 1.0)
    return {
        "noisy_js": js,
        "slope": math.log(2) / (2 * half) if theta < 2 * half else 0.0,
        "accuracy": 0.5 + 0.5 * apart,
        "bound": 2 * sigma + 2 * diameter * math.sqrt(js),
    }


def plot_instance_noise(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what :func:`instance_noise` returns against the distance of the lines."""
    labels = {"w1": "$W_1$", "js": "JS", "noisy_js": "JS with noise", "accuracy": "best accuracy"}
    if np.isfinite(frame["bound"]).all():
        labels["bound"] = r"$2\sqrt{V}+2C\sqrt{\mathrm{JS}}$"
    return curves(frame, labels, ax=ax, xlabel=r"distance of the lines, $\theta$", ylabel="")
