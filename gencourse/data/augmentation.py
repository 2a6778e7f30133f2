"""More images than there are: small changes that leave an image what it shows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gencourse._validate import not_negative

__all__ = ["jitter"]


def jitter(
    images: Tensor,
    amount: float,
    *,
    share: float = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Turn, stretch, shear and shift some of the images a little, each in its own way.

    A pixel at v, with the image from -1 to 1 either way, takes the value found at
    (I + M) v + m, where the entries of M and m are uniform in [-amount, amount]; between
    pixels by cubic interpolation, and outside the image -1. A model that overfits a small set
    of images learns from ever new versions instead; what it then learns is a distribution a little
    wider than that of the images.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        In [-1, 1].
    amount : float
        0.1 turns by up to 6°, and shifts by up to a twentieth of the image's size; 0 leaves all
        images as they are.
    share : float
        Probability of an image to be changed at all; the others stay as they are.
    generator : torch.Generator, optional
        Source of randomness, on any device.

    Returns
    -------
    Tensor of shape (n, channels, height, width)
        In [-1, 1], and no longer on grey levels: see :func:`gencourse.data.quantisation.quantise`.

    Raises
    ------
    ValueError
        If the images are not images, or ``amount`` is negative, or ``share`` no probability.

    Examples
    --------
    >>> import torch
    >>> black = -torch.ones(5, 1, 8, 8)
    >>> torch.equal(jitter(black, 0.1), black)
    True
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be floating, of shape (n, channels, height, width), not "
            f"{images.dtype} of shape {tuple(images.shape)}"
        )
    not_negative(amount, "amount")
    if not 0 <= share <= 1:
        raise ValueError(f"share must be a probability, not {share!r}")
    if amount == 0:
        return images
    n, where = len(images), images.device if generator is None else generator.device
    uniform = torch.rand(n, 7, generator=generator, device=where).to(images)
    identity = torch.eye(2, 3, dtype=images.dtype, device=images.device)
    maps = amount * (2 * uniform[:, :6] - 1).view(n, 2, 3) + identity
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    # Outside the image the interpolation finds zeros, which must mean black.
    moved = _interpolated(images + 1, grid) - 1
    changed = (uniform[:, 6] < share)[:, None, None, None]
    return torch.where(changed, moved.clamp(-1, 1), images)


def _interpolated(images: Tensor, grid: Tensor) -> Tensor:
    """Values of images at a grid of points, by cubic interpolation, with zeros around."""
    # On a GPU the gradient of grid_sample is added up in an order that changes from run to run.
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return _interpolated_by_products(images, grid)
    return F.grid_sample(images, grid, mode="bicubic", align_corners=False)


def _interpolated_by_products(images: Tensor, grid: Tensor) -> Tensor:
    r"""The same by products of matrices: Σᵢⱼ k(vₚ - i) k(uₚ - j) xᵢⱼ at a point (uₚ, vₚ)."""
    n, channels, height, width = images.shape
    points = grid.flatten(1, 2)
    # From the image's own units, -1 to 1 between outer edges, to those of pixels.
    u, v = ((points[..., k] + 1) * size / 2 - 0.5 for k, size in enumerate((width, height)))
    across = _cubic(u[..., None] - torch.arange(width, device=u.device))
    down = _cubic(v[..., None] - torch.arange(height, device=v.device))
    rows = torch.einsum("npj,ncij->npci", across, images)
    values = (rows * down[:, :, None]).sum(-1)
    return values.transpose(1, 2).reshape(n, channels, *grid.shape[1:3])


def _cubic(t: Tensor) -> Tensor:
    """Keys' kernel k(t) with k′(±1) = ±a; a = -3/4 is PyTorch's."""
    a, t = -0.75, t.abs()
    near = ((a + 2) * t - (a + 3)) * t.square() + 1
    far = a * (((t - 5) * t + 8) * t - 4)
    return torch.where(t <= 1, near, torch.where(t < 2, far, torch.zeros_like(t)))
