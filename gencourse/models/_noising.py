"""What the two models that learn from noised data share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gencourse import nets

__all__ = ["centre_and_scale", "time_network"]


def time_network(event_shape: tuple[int, ...], width: int, depth: int) -> nn.Module:
    """Return a network (x, t) ↦ f(x, t): an MLP for points, a U-Net for images."""
    if len(event_shape) == 1:
        (d,) = event_shape
        return nets.TimeMLP(d, d, width=width, depth=depth)
    return nets.TimeUNet(event_shape, width=width)


def centre_and_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of points, and their root mean square distance from it per coordinate.

    For images both are single numbers, as every pixel means the same.
    """
    centre = x.mean(0) if x.ndim == 2 else x.mean()
    scale = (x - centre).square().mean().sqrt()
    # A single point has no extent; any scale serves it.
    return centre, torch.where(scale > 0, scale, torch.ones_like(scale))
