"""What the applications that train a network of their own have in common."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gencourse._validate import check_hyperparameters

__all__ = ["Trainable"]


class Trainable(nn.Module):
    """A network for one task, whose hyperparameters are checked.

    Attributes
    ----------
    settings : dataclass
        The hyperparameters in use; the class's ``Settings`` documents them.
    """

    Settings: ClassVar[type]
    _anchor: Tensor

    def __init__(self, hyperparameters: Mapping[str, Any]) -> None:
        super().__init__()
        check_hyperparameters(type(self).__name__, hyperparameters, self.Settings)
        self.settings: Any = self.Settings(**hyperparameters)
        # Follows the networks from device to device, and tells where to put new tensors.
        self.register_buffer("_anchor", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        return self._anchor.device

    def noise(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal numbers on the network's device, from a generator on any device."""
        where = self.device if generator is None else generator.device
        return torch.randn(*shape, generator=generator, device=where).to(self.device)

    def _run(self, seed: int, *tensors: Tensor) -> dict[str, Any]:
        """Return what distinguishes this run from others, for its checkpoints."""
        digest = hashlib.sha256()
        for x in tensors:
            digest.update(x.cpu().contiguous().numpy().data)
        return {
            "application": type(self).__name__,
            "seed": seed,
            "device": self.device.type,
            **dataclasses.asdict(self.settings),
            "data": digest.hexdigest()[:16],
        }
