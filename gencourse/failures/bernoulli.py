r"""Sample gradients of the Wasserstein distance are biased, on one coin (deck E).

Data P = Bernoulli(θ*), model Q = Bernoulli(θ), and P̂ the law of m tosses, whose share of heads is
θ̂. On two points every distance is a function of two numbers,

    W₁(P̂, Q) = |θ̂ - θ|,    l₂²(P̂, Q) = ∫ (F_P̂ - F_Q)² dx = (θ̂ - θ)²,

the second being the Cramér distance, half the squared energy distance. As m θ̂ is binomial, what
stochastic gradient descent sees on average is a sum of m + 1 terms, and nothing here is sampled
(Bellemare et al. 2017, *The Cramer distance as a solution to biased Wasserstein gradients*).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas
import torch

from gencourse._validate import positive
from gencourse.failures._draw import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "bernoulli_descent",
    "bernoulli_losses",
    "bernoulli_minimisers",
    "plot_bernoulli_descent",
    "plot_bernoulli_losses",
    "plot_bernoulli_minimisers",
]

THETA_STARS = (0.6, 0.9)  # those of the paper's figure
MS = (1, 2, 3, 4, 5, 6, 8, 10, 16, 25, 40, 64, 100)
DISTANCES = ("w1", "cramer")


def _probability(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} is a probability and must lie in [0, 1], not {value!r}")
    return float(value)


def _shares(theta_star: float, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of θ̂, 0, 1/m, …, 1, and their binomial probabilities."""
    from scipy.stats import binom

    positive(m, "m", integer=True)
    heads = np.arange(m + 1)
    return heads / m, binom.pmf(heads, m, _probability(theta_star, "theta_star"))


def bernoulli_losses(
    theta_star: float = 0.6, m: int = 1, *, thetas: Sequence[float] | None = None
) -> pandas.DataFrame:
    r"""Compare both distances and their gradients in θ with what samples say on average.

    .. math::

        \mathbb{E}\,\partial_\theta W_1(\hat P, Q) = P(\hat\theta < \theta) - P(\hat\theta > \theta)
        \ne \operatorname{sign}(\theta - \theta^*), \qquad
        \mathbb{E}\,\partial_\theta l_2^2(\hat P, Q) = 2\,(\theta - \theta^*).

    Parameters
    ----------
    theta_star : float
        θ*, the probability of heads.
    m : int
        Tosses in each sample.
    thetas : sequence of float, optional
        Where to evaluate; by default the middles of 400 cells of [0, 1], where no kink lies.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``theta``: ``w1`` and ``cramer``, their expectations over samples,
        ``w1_sample`` and ``cramer_sample``, and for each its derivative, with ``_gradient``
        after its name. Where W₁ has a kink, its derivative is the middle of both sides.

    Raises
    ------
    ValueError
        If a probability does not lie in [0, 1], or m is not a positive whole number.

    Examples
    --------
    One toss of a coin with θ* = 0.6: at θ = 0.7 heads are too likely, and the average gradient of
    W₁ would make them likelier still, as a descent moves against it.

    >>> frame = bernoulli_losses(0.6, 1, thetas=[0.7]).round(6)
    >>> frame[["w1_gradient", "w1_sample_gradient"]].to_numpy().tolist()
    [[1.0, -0.2]]
    >>> frame[["cramer_gradient", "cramer_sample_gradient"]].to_numpy().tolist()
    [[0.2, 0.2]]
    """
    share, mass = _shares(theta_star, m)
    if thetas is None:
        thetas = ((np.arange(400) + 0.5) / 400).tolist()
    theta = np.array([_probability(value, "theta") for value in thetas])
    difference = theta[:, None] - share  # θ - θ̂, a column for each value of θ̂
    return pandas.DataFrame(
        {
            "w1": np.abs(theta - theta_star),
            "w1_sample": np.abs(difference) @ mass,
            "w1_gradient": np.sign(theta - theta_star),
            "w1_sample_gradient": np.sign(difference) @ mass,
            "cramer": (theta - theta_star) ** 2,
            "cramer_sample": difference**2 @ mass,
            "cramer_gradient": 2 * (theta - theta_star),
            "cramer_sample_gradient": 2 * difference @ mass,
        },
        index=pandas.Index(theta, name="theta"),
    )


