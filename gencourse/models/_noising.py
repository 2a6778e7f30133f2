"""The network of the models that learn from noised data."""

from __future__ import annotations

from torch import nn

from gencourse import nets

__all__ = ["time_network"]


def time_network(event_shape: tuple[int, ...], width: int, depth: int) -> nn.Module:
    """Return a network (x, t) ↦ f(x, t) of the shape of x: an MLP or, for images, a U-Net."""
    if len(event_shape) == 1:
        (d,) = event_shape
        return nets.TimeMLP(d, d, width=width, depth=depth)
    return nets.TimeUNet(event_shape, width=width)
