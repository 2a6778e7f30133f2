"""Several processes, one for each GPU, that train one model together.

``torchrun`` starts them and tells each its number; ``torch.distributed`` carries what they say to
each other. Every process draws batches of its own, and :func:`gencourse.training.descend`
averages their gradients, so that all hold the same weights after every step.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["ALONE", "Processes", "join", "leads"]

#: How long a process waits for the others before it gives up.
TIMEOUT = timedelta(minutes=10)

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes
    ----------
    rank : int
        Number of this one; 0 leads: it shows progress, and writes files.
    size : int
        How many they are.
    """

    rank: int = 0
    size: int = 1

    def seed(self, seed: int) -> int:
        """Return a seed of this process's own; that of the first is ``seed`` itself."""
        if self.rank == 0:
            return seed
        # Torch's generator on the CPU looks at the lowest 32 bits only.
        return int(np.random.SeedSequence([seed % 2**63, self.rank]).generate_state(1)[0])

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over all processes, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, mine: T) -> list[T]:
        """Return what all processes have, in the order of their numbers."""
        if self.size == 1:
            return [mine]
        all_of_them: list[Any] = [None] * self.size
        dist.all_gather_object(all_of_them, mine)
        return all_of_them

    def all(self, check: Callable[[], object]) -> None:
        """Call a function in every process; if it fails in one, raise its error in all.

        Otherwise the others would wait in vain for the one that has left.
        """
        error: Exception | None = None
        try:
            check()
        except Exception as caught:
            error = caught
        for found in self.gather(error):
            if found is not None:
                raise error or found

    def first(self, work: Callable[[], T]) -> T:
        """Call a function in the first process alone; give all its result, or raise its error."""
        if self.size == 1:
            return work()
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0] = work()
            except Exception as error:
                answer[1] = error
        dist.broadcast_object_list(answer, src=0)
        if answer[1] is not None:
            raise answer[1]
        return answer[0]


#: One process, as everywhere but under ``torchrun``.
ALONE = Processes()


def join(device: torch.device) -> Processes:
    """Join the processes that ``torchrun`` started, or that the script has already connected.

    Parameters
    ----------
    device : torch.device
        Where this process trains: messages go from GPU to GPU, or between CPUs.

    Returns
    -------
    Processes
        A single one if there are no others.

    Raises
    ------
    ValueError
        If the environment says something that makes no sense, or the device is Apple's.
    ConnectionError
        If the processes do not find each other.
    """
    if not dist.is_available():
        return ALONE
    if dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    size = _from_environment("WORLD_SIZE", 1)
    if size <= 1:
        return ALONE
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"several processes can train on GPUs of CUDA or on CPUs, not on {device.type!r}; "
            "unset WORLD_SIZE to train alone"
        )
    rank = _from_environment("RANK", -1)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=TIMEOUT)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(
            f"WORLD_SIZE={size} says that this is one of {size} processes (RANK={rank}), but they "
            f"did not find each other: {reason}. Start them with `torchrun --nproc-per-node "
            f"{size} …`, or unset WORLD_SIZE to train alone"
        ) from error
    atexit.register(_leave)
    return Processes(dist.get_rank(), dist.get_world_size())


def leads() -> bool:
    """Return whether this process writes files and prints: it is the first, or the only one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return _from_environment("WORLD_SIZE", 1) <= 1 or _from_environment("RANK", 0) == 0


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _from_environment(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    try:
        return int(value) if value else default
    except ValueError:
        raise ValueError(
            f"the environment variable {name} should be a whole number, but is {value!r}; unset "
            "it to train alone"
        ) from None
