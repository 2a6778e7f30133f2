r"""Maximum mean discrepancy between learned features: test functions from the unit ball of an RKHS.

    MMD²(p, q) = E k(h(x), h(x′)) + E k(h(y), h(y′)) - 2 E k(h(x), h(y)),

with the critic's network h, and a kernel k that sees all lengths: a sum of rational quadratics
and a dot product (Bińkowski et al. 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse.metrics.kernels import rational_quadratic
from gencourse.objectives.base import Regulariser, Turn
from gencourse.objectives.penalties import GradientPenalty, gradient_in

__all__ = [
    "ScaledKernel",
    "WitnessPenalty",
    "bounded_kernel",
    "critic_loss",
    "generator_loss",
    "scaled_critic_loss",
    "scaled_generator_loss",
    "unbiased_mmd2",
    "witness",
]

ALPHAS = (0.2, 0.5, 1.0, 2.0, 5.0)
DOT = 0.1


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """k(x, y) = Σ_α (1 + ‖x - y‖² / 2α)^-α + 0.1 x·y."""
    return rational_quadratic(x, y, ALPHAS) + DOT * x @ y.T


def unbiased_mmd2(k_xx: Tensor, k_yy: Tensor, k_xy: Tensor) -> Tensor:
    """MMD² from Gram matrices of n samples each, without the diagonals: its mean is MMD²."""
    n, m = len(k_xx), len(k_yy)
    within_x = (k_xx.sum() - k_xx.diagonal().sum()) / (n * (n - 1))
    within_y = (k_yy.sum() - k_yy.diagonal().sum()) / (m * (m - 1))
    return within_x + within_y - 2 * k_xy.mean()


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-MMD² between the features: the critic looks for those in which the two differ."""
    return -unbiased_mmd2(kernel(real, real), kernel(fake, fake), kernel(real, fake))


def generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """MMD² between the features."""
    return -critic_loss(real, fake)


def witness(h: Tensor, turn: Turn) -> Tensor:
    """f(x) = E k(h(x), h(real)) - E k(h(x), h(fake)), the best test function, up to a factor."""
    return kernel(h, turn.at_real).mean(1) - kernel(h, turn.at_fake).mean(1)


class WitnessPenalty(GradientPenalty):
    r"""λ (E(‖∇f(x̃)‖ - 1)² + E_p‖h‖² + E_q‖h‖²): for a slope of 1 and short features.

    The MMD does not change when all features shift together, and hardly when those far apart
    move farther. Nothing else holds them where the kernels tell them from each other. (The code
    of Bińkowski et al. 2018 gives both the same weight, too; it shortens all layers.)

    Parameters
    ----------
    weight : float
        λ.
    """

    def __init__(self, weight: float) -> None:
        super().__init__(weight, witness=witness)

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the loss and both penalties."""
        lengths = turn.at_real.square().sum(1).mean() + turn.at_fake.square().sum(1).mean()
        return super().forward(loss, turn) + self.weight * lengths


def bounded_kernel(x: Tensor, y: Tensor) -> Tensor:
    """k(x, y) = (1 + ‖x - y‖²)^-½, so that k(x, x) = 1, and ∂ᵢ∂′ᵢk(x, x) = 1 for each i.

    Two sets of features that lie far apart still attract each other, as they would not under a
    Gaussian, whose slope dies out with its tail.
    """
    return rational_quadratic(x, y, (0.5,))


def scaled_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-MMD² with the bounded kernel, which :class:`ScaledKernel` divides."""
    k = bounded_kernel
    return -unbiased_mmd2(k(real, real), k(fake, fake), k(real, fake))


def scaled_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """MMD² with the bounded kernel."""
    return -scaled_critic_loss(real, fake)


class ScaledKernel(Regulariser):
    r"""Scaled MMD (Arbel et al. 2018): the MMD is divided by how steep the features are.

    .. math::

        \mathrm{SMMD}^2 = \mathrm{MMD}^2 \Big/ \Big( \lambda + \mathbb{E}_p\, k(h, h)
            + \mathbb{E}_p \sum_i \partial_i \partial'_i k(h(x), h(x')) \big|_{x'=x} \Big),

    which for :func:`bounded_kernel` is :math:`\lambda + 1 + E \|\nabla h(x)\|_F^2`.
    Test functions are then bounded, on the average over the data, together with their slopes.
    """

    twice_differentiable = True

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the loss divided by an unbiased estimate of λ + 1 + E‖∇h‖²."""
        signs = self._signs(turn)
        # E over random signs ε of ‖∇(ε·h)‖² is ‖∇h‖²: one derivative instead of one per feature.
        slope = gradient_in(turn.real, lambda x: (turn.critic(x) * signs).sum(1))
        return loss / (self.weight + 1 + slope.square().sum(1).mean())

    @staticmethod
    def _signs(turn: Turn) -> Tensor:
        """Signs of either kind with probability ½, for each sample and feature."""
        like = turn.at_real
        where = like.device if turn.generator is None else turn.generator.device
        coins = torch.rand(like.shape, generator=turn.generator, device=where).to(like)
        return torch.where(coins < 0.5, -1.0, 1.0).to(like)
