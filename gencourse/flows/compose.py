"""Several transforms, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from gencourse.flows.base import Transform

__all__ = ["Compose"]


class Compose(Transform):
    """f = f_L ∘ … ∘ f_1; the log-determinants add, as determinants multiply.

    z_t = f_t(z_{t−1}) from z_0 = x gives log|det ∂z_L/∂x| = Σ_t log|det ∂f_t/∂z_{t−1}|
    (deck D).

    Parameters
    ----------
    *transforms : Transform
        In the order in which they act on data; none at all is the identity.

    Examples
    --------
    >>> import torch
    >>> from gencourse.flows import DiagonalScaling, Reverse
    >>> f = Compose(DiagonalScaling((2,)), Reverse())
    >>> f(torch.tensor([[1.0, 2.0]]))[0].tolist()
    [[2.0, 1.0]]
    """

    def __init__(self, *transforms: Transform) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def __len__(self) -> int:
        return len(self.transforms)

    def __getitem__(self, i: int) -> Transform:
        transform = self.transforms[i]
        assert isinstance(transform, Transform)
        return transform

    def __iter__(self) -> Iterator[Transform]:
        return (self[i] for i in range(len(self)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the transforms from first to last."""
        log_det = x.new_zeros(len(x))
        for f in self:
            x, change = f(x)
            log_det = log_det + change
        return x, log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Undo the transforms from last to first."""
        log_det = z.new_zeros(len(z))
        for f in reversed(list(self)):
            z, change = f.inverse(z)
            log_det = log_det + change
        return z, log_det
