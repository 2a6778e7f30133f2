"""Steps of training a second and peak memory of every system, compiled and not."""

from __future__ import annotations

from typing import Any

import torch

import gencourse

from .harness import Options, now, peak_memory

__all__ = ["rows"]

STEPS, WARM = 30, 10


def rows(options: Options) -> list[dict[str, Any]]:
    """Return a row for each system that takes steps, on points and on images of digits."""
    found = []
    data = {"ring8": gencourse.data.load("ring8").sample(10_000, generator=_generator())}
    if options.device.type == "cuda" or options.full:
        data["digits"] = gencourse.data.load("digits").images("train")
    # On a GPU also with the kernels of a network recorded once and launched together: toy models
    # spend most of their time launching.
    compilations: tuple[bool | str, ...] = (False,)
    if options.device.type == "cuda":
        compilations = (False, True, "cudagraphs")
    systems = gencourse.systems()
    for name, x in data.items():
        kind = "points" if x.ndim == 2 else "images"
        for system in systems[:3] + systems[7:9] if options.small else systems:
            if kind in system.kinds:
                for compile in compilations:
                    found.append(row(system.slug, name, x.to(options.device), compile, options))
    return found


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
    try:
        found["megabytes"] = peak_memory(fit, options.device)
    except Exception as error:  # of a compiler: the others still get their rows
        return found | {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    # Stamps at 0, warm, 2 warm, …; a model that is fitted in one go leaves fewer.
    if len(stamps) >= 3:
        done = (len(stamps) - 2) * warm
        found["steps a second"] = done / (stamps[-1] - stamps[1])
    return found
