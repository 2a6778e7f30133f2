"""Annealed importance sampling: the normalising constant of a density that only ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite, positive
from gencourse.samplers._common import Function, returned, start, white
from gencourse.samplers.metropolis import Position, chosen, metropolis, position

__all__ = ["AnnealedImportance", "ais", "resample"]


class AnnealedImportance(NamedTuple):
    """What :func:`ais` found.

    Attributes
    ----------
    log_z : Tensor
        Estimate of log Z = log ∫ f(x) dx, in float64.
    standard_error : Tensor
        Of ``log_z``.
    x : Tensor of shape (n, …)
        Where the particles arrived. Weighted by ``log_weights`` they represent f / Z.
    log_weights : Tensor of shape (n,)
        log w, in float64.
    effective : Tensor
        Effective number of particles, (Σw)² / Σw², between 1 and n.
    acceptance : Tensor of shape (K,)
        Share of accepted proposals at each of the K temperatures.
    """

    log_z: Tensor
    standard_error: Tensor
    x: Tensor
    log_weights: Tensor
    effective: Tensor
    acceptance: Tensor


@torch.no_grad()
def ais(
    log_f: Function,
    log_p0: Function,
    x: Tensor,
    *,
    temperatures: int | Tensor | Sequence[float] = 200,
    step_size: float | Tensor | Sequence[float],
    leapfrog_steps: int = 1,
    steps: int = 1,
    generator: torch.Generator | None = None,
) -> AnnealedImportance:
    r"""Estimate log Z of f = Z p by annealed importance sampling.

    Particles start from p_0, whose density is known, and pass through the path

        f_k = p_0^{1-β_k} f^{β_k},   0 = β_0 < β_1 < … < β_K = 1,

    moving at each β_k by steps of Hamiltonian Monte Carlo that leave f_k invariant. Each collects

        log w = Σ_k log f_k(x_{k-1}) - log f_{k-1}(x_{k-1}),

    with x_{k-1} its position before the moves at β_k. Then E w = Z exactly, for any path and any
    number of steps; a finer path lowers the variance. The estimate is log Ẑ with Ẑ = mean w;
    its standard error is std(w) / (√n Ẑ), by the delta method. E log Ẑ ≤ log Z: the estimate errs
    towards too small a Z, and its stated error is only to be trusted while ``effective`` is
    a good share of n.

    Neal 2001, *Annealed importance sampling*; deck D, slide on the partition function.

    Parameters
    ----------
    log_f : callable (n, …) -> (n,)
        log f, differentiable by autograd.
    log_p0 : callable (n, …) -> (n,)
        log p_0, normalised, differentiable, and positive wherever f is.
    x : Tensor of shape (n, …)
        Independent samples of p_0.
    temperatures : int, or Tensor or sequence of floats
        K, for a path that is even in β; or β_1 < … < β_K = 1 themselves.
    step_size : float, or Tensor or sequence of K floats
        ε of the leapfrog steps, in units of x: one, or one for each temperature. Where p_0 is
        much wider than p it should shrink along the way.
    leapfrog_steps : int
        Leaps in each move; one is MALA.
    steps : int
        Moves at each temperature.
    generator : torch.Generator, optional
        Source of randomness, on any device.

    Returns
    -------
    AnnealedImportance
        ``.log_z``, ``.standard_error``, and the weighted particles.

    Raises
    ------
    ValueError
        If x is not a finite floating tensor of at least two points, the temperatures do not
        increase to 1, a size or count is not positive, or a log density is not
        differentiable, not finite at x, or of another shape than (n,).

    Examples
    --------
    The constant of exp(-x²/2) is √(2π), log Z = 0.9189:

    >>> import torch
    >>> from torch.distributions import Normal
    >>> wide = lambda x: Normal(0.0, 3.0).log_prob(x).sum(1)
    >>> log_f = lambda x: -0.5 * x.square().sum(1)
    >>> found = ais(log_f, wide, 3 * torch.randn(2000, 1), step_size=1.0, temperatures=50)
    >>> bool((found.log_z - 0.9189).abs() < 5 * found.standard_error)
    True
    """
    positive(leapfrog_steps, "leapfrog_steps", integer=True)
    x = start(x, steps, {"log_f": log_f, "log_p0": log_p0})
    if len(x) < 2:
        raise ValueError("x must hold at least 2 particles, or no error can be stated")
    β = _inverse_temperatures(temperatures).to(device=x.device, dtype=x.dtype)
    ε = torch.as_tensor(step_size, dtype=x.dtype).to(x.device)
    if ε.ndim > 1 or (ε.ndim == 1 and len(ε) != len(β)):
        raise ValueError(
            f"step_size must be one number, or one for each of the {len(β)} temperatures, "
            f"not of shape {tuple(ε.shape)}"
        )
    if not bool((ε > 0).all()) or not bool(ε.isfinite().all()):
        raise ValueError("step_size must be above 0 and finite")
    ε = ε.expand(len(β))
    base, target = position(log_p0, x), position(log_f, x)
    finite(base.log_p, "log_p0(x)")
    finite(target.log_p, "log_f(x)")

    log_w = double(torch.zeros_like(base.log_p))
    acceptance = torch.zeros_like(β)
    before = torch.zeros_like(β[0])
    for k, β_k in enumerate(β):
        log_w += double((β_k - before) * (target.log_p - base.log_p))
        for _ in range(steps):
            base, target, accepted = _move(
                (log_p0, log_f), (base, target), β_k, ε[k], leapfrog_steps, generator
            )
            acceptance[k] += accepted.to(β).mean() / steps
        before = β_k

    n = len(log_w)
    relative = (log_w - log_w.max()).exp()
    log_z = log_w.logsumexp(0) - math.log(n)
    standard_error = relative.std() / (relative.mean() * math.sqrt(n))
    effective = relative.sum().square() / relative.square().sum()
    return AnnealedImportance(log_z, standard_error, target.x, log_w, effective, acceptance)


def _move(
    log_probs: tuple[Function, Function],
    here: tuple[Position, Position],
    β: Tensor,
    ε: Tensor,
    leapfrog_steps: int,
    generator: torch.Generator | None,
) -> tuple[Position, Position, Tensor]:
    """Make the move of :func:`hmc_step` on p_0^{1-β} f^β.

    It keeps log p_0 and log f apart, so that neither is evaluated again when β changes.
    """

    def mix(a: Tensor, b: Tensor) -> Tensor:
        return (1 - β) * a + β * b

    base, target = here
    p = white(base.x, generator)
    kinetic = 0.5 * p.square().flatten(1).sum(1)
    p = p + ε / 2 * mix(base.score, target.score)
    x = base.x
    for leap in range(1, leapfrog_steps + 1):
        x = x + ε * p
        base_there, target_there = position(log_probs[0], x), position(log_probs[1], x)
        kick = ε if leap < leapfrog_steps else ε / 2
        p = p + kick * mix(base_there.score, target_there.score)
    gain = mix(base_there.log_p - base.log_p, target_there.log_p - target.log_p)
    log_ratio = gain + kinetic - 0.5 * p.square().flatten(1).sum(1)
    accepted = metropolis(log_ratio, generator=generator)
    return (
        chosen(accepted, base_there, base),
        chosen(accepted, target_there, target),
        accepted,
    )


def _inverse_temperatures(temperatures: int | Tensor | Sequence[float]) -> Tensor:
    """Return β_1 < … < β_K = 1 in float64."""
    if isinstance(temperatures, int):
        positive(temperatures, "temperatures", integer=True)
        return torch.arange(1, temperatures + 1, dtype=torch.float64) / temperatures
    β = torch.as_tensor(temperatures, dtype=torch.float64)
    if β.ndim != 1 or len(β) == 0:
        raise ValueError(
            f"temperatures must be a number of them or a vector, not of shape {tuple(β.shape)}"
        )
    finite(β, "temperatures")
    if float(β[0]) <= 0 or not bool((β.diff() > 0).all()) or float(β[-1]) != 1:
        raise ValueError("temperatures must be inverse ones that increase strictly from 0 to 1")
    return β


@torch.no_grad()
def resample(
    x: Tensor, log_weights: Tensor, n: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw ``n`` of the weighted particles, so that they represent the law without weights.

    Systematic resampling (Kitagawa 1996): one uniform number places n evenly spaced points on
    the cumulated weights, so that a particle of weight share w is drawn ⌊nw⌋ or ⌈nw⌉ times.

    Parameters
    ----------
    x : Tensor of shape (m, …)
    log_weights : Tensor of shape (m,)
    n : int
        How many to draw.
    generator : torch.Generator, optional
        Source of randomness, on any device.

    Returns
    -------
    Tensor of shape (n, …)

    Examples
    --------
    >>> import torch
    >>> x, w = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0.5, 0.25, 0.25])
    >>> resample(x, w.log(), 4).flatten()
    tensor([1., 1., 2., 3.])
    """
    x = start(x, 1, {})
    positive(n, "n", integer=True)
    returned(log_weights, x.shape[:1], "log_weights")
    if bool(log_weights.isnan().any()) or not bool(log_weights.max().isfinite()):
        raise ValueError("log_weights must not be NaN, and at least one must be finite")
    cumulated = double(log_weights).softmax(0).cumsum(0)
    where = x.device if generator is None else generator.device
    u = torch.rand((), generator=generator, device=where, dtype=torch.float32)
    places = (torch.arange(n, device=cumulated.device) + u.to(cumulated)) / n
    index = torch.searchsorted(cumulated, places, right=True).clamp_max(len(x) - 1)
    return x[index.to(x.device)]
