"""Linear layers on a CPU, by the product of matrices that suits their shape.

Torch's own products of float32 use half the width of the vectors that an AMD processor of 2024
has. OneDNN, which comes with torch, uses all of it and is twice as fast there; it also applies an
activation on the way. Starting it takes longer than a small product does, and for the product of a
narrow matrix the layout decides how long that takes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["hooked", "layer", "linear", "on_its_own", "sum_of_products", "times"]

NARROW = 16  # rows or columns
LARGE = 2**22  # multiplications, as of 256 rows of 128 numbers by a 128 × 128 matrix
ONEDNN = (
    torch.backends.cpu.get_cpu_capability() == "AVX512"
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)
#: Activations by their names in oneDNN.
ACTIVATIONS = {"none": lambda y: y, "relu": torch.relu_, "swish": lambda y: F.silu(y, inplace=True)}


def linear(x: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """W x + b for each row of ``x``, as :func:`torch.nn.functional.linear`.

    On a CPU a W with few columns, as on points of the plane, is laid out anew by columns: the two
    products of the pass backwards then take a quarter of the time, and with the forward pass it is
    half. That is because torch lets the layout of W choose the order in which it multiplies.

    Parameters
    ----------
    x : Tensor of shape (n, inputs)
    W : Tensor of shape (outputs, inputs)
    b : Tensor of shape (outputs,) or (n, outputs)

    Returns
    -------
    Tensor of shape (n, outputs)
    """
    if x.device.type != "cpu" or x.ndim != 2 or not 1 < W.shape[1] < NARROW:
        return F.linear(x, W, b) if b.ndim == 1 else torch.addmm(b, x, W.t())
    return torch.addmm(b, x, W.t().contiguous())


# What follows has no derivative of its own.


def on_its_own(x: Tensor, *layers: nn.Module) -> bool:
    """Whether torch would do nothing at these layers but compute, in the format of ``x``."""
    return (
        x.ndim == 2
        and x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
        and not any(hooked(layer) for layer in layers)
    )


def hooked(module: Any) -> bool:
    """Whether something else happens when a module is called."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def layer(x: Tensor, W: Tensor, b: Tensor, activation: str = "none") -> Tensor:
    """W x + b for each row of ``x``, and an activation of that."""
    if _by_onednn(x, W.t()):
        return torch.ops.mkldnn._linear_pointwise(x, W, b, activation, [], "")
    return ACTIVATIONS[activation](torch.addmm(b, x, W.t()))


def times(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``."""
    if _by_onednn(a, b):
        return torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    if 1 < b.shape[1] < NARROW and a.device.type == "cpu":
        return F.linear(a, b.t().contiguous())  # by columns, which takes a quarter of the time
    return a @ b


def sum_of_products(delta: Tensor, h: Tensor) -> Tensor:
    """Σ_i δ_i h_iᵀ over the rows. With few columns of h the transpose is eight times as fast."""
    return times(h.t(), delta).t() if h.shape[1] < NARROW else times(delta.t(), h)


def _by_onednn(a: Tensor, b: Tensor) -> bool:
    if not ONEDNN or a.device.type != "cpu" or {a.dtype, b.dtype} != {torch.float32}:
        return False
    (n, k), m = a.shape, b.shape[1]
    return min(n, k, m) >= NARROW and n * k * m >= LARGE
