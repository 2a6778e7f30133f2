r"""Networks of linear layers with a ReLU between any two, passed through forwards and backwards.

With :math:`h_0 = x`, :math:`h_l = \mathrm{relu}(W_l h_{l-1} + b_l)` and
:math:`f(x) = W_L h_{L-1} + b_L`, a change :math:`\delta_L` of f goes back as

.. math::
    \partial W_l = \delta_l h_{l-1}^T, \qquad \partial b_l = \delta_l, \qquad
    \delta_{l-1} = M_{l-1} W_l^T \delta_l,

where the mask :math:`M_l` tells which of :math:`h_l` are positive. Torch finds the same. Written
down as one pass each way it takes about two thirds of the time on a CPU: a ReLU comes with the
product before it, nothing is kept but the :math:`h_l`, and the products suit the shapes, see
:mod:`gencourse.nets.kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from gencourse.nets.kernels import hooked, layer, on_its_own, sum_of_products, times

__all__ = ["ReLUNetwork", "gradient_of_relu_network", "is_relu_network"]


class ReLUNetwork(nn.Sequential):
    """Linear layers with a ReLU between any two: :class:`torch.nn.Sequential`, and faster.

    That is while weights learn from given inputs, while inputs learn from given weights, as in the
    two turns of an adversarial game, and without gradients. Otherwise, on a GPU, compiled, in mixed
    precision, and where hooks or parametrisations were put on layers, torch does everything.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape ``(n, inputs)`` to f(x), shape ``(n, outputs)``."""
        if on_its_own(x):
            parameters = _parameters(self)
            if parameters is not None and _suits(x, parameters):
                return _Values.apply(x, *parameters)
        return super().forward(x)


def is_relu_network(f: object) -> bool:
    """Whether ``f`` is linear layers with a ReLU between any two, one output, and nothing else.

    Neither layers with a parametrisation, such as spectral normalisation, nor networks that compute
    in 16 bits or are compiled, whose forward pass is not the one that is written down here.
    """
    if type(f) not in (nn.Sequential, ReLUNetwork):
        return False
    assert isinstance(f, nn.Sequential)
    if "forward" in f.__dict__ or f._compiled_call_impl is not None or hooked(f):
        return False
    parameters = _parameters(f)
    return parameters is not None and len(parameters) > 2 and len(parameters[-1]) == 1


def gradient_of_relu_network(network: nn.Sequential, x: Tensor) -> Tensor:
    r"""∇f at each row of ``x``, shape ``(n, inputs)``, of a network that :func:`is_relu_network`.

    .. math:: \nabla f = W_1^T M_1 W_2^T M_2 \cdots W_{L-1}^T M_{L-1} W_L^T.

    As the masks are constant almost everywhere, a step that lessens a function of ∇f passes
    backwards through this product alone. Differentiating twice comes to the same, after two
    further passes backwards with gradients that are zero: this saves a seventh of the products
    of matrices in a step of a critic with a gradient penalty.
    """
    parameters = _parameters(network)
    assert parameters is not None
    return _Gradient.apply(x, *parameters)


class _Values(torch.autograd.Function):
    """f(x) from x and W_1, b_1, …, W_L, b_L."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        h = _hidden(x, parameters)
        ctx.save_for_backward(*h, *parameters)
        W, b = parameters[-2:]
        return layer(h[-1], W, b)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        (delta,) = given
        saved, need = ctx.saved_tensors, ctx.needs_input_grad
        L = len(saved) // 3
        h, parameters = saved[:L], saved[L:]
        if torch.is_grad_enabled():  # what comes out will be differentiated again: by torch
            return _by_torch(h[0], parameters, need, delta)
        found: list[Tensor | None] = [None] * len(need)
        for l in reversed(range(L)):
            if need[2 * l + 1]:
                found[2 * l + 1] = sum_of_products(delta, h[l])
            if need[2 * l + 2]:
                found[2 * l + 2] = delta.sum(0)
            if l > 0:
                delta = _masked(times(delta, parameters[2 * l]), h[l])
        if need[0]:
            found[0] = times(delta, parameters[0])
        return tuple(found)


class _Gradient(torch.autograd.Function):
    """∇f(x) from x and W_1, b_1, …, W_L, b_L."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        h, weights = _hidden(x, parameters), parameters[::2]
        gradient = weights[-1].expand(len(x), -1)
        masked = []
        for W, h_l in zip(reversed(weights[:-1]), reversed(h[1:]), strict=True):
            masked.append(_masked(gradient, h_l))
            gradient = times(masked[-1], W)
        ctx.save_for_backward(*h[1:], *reversed(masked), *weights)
        return gradient

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> Any:
        saved = ctx.saved_tensors
        L = (len(saved) + 2) // 3
        h, masked, weights = saved[: L - 1], saved[L - 1 : 2 * L - 2], saved[2 * L - 2 :]
        found: list[Tensor | None] = [None]
        for W, h_l, gradient in zip(weights[:-1], h, masked, strict=True):
            found += [sum_of_products(gradient, delta), None]
            delta = _masked(times(delta, W.t()), h_l)
        return *found, delta.sum(0, keepdim=True), None


def _masked(delta: Tensor, h: Tensor) -> Tensor:
    """M δ: zero where h is."""
    return torch.ops.aten.threshold_backward(delta, h, 0)


def _hidden(x: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """h_0, …, h_{L-1}."""
    h = [x]
    for W, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        h.append(layer(h[-1], W, b, "relu"))
    return h


def _by_torch(
    x: Tensor, parameters: Sequence[Tensor], need: Sequence[bool], delta: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradients of f in what ``need`` says, as torch finds them, with a graph."""
    h = x
    for W, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        h = F.linear(h, W, b).relu()
    inputs = [t for t, needed in zip((x, *parameters), need, strict=True) if needed]
    y = F.linear(h, *parameters[-2:])
    found = iter(torch.autograd.grad(y, inputs, delta, create_graph=True))
    return tuple(next(found) if needed else None for needed in need)


def _parameters(network: nn.Sequential) -> list[Tensor] | None:
    """W_1, b_1, …, W_L, b_L of linear layers with a ReLU between any two, or None."""
    found: list[Tensor] = []
    layers = network._modules.values()
    for i, module in enumerate(layers):
        if hooked(module):
            return None
        if i % 2 == 0:
            if type(module) is not nn.Linear or module.bias is None:
                return None
            found += (module.weight, module.bias)
        elif type(module) is not nn.ReLU:
            return None
    return found if len(layers) % 2 == 1 else None


def _suits(x: Tensor, parameters: list[Tensor]) -> bool:
    """Whether these may go through :class:`_Values`."""
    if x.dtype != parameters[0].dtype or len(x) == 0:
        return False
    # Who asks for the gradient in x alone, of a network that could learn, would wait for those
    # in the weights too.
    return not (
        x.requires_grad and torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
    )
