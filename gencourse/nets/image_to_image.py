"""Networks from one image to another: U-Net, residual upscaler, and the critic of patches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import positive
from gencourse.nets.dcgan import _halvings

__all__ = ["UNet", "Upscaler", "patch_discriminator"]


class _Residual(nn.Module):
    """h + V ∗ φ(W ∗ h), of 3 × 3 pixels each, normalised over the batch or not."""

    def __init__(self, width: int, *, normalised: bool) -> None:
        super().__init__()
        norms = [nn.BatchNorm2d(width) if normalised else nn.Identity() for _ in range(2)]
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            norms[0],
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            norms[1],
        )

    def forward(self, h: Tensor) -> Tensor:
        return h + self.layers(h)


class UNet(nn.Module):
    """Image to image of the same size, both coarse and in detail; the generator of pix2pix.

    On the way down strided convolutions halve the image to a few pixels and double its
    features, on the way up it is doubled again, and each resolution hands its
    features across, so that an outline need not pass through the bottom (Ronneberger, Fischer &
    Brox 2015; Isola, Zhu, Zhou & Efros 2017, section 3.2).

    Parameters
    ----------
    source_shape : (channels, size, size)
        Of the input; any size ``c·2^k``.
    channels : int
        Of the output, whose values lie in [-1, 1].
    width : int
        Features at half the resolution.
    depth : int
        Residual blocks at the bottom.

    Raises
    ------
    ValueError
        If images of this shape cannot be halved to a few pixels.

    Examples
    --------
    >>> import torch
    >>> UNet((1, 8, 8), 3, width=4)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 3, 8, 8])
    """

    def __init__(
        self, source_shape: Sequence[int], channels: int, *, width: int = 32, depth: int = 2
    ) -> None:
        super().__init__()
        for name, size in {"channels": channels, "width": width, "depth": depth}.items():
            positive(size, name, integer=True)
        inputs, _, halvings = _halvings(source_shape)
        widths = [inputs, *(width * 2**i for i in range(halvings))]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 4, stride=2, padding=1),
                # The first layer sees the pixels themselves, as in the paper.
                nn.BatchNorm2d(b) if i else nn.Identity(),
                nn.LeakyReLU(0.2),
            )
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.bottom = nn.Sequential(*(_Residual(widths[-1], normalised=True) for _ in range(depth)))
        ups = [width, *widths[1:]]  # features that come out at each resolution, finest first
        self.up = nn.ModuleList(
            nn.Sequential(
                # Transposed convolutions would leave a checkerboard (Odena et al. 2016).
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                # From the second on, what was handed across comes in beside what came up.
                nn.Conv2d(ups[i + 1] * (1 if i == halvings - 1 else 2), ups[i], 3, padding=1),
                nn.BatchNorm2d(ups[i]),
                nn.ReLU(),
            )
            for i in reversed(range(halvings))
        )
        self.last = nn.Conv2d(width + inputs, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, size, size)`` to ``(n, channels out, size, size)``."""
        across = [x]
        for layer in self.down:
            across.append(layer(across[-1]))
        h = self.bottom(across.pop())
        for layer in self.up:
            h = torch.cat([layer(h), across.pop()], dim=1)
        return self.last(h).tanh()


class Upscaler(nn.Module):
    """Image to one ``2^k`` times as large: bicubic interpolation plus what a network adds to it.

    The network works at the low resolution, where pixels are few, and doubles it k times by
    a convolution to four times the channels whose numbers become 2 × 2 pixels: the generator of
    SRGAN (Ledig et al. 2017, figure 4), small and without batch normalisation.

    Parameters
    ----------
    channels : int
        Of either image.
    factor : int
        2, 4, 8, …
    width : int
        Hidden channels.
    depth : int
        Residual blocks.

    Raises
    ------
    ValueError
        If the factor is not a power of two above one.

    Examples
    --------
    >>> import torch
    >>> Upscaler(1, 4, width=8)(torch.zeros(5, 1, 7, 7)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(self, channels: int, factor: int, *, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        for name, size in {"channels": channels, "width": width, "depth": depth}.items():
            positive(size, name, integer=True)
        positive(factor, "factor", integer=True)
        doublings = factor.bit_length() - 1
        if factor < 2 or factor != 2**doublings:
            raise ValueError(f"factor must be 2, 4, 8 or another power of two, not {factor}")
        self.factor = factor
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Residual(width, normalised=False) for _ in range(depth)))
        self.up = nn.Sequential(
            *(
                layer
                for _ in range(doublings)
                for layer in (
                    nn.Conv2d(width, 4 * width, 3, padding=1),
                    nn.PixelShuffle(2),
                    nn.LeakyReLU(0.2),
                )
            )
        )
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        # The untrained network is bicubic interpolation: training starts from the baseline.
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` to ``(n, channels, factor·h, factor·w)``."""
        h = self.first(x)
        h = h + self.blocks(F.leaky_relu(h, 0.2))
        plain = F.interpolate(x, scale_factor=float(self.factor), mode="bicubic")
        return plain + self.last(self.up(h))


def patch_discriminator(channels: int, *, width: int = 32) -> nn.Sequential:
    """Judge every patch of 18 × 18 pixels by a logit of its own; logits of shape ``(n, patches)``.

    Two strided convolutions and a third of 3 × 3. That a whole image hangs together is left to
    the other losses; this critic looks at texture and edges, with few weights, on images of any
    size (Isola et al. 2017, section 3.3).

    Parameters
    ----------
    channels : int
        Of what is judged: source and target together, where the question is whether they belong
        together.
    width : int
        Features of the first layer.

    Examples
    --------
    >>> import torch
    >>> patch_discriminator(2, width=8)(torch.zeros(5, 2, 28, 28)).shape
    torch.Size([5, 49])
    """
    for name, size in {"channels": channels, "width": width}.items():
        positive(size, name, integer=True)
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 3, padding=1),
        nn.Flatten(),
    )
