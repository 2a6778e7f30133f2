r"""Why the log-D gradient is unstable: a quotient of noises has no variance (deck C).

Arjovsky & Bottou 2017, theorem 2.6. Let D be a perfect discriminator up to white noise: at a fake,
D = 0 + e and ∇D = 0 + r, with e and r independent centred Gaussians. Then

    ∇ log(1 - D) = -r / (1 - e)   is about normal, and small,
    ∇ (-log D)   = -r / e         is Cauchy: without mean or variance, and averaging does not help,

as the mean of n independent Cauchy variables has the law of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas
import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.failures._draw import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heavy_tails", "noisy_gradients", "plot_heavy_tails"]

NOISE = 0.05  # standard deviation of e, and of r
BATCHES = (1, 3, 10, 30, 100, 300, 1000, 3000)


def noisy_gradients(
    *shape: int, noise: float = NOISE, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    r"""Draw one coordinate of both gradients under the noise of the theorem.

    Parameters
    ----------
    *shape : int
        Shape of the tensors.
    noise : float
        Standard deviation of both noises. The law of the second gradient does not depend on it.
    generator : torch.Generator, optional
        Source of the noise; by default one of seed 0.

    Returns
    -------
    (Tensor, Tensor)
        -r / (1 - e) and -r / e, in float64.
    """
    positive(noise, "noise")
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    e, r = noise * torch.randn(
        2, *shape, generator=generator, dtype=torch.float64, device=generator.device
    )
    return -r / (1 - e), -r / e


def heavy_tails(
    batches: Sequence[int] = BATCHES,
    *,
    repeats: int = 2000,
    noise: float = NOISE,
    generator: torch.Generator | None = None,
) -> pandas.DataFrame:
    r"""Measure spread and tails of both gradients, averaged over batches of several sizes.

    Parameters
    ----------
    batches : sequence of int
        Sizes n of a batch.
    repeats : int
        Batches of each size.
    noise, generator : see :func:`noisy_gradients`

    Returns
    -------
    pandas.DataFrame
        Indexed by ``batch``, for ``minimax`` and ``log_d`` each: ``_std``, the median over batches
        of the standard deviation within one (NaN for one sample), which for a Cauchy law grows
        as √n; ``_iqr``, the interquartile range of the means, which falls as 1/√n where there is a
        variance, and is 2 for a Cauchy law whatever n; and ``_tail``, the ratio of the 99th
        percentile of the \|means\| to their median: 3.8 for a normal law, 63.7 for Cauchy.
    """
    positive(repeats, "repeats", integer=True)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    rows = []
    levels = torch.tensor([0.25, 0.75, 0.5, 0.99], dtype=torch.float64)
    for n in batches:
        positive(n, "a batch", integer=True)
        both = noisy_gradients(repeats, n, noise=noise, generator=generator)
        row: dict[str, float] = {"batch": n}
        for name, gradients in zip(("minimax", "log_d"), both, strict=True):
            means = gradients.cpu().mean(dim=1)
            low, high = means.quantile(levels[:2]).tolist()
            middle, far = means.abs().quantile(levels[2:]).tolist()
            row[f"{name}_std"] = gradients.std(dim=1).median().item() if n > 1 else float("nan")
            row[f"{name}_iqr"] = high - low
            row[f"{name}_tail"] = far / middle
        rows.append(row)
    return pandas.DataFrame(rows).set_index("batch")


def plot_heavy_tails(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the spreads of :func:`heavy_tails` against the size of a batch."""
    labels = {
        "log_d_std": r"$-\log D$: in a batch",
        "log_d_iqr": r"$-\log D$: of the mean",
        "minimax_std": r"$\log(1-D)$: in a batch",
        "minimax_iqr": r"$\log(1-D)$: of the mean",
    }
    return curves(
        frame,
        labels,
        ax=ax,
        xlabel="samples in a batch",
        ylabel="spread",
        xscale="log",
        yscale="log",
    )
