"""What an invertible transform is, and the density it gives."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

__all__ = ["Inverse", "Transform", "log_density", "standard_normal_log_density"]


class Transform(nn.Module, ABC):
    """An invertible map z = f(x) between tensors of one shape, with its volume change.

    Both directions return, beside the mapped tensor, the logarithm of how much *that*
    direction stretches volume, one number for each row; so the two are negatives of each other.
    """

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return z = f(x) and log|det ∂z/∂x|.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)

        Returns
        -------
        z : Tensor of shape (n, \*event_shape)
        log_det : Tensor of shape (n,)
            In nats, signed: positive where f stretches.
        """

    @abstractmethod
    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return x = f⁻¹(z) and log|det ∂x/∂z|, shapes ``(n, *event_shape)`` and ``(n,)``."""


class Inverse(Transform):
    """f⁻¹ as a transform: the two directions of ``transform`` change places."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Apply ``transform.inverse``."""
        return self.transform.inverse(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Apply ``transform.forward``."""
        return self.transform(z)


def standard_normal_log_density(z: Tensor) -> Tensor:
    """Return log N(z; 0, I) = -½‖z‖² - (d/2) log 2π for each row, shape ``(n,)``."""
    z = z.flatten(1)
    return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


def log_density(
    transform: Transform,
    x: Tensor,
    log_q: Callable[[Tensor], Tensor] = standard_normal_log_density,
) -> Tensor:
    r"""Return the log density at ``x`` of f⁻¹(z) with z ~ q, in nats.

    The change of variables, log p(x) = log q(f(x)) + log|det ∂f/∂x|: a map that stretches
    around x brings more of the noise's mass there (deck D; Dinh et al. 2015, equation 1).

    Parameters
    ----------
    transform : Transform
        f, from data to noise.
    x : Tensor of shape (n, \*event_shape)
    log_q : callable (z) -> Tensor of shape (n,)
        Log density of the noise; by default that of N(0, I).

    Returns
    -------
    Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from gencourse.flows import Compose
    >>> log_p = log_density(Compose(), torch.zeros(1, 2))  # the identity: x is z
    >>> round(log_p.exp().item(), 4)  # 1 / 2π
    0.1592
    """
    z, log_det = transform(x)
    return log_q(z) + log_det
