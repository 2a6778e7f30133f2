"""Vector fields v(z, t) for continuous flows, with their divergence at little extra cost.

Both networks alternate linear maps and an activation σ, so the Jacobian ∂v/∂z is a product of
weights and of diagonal matrices σ′. Products of it are therefore computed forwards, along with
v itself, and training needs no derivative of a derivative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MLPField", "VectorField", "time_features"]

FREQUENCIES = 2


def time_features(t: Tensor) -> Tensor:
    """Return t, sin πjt and cos πjt for j = 1, 2: smooth functions of a time in [0, 1]."""
    j = math.pi * torch.arange(1, FREQUENCIES + 1, device=t.device, dtype=t.dtype)
    return torch.cat([t.reshape(1), (j * t).sin(), (j * t).cos()])


class VectorField(nn.Module):
    """A function v(z, t) on rows of d numbers, with a divergence."""

    #: Whether the divergence is estimated, and ``with_divergence`` wants a probe.
    stochastic: bool

    def with_divergence(
        self, z: Tensor, t: Tensor, probe: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return v(z, t), ``(n, d)``, and tr ∂v/∂z, ``(n,)``, or an estimate of it.

        Parameters
        ----------
        z : Tensor of shape (n, d)
        t : Tensor
            Time in [0, 1], 0-d.
        probe : Tensor of shape (n, d), optional
            ε with E[ε εᵀ] = I, for fields whose divergence is estimated.
        """
        raise NotImplementedError


class MLPField(VectorField):
    """Two hidden layers of tanh, whose divergence is exact at the price of one layer.

    v = W₃ σ(a₂),  a₂ = W₂ σ(a₁) + b₂(t),  a₁ = W₁ z + b₁(t), and b₃(t) added to v. Hence, with
    ∘ the product entry by entry, and in any dimension d::

        tr ∂v/∂z = tr W₃ diag σ′(a₂) W₂ diag σ′(a₁) W₁ = σ′(a₂)ᵀ (W₂ ∘ (W₁ W₃)ᵀ) σ′(a₁)

    where automatic differentiation would take d passes backwards.

    Parameters
    ----------
    dimension : int
        d.
    width : int
        Units in each hidden layer.
    """

    stochastic = False

    def __init__(self, dimension: int, *, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(dimension, width, bias=False)
        self.second = nn.Linear(width, width, bias=False)
        self.third = nn.Linear(width, dimension, bias=False)
        self.biases = nn.Linear(2 * FREQUENCIES + 1, 2 * width + dimension)
        nn.init.zeros_(self.third.weight)  # the flow starts as the identity, or near it

    def with_divergence(
        self, z: Tensor, t: Tensor, probe: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`VectorField.with_divergence`; no probe is needed."""
        W1, W2, W3 = self.first.weight, self.second.weight, self.third.weight
        w = len(W1)
        b1, b2, b3 = self.biases(time_features(t)).split([w, w, len(W3)])
        h1 = torch.addmm(b1, z, W1.T).tanh()
        h2 = torch.addmm(b2, h1, W2.T).tanh()
        v = torch.addmm(b3, h2, W3.T)
        d1, d2 = 1 - h1 * h1, 1 - h2 * h2  # tanh′ = 1 - tanh²
        paths = W2 * (W1 @ W3).T
        return v, (d2 * (d1 @ paths.T)).sum(1)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """v(z, t), shape ``(n, d)``."""
        b1, b2, b3 = self.biases(time_features(t)).split(
            [len(self.first.weight), len(self.second.weight), len(self.third.weight)]
        )
        return self.third((self.second((self.first(z) + b1).tanh()) + b2).tanh()) + b3
