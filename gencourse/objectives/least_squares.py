"""Least-squares GAN (Mao et al. 2017): the critic regresses labels; far fakes still feel a pull.

The critic aims at b for real samples and a for fakes, the generator at c for its fakes. With
a, b, c = -1, 1, 0 the generator descends the Pearson divergence between p + q and 2q; here
0, 1, 1 as in the paper's experiments.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["critic_loss", "generator_loss"]


def critic_loss(real: Tensor, fake: Tensor, *, a: float = 0.0, b: float = 1.0) -> Tensor:
    """½ E(D(x) - b)² + ½ E(D(G(z)) - a)²."""
    return (real - b).square().mean() / 2 + (fake - a).square().mean() / 2


def generator_loss(fake: Tensor, *, c: float = 1.0) -> Tensor:
    """½ E(D(G(z)) - c)²."""
    return (fake - c).square().mean() / 2
