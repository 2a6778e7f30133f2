"""Networks that compute in 16 bits, or that are compiled, for as long as training lasts.

Mixed precision (Micikevicius et al. 2018): the weights, the losses and everything between networks
stay in float32; within a network, torch's autocast does matrix products and convolutions in 16
bits, where they are several times faster, and sums, exponentials and norms in 32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PRECISIONS", "compiled", "exact", "lowered", "precision_dtype"]

PLACES = 256  # for compiled variants of modules: shapes, with gradient and without

#: What ``fit(precision=…)`` takes, beside None.
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def precision_dtype(precision: str | None, device: torch.device) -> torch.dtype | None:
    """Return the format in which networks compute, or None for that of their weights.

    Raises
    ------
    ValueError
        If there is no such format, or not on this device.
    """
    if precision is None:
        return None
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be None, 'bf16' or 'fp16', not {precision!r}")
    if (
        precision == "bf16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        name = torch.cuda.get_device_name(device)
        raise ValueError(f"this GPU ({name}) has no bfloat16; use precision='fp16'")
    return PRECISIONS[precision]


@contextmanager
def lowered(
    networks: Iterable[nn.Module], device: torch.device, dtype: torch.dtype | None
) -> Iterator[None]:
    """Context in which networks compute in ``dtype``, from float32 weights to float32 results.

    The context is entered and left within each call of a network. So a loss, a change of volume
    or a transport map outside of one is as exact as ever, on every device.
    """
    networks = list(networks) if dtype is not None else []

    def forward(network: nn.Module, *inputs: Any, **more: Any) -> Any:
        with torch.autocast(device.type, dtype):
            result = type(network).forward(network, *inputs, **more)
        return _in_float32(result)

    for network in networks:
        # A bound method: a copy of the network will call the copy, not this one.
        network.__dict__["forward"] = MethodType(forward, network)
    try:
        yield
    finally:
        for network in networks:
            del network.__dict__["forward"]


@contextmanager
def exact(*networks: nn.Module) -> Iterator[None]:
    """Context in which networks that were :func:`lowered` compute in float32 again."""
    inexact = [(n, n.__dict__.pop("forward")) for n in networks if "forward" in n.__dict__]
    try:
        yield
    finally:
        for network, forward in inexact:
            network.__dict__["forward"] = forward


@contextmanager
def compiled(modules: Iterable[nn.Module], backend: str | None) -> Iterator[None]:
    """Context in which modules are compiled by :func:`torch.compile`; None leaves them as they are.

    They stay the same modules, with the same names of their weights. The first call of each
    compiles it, which takes from seconds to minutes.
    """
    if backend is None:
        yield
        return
    modules = list(modules)
    for module in modules:
        module._compiled_call_impl = torch.compile(_call_of(module), backend=backend)
    try:
        # All modules share one cache, whose 8 places a flow or a few models fill. As of torch 2.7
        # the number is called recompile_limit too.
        with torch._dynamo.config.patch(cache_size_limit=PLACES):
            yield
    finally:
        for module in modules:
            module._compiled_call_impl = None


def _call_of(module: nn.Module) -> Callable[..., Any]:
    """Call a module from a frame of ours.

    ``module.compile()`` does nothing for an ``nn.Sequential`` of layers of torch, without a word,
    in versions of torch that trace no frame of its own files.
    """

    def call(*inputs: Any, **more: Any) -> Any:
        return module._call_impl(*inputs, **more)

    return call


def _in_float32(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result.float() if result.dtype in PRECISIONS.values() else result
    if isinstance(result, tuple):
        return tuple(map(_in_float32, result))
    return result
