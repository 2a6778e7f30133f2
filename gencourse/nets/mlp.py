"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from gencourse.nets.relu import ReLUNetwork
from gencourse.nets.silu import SiLUNetwork

__all__ = ["mlp"]

SEQUENCES = {nn.ReLU: ReLUNetwork, nn.SiLU: SiLUNetwork}


def mlp(
    inputs: int,
    outputs: int,
    *,
    width: int = 128,
    depth: int = 3,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Fully connected network with ``depth`` hidden layers of ``width`` units.

    Parameters
    ----------
    inputs, outputs : int
        Sizes of the first and the last layer.
    width, depth : int
        Units in each hidden layer, and how many such layers.
    activation : type of nn.Module
        The nonlinearity after each hidden layer.

    Examples
    --------
    >>> mlp(2, 1, width=16, depth=1)
    ReLUNetwork(
      (0): Linear(in_features=2, out_features=16, bias=True)
      (1): ReLU()
      (2): Linear(in_features=16, out_features=1, bias=True)
    )
    """
    sizes = [inputs] + [width] * depth
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    layers.append(nn.Linear(sizes[-1], outputs))
    return SEQUENCES.get(activation, nn.Sequential)(*layers)
