"""Scalar functions that are smooth: for energies, whose gradients are followed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gencourse._validate import positive
from gencourse.nets.dcgan import _halvings
from gencourse.nets.mlp import mlp

__all__ = ["energy_network"]


def energy_network(
    event_shape: Sequence[int], *, width: int = 128, depth: int = 3
) -> nn.Sequential:
    """Smooth scalar function of a sample, zero before training; returns shape ``(n, 1)``.

    SiLU between the layers: with ReLU the gradient of the energy, along which Langevin steps
    go, would be constant on polyhedra and jump between them. The last layer starts at zero,
    so that an untrained energy adds nothing to what it is added to. For images strided
    convolutions without normalisation, whose batch statistics would couple the samples.

    Parameters
    ----------
    event_shape : (d,) or (channels, size, size)
        Shape of a sample; images of any size ``c·2^k``.
    width : int
        Hidden units; for images, channels of the finest feature map.
    depth : int
        Hidden layers; for images it follows from the size.

    Examples
    --------
    >>> import torch
    >>> energy_network((1, 8, 8), width=8)(torch.randn(5, 1, 8, 8)).flatten().tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    """
    positive(width, "width", integer=True)
    positive(depth, "depth", integer=True)
    if len(event_shape) == 1:
        network = mlp(event_shape[0], 1, width=width, depth=depth, activation=nn.SiLU)
    else:
        channels, coarse, halvings = _halvings(event_shape)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.SiLU()]
        features = width
        for _ in range(halvings):
            layers += [nn.Conv2d(features, 2 * features, 4, stride=2, padding=1), nn.SiLU()]
            features *= 2
        layers += [nn.Flatten(), nn.Linear(features * coarse * coarse, 1)]
        network = nn.Sequential(*layers)
    last = network[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network
