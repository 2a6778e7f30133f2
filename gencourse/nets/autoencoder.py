"""Encoder and decoder: from samples to codes and back, for points and for images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gencourse.nets.dcgan import downsampling, upsampling
from gencourse.nets.mlp import mlp

__all__ = ["decoder", "encoder"]

HIDDEN = 4  # units of a fully connected layer between code and image, in widths


def encoder(
    event_shape: Sequence[int], outputs: int, *, width: int = 128, depth: int = 3
) -> nn.Sequential:
    r"""Network from samples to ``outputs`` numbers each, the code or what describes its law.

    Fully connected for points, convolutional for images.

    Parameters
    ----------
    event_shape : (d,) or (channels, size, size)
        Shape of one sample.
    outputs : int
        Numbers for each sample; the result has shape ``(n, outputs)``.
    width : int
        Hidden units; for images the channels of the finest feature map.
    depth : int
        Fully connected hidden layers; for images those between the convolutions and the
        result, of ``4 width`` units. How many convolutions there are follows from the size.

    Raises
    ------
    ValueError
        If the images are not square, or their size cannot be halved to a few pixels.

    Examples
    --------
    >>> import torch
    >>> encoder((1, 8, 8), 16, width=4)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 16])
    """
    if len(event_shape) == 1:
        return mlp(event_shape[0], outputs, width=width, depth=depth)
    hidden = HIDDEN * width
    convolutions = downsampling(event_shape, hidden, width=width)
    return nn.Sequential(
        *convolutions, nn.ReLU(), *mlp(hidden, outputs, width=hidden, depth=depth - 1)
    )


def decoder(
    latent: int,
    event_shape: Sequence[int],
    *,
    width: int = 128,
    depth: int = 3,
    bounded: bool = True,
) -> nn.Sequential:
    r"""Network from codes of shape ``(n, latent)`` to samples of shape ``(n, *event_shape)``.

    The mirror image of :func:`encoder`. The fully connected layers let images change quickly
    between modes, as one linear layer could not. Nothing is normalised over the batch: a sample
    depends on its own code alone.

    Parameters
    ----------
    latent : int
        Dimension of a code.
    event_shape : (d,) or (channels, size, size)
        Shape of one sample.
    width, depth : int
        As in :func:`encoder`.
    bounded : bool
        Whether ``tanh`` keeps the pixels of images in [-1, 1]; otherwise they are any real
        numbers, such as log odds. Points are never bounded.

    Raises
    ------
    ValueError
        If the images are not square, or their size cannot be halved to a few pixels.
    """
    if len(event_shape) == 1:
        return mlp(latent, event_shape[0], width=width, depth=depth)
    hidden = HIDDEN * width
    layers = upsampling(hidden, event_shape, width=width, normalised=False)
    return nn.Sequential(
        *mlp(latent, hidden, width=hidden, depth=depth - 1),
        nn.ReLU(),
        *layers,
        *([nn.Tanh()] if bounded else []),
    )
