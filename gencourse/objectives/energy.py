"""Games whose critic is an autoencoder: an energy, low where samples are restored well.

The network returns ``(n, 1 + k)`` numbers: L(x), the root mean square error of a restored sample,
and its code of k numbers (:class:`gencourse.nets.AutoencoderCritic`). The critic descends E L(x);
the models differ in how it pushes fakes up.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gencourse.objectives.base import Regulariser, Turn

__all__ = [
    "Equilibrium",
    "Margin",
    "generator_reconstruction",
    "pull_away",
    "reconstruction",
    "reconstruction_loss",
    "repelled_reconstruction",
]

PULL_AWAY = 0.1  # weight of the term in the generator's loss
# Diversity ratio of BEGAN, E L(G(z)) / E L(x) in equilibrium. At 0.75 the digits collapse to one.
GAMMA = 1.0


def reconstruction(output: Tensor) -> Tensor:
    """L(x) of each sample, ``(n,)``."""
    return output[:, 0]


def reconstruction_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E L(x): what the critic does for the data."""
    return reconstruction(real).mean()


def pull_away(codes: Tensor) -> Tensor:
    """Mean squared cosine between the codes of different samples: 0 if all are orthogonal.

    Parameters
    ----------
    codes : Tensor of shape (n, k)

    Returns
    -------
    Tensor
        A scalar from 0 to 1; Zhao, Mathieu & LeCun 2017, eq. 4.
    """
    n = len(codes)
    unit = normalize(codes, dim=1)
    cosines = unit @ unit.T
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / (n * (n - 1))


def repelled_reconstruction(fake: Tensor) -> Tensor:
    """E L(G(z)) + 0.1 · pull-away: realistic, and not all alike."""
    return reconstruction(fake).mean() + PULL_AWAY * pull_away(fake[:, 1:])


def generator_reconstruction(fake: Tensor) -> Tensor:
    """E L(G(z)): the generator makes samples that the autoencoder restores."""
    return reconstruction(fake).mean()


class Margin(Regulariser):
    """E max(0, m - L(G(z))): fakes are pushed up to the margin m, and no further.

    J. Zhao, M. Mathieu & Y. LeCun 2017, *Energy-based generative adversarial networks*, eq. 1. The
    weight is m, which should be below the error of restoring nothing but the mean: a critic
    that cannot reach the margin gives up the data.
    """

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the loss with the hinge of the fakes."""
        return loss + (self.weight - reconstruction(turn.at_fake)).relu().mean()


class Equilibrium(Regulariser):
    r"""BEGAN's balance: the critic descends E L(x) - k E L(G(z)), and k keeps γ E L(x) = E L(G(z)).

    .. math:: k \leftarrow \min(1, \max(0, k + \lambda (\gamma\, E L(x) - E L(G(z)))))

    D. Berthelot, T. Schumm & L. Metz 2017, *BEGAN: boundary equilibrium generative adversarial
    networks*, section 3.4. The weight is λ, the rate at which k moves.
    """

    k: Tensor

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self.register_buffer("k", torch.zeros(()))

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the loss less k E L(G(z)), and move k."""
        real = reconstruction(turn.at_real).mean()
        fake = reconstruction(turn.at_fake).mean()
        balanced = loss - self.k.clone() * fake
        with torch.no_grad():
            self.k.add_(self.weight * (GAMMA * real - fake)).clamp_(0, 1)
        return balanced
