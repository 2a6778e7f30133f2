"""Langevin sampling, unadjusted: follow the score, and shake."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.samplers._common import Function, Record, returned, start, white

__all__ = ["langevin", "langevin_step"]


def langevin_step(
    score: Function, x: Tensor, step_size: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Return x + h ∇log p(x) + √(2h) ξ, ξ ~ N(0, I): one step of size h."""
    h = step_size
    s = returned(score(x), x.shape, "score")
    return x + h * s + math.sqrt(2 * h) * white(x, generator)


@torch.no_grad()
def langevin(
    score: Function,
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    r"""Sample a density by the unadjusted Langevin algorithm (ULA).

    Steps of size h along the diffusion dX = ∇log p(X) dt + √2 dW, whose law tends to p:

        x ← x + h ∇log p(x) + √(2h) ξ,   ξ ~ N(0, I).

    Only the score ∇log p is needed, in which the normalising constant is gone. The step makes
    an error that does not vanish with time: for a Gaussian of variance σ² the chain settles at
    the variance σ² / (1 - h / 2σ²), and for h ≥ 2σ² it explodes. :func:`mala` removes it.

    Roberts & Tweedie 1996, *Exponential convergence of Langevin distributions and their
    discrete approximations*; decks A and D.

    Parameters
    ----------
    score : callable (n, …) -> (n, …)
        ∇log p.
    x : Tensor of shape (n, …)
        Where the n chains start. Their dtype and device are those of the result.
    step_size : float
        h, in squared units of x.
    steps : int
        How many.
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
        If x is not a finite floating tensor, the step size or the number of steps is not
        positive, or the score has another shape than x.

    Examples
    --------
    >>> import torch
    >>> x = langevin(lambda x: -x, torch.zeros(5000, 1), step_size=0.1, steps=100)
    >>> bool((x.var() - 1 / (1 - 0.1 / 2)).abs() < 0.15)
    True
    """
    positive(step_size, "step_size")
    x = start(x, steps, {"score": score})
    record = Record(x, trajectory, every)
    for i in range(1, steps + 1):
        x = langevin_step(score, x, step_size, generator=generator)
        record(i, x)
    return record.result(x)
