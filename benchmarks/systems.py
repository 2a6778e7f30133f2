"""Steps of training a second and peak memory of every system, compiled and not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

import gencourse

from .harness import Options, now, peak_memory

__all__ = ["rows"]

STEPS, WARM = 30, 10


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """Yield a row for each system that takes steps, on points and on images of digits."""
    n = options.size(10_000, 200)
    data = {"ring8": gencourse.data.load("ring8").sample(n, generator=_generator())}
    if options.device.type == "cuda" or options.full:
        data["digits"] = gencourse.data.load("digits").images("train")
    # On a GPU also with the kernels of a network recorded once and launched together: toy models
    # spend most of their time launching. What takes longest to begin with comes last.
    compilations: tuple[bool | str, ...] = (False,)
    if options.device.type == "cuda":
        compilations = (False, "cudagraphs", True)
    systems = gencourse.systems()
    for compile in compilations:
        for name, x in data.items():
            kind = "points" if x.ndim == 2 else "images"
            for system in systems[:3] + systems[7:9] if options.small else systems:
                if kind in system.kinds:
                    yield row(system.slug, name, x.to(options.device), compile, options)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def row(
    slug: str, data: str, x: torch.Tensor, compile: bool | str, options: Options
) -> dict[str, Any]:
    """Time the steps of one fit after the first few, in which kernels are chosen or compiled."""
    model = gencourse.build(slug, x, device=options.device)
    stamps: list[float] = []
    warm, steps = (1, 2) if options.small else (WARM, WARM + STEPS)

    def stamp(step: int) -> None:
        stamps.append(now(options.device))

    def fit() -> None:
        model.fit(x, steps=steps, progress=False, callback=stamp, every=warm, compile=compile)

    found: dict[str, Any] = {"system": slug, "data": data, "compiled": compile}
    if compile:
        torch._dynamo.reset()  # or what was compiled for the systems before would stay in memory
    try:
        if options.device.type == "cpu":
            fit()  # while memory is measured, it takes longer to get
            found["steps a second"] = rate(stamps, warm)
        found["megabytes"] = peak_memory(fit, options.device)
    except Exception as error:  # of a compiler: the others still get their rows
        return found | {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    if options.device.type != "cpu":
        found["steps a second"] = rate(stamps, warm)
    return found


def rate(stamps: list[float], every: int) -> float | None:
    """Steps a second between stamps at 0, `every`, 2 `every`, … without the first of them.

    None for a model that is fitted in one go, which leaves fewer.
    """
    return (len(stamps) - 2) * every / (stamps[-1] - stamps[1]) if len(stamps) >= 3 else None
