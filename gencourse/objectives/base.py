"""What makes one adversarial model differ from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """The two losses of an adversarial game; both players minimise.

    Attributes
    ----------
    name : str
        The key in :data:`gencourse.objectives.OBJECTIVES`.
    critic_loss : callable (real, fake) -> Tensor
        From the critic's raw outputs on real and fake samples, each of shape ``(n, 1)``.
    generator_loss : callable (fake) -> Tensor
        From the critic's raw outputs on fake samples.
    paper : str
        Where the objective comes from.
    """

    name: str
    critic_loss: Callable[[Tensor, Tensor], Tensor]
    generator_loss: Callable[[Tensor], Tensor]
    paper: str
