"""Ancestral sampling: a Markov chain run from noise to data, one conditional at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from gencourse.samplers._common import Record, returned, start, white

__all__ = ["Kernel", "ancestral", "ancestral_step"]

#: (x, t, s) to the mean and the standard deviation of x_s given x_t = x.
Kernel = Callable[[Tensor, float, float], tuple[Tensor, Tensor | float]]


def ancestral_step(
    kernel: Kernel, x: Tensor, t: float, s: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw x_s ~ N(μ(x_t), σ² I), one link of the chain."""
    mean, std = kernel(x, t, s)
    return returned(mean, x.shape, "kernel's mean") + std * white(x, generator)


@torch.no_grad()
def ancestral(
    kernel: Kernel,
    x: Tensor,
    times: Sequence[float],
    *,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    """Sample a chain of Gaussian conditionals, p(x_0) = ∫ p(x_T) Π p(x_s | x_t).

    Each variable is drawn given its ancestor, as in any directed graphical model. The reverse
    chain of a diffusion is one (Ho, Jain & Abbeel 2020, algorithm 2; decks A and D).

    Parameters
    ----------
    kernel : callable (x, t, s) -> (mean, std)
        The law of x_s given x_t = x: its mean, of the shape of x, and its standard deviation, a
        number or a tensor that broadcasts against x; 0 makes the step deterministic.
    x : Tensor of shape (n, …)
        Samples of the first variable of the chain.
    times : sequence of floats or ints
        Names of the variables in the order in which they are drawn, such as T, T-1, …, 0.
        Each consecutive pair is passed to ``kernel`` as (t, s).
    generator : torch.Generator, optional
        Source of randomness, on any device.
    trajectory : bool
        Return every state, beginning with x, instead of the last.
    every : int
        Keep one state in so many.

    Returns
    -------
    Tensor of shape (n, …), or with ``trajectory`` (1 + steps // every, n, …)

    Raises
    ------
    ValueError
        If there are fewer than two times, x is not a finite floating tensor, or the kernel
        returns a mean of another shape.
    """
    times = list(times)
    if len(times) < 2:
        raise ValueError(f"times must hold at least 2 times, not {len(times)}")
    x = start(x, len(times) - 1, {"kernel": kernel})
    record = Record(x, trajectory, every)
    for i, (t, s) in enumerate(pairwise(times), 1):
        x = ancestral_step(kernel, x, t, s, generator=generator)
        record(i, x)
    return record.result(x)
