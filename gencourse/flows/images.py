"""What couplings need on images: checkerboards, squeezing, and several scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import positive
from gencourse.flows.base import Transform
from gencourse.flows.coupling import bounded

__all__ = ["CheckerboardCoupling", "OnHalf", "Squeeze", "checkerboard"]


def checkerboard(height: int, width: int, *, swap: bool = False) -> Tensor:
    """Return a board of zeros and ones, shape ``(height, width)``; ``swap`` exchanges them.

    Examples
    --------
    >>> checkerboard(2, 3)
    tensor([[1., 0., 1.],
            [0., 1., 0.]])
    """
    i, j = torch.arange(height)[:, None], torch.arange(width)
    return ((i + j) % 2 == int(swap)).float()


class CheckerboardCoupling(Transform):
    """Coupling in which the black squares of a board say how the white ones move.

    With the board b, Real-NVP's masked form (Dinh et al. 2017, equation 9):

        z = b ⊙ x + (1 - b) ⊙ (x ⊙ exp(s(b ⊙ x)) + t(b ⊙ x)).

    Every white pixel has black neighbours, so a convolution knows a lot about it.

    Parameters
    ----------
    event_shape : (channels, height, width)
    network : nn.Module
        From b ⊙ x to t and, unless additive, u before it, of twice the channels; s is
        :func:`gencourse.flows.bounded` (u).
    swap : bool
        Let the white squares say and the black ones move.
    bound : float or None
        Bound on the size of s; None makes the coupling additive, s = 0, as in NICE.
    """

    board: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        network: nn.Module,
        *,
        swap: bool = False,
        bound: float | None = 3.0,
    ) -> None:
        super().__init__()
        if bound is not None:
            positive(bound, "bound")
        self.network, self.bound = network, bound
        self.register_buffer("board", checkerboard(*event_shape[1:], swap=swap), persistent=False)

    def scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and t, images like x, both zero on the squares that stay."""
        outputs, moving = self.network(self.board * x), 1 - self.board
        if self.bound is None:
            return torch.zeros_like(x), moving * outputs
        u, t = outputs.chunk(2, dim=1)
        return moving * bounded(u, self.bound), moving * t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift; where s and t are zero, z = x."""
        s, t = self.scale_and_shift(x)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and scale back; b ⊙ z = b ⊙ x."""
        s, t = self.scale_and_shift(z)
        return (z - t) * (-s).exp(), -s.flatten(1).sum(1)


class Squeeze(Transform):
    """Trade space for channels: squares of 2 × 2 pixels become one pixel of 4 times the channels.

    ``(n, c, h, w)`` becomes ``(n, 4c, h/2, w/2)`` (Dinh et al. 2017, section 3.6), so that
    halves of the channels are the odd and the even rows. ``Inverse(Squeeze())`` brings the
    image's shape back.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Halve height and width."""
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            raise ValueError(f"images of odd size {tuple(x.shape[-2:])} cannot be squeezed")
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Double height and width."""
        return F.pixel_shuffle(z, 2), z.new_zeros(len(z))


class OnHalf(Transform):
    """Apply a transform to the second half of the channels; the first half is finished.

    Coarser scales then work on ever fewer numbers: the multi-scale architecture of Dinh et
    al. (2017, section 3.6), in which the finished numbers are factored out.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map the second half."""
        finished, going_on = x.chunk(2, dim=1)
        going_on, log_det = self.transform(going_on)
        return torch.cat((finished, going_on), dim=1), log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map it back."""
        finished, going_on = z.chunk(2, dim=1)
        going_on, log_det = self.transform.inverse(going_on)
        return torch.cat((finished, going_on), dim=1), log_det
