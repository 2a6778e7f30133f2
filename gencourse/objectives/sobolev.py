r"""Sobolev GAN (Mroueh et al. 2018): critics with E_μ ‖∇f‖² ≤ 1, μ = ½ (p + q).

The constraint is held by an augmented Lagrangian, with a multiplier λ that learns:

    E f(x) - E f(G(z)) + λ (1 - Ω) - (ρ/2) (1 - Ω)²,      λ ← λ - ρ (1 - Ω),

    Ω = ½ E‖∇f(x)‖² + ½ E‖∇f(G(z))‖².
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse.objectives.base import Regulariser, Turn
from gencourse.objectives.penalties import gradient_in

__all__ = ["SobolevConstraint"]


class SobolevConstraint(Regulariser):
    """-λ (1 - Ω) + (ρ/2) (1 - Ω)², and a step of the multiplier λ. The weight is ρ."""

    multiplier: Tensor
    twice_differentiable = True

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self.register_buffer("multiplier", torch.zeros(()))

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the augmented Lagrangian, and move λ."""
        rho = self.weight
        x = torch.cat([turn.real, turn.fake])
        Omega = gradient_in(x, turn.critic).square().sum(1).mean()
        slack = 1 - Omega
        augmented = loss - self.multiplier.clone() * slack + rho / 2 * slack.square()
        with torch.no_grad():
            self.multiplier.sub_(rho * slack)
        return augmented
