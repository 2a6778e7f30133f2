"""How two sides are compared: equal results first, then their times in turn.

Every comparison has one side of ours and one or more of others, on the same inputs in one
process. What they return must agree before anything is timed. Then they run in rounds, a
different one first each time, so that whatever else the machine is doing hits all of them; a
round gives a ratio, others' time over ours, and what is reported is the median of the ratios
with its lowest and highest.

On a CPU with one thread the clock is that of the process, which stands still while other programs
run. With several threads, and on a GPU, it is that on the wall; a GPU is waited for before and
after, never within.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "Comparison",
    "Disagreement",
    "Options",
    "compared",
    "machine",
    "measure",
    "peak_memory",
    "timed",
]

Run = Callable[[], object]
OURS = "gencourse"
PACKAGES = (
    *("torch", "numpy", "scipy", "scikit-learn", "pot", "torchmetrics", "torch-fidelity", "prdc"),
    *("zuko", "normflows", "torchdiffeq"),
)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class Disagreement(AssertionError):
    """Two sides that should do the same work do not."""


@dataclass(frozen=True)
class Options:
    """What a run of the benchmarks is told.

    Attributes
    ----------
    device : torch.device
    rounds : int
        How often each side is timed.
    small : bool
        Sizes for which everything takes a moment: to see that it runs.
    full : bool
        Also what takes many minutes.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rounds: int = 5
    small: bool = False
    full: bool = False

    def size(self, n: int, small: int) -> int:
        """One of two sizes."""
        return small if self.small else n


@dataclass(frozen=True)
class Comparison:
    """One row of the table.

    Attributes
    ----------
    work : str
        What is done, with its sizes.
    ours : callable () -> object
    peers : dict of str to callable () -> object
        Others' ways to the same result, by the name of the package.
    difference : callable () -> float
        Runs the sides and returns by how much their results differ.
    tolerance : float
        How large that may be.
    aim : dict of str to float
        Ratio that was aimed at for a peer, or for all of them under "".
    calls : float
        How many steps one call does, so that rates can be told.
    rounds : int, optional
        Fewer than the options say, for what takes long.
    warm : bool
        Whether to run each side once before timing; ``difference`` may have done that.
    """

    work: str
    ours: Run
    peers: Mapping[str, Run]
    difference: Callable[[], float]
    tolerance: float
    aim: Mapping[str, float] = field(default_factory=dict)
    calls: float = 1
    rounds: int | None = None
    warm: bool = True


def measure(comparison: Comparison, options: Options) -> list[dict[str, Any]]:
    """Check that the sides agree, time them in turn, and return a row for each peer.

    Raises
    ------
    Disagreement
        If they do not.
    """
    difference = float(comparison.difference())
    if not difference <= comparison.tolerance:
        raise Disagreement(
            f"{comparison.work}: results differ by {difference:.3g}, which is more than "
            f"{comparison.tolerance:.3g}"
        )
    sides = {OURS: comparison.ours, **comparison.peers}
    names = list(sides)
    if comparison.warm:
        for run in sides.values():
            run()
    rounds = min(options.rounds, comparison.rounds or options.rounds)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            seconds[name].append(timed(sides[name], options.device) / comparison.calls)
    return [
        compared(
            comparison.work,
            peer,
            seconds[OURS],
            seconds[peer],
            aim=comparison.aim.get(peer, comparison.aim.get("")),
            difference=difference,
            tolerance=comparison.tolerance,
        )
        for peer in comparison.peers
    ]


def compared(
    work: str,
    peer: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    aim: float | None,
    difference: float,
    tolerance: float,
) -> dict[str, Any]:
    """Return the row of two sides that took these seconds in each round."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {
        "work": work,
        "peer": peer,
        "ours": statistics.median(ours),
        "theirs": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "aim": aim,
        "difference": difference,
        "tolerance": tolerance,
        "rounds": len(ratios),
    }


def timed(run: Run, device: torch.device) -> float:
    """Return the seconds that a call takes, by the clock that suits the device."""
    gc.collect()
    begun = now(device)
    run()
    return now(device) - begun


def now(device: torch.device) -> float:
    """Return the time by the clock that suits the device, once a GPU has done its work."""
    synchronise(device)
    if device.type == "cpu" and torch.get_num_threads() == 1:
        return time.process_time()
    return time.perf_counter()


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done all it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(run: Run, device: torch.device) -> float:
    """Return by how many MB memory grows at most while a call lasts; NaN where none can tell."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    if not Path("/proc/self/clear_refs").exists():
        run()
        return float("nan")
    with _memory_given_back():
        Path("/proc/self/clear_refs").write_text("5")  # begin the record of the peak anew
        before = _status("VmRSS")
        run()
        return (_status("VmHWM") - before) / 2**10


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """Let glibc ask the system for each array by itself, and give it back when it is freed.

    What a process holds is then what is alive in it. By default freed arrays stay, in pieces that
    the next ones may or may not fit into, and the same call needs twice as much one time as
    another. Calls take longer meanwhile, so time is measured by itself.
    """
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallopt(M_MMAP_THRESHOLD, 2**16)
    try:
        yield
    finally:
        # What these grow to in a process with large arrays, as long as nobody sets them.
        libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, 2**26)


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def machine(device: torch.device) -> dict[str, Any]:
    """Describe what the numbers were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    described: dict[str, Any] = {
        "processor": next(_processors(), platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(load, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "device": device.type,
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
        described["cuda"] = torch.version.cuda
    return described


def _processors() -> Iterator[str]:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                yield line.split(":", 1)[1].strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
