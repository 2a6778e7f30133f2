"""What is done with the parameters of any network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["frozen", "parameter_count", "weights_from"]


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


@contextmanager
def weights_from(seed: int | torch.Generator) -> Iterator[None]:
    """Context in which new networks draw their weights with this seed.

    Torch's global generator stays as it was. Weights are drawn on the CPU, so that a seed means
    the same network on any device; :func:`torch.manual_seed` would also reset the generators of
    the GPUs. A generator, on any device, gives a seed of its own.
    """
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**31, (), generator=seed, device=seed.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
