"""Has a model learned, or learned by heart? Samples that are copies of training data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double
from gencourse._validate import points, positive
from gencourse.metrics.kernels import squared_distances

__all__ = ["Memorisation", "memorisation"]

RATIO = 1 / 3  # of the distances to the nearest and the next training point


@dataclass(frozen=True)
class Memorisation:
    """What :func:`memorisation` found.

    Attributes
    ----------
    share : float
        Share of the samples that are copies.
    held_out_share : float or None
        Share of the held-out data that would count as copies: the error of the test.
    distance_ratio : float or None
        Median distance of samples to their nearest training point, over that of held-out
        data. About 1 for a model that draws new data, well below for one that copies, and
        above for one whose samples are far from any data.
    """

    share: float
    held_out_share: float | None
    distance_ratio: float | None


def memorisation(
    samples: Tensor,
    train: Tensor,
    held_out: Tensor | None = None,
    *,
    ratio: float = RATIO,
    block: int = BLOCK,
) -> Memorisation:
    r"""Find samples that are copies of single training points.

    A sample counts as a copy if its nearest training point is less than ``ratio`` times as
    far away as the next one (Yoon et al. 2023, *Diffusion probabilistic models generalize
    when they fail to memorize*, with a third). The test has no scale to set and needs no
    other data; held-out data say what it is worth.

    Parameters
    ----------
    samples : Tensor of shape (n, \*event_shape)
    train : Tensor of shape (m, \*event_shape)
        What the model has seen; points that occur several times count once.
    held_out : Tensor of shape (l, \*event_shape), optional
        Real data that it has not seen.
    ratio : float
        Between 0 and 1.
    block : int
        Most distances to hold in memory at once.

    Returns
    -------
    Memorisation

    Raises
    ------
    ValueError
        If shapes do not fit, a tensor is empty or not finite, or ``train`` has fewer than
        two different points.
    """
    sets = {"samples": samples, "train": train}
    if held_out is not None:
        sets["held_out"] = held_out
    for name, x in sets.items():
        if points(x, name).shape[1:] != samples.shape[1:]:
            raise ValueError(
                f"samples and {name} must hold points of the same shape, not "
                f"{tuple(samples.shape[1:])} and {tuple(x.shape[1:])}"
            )
    positive(ratio, "ratio")
    if ratio >= 1:
        raise ValueError(f"ratio must lie between 0 and 1, not {ratio!r}")
    positive(block, "block", integer=True)
    seen = double(train.detach()).flatten(1).unique(dim=0)
    if len(seen) < 2:
        raise ValueError("train must hold at least 2 different points")

    def nearest(x: Tensor) -> tuple[Tensor, Tensor]:
        x = double(x.detach()).flatten(1).to(seen.device)
        rows = max(1, block // len(seen))
        two = [
            squared_distances(part, seen).topk(2, dim=1, largest=False).values
            for part in x.split(rows)
        ]
        first, second = torch.cat(two).sqrt().unbind(dim=1)
        return first, first < ratio * second

    distance, copied = nearest(samples)
    share = copied.double().mean().item()
    if held_out is None:
        return Memorisation(share, None, None)
    expected, mistaken = nearest(held_out)
    median = expected.median().item()
    return Memorisation(
        share,
        mistaken.double().mean().item(),
        distance.median().item() / median if median > 0 else None,
    )
