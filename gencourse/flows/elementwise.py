"""Transforms of each coordinate by itself: shifts and scales, and the logit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import positive
from gencourse.flows.base import Transform

__all__ = ["DiagonalScaling", "Logit", "Standardise"]


class Standardise(Transform):
    r"""z = (x - μ) / σ, with the mean and standard deviation of the training data.

    The numbers are measured, not learned: :meth:`measure` sets them. Until then the
    transform is the identity.

    Parameters
    ----------
    event_shape : tuple of int

    Attributes
    ----------
    mean, std : Tensor of shape (\*event_shape)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(event_shape))
        self.register_buffer("std", torch.ones(event_shape))

    @torch.no_grad()
    def measure(self, x: Tensor) -> None:
        r"""Take μ and σ from data of shape ``(n, *event_shape)``.

        A coordinate that never changes has no scale of its own, and keeps σ = 1.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
        """
        std = x.std(0, correction=0)
        self.mean.copy_(x.mean(0))
        self.std.copy_(torch.where(std > 1e-6 * x.abs().amax(), std, torch.ones_like(std)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Centre and scale."""
        return (x - self.mean) / self.std, -self.std.log().sum().expand(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift back."""
        return self.mean + self.std * z, self.std.log().sum().expand(len(z))


class DiagonalScaling(Transform):
    """z_k = x_k exp(s_k) with learned s: the last layer of NICE (Dinh et al. 2015, section 3.3).

    Additive couplings keep volume; this layer alone lets the density of NICE rise and fall.

    Parameters
    ----------
    event_shape : tuple of int
    """

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(event_shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply by exp(s)."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Divide by exp(s)."""
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(z))


class Logit(Transform):
    r"""z = log(u / (1 - u)), u = (x - low) / (high - low): an interval to the whole line.

    So pixels, which live in an interval, become numbers that a flow may move freely; and what
    the flow draws comes back as pixels (Dinh et al. 2017, section 4.1). The slope is
    dz/dx = 1 / (u (1 - u) (high - low)).

    Parameters
    ----------
    low, high : float
        Ends of the open interval in which every coordinate of x must lie. They are buffers,
        and may be set when the data are known.
    """

    low: Tensor
    high: Tensor

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        positive(high - low, "high - low")
        self.register_buffer("low", torch.tensor(float(low)))
        self.register_buffer("high", torch.tensor(float(high)))

    def contains(self, x: Tensor) -> Tensor:
        """Whether all coordinates of a row lie inside, shape ``(n,)``; elsewhere p(x) = 0."""
        return ((x > self.low) & (x < self.high)).flatten(1).all(1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map the interval to the line."""
        z = torch.logit((x - self.low) / (self.high - self.low))
        return z, self._log_slope(z)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map the line to the interval."""
        x = self.low + (self.high - self.low) * z.sigmoid()
        return x, -self._log_slope(z)

    def _log_slope(self, z: Tensor) -> Tensor:
        """Σ log dz/dx, from u = sigmoid(z): -log u - log(1 - u) = softplus(-z) + softplus(z)."""
        log_slope = F.softplus(-z) + F.softplus(z) - (self.high - self.low).log()
        return log_slope.flatten(1).sum(1)
