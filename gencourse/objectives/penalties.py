"""Penalties on the slope of the critic."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gencourse.nets.relu import gradient_of_relu_network, is_relu_network
from gencourse.objectives.base import Regulariser, Turn

__all__ = [
    "GradientPenalty",
    "between",
    "gradient_in",
    "one_sided",
    "two_sided",
]


def between(real: Tensor, fake: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Points x̃ = t x + (1 - t) G(z), with t uniform in [0, 1] for each pair."""
    where = real.device if generator is None else generator.device
    t = torch.rand(len(real), generator=generator, device=where).to(real)
    t = t.view(-1, *[1] * (real.ndim - 1))
    return t * real + (1 - t) * fake


def gradient_in(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """∇f at each row of ``x``, shape ``(n, d)``, which can be differentiated once more.

    ``f`` takes the rows one by one, or at least none of its values depends on another row.
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def two_sided(slope: Tensor) -> Tensor:
    """(‖∇f‖ - 1)²: the slope is 1 wherever mass is moved (Gulrajani et al. 2017)."""
    return (slope - 1).square()


def one_sided(slope: Tensor) -> Tensor:
    """max(0, ‖∇f‖ - 1)²: the slope is at most 1 (Petzka, Fischer & Lukovnikov 2018)."""
    return (slope - 1).relu().square()


def _value(output: Tensor, turn: Turn) -> Tensor:
    return output


class GradientPenalty(Regulariser):
    r"""λ E penalty(‖∇f(x̃)‖), at points x̃ between real and fake samples.

    Parameters
    ----------
    weight : float
        λ.
    side : callable (slope) -> Tensor
        :func:`two_sided` or :func:`one_sided`.
    witness : callable (output, turn) -> Tensor of shape (n,) or (n, 1)
        f(x̃) from the critic's outputs at x̃; by default the output itself.
    """

    twice_differentiable = True

    def __init__(
        self,
        weight: float,
        side: Callable[[Tensor], Tensor] = two_sided,
        witness: Callable[[Tensor, Turn], Tensor] = _value,
    ) -> None:
        super().__init__(weight)
        self.side, self.witness = side, witness

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the loss and the penalty."""
        x = between(turn.real, turn.fake, turn.generator)
        if self.witness is _value and is_relu_network(turn.critic):
            gradient = gradient_of_relu_network(turn.critic, x)  # type: ignore[arg-type]
        else:
            gradient = gradient_in(x, lambda x: self.witness(turn.critic(x), turn))
        return loss + self.weight * self.side(gradient.norm(dim=1)).mean()
