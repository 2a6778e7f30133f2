"""The Inception score: whether images are clear, each of one class, and of all classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points, positive

__all__ = ["InceptionScore", "inception_score"]

TOLERANCE = 1e-2  # by which probabilities in half precision may miss a sum of 1


@dataclass(frozen=True)
class InceptionScore:
    """What :func:`inception_score` found.

    Attributes
    ----------
    mean : float
        Over the splits; between 1 and the number of classes.
    std : float
        Standard deviation over the splits, dividing by their number.
    """

    mean: float
    std: float


def inception_score(probs: Tensor, splits: int = 10) -> InceptionScore:
    r"""Inception score of images, from the class probabilities that a classifier gives them.

    .. math:: \operatorname{IS} = \exp\Bigl(\frac1n \sum_i
        \operatorname{KL}\bigl(p(\cdot \mid x_i) \,\|\, \bar p\bigr)\Bigr), \qquad
        \bar p = \frac1n \sum_i p(\cdot \mid x_i),

    of each of the splits, then their mean and standard deviation (Salimans et al. 2016,
    *Improved techniques for training GANs*, section 4). It never sees the data: a
    model that draws one perfect image of each class gets the highest score.

    The images are split in the order in which they come, split i from ⌊in/s⌋ to
    ⌊(i+1)n/s⌋, and the standard deviation divides by s, as in the paper's code. (Some
    packages shuffle first, or divide by s - 1.)

    Parameters
    ----------
    probs : Tensor of shape (n, K)
        Each row a distribution over K classes.
    splits : int
        s.

    Returns
    -------
    InceptionScore

    Raises
    ------
    ValueError
        If probabilities are negative, do not sum to 1 or are not finite, or if there are
        fewer rows than splits.

    Examples
    --------
    >>> import torch
    >>> inception_score(torch.eye(4).repeat(5, 1), splits=1).mean  # all classes, no doubt
    4.0
    """
    points(probs, "probs")
    positive(splits, "splits", integer=True)
    if probs.ndim != 2:
        raise ValueError(f"probs must have shape (n, K), not {tuple(probs.shape)}")
    if len(probs) < splits:
        raise ValueError(f"{splits} splits need at least {splits} rows, not {len(probs)}")
    if probs.min() < 0:
        raise ValueError("probs holds negative numbers; pass probabilities, not log odds")
    p = double(probs.detach())
    totals = p.sum(dim=1)
    if (totals - 1).abs().max() > TOLERANCE:
        raise ValueError(
            f"each row of probs must sum to 1, not {totals[(totals - 1).abs().argmax()]:.3g}; "
            "pass probabilities, not log odds"
        )
    n = len(p)
    bounds = [i * n // splits for i in range(splits + 1)]
    scores = torch.stack([_score(p[a:b]) for a, b in pairwise(bounds)])
    return InceptionScore(scores.mean().item(), scores.std(correction=0).item())


def _score(p: Tensor) -> Tensor:
    """Exponentiate the mean KL divergence = Σ p log p / n - Σ p̄ log p̄, with 0 log 0 = 0."""
    mean = p.mean(dim=0)
    return (torch.xlogy(p, p).sum(dim=1).mean() - torch.xlogy(mean, mean).sum()).exp()
