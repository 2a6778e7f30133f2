"""Convolutions that see only the pixels above and to the left: PixelCNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse.nets.masked import Choose

__all__ = ["Dropout", "MaskedConv2d", "MaskedConvolutions"]


class MaskedConv2d(nn.Conv2d):
    """Convolution whose output at a pixel sees the rows above, and its own row up to itself.

    Only the r + 1 rows of the kernel that may be seen exist at all; of the last of them a mask
    hides the right part. At the pixel itself channels are taken in groups, one for each
    colour: a group sees the groups before it and, unless ``strict``, itself (van den Oord et
    al. 2016, section 3.4, masks A and B).

    Parameters
    ----------
    inputs, outputs : int
        Channels, multiples of ``colours``.
    radius : int
        r; the kernel is 2r + 1 pixels wide.
    colours : int
        Number of groups.
    strict : bool
        Hide the group's own inputs: mask A, needed where the inputs are the image itself.
    """

    mask: Tensor

    def __init__(
        self, inputs: int, outputs: int, *, radius: int, colours: int = 1, strict: bool = False
    ) -> None:
        super().__init__(inputs, outputs, (radius + 1, 2 * radius + 1))
        self.radius = radius
        mask = torch.ones_like(self.weight)
        mask[:, :, radius, radius + 1 :] = 0
        into = torch.arange(outputs)[:, None] * colours // outputs
        out_of = torch.arange(inputs) * colours // inputs
        mask[:, :, radius, radius] = ((into > out_of) if strict else (into >= out_of)).float()
        self.register_buffer("mask", mask, persistent=False)

    def pad(self, x: Tensor) -> Tensor:
        """Surround images by the zeros that the kernel sees beyond their border."""
        return F.pad(x, (self.radius, self.radius, self.radius, 0))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; the size of the images stays."""
        return F.conv2d(self.pad(x), self.mask * self.weight, self.bias)

    def at(self, padded: Tensor, i: int, j: int, weight: Tensor) -> Tensor:
        """Return the output at pixel (i, j) alone, shape ``(n, outputs)``.

        ``padded`` is what :meth:`pad` returns, ``weight`` is M ⊙ W as a matrix.
        """
        r = self.radius
        patch = padded[:, :, i : i + r + 1, j : j + 2 * r + 1]
        return F.linear(patch.flatten(1), weight, self.bias)

    def matrix(self) -> Tensor:
        """Return M ⊙ W with one row for each output."""
        return (self.mask * self.weight).flatten(1)


