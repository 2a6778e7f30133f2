"""Each pixel by itself to a normal law, through the histogram of its grey levels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gencourse.flows.base import Transform

__all__ = ["Gaussianise"]

PRIOR = 8.0  # images that are imagined, spread over all levels: no level is impossible


class Gaussianise(Transform):
    """z = Φ⁻¹(F(x)), with F the distribution function of a pixel over the training images.

    Dequantised pixels are spread evenly over each grey level, so F is made of straight pieces,
    one for each level, with slope P(level) / δ. F(x) is uniform on (0, 1) and z standard
    normal, the first step of Gaussianization (Chen & Gopinath 2000). By the chain rule

        dz/dx = F'(x) / φ(z),    F'(x) = P(level of x) / δ.

    A pixel that is black in most images, and a jump in density for other flows, is here a
    half-line or more of z. What is left to learn is how pixels depend on each other.

    The numbers are counted, not learned: :meth:`measure` does it. Until then every level
    is equally probable.

    Parameters
    ----------
    event_shape : (channels, height, width)
    levels : int
        Number of grey levels.

    Attributes
    ----------
    probability : Tensor of shape (D, levels)
        P for each of the D pixels and channels.
    below : Tensor of shape (D, levels)
        F at the lower end of each level.
    """

    probability: Tensor
    below: Tensor

    def __init__(self, event_shape: tuple[int, ...], levels: int) -> None:
        super().__init__()
        self.event_shape, self.levels = tuple(event_shape), levels
        D = math.prod(event_shape)
        self.register_buffer("probability", torch.full((D, levels), 1 / levels))
        self.register_buffer("below", (torch.arange(levels) / levels).repeat(D, 1))

    @property
    def level(self) -> float:
        """δ, the width of a grey level: the levels are -1, -1 + δ, …, 1."""
        return 2 / (self.levels - 1)

    @torch.no_grad()
    def measure(self, images: Tensor) -> None:
        """Count the levels of images ``(n, channels, height, width)``, pixel by pixel."""
        index = self._index(images.flatten(1))
        counts = torch.full_like(self.probability, PRIOR / self.levels)
        counts.scatter_add_(1, index.T, torch.ones_like(index.T, dtype=counts.dtype))
        P = (counts / counts.sum(1, keepdim=True)).double()
        self.probability.copy_(P)
        self.below.copy_(P.cumsum(1) - P)

    def contains(self, x: Tensor) -> Tensor:
        """Whether all pixels of a row lie within a level, shape ``(n,)``; elsewhere p(x) = 0."""
        end = 1 + 0.5 * self.level + 1e-6  # the ends are open to rounding
        return (x.abs() <= end).flatten(1).all(1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map pixels to the line."""
        flat = x.flatten(1)
        index = self._index(flat)
        P, F = self._gather(index)
        lower_end = -1 + (index.to(flat) - 0.5) * self.level
        u = F + P * ((flat - lower_end) / self.level)
        z = torch.special.ndtri(_inside(u))
        return z.view_as(x), self._log_slope(P, z)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map the line to pixels."""
        flat = z.flatten(1)
        u = _inside(torch.special.ndtr(flat))
        index = torch.searchsorted(self.below, u.T.contiguous(), right=True).T - 1
        index = index.clamp_min(0)
        P, F = self._gather(index)
        x = -1 + (index.to(flat) - 0.5 + ((u - F) / P).clamp(0, 1)) * self.level
        return x.view_as(z), -self._log_slope(P, flat)

    def _index(self, flat: Tensor) -> Tensor:
        """Return the number of the grey level of each pixel, ``(n, D)``."""
        return ((flat + 1) / self.level).round().long().clamp(0, self.levels - 1)

    def _gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """P of each pixel's level and F at its lower end, ``(n, D)``."""
        P, F = (table.gather(1, index.T).T for table in (self.probability, self.below))
        return P, F

    def _log_slope(self, P: Tensor, z: Tensor) -> Tensor:
        """Σ log dz/dx = Σ [log P - log δ - log φ(z)]."""
        log_phi = -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
        return (P.log() - math.log(self.level) - log_phi).sum(1)


def _inside(u: Tensor) -> Tensor:
    """Keep u off 0 and 1, where z would be infinite."""
    eps = torch.finfo(u.dtype).eps
    return u.clamp(eps, 1 - eps)
