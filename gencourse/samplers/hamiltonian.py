"""Hamiltonian Monte Carlo: long proposals along the level sets of an energy."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._validate import finite, positive
from gencourse.samplers._common import (
    Function,
    Record,
    returned,
    start,
    white,
)
from gencourse.samplers.metropolis import Chain, Position, chosen, metropolis, position

__all__ = ["hmc", "hmc_step", "leapfrog"]


def leapfrog(
    score: Function, x: Tensor, p: Tensor, *, step_size: float | Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Follow ẋ = p, ṗ = ∇log p(x) for ``steps`` leaps of length ε.

    A leap is half a kick, p + ½ε ∇log p(x), a drift, x + εp, and another half kick. Each is a
    shear, so a leap preserves volume exactly; run with -p it retraces its steps; and over a
    fixed time it changes the energy H(x, p) = -log p(x) + ½‖p‖² by O(ε²). The first two are
    what the acceptance in :func:`hmc` relies on.

    Parameters
    ----------
    score : callable (n, …) -> (n, …)
        ∇log p.
    x, p : Tensor of shape (n, …)
        Position and momentum.
    step_size : float
        ε, in units of x.
    steps : int
        How many leaps.

    Returns
    -------
    x, p : Tensor of shape (n, …)
    """
    positive(steps, "steps", integer=True)
    ε = step_size
    p = p + ε / 2 * returned(score(x), x.shape, "score")
    for leap in range(1, steps + 1):
        x = x + ε * p
        # Two half kicks between drifts are one whole kick.
        p = p + (ε if leap < steps else ε / 2) * score(x)
    return x, p


def hmc_step(
    log_prob: Function,
    here: Position,
    *,
    step_size: float | Tensor,
    leapfrog_steps: int,
    generator: torch.Generator | None = None,
) -> tuple[Position, Tensor]:
    """Draw a momentum, follow it, and accept or reject where it led; see :func:`hmc`."""
    ε = step_size
    p = white(here.x, generator)
    kinetic = 0.5 * p.square().flatten(1).sum(1)
    # The leaps of `leapfrog`, keeping the value and the gradient of the last point.
    p = p + ε / 2 * here.score
    there = here
    for leap in range(1, leapfrog_steps + 1):
        there = position(log_prob, there.x + ε * p)
        p = p + (ε if leap < leapfrog_steps else ε / 2) * there.score
    log_ratio = there.log_p - here.log_p + kinetic - 0.5 * p.square().flatten(1).sum(1)
    accepted = metropolis(log_ratio, generator=generator)
    return chosen(accepted, there, here), accepted


@torch.no_grad()
def hmc(
    log_prob: Function,
    x: Tensor,
    *,
    step_size: float,
    leapfrog_steps: int,
    steps: int,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    every: int = 1,
) -> Chain:
    r"""Sample a density by Hamiltonian Monte Carlo.

    Each step draws a momentum p ~ N(0, I), follows Hamilton's equations for L leaps of length ε
    by :func:`leapfrog`, and accepts the end with probability min(1, exp(H(x, p) - H(x', p'))),
    H = -log p(x) + ½‖p‖². The density is left invariant for every ε and L. With L = 1 this is
    :func:`mala` with step size h = ε²/2.

    Duane et al. 1987; Neal 2011, *MCMC using Hamiltonian dynamics*. An acceptance of about
    0.65 is best in high dimension (Beskos et al. 2013).

    Parameters
    ----------
    log_prob : callable (n, …) -> (n,)
        log p up to a constant, differentiable by autograd.
    x : Tensor of shape (n, …)
        Where the n chains start, of positive density.
    step_size : float
        ε, in units of x.
    leapfrog_steps : int
        L.
    steps : int
        How many proposals.
    generator : torch.Generator, optional
        Source of randomness, on any device.
    trajectory : bool
        Return every state, beginning with x, instead of the last.
    every : int
        Keep one state in so many.

    Returns
    -------
    Chain
        ``.x`` and ``.acceptance``.

    Raises
    ------
    ValueError
        If x is not a finite floating tensor, a size or a count is not positive, or log_prob is
        not differentiable, not finite at x, or of another shape than (n,).

    Examples
    --------
    >>> import torch
    >>> normal = lambda x: -0.5 * x.square().sum(1)
    >>> chain = hmc(normal, torch.zeros(5000, 2), step_size=0.5, leapfrog_steps=3, steps=20)
    >>> bool((chain.x.var() - 1).abs() < 0.1)
    True
    """
    positive(step_size, "step_size")
    positive(leapfrog_steps, "leapfrog_steps", integer=True)
    x = start(x, steps, {"log_prob": log_prob})
    here = position(log_prob, x)
    finite(here.log_p, "log_prob(x) at the start")
    record = Record(x, trajectory, every)
    accepted = torch.zeros_like(here.log_p)
    for i in range(1, steps + 1):
        here, yes = hmc_step(
            log_prob,
            here,
            step_size=step_size,
            leapfrog_steps=leapfrog_steps,
            generator=generator,
        )
        accepted += yes
        record(i, here.x)
    return Chain(record.result(here.x), accepted / steps)
