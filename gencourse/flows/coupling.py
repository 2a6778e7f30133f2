"""Coupling layers: one half of the coordinates stays, and says how the other half moves.

The Jacobian is triangular whatever the network does, so its determinant is a product of
diagonal entries, and the network never has to be inverted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gencourse._validate import positive
from gencourse.flows.base import Transform

__all__ = ["AdditiveCoupling", "AffineCoupling", "bounded"]


def bounded(u: Tensor, bound: float) -> Tensor:
    """Return the log-scale s = bound · tanh(u), which lies in (-bound, bound).

    It keeps one layer from stretching by more than e^bound, where training would blow up
    (Dinh et al. 2017, section 4.1, learn the bound instead).
    """
    return bound * u.tanh()


class AdditiveCoupling(Transform):
    """z_a = x_a, z_b = x_b + t(x_a): NICE (Dinh, Krueger & Bengio 2015, equation 10).

    The Jacobian has ones on its diagonal, so volume is kept: log|det ∂z/∂x| = 0.

    Parameters
    ----------
    network : nn.Module
        t, from the half that stays to a shift of the other half.
    swap : bool
        Let the second half stay instead of the first. Halves are taken along dimension 1:
        the coordinates of points, the channels of images. With an odd number the first
        half is the larger; :func:`halves` says how large they are.
    """

    def __init__(self, network: nn.Module, *, swap: bool = False) -> None:
        super().__init__()
        self.network, self.swap = network, swap

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Shift the half that moves."""
        x_a, x_b = split(x, self.swap)
        return join(x_a, x_b + self.network(x_a), self.swap), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Shift it back: z_a = x_a is still there to ask for t."""
        z_a, z_b = split(z, self.swap)
        return join(z_a, z_b - self.network(z_a), self.swap), z.new_zeros(len(z))


class AffineCoupling(Transform):
    """z_a = x_a, z_b = x_b exp(s(x_a)) + t(x_a): Real-NVP (Dinh et al. 2017, equations 4, 5).

    log|det ∂z/∂x| = Σ_j s_j(x_a), with its sign: a layer may stretch or shrink.

    Parameters
    ----------
    network : nn.Module
        (u, t), from the half that stays to twice the size of the other half;
        s = :func:`bounded` (u).
    swap : bool
        Let the second half stay instead of the first; see :class:`AdditiveCoupling`.
    bound : float
        Bound on the size of s.
    """

    def __init__(self, network: nn.Module, *, swap: bool = False, bound: float = 3.0) -> None:
        super().__init__()
        positive(bound, "bound")
        self.network, self.swap, self.bound = network, swap, bound

    def scale_and_shift(self, x_a: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and t, each of the shape of the half that moves."""
        u, t = self.network(x_a).chunk(2, dim=1)
        return bounded(u, self.bound), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift the half that moves."""
        x_a, x_b = split(x, self.swap)
        s, t = self.scale_and_shift(x_a)
        z_b = torch.addcmul(t, x_b, s.exp())  # t + x_b exp(s) in one go
        return join(x_a, z_b, self.swap), s.flatten(1).sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale it back."""
        z_a, z_b = split(z, self.swap)
        s, t = self.scale_and_shift(z_a)
        return join(z_a, (z_b - t) * (-s).exp(), self.swap), -s.flatten(1).sum(1)


def halves(d: int, swap: bool) -> tuple[int, int]:
    """How many of ``d`` coordinates stay, and how many move.

    Examples
    --------
    >>> halves(5, swap=False), halves(5, swap=True)
    ((3, 2), (2, 3))
    """
    larger, smaller = d - d // 2, d // 2
    return (smaller, larger) if swap else (larger, smaller)


def split(x: Tensor, swap: bool) -> tuple[Tensor, Tensor]:
    """Return the half that stays and the half that moves; views, not copies."""
    d = x.shape[1]
    first, second = x.split((d - d // 2, d // 2), dim=1)
    return (second, first) if swap else (first, second)


def join(a: Tensor, b: Tensor, swap: bool) -> Tensor:
    """Undo :func:`split`."""
    return torch.cat((b, a) if swap else (a, b), dim=1)
