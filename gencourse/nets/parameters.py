"""What is done with the parameters of any network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["frozen", "parameter_count"]


def parameter_count(network: nn.Module) -> int:
    """Return how many numbers ``network`` learns."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Context in which ``network`` passes gradients through but collects none of its own.

    In the generator's step the discriminator is only a function of the fake samples; freezing
    it saves computing gradients that the next discriminator step would throw away.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    try:
        for p in parameters:
            p.requires_grad_(False)
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)
