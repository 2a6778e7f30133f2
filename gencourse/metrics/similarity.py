"""How near an image is to the one it should be: PSNR, and SSIM, which sees structure."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gencourse._precision import double
from gencourse._validate import points, positive

__all__ = ["psnr", "ssim"]

LIMITS = (-1.0, 1.0)  # the darkest and the brightest value in this course
WINDOW = 11  # pixels, of Wang et al. 2004
STD = 1.5  # pixels, of the window's weights
K1, K2 = 0.01, 0.03


def psnr(x: Tensor, y: Tensor, *, limits: tuple[float, float] = LIMITS) -> Tensor:
    r"""Peak signal-to-noise ratio of each image, 10 log₁₀(range² / mean (x - y)²), in dB.

    Parameters
    ----------
    x, y : Tensor of shape (n, channels, height, width)
        Images, and what they should be.
    limits : (float, float)
        The darkest and the brightest value there can be; range is the difference.

    Returns
    -------
    Tensor of shape (n,)
        Infinite for equal images; of the dtype and on the device of ``x``; differentiable.

    Raises
    ------
    ValueError
        If the images differ in shape, are empty or not finite, or the limits are no interval.

    Examples
    --------
    >>> import torch
    >>> x = torch.zeros(1, 1, 8, 8)
    >>> psnr(x, x + 0.2)
    tensor([20.])
    """
    a, b = _images(x, y, limits)
    data_range = limits[1] - limits[0]
    error = (a - b).square().flatten(1).mean(dim=1)
    return (10 * (data_range**2 / error).log10()).to(device=x.device, dtype=x.dtype)


def ssim(
    x: Tensor, y: Tensor, *, limits: tuple[float, float] = LIMITS, window: int | None = None
) -> Tensor:
    r"""Structural similarity of each image to the one it should be: 1 only if they are equal.

    .. math:: \frac{(2\mu_x\mu_y + c_1)(2\sigma_{xy} + c_2)}
        {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)},
        \qquad c_i = (K_i \cdot \text{range})^2,

    from local means, variances and covariances under a Gaussian window of 11 × 11 pixels and
    standard deviation 1.5, averaged over all places where the window fits and over channels
    (Wang, Bovik, Sheikh & Simoncelli 2004, *Image quality assessment*). Values are counted
    from black, on which the first factor depends.

    Parameters
    ----------
    x, y : Tensor of shape (n, channels, height, width)
        Images, and what they should be.
    limits : (float, float)
        The darkest and the brightest value there can be; range is the difference.
    window : int, optional
        Side of the window, odd. By default 11, or the largest odd number that fits: 7 for
        images of 8 × 8.

    Returns
    -------
    Tensor of shape (n,)
        Between -1 and 1; of the dtype and on the device of ``x``; differentiable.

    Raises
    ------
    ValueError
        If the images differ in shape, are empty or not finite, or the window is even or
        does not fit.
    """
    a, b = _images(x, y, limits)
    data_range = limits[1] - limits[0]
    channels, smallest = a.shape[1], min(a.shape[2:])
    if window is None:
        window = min(WINDOW, smallest - (smallest + 1) % 2)
    positive(window, "window", integer=True)
    if window % 2 == 0 or window > smallest:
        raise ValueError(
            f"window must be odd, and no larger than the images of {smallest} pixels, not {window}"
        )
    offset = torch.arange(window, dtype=a.dtype, device=a.device) - (window - 1) / 2
    weight = (-0.5 * (offset / STD).square()).exp()
    weight = weight / weight.sum()

    # The window is a product, so that rows and columns can be averaged one after the other.
    maps = torch.cat([a, b, a * a, b * b, a * b], dim=1)
    kernel = weight.expand(len(maps[0]), 1, window)
    maps = F.conv2d(maps, kernel[:, :, None, :], groups=len(kernel))
    maps = F.conv2d(maps, kernel[:, :, :, None], groups=len(kernel))
    mean_x, mean_y, xx, yy, xy = maps.split(channels, dim=1)
    var_x, var_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return similarity.flatten(1).mean(dim=1).to(device=x.device, dtype=x.dtype)


def _images(x: Tensor, y: Tensor, limits: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Check two batches of images, and return them in float64 on one device, black at 0."""
    x, y = points(x, "x"), points(y, "y")
    if x.ndim != 4 or x.shape != y.shape:
        raise ValueError(
            "x and y must be images of the same shape (n, channels, height, width), not "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"limits must be two finite numbers, the lower first, not {limits!r}")
    a = double(x)
    return a - low, double(y).to(a.device) - low
