"""The original game of Goodfellow et al. (2014), and the trick that makes it train.

The discriminator's network returns a logit ``s``, and D = σ(s). Then

    log D = -softplus(-s),      log(1 - D) = -softplus(s),

which stay finite and have gradients where ``log(sigmoid(s))`` would have become -inf.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["discriminator_loss", "non_saturating_loss", "saturating_loss", "value"]


def value(real: Tensor, fake: Tensor) -> Tensor:
    """Value of the game, V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))].

    Parameters
    ----------
    real, fake : Tensor of shape (n, 1)
        Logits of the discriminator on real samples x and on fakes G(z).

    Returns
    -------
    Tensor
        A scalar, at most 0; -log 4 when D = 1/2 everywhere.
    """
    log_d_real = -softplus(-real)
    log_one_minus_d_fake = -softplus(fake)
    return log_d_real.mean() + log_one_minus_d_fake.mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-V(D, G): the discriminator ascends the value."""
    return -value(real, fake)


def saturating_loss(fake: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))]: the minimax game as written; its gradient -σ(s) dies as D → 0."""
    return -softplus(fake).mean()


def non_saturating_loss(fake: Tensor) -> Tensor:
    """E[-log D(G(z))]: the log-D trick; its gradient -σ(-s) is largest as D → 0."""
    return softplus(-fake).mean()
