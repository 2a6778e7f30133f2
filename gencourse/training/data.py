"""The training set, where it is needed."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._validate import points
from gencourse.data.base import Dataset, ImageDataset

__all__ = ["resident"]

POOL = 65_536  # samples drawn once from an endless data set; indexing them is free


def resident(
    data: Dataset | Tensor, event_shape: tuple[int, ...], device: torch.device, seed: int
) -> Tensor:
    """Return the training set as one tensor on the device that trains.

    A tensor is used as it is, images are the training split, and from an endless
    distribution 65,536 samples are drawn. Batches are then an index away: no loader, no copy.

    Raises
    ------
    ValueError
        If the data are not finite, or do not have the model's event shape.
    """
    if isinstance(data, Dataset):
        if tuple(data.event_shape) != tuple(event_shape):
            raise ValueError(
                f"this model was built for samples of shape {tuple(event_shape)}, but data set "
                f"{data.name!r} has samples of shape {tuple(data.event_shape)}"
            )
        if isinstance(data, ImageDataset):
            x = data.images("train")
        else:
            x = data.sample(POOL, generator=torch.Generator().manual_seed(seed))
    else:
        x = data
    return points(x, "data", event_shape).detach().to(device=device, dtype=torch.float32)
