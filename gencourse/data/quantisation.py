"""Grey levels: images are whole numbers in disguise, and densities need that undone.

A density of continuous numbers can be made as large as one likes at the few values that a
pixel takes. Spreading each value evenly over the width of one grey level removes that, and
the density of the result bounds the probability of the image itself (Theis, van den Oord &
Bethge 2016, section 3.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._validate import points

__all__ = ["dequantise", "grey_level", "quantise"]

FINEST = 2 / 255  # width of a level of 8-bit images in [-1, 1]
TOLERANCE = 1e-4  # rounding of float32 pixels, far below the width of a level


def grey_level(images: Tensor) -> float:
    """Return the width of one grey level: the least gap between two values of the pixels.

    1/8 for the digits of 17 levels, 2/255 for photographs of 256. Values that lie closer than
    2/255, as after resizing, count as continuous, and are given the width 2/255.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        In [-1, 1].

    Raises
    ------
    ValueError
        If the images are empty or not finite.
    """
    values = points(images, "images").unique()
    gaps = values.diff()
    gaps = gaps[gaps > TOLERANCE]
    return max(float(gaps.min()), FINEST) if len(gaps) else FINEST


def dequantise(
    images: Tensor, level: Tensor | float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Add noise, uniform over one grey level around each pixel's value.

    Parameters
    ----------
    images : Tensor
        Of any shape.
    level : Tensor or float
        Width of a grey level; see :func:`grey_level`.
    generator : torch.Generator, optional
        Source of the noise, on any device.

    Examples
    --------
    >>> import torch
    >>> x = dequantise(torch.zeros(1000), 0.5, generator=torch.Generator().manual_seed(0))
    >>> bool((x.abs() <= 0.25).all())
    True
    """
    where = images.device if generator is None else generator.device
    noise = torch.rand(images.shape, generator=generator, device=where, dtype=images.dtype)
    return images + level * (noise.to(images.device) - 0.5)


def quantise(images: Tensor, level: Tensor | float) -> Tensor:
    """Round to the nearest of the grey levels -1, -1 + level, …, 1.

    It undoes :func:`dequantise`; of a sample from a density of dequantised images it makes a
    sample of the images themselves.

    Parameters
    ----------
    images : Tensor
        Of any shape; values outside [-1, 1] go to the nearest end.
    level : Tensor or float
        Width of a grey level; see :func:`grey_level`.

    Examples
    --------
    >>> import torch
    >>> quantise(torch.tensor([-1.3, -0.2, 0.3]), 0.5).tolist()
    [-1.0, 0.0, 0.5]
    """
    return ((images.clamp(-1, 1) + 1) / level).round() * level - 1