class Dropout(nn.Module):
    """Zero a share of the numbers in training, at random by a generator that can be set.

    :class:`torch.nn.Dropout` draws from torch's global generator, which a resumed run does
    not get back.

    Attributes
    ----------
    generator : torch.Generator or None
        On the device of the input; None stands for torch's global generator.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, h: Tensor) -> Tensor:
        """Drop, and scale the rest up so that the mean stays."""
        if not self.training or self.share == 0:
            return h
        kept = torch.rand(h.shape, generator=self.generator, device=h.device) >= self.share
        return h * kept / (1 - self.share)


class Residual(nn.Module):
    """h + V φ(W ∗ φ(h)): a masked convolution W of 3 pixels, and a pointwise one V."""

    def __init__(self, width: int, colours: int, dropout: float) -> None:
        super().__init__()
        self.convolve = MaskedConv2d(width, width, radius=1, colours=colours)
        self.mix = MaskedConv2d(width, width, radius=0, colours=colours)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """Apply the block."""
        return h + self.mix(self.dropout(F.elu(self.convolve(F.elu(h)))))


class MaskedConvolutions(nn.Module):
    """PixelCNN (van den Oord et al. 2016) with residual blocks, for images of one size.

    The outputs for a pixel depend on the pixels before it in reading order: rows from the
    top, in a row from the left, in a pixel channel by channel. The first convolution
    reaches ``radius`` pixels, each residual block one more. A learned bias for each pixel tells
    the network where on the image it is, as objects are centred.

    Small masked kernels have a *blind spot* up and to the right, which no stack of them ever
    sees (van den Oord et al. 2016b). A wide first kernel, which is cheap on one or three
    channels, moves it out of small images, and far away in larger ones.

    Parameters
    ----------
    event_shape : (channels, height, width)
    outputs : int
        Numbers for each pixel and channel.
    width : int
        Hidden channels, a multiple of the image's channels.
    depth : int
        Residual blocks.
    radius : int
        Of the first convolution; more than the images' size makes no difference.
    dropout : float
        Share of hidden units that are dropped in training.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        outputs: int,
        *,
        width: int = 48,
        depth: int = 4,
        radius: int = 7,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(event_shape) != 3:
            raise ValueError(
                f"convolutions need images (channels, height, width), not {tuple(event_shape)}"
            )
        c, h, w = event_shape
        if width % c:
            raise ValueError(
                f"width must be a multiple of the images' {c} channels, but is {width}"
            )
        radius = min(radius, max(h, w) - 1)
        self.event_shape, self.outputs = tuple(event_shape), outputs
        self.first = MaskedConv2d(c, width, radius=radius, colours=c, strict=True)
        self.place = nn.Parameter(torch.zeros(width, h, w))
        blocks = [Residual(width, c, dropout) for _ in range(depth)]
        self.blocks = nn.Sequential(*blocks)
        self.last = MaskedConv2d(width, c * outputs, radius=0, colours=c)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``(n, c, h, w)`` to the outputs, ``(n, outputs, c, h, w)``, in one pass."""
        hidden = self.blocks(self.first(x) + self.place)
        c = self.event_shape[0]
        return self.last(F.elu(hidden)).unflatten(1, (c, self.outputs)).transpose(1, 2)

    def bias_of_outputs(self) -> Tensor:
        """Return the last layer's bias as ``(outputs, channels)``, a view of its data."""
        assert self.last.bias is not None
        return self.last.bias.data.view(-1, self.outputs).T

    @torch.no_grad()
    def ancestral(self, n: int, choose: Choose) -> tuple[Tensor, Tensor]:
        """Choose the pixels in reading order, each in the light of the earlier ones.

        As :meth:`gencourse.nets.MaskedMLP.ancestral`, without gradients. Every hidden number
        is computed once, when its pixel's turn comes, and kept: all h·w steps together
        cost about as much as one pass over the whole images.

        Returns
        -------
        x : Tensor of shape (n, c, h, w)
        parameters : Tensor of shape (n, outputs, c, h, w)
        """
        c, height, width = self.event_shape
        place = self.place
        x = self.first.pad(place.new_zeros(n, c, height, width))
        parameters = place.new_zeros(n, self.outputs, c, height, width)
        blank = place.new_zeros(n, len(place), height, width)
        # What the spatial convolution of each block sees of the block's input.
        blocks = [block for block in self.blocks if isinstance(block, Residual)]
        seen = [block.convolve.pad(blank) for block in blocks]
        first, last = self.first.matrix(), self.last.matrix()
        weights = [(block.convolve.matrix(), block.mix.matrix()) for block in blocks]

        def outputs_at(i: int, j: int) -> Tensor:
            hidden = self.first.at(x, i, j, first) + place[:, i, j]
            for block, active, (W, V) in zip(blocks, seen, weights, strict=True):
                active[:, :, i + 1, j + 1] = F.elu(hidden)
                inner = F.elu(block.convolve.at(active, i, j, W))
                hidden = hidden + F.linear(inner, V, block.mix.bias)
            return F.linear(F.elu(hidden), last, self.last.bias).unflatten(1, (c, -1))

        r = self.first.radius
        for i in range(height):
            for j in range(width):
                for channel in range(c):
                    found = outputs_at(i, j)[:, channel]
                    parameters[:, :, channel, i, j] = found
                    value = choose((channel * height + i) * width + j, found)
                    x[:, channel, i + r, j + r] = value
        return x[:, :, r:, r : r + width].contiguous(), parameters
