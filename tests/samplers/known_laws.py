"""Laws with closed forms, to test samplers against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Mixture:
    """Isotropic Gaussians with equal weights, in float64: density, score and samples exact."""

    means: Tensor  # (K, d)
    variance: float

    def log_prob(self, x: Tensor) -> Tensor:
        d = self.means.shape[1]
        squares = (x[:, None] - self.means.to(x)).square().sum(-1)
        log_kernel = -0.5 * squares / self.variance - d / 2 * math.log(2 * math.pi * self.variance)
        return log_kernel.logsumexp(1) - math.log(len(self.means))

    def score(self, x: Tensor) -> Tensor:
        means = self.means.to(x)
        r = torch.softmax(-0.5 * (x[:, None] - means).square().sum(-1) / self.variance, 1)
        return (r @ means - x) / self.variance

    def sample(self, n: int, seed: int = 0) -> Tensor:
        g = generator(seed)
        k = torch.randint(len(self.means), (n,), generator=g)
        noise = torch.randn(n, self.means.shape[1], generator=g, dtype=torch.float64)
        return self.means[k] + math.sqrt(self.variance) * noise

    def noised(self, scale: float, variance: float) -> Mixture:
        """Return the law of scale·X + √variance·ε."""
        return Mixture(scale * self.means, scale**2 * self.variance + variance)

    def cdf(self, x: Tensor, axis: int = 0) -> Tensor:
        """Distribution function of one coordinate."""
        z = (x[:, None] - self.means[:, axis]) / math.sqrt(self.variance)
        return torch.special.ndtr(z).mean(1)


def ring8(radius: float = 2.0, std: float = 0.1) -> Mixture:
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    return Mixture(radius * torch.stack([angle.cos(), angle.sin()], 1), std**2)


#: Two overlapping bumps in one dimension, which a local sampler can cross between.
BUMPS = Mixture(torch.tensor([[-1.0], [1.5]], dtype=torch.float64), 0.49)