def bernoulli_minimisers(
    theta_stars: Sequence[float] = THETA_STARS, *, ms: Sequence[int] = MS
) -> pandas.DataFrame:
    r"""Find where the expected sample loss is least: for W₁ at a median of θ̂, not at θ*.

    E\|θ̂ - θ\| is least at a median of θ̂, which is a multiple of 1/m: from single tosses the model
    becomes deterministic, always heads where θ* > ½. E(θ̂ - θ)² is least at the mean, θ*.

    Parameters
    ----------
    theta_stars : sequence of float
        θ*; 0.6 and 0.9 in the paper and on deck E.
    ms : sequence of int
        Tosses in each sample.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``theta_star`` and ``m``: the minimisers ``w1`` (the lowest, where there
        is an interval of them) and ``cramer``.

    Raises
    ------
    ValueError
        As in :func:`bernoulli_losses`.
    """
    rows = []
    for theta_star in theta_stars:
        for m in ms:
            share, mass = _shares(theta_star, m)
            # Half a unit in the last place: a mass of exactly ½ must not be missed by rounding.
            median = share[np.searchsorted(np.cumsum(mass), 0.5 - 1e-12)]
            rows.append({"theta_star": theta_star, "m": m, "w1": median, "cramer": share @ mass})
    return pandas.DataFrame(rows).set_index(["theta_star", "m"])


def bernoulli_descent(
    theta_star: float = 0.6,
    m: int = 1,
    *,
    steps: int = 2000,
    lr: float = 0.01,
    start: float = 0.5,
    generator: torch.Generator | None = None,
) -> pandas.DataFrame:
    """Run stochastic gradient descent with either distance on the same samples.

    θ ← θ - lr ∂θ D(P̂, Q), kept in [0, 1], with m fresh tosses in each step.

    Parameters
    ----------
    theta_star, m : see :func:`bernoulli_losses`
    steps : int
        How many.
    lr : float
        Learning rate of the first step; it follows a cosine down to 0.
    start : float
        θ before the first step.
    generator : torch.Generator, optional
        Source of the tosses, on the CPU; by default one of seed 0.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``step``, from 0: θ along both runs, ``w1`` and ``cramer``.

    Raises
    ------
    ValueError
        As in :func:`bernoulli_losses`, or if steps or lr is not positive.
    """
    positive(m, "m", integer=True)
    positive(steps, "steps", integer=True)
    positive(lr, "lr")
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    tosses = torch.rand(steps, m, generator=generator) < _probability(theta_star, "theta_star")
    share = tosses.double().mean(dim=1).numpy()  # θ̂ of each step
    path = np.full((steps + 1, len(DISTANCES)), _probability(start, "start"))
    rates = lr * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2
    for t in range(steps):
        difference = path[t] - share[t]
        gradient = np.array([np.sign(difference[0]), 2 * difference[1]])
        path[t + 1] = np.clip(path[t] - rates[t] * gradient, 0, 1)
    return pandas.DataFrame(path, columns=list(DISTANCES)).rename_axis("step")


def plot_bernoulli_losses(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what :func:`bernoulli_losses` returns, each curve from its least value upwards."""
    names = ("w1", "w1_sample", "cramer", "cramer_sample")
    labels = ("$W_1$", "$E\\,W_1$ of samples", "Cramér", "$E$ Cramér of samples")
    shown = frame[list(names)] - frame[list(names)].min()
    labelled = dict(zip(names, labels, strict=True))
    return curves(shown, labelled, ax=ax, xlabel="$\\theta$", ylabel="loss above its least")


def plot_bernoulli_minimisers(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the minimisers of :func:`bernoulli_minimisers` against the size of a sample."""
    columns = {}
    for theta_star, part in frame.groupby(level="theta_star"):
        part = part.droplevel("theta_star")
        columns[f"$W_1$, $\\theta^*={theta_star:g}$"] = part["w1"]
        columns[f"Cramér, $\\theta^*={theta_star:g}$"] = part["cramer"]
    table = pandas.DataFrame(columns)
    labels = {name: str(name) for name in table.columns}
    ax = curves(
        table, labels, ax=ax, xlabel="tosses in a sample, $m$", ylabel="minimiser", xscale="log"
    )
    ax.set_ylim(0.45, 1.03)
    return ax


def plot_bernoulli_descent(
    frame: pandas.DataFrame, theta_star: float, *, ax: Axes | None = None
) -> Axes:
    """Draw the two runs of :func:`bernoulli_descent`, and a line at θ*."""
    from gencourse.plots import THEORY

    ax = curves(
        frame, {"w1": "$W_1$", "cramer": "Cramér"}, ax=ax, xlabel="step", ylabel="$\\theta$"
    )
    ax.axhline(theta_star, color=THEORY, linewidth=1, linestyle=":", label="$\\theta^*$")
    ax.set_ylim(0, 1.03)
    ax.legend()
    return ax
