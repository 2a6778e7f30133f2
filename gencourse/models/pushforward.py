"""What all push-forwards share: sampling by a map, and its density by the change of variables."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from gencourse._validate import points, positive
from gencourse.models.base import GenerativeModel

__all__ = ["PushForward"]

LOG_2PI = math.log(2 * math.pi)


class PushForward(GenerativeModel):
    """The law of x = T(z), where z ~ q = N(0, I) and T is invertible.

    A subclass gives T as ``push`` and its inverse as ``pull``; both work on rows of d numbers,
    images flattened. Sampling is then the map itself, and the density follows from the change
    of variables (deck B)::

        p(x) = q(T⁻¹(x)) |det ∂T⁻¹(x)/∂x|
    """

    @property
    def dimension(self) -> int:
        """Numbers d in one sample."""
        return math.prod(self.event_shape)

    @abstractmethod
    def push(self, z: Tensor) -> Tensor:
        """Return x = T(z), shape ``(n, d)``, for noise z of shape ``(n, d)``."""

    @abstractmethod
    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z = T⁻¹(x), shape ``(n, d)``, and log|det ∂z/∂x|, shape ``(n,)``."""

    def working(self, x: Tensor) -> Tensor:
        """Return ``x`` in the precision that densities are computed in: that of the weights."""
        return x.to(next(self.parameters()))

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = T(z), z ~ N(0, I)."""
        positive(n, "n", integer=True)
        z = self.noise(n, self.dimension, generator=generator)
        return self.push(self.working(z)).reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density log q(z) + log|det ∂z/∂x| in nats, shape ``(n,)``, in the dtype of ``x``."""
        x = points(x, "x", self.event_shape)
        z, log_det = self.pull(self.working(x.flatten(1)))
        log_q = -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * LOG_2PI
        return (log_q + log_det).to(x)
