"""Changes of order: they move coordinates about, and volume not at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gencourse.flows.base import Transform

__all__ = ["Permutation", "Reverse"]


class Reverse(Transform):
    """Read all coordinates backwards: (x_1, …, x_d) becomes (x_d, …, x_1).

    Of an image rows, columns and channels are all read backwards, so that an
    autoregressive layer that goes down the image goes up it after this one.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Flip every dimension but the first."""
        return x.flip(tuple(range(1, x.ndim))), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Flip back."""
        return self.forward(z)


class Permutation(Transform):
    """z_k = x_{σ(k)} along dimension 1: the coordinates of points, the channels of images.

    Parameters
    ----------
    order : sequence of int
        σ, a permutation of 0 … d-1.

    Raises
    ------
    ValueError
        If it is not one.

    Examples
    --------
    >>> import torch
    >>> Permutation([2, 0, 1])(torch.tensor([[10.0, 20.0, 30.0]]))[0].tolist()
    [[30.0, 10.0, 20.0]]
    """

    order: Tensor
    back: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        order = list(order)
        if not order or sorted(order) != list(range(len(order))):
            raise ValueError(f"order must be a permutation of 0, 1, …, d-1, not {order}")
        self.register_buffer("order", torch.tensor(order))
        self.register_buffer("back", torch.tensor(order).argsort(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Put the coordinates into the given order."""
        return x.index_select(1, self.order), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Put them back."""
        return z.index_select(1, self.back), z.new_zeros(len(z))
