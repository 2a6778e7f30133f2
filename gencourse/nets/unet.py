"""A compact U-Net that knows the time, for images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import positive
from gencourse.nets.time import TimeFeatures

__all__ = ["TimeUNet"]

HALVINGS = 2  # at most: 8 → 4 → 2, 28 → 14 → 7, 32 → 16 → 8


def _norm(channels: int) -> nn.GroupNorm:
    """At most 8 groups, of 4 channels or more: alone in its group, a channel forgets its mean.

    The mean is what the time is added to.
    """
    return nn.GroupNorm(math.gcd(8, max(channels // 4, 1)), channels)


class _Block(nn.Module):
    """Two convolutions with the time added between them, and a path around both."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.norm2 = _norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.around = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(time)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return self.around(x) + h


class TimeUNet(nn.Module):
    """U-Net of an image and a time, (x, t) ↦ f(x, t) of the shape of x.

    The architecture of Ronneberger, Fischer & Brox (2015) as Ho, Jain & Abbeel (2020) use it,
    made small: on the way down the image is halved while its features grow, on the way up
    it is doubled, and each resolution hands its features across. One residual block at each
    resolution on each way; group normalisation, SiLU, no attention.

    Parameters
    ----------
    event_shape : (channels, height, width)
        Height and width must be even; they are halved twice if they can be, and once if not.
    width : int
        Channels at full resolution; twice as many below.
    frequencies : int
        K, half the number of time features.
    highest : float
        The highest frequency of the time features; see :class:`TimeFeatures`.

    Raises
    ------
    ValueError
        If the images cannot be halved.

    Examples
    --------
    >>> import torch
    >>> network = TimeUNet((1, 8, 8), width=8)
    >>> network(torch.zeros(5, 1, 8, 8), 0.3).shape
    torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        width: int = 32,
        frequencies: int = 16,
        highest: float = 100.0,
    ) -> None:
        super().__init__()
        positive(width, "width", integer=True)
        if len(event_shape) != 3 or min(event_shape) < 1:
            raise ValueError(
                f"a U-Net needs images of shape (channels, height, width), not {tuple(event_shape)}"
            )
        channels, *sides = event_shape
        if any(side % 2 for side in sides):
            raise ValueError(
                f"images of size {sides[0]} × {sides[1]} cannot be halved; resize or pad them to "
                "an even height and width, best to a multiple of 4"
            )
        halvings = HALVINGS if all(side % 2**HALVINGS == 0 for side in sides) else 1
        widths = [width] + [2 * width] * halvings
        time = 2 * width
        self.embedding = nn.Sequential(
            TimeFeatures(frequencies, highest=highest),
            nn.Linear(2 * frequencies, time),
            nn.SiLU(),
            nn.Linear(time, time),
            nn.SiLU(),
        )
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(
            _Block(widths[max(i - 1, 0)], widths[i], time) for i in range(halvings)
        )
        self.middle = _Block(widths[-2], widths[-1], time)
        self.up = nn.ModuleList(
            _Block(widths[i + 1] + widths[i], widths[i], time) for i in reversed(range(halvings))
        )
        self.norm = _norm(width)
        self.out = nn.Conv2d(width, channels, 3, padding=1)
        # The untrained network is the zero function: training starts from a known point.
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return f(x, t), of the shape of x.

        Parameters
        ----------
        x : Tensor of shape (n, channels, height, width)
        t : float, or Tensor of shape () or (n,)
            One time for all images, or one for each.
        """
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device).reshape(-1)
        time = self.embedding(t)  # (1, …) for a single time: broadcast over the batch
        h = self.stem(x)
        across = []
        for block in self.down:
            h = block(h, time)
            across.append(h)
            h = F.avg_pool2d(h, 2)
        h = self.middle(h, time)
        for block in self.up:
            h = F.interpolate(h, scale_factor=2.0, mode="nearest")
            h = block(torch.cat([h, across.pop()], dim=1), time)
        return self.out(F.silu(self.norm(h)))
