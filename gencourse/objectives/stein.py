r"""Stein GAN (Feng, Wang & Liu 2017; Wang & Liu 2016): test functions of Stein's operator.

The critic is an energy E, low at data and high at fakes, with score s = -∇E. For the law with
that score, E[s(x)·φ(x) + ∇·φ(x)] = 0 for all φ (Stein's identity); for the fakes it is not, and
of all φ in the ball of an RKHS the most violated is

    φ(x) = E_y [ k(y, x) s(y) + ∇_y k(y, x) ].

The generator moves its fakes along φ, the step of Stein variational gradient descent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gencourse.metrics.kernels import squared_distances
from gencourse.objectives.base import Regulariser, Turn
from gencourse.objectives.penalties import gradient_in

__all__ = [
    "DataSlope",
    "critic_loss",
    "generator_loss",
    "stein_direction",
    "stein_discrepancy",
]

NARROW = 0.02  # of the squared bandwidth of the median heuristic


def stein_direction(x: Tensor, score: Tensor, bandwidth: Tensor | float | None = None) -> Tensor:
    r"""φ(x_i) = Σ_j [k(x_j, x_i) s(x_j) + ∇_{x_j} k(x_j, x_i)] / Σ_j k(x_j, x_i).

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Points.
    score : Tensor of shape (n, d)
        s at the points.
    bandwidth : float or Tensor, optional
        h of k(x, y) = exp(-‖x - y‖² / 2h²); by default h² = 0.01 median‖x - y‖² / log(n + 1),
        a fiftieth of what is usual. A kernel that reaches from mode to mode averages their scores,
        and fakes stay in between.

    Returns
    -------
    Tensor of shape (n, d)
    """
    squares = squared_distances(x, x)
    h2: Tensor | float
    if bandwidth is None:
        h2 = NARROW * 0.5 * squares.median() / math.log(len(x) + 1) + 1e-12
    else:
        h2 = bandwidth**2
    k = torch.exp(-squares / (2 * h2))
    total = k.sum(1, keepdim=True)
    repulsion = (x * total - k @ x) / h2
    return (k @ score + repulsion) / total


def stein_discrepancy(x: Tensor, score: Tensor, bandwidth: float = 1.0) -> Tensor:
    r"""Squared kernelised Stein discrepancy between the law of ``x`` and the one with that score.

    .. math::

        E_{x \ne y} \big[ s(x)^T k\, s(y) + s(x)^T \nabla_y k + \nabla_x k^T s(y)
            + \operatorname{tr} \nabla_x \nabla_y k \big],

    which on average is 0 for the true score, and more for any other. Nothing needs to be known
    of the density but its score, not even its normalising constant.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    score : Tensor of shape (n, d)
        s = ∇ log p at the samples, for the density p in question.
    bandwidth : float
        h of k(x, y) = exp(-‖x - y‖² / 2h²).

    Returns
    -------
    Tensor
        A scalar; an unbiased estimate, which can be negative.

    References
    ----------
    Q. Liu, J. D. Lee & M. Jordan 2016, *A kernelized Stein discrepancy*, theorem 3.6.
    """
    n, d = x.shape
    h2 = bandwidth**2
    squares = squared_distances(x, x)
    k = torch.exp(-squares / (2 * h2))
    # With Δ = x_i - x_j: ∇_y k = kΔ/h², ∇_x k = -kΔ/h², tr ∇_x ∇_y k = k (d - ‖Δ‖²/h²)/h².
    along = (score * x).sum(1)
    s_dot_delta = along[:, None] - score @ x.T  # s(x_i)·Δ
    terms = score @ score.T + (s_dot_delta + s_dot_delta.T) / h2 + (d - squares / h2) / h2
    u = k * terms
    return (u.sum() - u.diagonal().sum()) / (n * (n - 1))


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E E(x) - E E(G(z)): low energy at data, high energy at fakes."""
    return real.mean() - fake.mean()


def generator_loss(fake: Tensor, samples: Tensor) -> Tensor:
    """-mean ⟨G(z), φ(G(z))⟩, with φ held fixed: its gradient moves each fake along φ."""
    (slope,) = torch.autograd.grad(fake.sum(), samples, retain_graph=True)
    points = samples.detach().flatten(1)
    phi = stein_direction(points, -slope.flatten(1))
    return -(samples.flatten(1) * phi).sum(1).mean()


class DataSlope(Regulariser):
    """½ λ E‖∇E(x)‖² at the data: keeps wells from becoming bottomless."""

    twice_differentiable = True

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the loss and the penalty."""
        slope = gradient_in(turn.real, turn.critic)
        return loss + self.weight / 2 * slope.square().sum(1).mean()
