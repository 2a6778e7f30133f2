"""Precision, recall, density and coverage: fidelity and diversity, told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double
from gencourse._validate import positive
from gencourse.metrics._distances import Cloud, decided, kth_neighbour, slices
from gencourse.metrics.frechet import same_space

__all__ = ["PRDC", "prdc"]


@dataclass(frozen=True)
class PRDC:
    """What :func:`prdc` found.

    Attributes
    ----------
    precision : float
        Share of fake points that lie in the ball around some real point.
    recall : float
        Share of real points that lie in the ball around some fake point.
    density : float
        Mean number of real balls that a fake point lies in, over k; may exceed 1.
    coverage : float
        Share of real points with a fake point in their ball.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Tensor, fake: Tensor, k: int = 5, *, block: int = BLOCK) -> PRDC:
    r"""Precision, recall, density and coverage of samples, from nearest neighbours.

    Around each point is a ball that reaches to its k-th nearest neighbour in its own set
    (itself not counted). What lies strictly inside counts. Points that coincide with a
    centre count also where the ball has radius 0 because k others coincide too, so that a
    set compared with itself scores 1 even then.

    Precision and recall are those of Kynkäänniemi et al. 2019 (*Improved precision and
    recall metric*), density and coverage of Naeem et al. 2020 (*Reliable fidelity and
    diversity metrics*), which outliers among the real points, and among the fake ones,
    affect less. All depend on the size of the sets: for real points against real ones
    coverage comes near 1 - 2⁻ᵏ, for sets of equal size.

    Parameters
    ----------
    real : Tensor of shape (n, d)
        Features of real images; see :func:`gencourse.metrics.features`.
    fake : Tensor of shape (m, d)
        Features of samples.
    k : int
        Which neighbour a ball reaches to.
    block : int
        Most distances to hold in memory at once.

    Returns
    -------
    PRDC

    Raises
    ------
    ValueError
        If a set has no more than k points, they differ in d, or are not finite.
    """
    positive(k, "k", integer=True)
    positive(block, "block", integer=True)
    same_space(real, fake, "real", "fake", at_least=k + 1)
    device = double(real[:0]).device
    real, fake = real.detach().to(device), fake.detach().to(device)
    few = real.split(max(1, BLOCK // real.shape[1]))
    centre = torch.stack([double(part).sum(dim=0) for part in few]).sum(dim=0) / len(real)
    x, y, side = Cloud(real, centre), Cloud(fake, centre), max(1, math.isqrt(block))
    # Strictly inside, or at the centre: d² < max(r², smallest positive number).
    tiny = torch.finfo(torch.float64).tiny
    real_radius = kth_neighbour(x, k, side).clamp_min(tiny)
    fake_radius = kth_neighbour(y, k, side).clamp_min(tiny)

    balls = torch.zeros(len(fake), dtype=torch.int64, device=device)
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool, device=device)
    for rows in slices(len(real), side):
        for columns in slices(len(fake), side):
            of_real, of_fake = real_radius[rows, None], fake_radius[columns]
            squares = decided(x, rows, y, columns, of_real, of_fake)
            inside = squares < of_real
            balls[columns] += inside.sum(dim=0)
            covered[rows] |= inside.any(dim=1)
            recalled[rows] |= (squares < of_fake).any(dim=1)
    return PRDC(
        precision=(balls > 0).double().mean().item(),
        recall=recalled.double().mean().item(),
        density=balls.double().mean().item() / k,
        coverage=covered.double().mean().item(),
    )
