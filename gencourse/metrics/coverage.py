"""Which modes of a mixture a model has found, and how much of its mass lies on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points, positive

__all__ = ["ModeCoverage", "mode_coverage"]

RADIUS = 3.0  # standard deviations around a centre that count as on the mode
THRESHOLD = 0.1  # of its fair share, from which a mode counts as covered


@dataclass(frozen=True)
class ModeCoverage:
    """What :func:`mode_coverage` found.

    Attributes
    ----------
    modes_covered : int
        Modes that received at least a tenth of their fair share 1/K.
    n_modes : int
        K, how many there are.
    quality : float
        Share of all samples that lie within three standard deviations of a centre. For
        the true distribution in the plane it is 1 - exp(-9/2) = 0.989.
    shares : Tensor of shape (K,)
        For each mode the share of all samples that lie on it; they sum to ``quality``.
    largest_share : float
        The largest of the shares, as a multiple of the fair one: 1 is even, K is collapse
        onto a single mode.
    """

    modes_covered: int
    n_modes: int
    quality: float
    shares: Tensor
    largest_share: float


def mode_coverage(samples: Tensor, modes: Tensor, std: float) -> ModeCoverage:
    """Count covered modes and high-quality samples of a model of a mixture.

    A sample belongs to the nearest centre, and counts if it is within 3 ``std`` of it; a
    mode counts as covered from 10 % of its fair share. The protocol follows Srivastava
    et al. 2017 (*VEEGAN*, section 5) with the share in place of "at least one sample",
    which would make the count depend on how many samples were drawn.

    Parameters
    ----------
    samples : Tensor of shape (n, d)
    modes : Tensor of shape (K, d)
        The centres; their order is the order of the shares.
    std : float
        Standard deviation of each mode.

    Returns
    -------
    ModeCoverage

    Raises
    ------
    ValueError
        If samples or modes are empty, not finite or of different dimension, or std is not
        positive.

    Examples
    --------
    >>> import torch
    >>> modes = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    >>> found = mode_coverage(torch.tensor([[-1.0, 0.1], [0.0, 0.0]]), modes, std=0.1)
    >>> found.modes_covered, found.quality
    (1, 0.5)
    """
    points(samples, "samples")
    points(modes, "modes")
    positive(std, "std")
    if modes.ndim != 2 or samples.shape[1:] != modes.shape[1:]:
        raise ValueError(
            "samples must have shape (n, d) and modes (K, d), not "
            f"{tuple(samples.shape)} and {tuple(modes.shape)}"
        )
    k, n = len(modes), len(samples)
    x = double(samples)
    distance, nearest = torch.cdist(x, double(modes).to(x.device)).min(dim=1)
    on_mode = distance <= RADIUS * std
    counts = torch.bincount(nearest[on_mode], minlength=k).double()
    shares = counts / n
    return ModeCoverage(
        modes_covered=int((shares >= THRESHOLD / k).sum()),
        n_modes=k,
        quality=shares.sum().item(),
        shares=shares,
        largest_share=shares.max().item() * k,
    )
