"""What the applications that train a network of their own have in common."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gencourse._validate import check_hyperparameters
from gencourse.training import Accelerator, History, Stateful, train

__all__ = ["Trainable"]


class Trainable(nn.Module):
    """A network for one task, whose hyperparameters are checked.

    Attributes
    ----------
    settings : dataclass
        The hyperparameters in use; the class's ``Settings`` documents them.
    average : AveragedModel
        The generator with averaged weights, which is used after training.
    """

    Settings: ClassVar[type]
    average: AveragedModel
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

    def _train(
        self,
        step: Callable[[int], Mapping[str, Tensor]],
        *,
        players: list[nn.Module],
        accelerator: Accelerator,
        data: tuple[Tensor, ...],
        seed: int,
        state: Mapping[str, Stateful],
        **loop: Any,
    ) -> History:
        """Take the steps, on these data, with the players in training and the average not."""
        digest = hashlib.sha256()
        for x in data:
            digest.update(x.cpu().contiguous().numpy().data)
        run = {
            "application": type(self).__name__,
            "seed": seed,
            **accelerator.run(),
            **dataclasses.asdict(self.settings),
            "data": digest.hexdigest()[:16],
        }
        self.train()
        self.average.eval()
        try:
            with accelerator.engine(players, players) as engine:
                return train(
                    step,
                    state={"model": self, **state},
                    description=type(self).__name__,
                    run=run,
                    engine=engine,
                    **loop,
                )
        finally:
            self.eval()
