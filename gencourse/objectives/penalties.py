"""Penalties on the slope of the critic."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gencourse.objectives.base import Regulariser, Turn

__all__ = [
    "GradientPenalty",
    "between",
    "gradient_in",
    "gradient_of_relu_network",
    "is_relu_network",
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


def gradient_of_relu_network(network: nn.Sequential, x: Tensor) -> Tensor:
    r"""∇f at each row of ``x``, as :func:`gradient_in`, of a network that :func:`is_relu_network`.

    With masks :math:`M_l` that tell where layer l is positive,

    .. math:: \nabla f = W_1^T M_1 W_2^T M_2 \cdots W_{L-1}^T M_{L-1} W_L^T,

    and as the masks are constant almost everywhere, a step that lessens a function of ∇f passes
    backwards through this product alone. Differentiating twice comes to the same, after two
    further passes backwards with gradients that are zero: this saves a seventh of the products
    of matrices in a step of a critic with a gradient penalty.
    """
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    masks = []
    with torch.no_grad():
        for layer in network[:-1]:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                masks.append(x.sign())  # 0 or 1
    gradient = linear[-1].weight.expand(len(x), -1)
    for mask, layer in zip(reversed(masks), reversed(linear[:-1]), strict=True):
        gradient = (gradient * mask) @ layer.weight
    return gradient


def is_relu_network(critic: object) -> bool:
    """Whether ``critic`` is plain linear layers with a ReLU between any two, and one output.

    Neither layers with a parametrisation, such as spectral normalisation, nor networks that compute
    in 16 bits or are compiled, whose forward pass is not the one that is written down here.
    """
    if type(critic) is not nn.Sequential or "forward" in critic.__dict__ or len(critic) < 3:
        return False
    if critic._compiled_call_impl is not None or len(critic) % 2 == 0:
        return False
    if any(module._forward_hooks or module._forward_pre_hooks for module in critic.modules()):
        return False
    kinds = [type(layer) for layer in critic]
    alternate = set(kinds[::2]) == {nn.Linear} and set(kinds[1::2]) == {nn.ReLU}
    return alternate and bool(critic[-1].out_features == 1)


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
