"""The centre and the scale of data, by which models bring them to about unit size."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["centre_and_scale"]


def centre_and_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of the data, and their root mean square distance from it per coordinate.

    One scale for all coordinates keeps the geometry: a round cloud stays round. For images
    the mean is a single number too, as every pixel means the same.

    Parameters
    ----------
    x : Tensor of shape (n, d) or (n, channels, height, width)

    Returns
    -------
    centre : Tensor of shape (d,) for points, () for images
    scale : Tensor of shape ()
    """
    centre = x.mean(0) if x.ndim == 2 else x.mean()
    scale = (x - centre).square().mean().sqrt()
    # A single point has no extent; any scale serves it.
    return centre, torch.where(scale > 0, scale, torch.ones_like(scale))
