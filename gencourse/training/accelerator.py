"""How a run computes, whatever it trains: in 16 bits, compiled, in several processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from gencourse.training.descent import Engine
from gencourse.training.precision import compiled, lowered, precision_dtype
from gencourse.training.processes import Processes, join

__all__ = ["Accelerator"]


@dataclass(frozen=True)
class Accelerator:
    """What ``fit(precision=…, compile=…)`` and ``torchrun`` ask for.

    Attributes
    ----------
    device : torch.device
        Where the networks live.
    precision : "bf16", "fp16" or None
        In which the networks compute.
    backend : str or None
        Compiler of the networks.
    processes : Processes
        Those that train together.
    """

    device: torch.device
    precision: str | None
    backend: str | None
    processes: Processes

    @classmethod
    def of(cls, device: torch.device, *, precision: str | None, compile: bool | str) -> Self:
        """Check what is asked for, and join the other processes.

        Raises
        ------
        ValueError
            If the device lacks the precision.
        ConnectionError
            If the environment announces other processes that cannot be reached.
        """
        precision_dtype(precision, device)
        backend = compile if isinstance(compile, str) else "inductor" if compile else None
        return cls(device, precision, backend, join(device))

    def run(self) -> dict[str, Any]:
        """Return what distinguishes this run from others, for its checkpoints."""
        return {
            "device": self.device.type,
            "precision": self.precision,
            "compile": self.backend,
            "processes": self.processes.size,
        }

    @contextmanager
    def engine(
        self, networks: Iterable[nn.Module], compilable: Iterable[nn.Module]
    ) -> Iterator[Engine]:
        """Context in which networks compute as asked, with the engine that drives their steps."""
        dtype = precision_dtype(self.precision, self.device)
        scaler = GradScaler(self.device.type, enabled=dtype == torch.float16)
        with lowered(networks, self.device, dtype), compiled(compilable, self.backend):
            yield Engine(scaler, self.processes)
