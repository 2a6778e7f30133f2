"""Convolutions that keep an image's size, with a shortcut around every two of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResidualConvolutions"]


class ResidualConvolutions(nn.Module):
    """Images to images of the same size: the network inside a coupling layer.

    A convolution of 3 × 3 pixels, ``depth`` residual blocks h + V φ(W ∗ φ(h)) (He et al. 2016),
    and a last convolution. A learned bias for each pixel tells where on the image it is.

    Parameters
    ----------
    event_shape : (channels, height, width)
        Of the input.
    outputs : int
        Channels of the output.
    width : int
        Hidden channels.
    depth : int
        Residual blocks.
    """

    def __init__(
        self, event_shape: tuple[int, ...], outputs: int, *, width: int = 32, depth: int = 2
    ) -> None:
        super().__init__()
        c, h, w = event_shape
        self.first = nn.Conv2d(c, width, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(width, h, w))
        self.convolve = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(depth))
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, height, width)`` to ``(n, outputs, height, width)``."""
        h = self.first(x) + self.place
        for convolve, mix in zip(self.convolve, self.mix, strict=True):
            h = h + mix(F.elu(convolve(F.elu(h))))
        return self.last(F.elu(h))
