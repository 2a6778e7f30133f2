"""f-GAN (Nowozin, Cseke & Tomioka 2016): the dual form of an f-divergence as a game.

    D_f(p ‖ q) = sup_T  E_p T(x) - E_q f*(T(x)),        T = g(v),

where the activation g takes the network's output v into the domain of f*.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gencourse.divergences import FDivergence

__all__ = ["variational_bound", "variational_losses"]


def variational_bound(divergence: FDivergence, real: Tensor, fake: Tensor) -> Tensor:
    """E_p g(v) - E_q f*(g(v)): at most D_f(p ‖ q), for every network.

    Parameters
    ----------
    divergence : FDivergence
        From :data:`gencourse.divergences.F_DIVERGENCES`.
    real, fake : Tensor of shape (n, 1)
        The network's outputs v on samples of p and of q.
    """
    T = divergence.activation(real)
    f_star_of_T = divergence.conjugate_activation(fake)
    return T.mean() - f_star_of_T.mean()


def variational_losses(
    divergence: FDivergence,
) -> tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """The two players' losses: the critic ascends the bound, the generator descends it."""

    def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
        return -variational_bound(divergence, real, fake)

    def generator_loss(fake: Tensor) -> Tensor:
        return -divergence.conjugate_activation(fake).mean()

    return critic_loss, generator_loss
