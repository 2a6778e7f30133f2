"""Total variation as a game: critics between 0 and 1, σ(v)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["critic_loss", "generator_loss"]


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-(E σ(v(x)) - E σ(v(G(z)))), at least -TV(p, q)."""
    return torch.sigmoid(fake).mean() - torch.sigmoid(real).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-E σ(v(G(z)))."""
    return -torch.sigmoid(fake).mean()
