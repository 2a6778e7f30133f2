"""Critics of integral probability metrics: sup_f E f(x) - E f(G(z)) over a class of functions f.

The losses are the same for every class. What keeps f within it is the entry's regulariser or
constraint: without one the supremum is infinite.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["critic_loss", "generator_loss", "hinge_loss"]


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-(E f(x) - E f(G(z))): the critic ascends the difference of the means."""
    return fake.mean() - real.mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-E f(G(z)): the generator lifts f at its fakes."""
    return -fake.mean()


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - f(x)) + E max(0, 1 + f(G(z))): samples beyond the margins are left alone.

    J. H. Lim & J. C. Ye 2017, *Geometric GAN*; T. Miyato et al. 2018, eq. 16.
    """
    return (1 - real).relu().mean() + (1 + fake).relu().mean()
