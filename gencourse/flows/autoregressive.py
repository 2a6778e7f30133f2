"""Autoregressive layers: each coordinate is scaled and shifted as the earlier ones say."""

from __future__ import annotations

from torch import Tensor

from gencourse._validate import positive
from gencourse.flows.base import Transform
from gencourse.flows.coupling import bounded
from gencourse.nets import MaskedConvolutions, MaskedMLP

__all__ = ["MaskedAffine"]


class MaskedAffine(Transform):
    """z_k = x_k exp(s_k(x_<k)) + t_k(x_<k): the layer of MAF (Papamakarios et al. 2017).

    z_k depends on no later coordinate, so the Jacobian is triangular and
    log|det ∂z/∂x| = Σ_k s_k. Given x, a masked network has all s_k and t_k in **one pass**.
    Given z, x_1 must be known before s_2, and so on: **d passes**, one coordinate each.

    MAF uses it in this direction, from data to noise: densities are fast and samples slow.
    ``Inverse(MaskedAffine(…))`` is the layer of the inverse autoregressive flow (Kingma et al.
    2016), from noise to data in one pass: samples are fast and densities slow.

    Parameters
    ----------
    network : MaskedMLP or MaskedConvolutions
        Two outputs (u, t) for each coordinate; s = :func:`gencourse.flows.bounded` (u).
    bound : float
        Bound on the size of s.
    """

    def __init__(self, network: MaskedMLP | MaskedConvolutions, *, bound: float = 3.0) -> None:
        super().__init__()
        positive(bound, "bound")
        self.network, self.bound = network, bound

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map all coordinates at once."""
        u, t = self.network(x).unbind(1)
        s = bounded(u, self.bound)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Find the coordinates of x in turn: x_k = (z_k - t_k(x_<k)) exp(-s_k(x_<k))."""
        z_flat = z.flatten(1)

        def solve(k: int, parameters: Tensor) -> Tensor:
            u, t = parameters.unbind(1)
            return (z_flat[:, k] - t) * (-bounded(u, self.bound)).exp()

        x, parameters = self.network.ancestral(len(z), solve)
        u, _ = parameters.unbind(1)
        return x, -bounded(u, self.bound).flatten(1).sum(1)
