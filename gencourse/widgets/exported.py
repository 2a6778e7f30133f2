"""Networks and arrays as JSON, from which ``browser/kit.js`` computes the same numbers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["array", "network"]

_POINTWISE = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.SiLU: "silu",
}
#: What only changes the shape, or nothing once training is over.
_SILENT = (nn.Identity, nn.Dropout, nn.Unflatten, nn.Flatten)


def array(values: Tensor, *, exact: bool = True) -> dict[str, Any]:
    """Return an array's numbers, flat, in base64.

    Parameters
    ----------
    values : Tensor
        Of any shape, which is not kept.
    exact : bool
        In float32; otherwise in 65535 steps from the least to the greatest value, in half the
        space.

    Raises
    ------
    ValueError
        If a number is not finite, or there is none.
    """
    flat = values.detach().cpu().float().flatten()
    if len(flat) == 0 or not bool(flat.isfinite().all()):
        raise ValueError("a demonstration needs numbers, all of them finite")
    if exact:
        return {"kind": "float32", "data": _base64(flat.numpy().astype("<f4").tobytes())}
    low, high = flat.min().item(), flat.max().item()
    steps = ((flat.double() - low) / max(high - low, 1e-30) * 65535).round()
    data = steps.numpy().astype("<u2").tobytes()
    return {"kind": "uint16", "low": low, "high": high, "data": _base64(data)}


def network(module: nn.Module, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return the layers of a feed-forward network.

    Parameters
    ----------
    module : nn.Module
        Sequential (in any depth of nesting): linear layers, transposed convolutions, batch
        normalisation right after either, and the usual activations.
    event_shape : tuple of int
        Shape of one input, without the batch.

    Raises
    ------
    ValueError
        If a layer is of another kind.
    """
    layers: list[dict[str, Any]] = []
    shape = event_shape
    for layer in _flat(module):
        if isinstance(layer, nn.BatchNorm2d):
            _normalise(layers, layer)
        elif isinstance(layer, nn.Linear):
            layers.append(_weighted("linear", layer, layer.in_features, layer.out_features))
        elif isinstance(layer, nn.ConvTranspose2d):
            layers.append(_convolution(layer, shape))
        elif isinstance(layer, nn.LeakyReLU):
            layers.append({"kind": "leaky_relu", "slope": layer.negative_slope})
        elif type(layer) in _POINTWISE:
            layers.append({"kind": _POINTWISE[type(layer)]})
        elif not isinstance(layer, _SILENT):
            raise ValueError(
                f"a {type(layer).__name__} cannot be taken into the browser; it knows Linear, "
                "ConvTranspose2d, BatchNorm2d and the usual activations"
            )
        shape = _after(layer, shape)
    for spec in layers:
        for name in ("weight", "bias"):
            if isinstance(spec.get(name), Tensor):
                spec[name] = array(spec[name])
    return layers


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of nested sequences, in order."""
    if isinstance(module, nn.Sequential):
        for child in module:
            yield from _flat(child)
    else:
        yield module


def _after(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of what a layer makes of one input."""
    if isinstance(layer, nn.Linear):
        if shape != (layer.in_features,):
            raise ValueError(f"a layer of {layer.in_features} inputs is given shape {shape}")
        return (layer.out_features,)
    if isinstance(layer, nn.ConvTranspose2d):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        size = (shape[-1] - 1) * stride - 2 * padding + kernel
        return (layer.out_channels, size, size)
    if isinstance(layer, nn.Unflatten | nn.Flatten):
        return tuple(layer(torch.zeros(1, *shape)).shape[1:])
    return shape


def _weighted(
    kind: str, layer: nn.Linear | nn.ConvTranspose2d, inputs: int, outputs: int
) -> dict[str, Any]:
    made = {"kind": kind, "inputs": inputs, "outputs": outputs}
    numbers = {"weight": layer.weight.detach()}
    if layer.bias is not None:
        numbers["bias"] = layer.bias.detach()
    return made | numbers


def _convolution(layer: nn.ConvTranspose2d, shape: tuple[int, ...]) -> dict[str, Any]:
    square = all(len(set(v)) == 1 for v in (layer.kernel_size, layer.stride, layer.padding))
    plain = layer.dilation == (1, 1) and layer.output_padding == (0, 0) and layer.groups == 1
    if not (square and plain):
        raise ValueError(
            "only square transposed convolutions without dilation, groups or output padding can "
            "be taken into the browser"
        )
    sizes = {"size": shape[-1], "kernel": layer.kernel_size[0]}
    sizes |= {"stride": layer.stride[0], "padding": int(layer.padding[0])}
    return _weighted("upsample", layer, layer.in_channels, layer.out_channels) | sizes


def _normalise(layers: list[dict[str, Any]], layer: nn.BatchNorm2d) -> None:
    """Put a normalisation by remembered moments into the layer before it.

    γ(y - μ)/√(v + ε) + β is linear in y, one factor and one shift for each channel.
    """
    if not layers or "weight" not in layers[-1]:
        raise ValueError("batch normalisation must follow a linear layer or a convolution")
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError("batch normalisation without remembered moments depends on the batch")
    before = layers[-1]
    factor = (layer.running_var + layer.eps).rsqrt()
    if layer.affine:
        factor = factor * layer.weight.detach()
    shift = -layer.running_mean * factor + (layer.bias.detach() if layer.affine else 0)
    if before["kind"] == "linear":  # several outputs belong to one channel
        repeat = before["outputs"] // len(factor)
        factor, shift = factor.repeat_interleave(repeat), shift.repeat_interleave(repeat)
        before["weight"] = before["weight"] * factor[:, None]
    else:
        before["weight"] = before["weight"] * factor[None, :, None, None]
    before["bias"] = before.get("bias", 0.0) * factor + shift


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
