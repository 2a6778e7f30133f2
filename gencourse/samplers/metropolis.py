"""Langevin sampling, adjusted: the accept-reject step that makes it exact (MALA)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gencourse._validate import finite, positive
from gencourse.samplers._common import (
    Function,
    Record,
    per_row,
    start,
    uniform,
    value_and_gradient,
    white,
)

__all__ = ["Chain", "Position", "chosen", "mala", "mala_step", "metropolis", "position"]


class Chain(NamedTuple):
    """What a Metropolis–Hastings sampler returns.

    Attributes
    ----------
    x : Tensor of shape (n, …), or with ``trajectory`` (1 + steps // every, n, …)
        The last states, or all of them.
    acceptance : Tensor of shape (n,)
        For each chain the share of its proposals that were accepted.
    """

    x: Tensor
    acceptance: Tensor


class Position(NamedTuple):
    """Points with what is known there, so that nothing is evaluated twice.

    Attributes
    ----------
    x : Tensor of shape (n, …)
    log_p : Tensor of shape (n,)
        log p(x), up to a constant.
    score : Tensor of shape (n, …)
        ∇log p(x).
    """

    x: Tensor
    log_p: Tensor
    score: Tensor


def position(log_prob: Function, x: Tensor) -> Position:
    """Evaluate log p and its gradient at x."""
    return Position(x, *value_and_gradient(log_prob, x))


def metropolis(log_ratio: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Decide on proposals: each is accepted with probability min(1, exp(log_ratio)).

    Parameters
    ----------
    log_ratio : Tensor of shape (n,)
        Of the acceptance; NaN, as where an energy overflowed, is a rejection.

    Returns
    -------
    Tensor of shape (n,), bool
    """
    return uniform(log_ratio, generator).log() < log_ratio


def chosen(accepted: Tensor, there: Position, here: Position) -> Position:
    """Take the rows of ``there`` that were accepted, and of ``here`` the others."""
    rows = per_row(accepted, here.x)
    return Position(
        torch.where(rows, there.x, here.x),
        torch.where(accepted, there.log_p, here.log_p),
        torch.where(rows, there.score, here.score),
    )


def mala_step(
    log_prob: Function,
    here: Position,
    step_size: float | Tensor,
    *,
    generator: torch.Generator | None = None,
) -> tuple[Position, Tensor]:
    """Propose a Langevin step of size h, and accept or reject it; see :func:`mala`."""
    h = torch.as_tensor(step_size, dtype=here.x.dtype, device=here.x.device)
    mean = here.x + h * here.score
    there = position(log_prob, mean + (2 * h).sqrt() * white(here.x, generator))
    back = there.x + h * there.score
    # log q(x | x') - log q(x' | x), with q(x' | x) = N(x'; x + h ∇log p(x), 2h I)
    forward = (there.x - mean).square().flatten(1).sum(1)
    backward = (here.x - back).square().flatten(1).sum(1)
    log_ratio = there.log_p - here.log_p + (forward - backward) / (4 * h)
    accepted = metropolis(log_ratio, generator=generator)
    return chosen(accepted, there, here), accepted


@torch.no_grad()
def mala(
    log_prob: Function,
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    every: int = 1,
) -> Chain:
    r"""Sample a density by the Metropolis-adjusted Langevin algorithm (MALA).

    The step of :func:`langevin` is only a proposal, q(x' | x) = N(x'; x + h ∇log p(x), 2h I),
    and is accepted with the probability of Metropolis and Hastings,

        min(1, p(x') q(x | x') / p(x) q(x' | x)),

    which leaves p itself invariant for every h. Smaller steps are accepted more often and get
    less far; an acceptance of about 0.57 is best in high dimension.

    Besag 1994; Roberts & Tweedie 1996; for the rate Roberts & Rosenthal 1998.

    Parameters
    ----------
    log_prob : callable (n, …) -> (n,)
        log p up to a constant, differentiable by autograd.
    x : Tensor of shape (n, …)
        Where the n chains start, of positive density.
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
    Chain
        ``.x`` and ``.acceptance``.

    Raises
    ------
    ValueError
        If x is not a finite floating tensor, the step size or the number of steps is not
        positive, or log_prob is not differentiable, not finite at x, or of another shape
        than (n,).

    Examples
    --------
    >>> import torch
    >>> normal = lambda x: -0.5 * x.square().sum(1)
    >>> chain = mala(normal, torch.zeros(5000, 1), step_size=0.5, steps=50)
    >>> bool((chain.x.var() - 1).abs() < 0.1), bool(chain.acceptance.mean() > 0.8)
    (True, True)
    """
    positive(step_size, "step_size")
    x = start(x, steps, {"log_prob": log_prob})
    here = position(log_prob, x)
    finite(here.log_p, "log_prob(x) at the start")
    record = Record(x, trajectory, every)
    accepted = torch.zeros_like(here.log_p)
    for i in range(1, steps + 1):
        here, yes = mala_step(log_prob, here, step_size, generator=generator)
        accepted += yes
        record(i, here.x)
    return Chain(record.result(here.x), accepted / steps)
