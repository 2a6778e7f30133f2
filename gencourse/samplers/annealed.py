"""Annealed Langevin sampling: through smaller and smaller noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gencourse._validate import finite, positive
from gencourse.samplers._common import Record, returned, start, white

__all__ = ["annealed_langevin", "annealed_langevin_step", "geometric_sigmas"]


def geometric_sigmas(highest: float, lowest: float, levels: int) -> Tensor:
    """Return noise levels σ_1 > … > σ_L whose ratios are all the same, shape ``(levels,)``.

    Examples
    --------
    >>> geometric_sigmas(1.0, 0.01, 3)
    tensor([1.0000, 0.1000, 0.0100])
    """
    positive(lowest, "lowest")
    positive(highest, "highest")
    positive(levels, "levels", integer=True)
    if levels > 1 and not highest > lowest:
        raise ValueError(f"highest must be above lowest, not {highest!r} and {lowest!r}")
    exponents = torch.linspace(math.log(highest), math.log(lowest), levels, dtype=torch.float64)
    return exponents.exp().float()


def annealed_langevin_step(
    score: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigma: Tensor,
    α: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return x + (α/2) s(x, σ) + √α ξ, ξ ~ N(0, I): one step at noise level σ."""
    s = returned(score(x, sigma), x.shape, "score")
    return x + α / 2 * s + α.sqrt() * white(x, generator)


@torch.no_grad()
def annealed_langevin(
    score: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    step_size: float = 2e-5,
    steps: int = 100,
    denoise: bool = False,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    r"""Sample by Langevin steps on the scores of ever less noisy data.

    For each noise level σ_i of a decreasing sequence, ``steps`` times

        x ← x + (α_i / 2) s(x, σ_i) + √α_i ξ,   α_i = ε σ_i² / σ_L².

    With much noise the modes of the data run into each other and the chain moves freely between
    them; with little noise it finds the details. The step α_i ∝ σ_i² keeps the size of the
    steps relative to the noise the same at all levels.

    Song & Ermon 2019, *Generative modeling by estimating gradients of the data distribution*,
    algorithm 1; deck A.

    Parameters
    ----------
    score : callable (x, sigma) -> Tensor of the shape of x
        ∇log q_σ(x), of the data with noise N(0, σ² I) added; ``sigma`` is a 0-d tensor.
    x : Tensor of shape (n, …)
        Where the n chains start: near the most noisy data.
    sigmas : Tensor or sequence of L floats
        σ_1 > … > σ_L > 0.
    step_size : float
        ε, the step α_L at the lowest noise, in squared units of x; stable below 4 σ_L².
    steps : int
        Steps at each level.
    denoise : bool
        End with x + σ_L² s(x, σ_L), the mean of the data given x (Tweedie's formula), which
        removes the noise that is left (Jolicoeur-Martineau et al. 2021).
    generator : torch.Generator, optional
        Source of randomness, on any device.
    trajectory : bool
        Return every state, beginning with x, instead of the last.
    every : int
        Keep one state in so many.

    Returns
    -------
    Tensor of shape (n, …), or with ``trajectory`` (1 + L·steps // every, n, …)
        With ``denoise`` the denoised state comes in place of the last.

    Raises
    ------
    ValueError
        If x is not a finite floating tensor, the noise levels do not decrease, a size or a
        count is not positive, or the score has another shape than x.
    """
    positive(step_size, "step_size")
    x = start(x, steps, {"score": score})
    levels = torch.as_tensor(sigmas)
    if levels.ndim != 1 or len(levels) == 0:
        raise ValueError(f"sigmas must be a vector of noise levels, not of {tuple(levels.shape)}")
    levels = finite(levels.to(device=x.device, dtype=x.dtype), "sigmas")
    if not bool((levels > 0).all()) or not bool((levels.diff() < 0).all()):
        raise ValueError("sigmas must be positive and decrease strictly")
    record = Record(x, trajectory, every)
    for level, sigma in enumerate(levels):
        α = step_size * (sigma / levels[-1]).square()
        for i in range(1, steps + 1):
            x = annealed_langevin_step(score, x, sigma, α, generator=generator)
            if denoise and level == len(levels) - 1 and i == steps:
                x = x + sigma.square() * score(x, sigma)
            record(level * steps + i, x)
    return record.result(x)
