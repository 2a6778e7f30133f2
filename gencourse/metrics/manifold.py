"""Precision, recall, density and coverage: fidelity and diversity, told apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double
from gencourse._validate import positive
from gencourse.metrics.frechet import same_space

__all__ = ["PRDC", "prdc"]

# A squared distance below this share of the two squared norms is rounding: points that coincide
# must be found at distance 0, whatever matrix product the distance came from.
COINCIDE = 1e-13


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
    real, fake = double(real.detach()), double(fake.detach())
    fake = fake.to(real.device)
    centre = real.mean(dim=0)
    real, fake = real - centre, fake - centre
    real_norms, fake_norms = real.square().sum(dim=1), fake.square().sum(dim=1)
    real_radius = _squared_radius(real, real_norms, k, block)
    fake_radius = _squared_radius(fake, fake_norms, k, block)

    # Strictly inside, or at the centre: d² < max(r², smallest positive number).
    tiny = torch.finfo(torch.float64).tiny
    real_radius, fake_radius = real_radius.clamp_min(tiny), fake_radius.clamp_min(tiny)
    balls = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    recalled = covered = torch.zeros((), dtype=torch.int64, device=real.device)
    rows = max(1, block // len(fake))
    for part, norms, radius in zip(
        real.split(rows), real_norms.split(rows), real_radius.split(rows), strict=True
    ):
        squares = _squares(part, norms, fake, fake_norms)
        inside = squares < radius[:, None]
        balls += inside.sum(dim=0)
        covered = covered + inside.any(dim=1).sum()
        recalled = recalled + (squares < fake_radius).any(dim=1).sum()
    return PRDC(
        precision=(balls > 0).double().mean().item(),
        recall=recalled.item() / len(real),
        density=balls.double().mean().item() / k,
        coverage=covered.item() / len(real),
    )


def _squares(x: Tensor, x_norms: Tensor, y: Tensor, y_norms: Tensor) -> Tensor:
    """Squared distances, shape (n, m), of centred points; those that are rounding become 0."""
    norms = x_norms[:, None] + y_norms
    squares = torch.addmm(norms, x, y.T, alpha=-2)
    return squares.masked_fill_(squares < norms.mul_(COINCIDE), 0.0)


def _squared_radius(x: Tensor, norms: Tensor, k: int, block: int) -> Tensor:
    """Squared distance of each point to its k-th nearest neighbour, shape (n,)."""
    rows = max(1, block // len(x))
    radii = []
    for start in range(0, len(x), rows):
        stop = start + rows
        squares = _squares(x[start:stop], norms[start:stop], x, norms)
        squares.diagonal(start).zero_()  # itself, which is the nearest
        radii.append(squares.topk(k + 1, dim=1, largest=False, sorted=False).values.amax(dim=1))
    return torch.cat(radii)
