"""How time and memory grow with the number of points and their dimension.

Each function runs at sizes over two decades. The exponent b of cost ∝ sizeᵇ is the slope of a line
through the logarithms of the larger half of the sizes, where what every call costs no longer
matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gencourse
from gencourse.metrics import frechet_distance, kernel_distance, mmd, parzen_log_density, prdc
from gencourse.transport import sliced_wasserstein, wasserstein

from .harness import Options, peak_memory, timed

__all__ = ["exponent", "rows"]

N = (100, 200, 500, 1000, 2000, 5000, 10_000)  # points of 16 dimensions
D = (16, 32, 64, 128, 256, 512, 1024, 2048)  # of 1000 points
EXACT = 2000  # most points whose exact transport is solved

Measured = Callable[[Tensor, Tensor], object]
FUNCTIONS: dict[str, Measured] = {
    "FID": frechet_distance,
    "KID": kernel_distance,
    "MMD": lambda x, y: mmd(x, y, bandwidth=1.0),
    "precision, recall, density, coverage": prdc,
    "Parzen log-density": lambda x, y: parzen_log_density(x, y, 0.5),
    "sliced W2": sliced_wasserstein,
    "exact W2": wasserstein,
}
LARGE = ("precision, recall, density, coverage", "KID", "Parzen log-density")


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """Yield a row for each function and variable, with its sizes, seconds, MB and exponents."""
    for name, function in FUNCTIONS.items():
        sizes = N if name != "exact W2" else tuple(n for n in N if n <= EXACT)
        for variable, values in (("n", sizes), ("d", D)):
            points = [values[0], values[1]] if options.small else list(values)
            seconds, megabytes = [], []
            for size in points:
                n, d = (size, 16) if variable == "n" else (options.size(1000, 100), size)
                x, y = (cloud(n, d, seed, options) for seed in (0, 1))

                def call(x: Tensor = x, y: Tensor = y, function: Measured = function) -> object:
                    return function(x, y)

                call()
                seconds.append(min(timed(call, options.device) for _ in range(2)))
                megabytes.append(peak_memory(call, options.device))
            yield row(name, variable, points, seconds, megabytes)
    yield training(options)
    if options.full:
        yield from (many(name, 100_000, 64, options) for name in LARGE)


def cloud(n: int, d: int, seed: int, options: Options) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64).to(options.device)


def row(
    name: str, variable: str, sizes: list[int], seconds: list[float], megabytes: list[float]
) -> dict[str, Any]:
    return {
        "work": name,
        "variable": variable,
        "sizes": sizes,
        "seconds": seconds,
        "megabytes": megabytes,
        "time exponent": exponent(sizes, seconds),
        "memory exponent": exponent(sizes, megabytes),
    }


def exponent(sizes: list[int], costs: list[float]) -> float | None:
    """Slope of log cost over log size for the larger half of the sizes; None if nothing grows."""
    half = max(2, len(sizes) // 2)
    if len(sizes) < 2:
        return None
    if min(costs[-half:]) <= 0:
        return None
    return float(np.polyfit(np.log(sizes[-half:]), np.log(costs[-half:]), 1)[0])


def training(options: Options) -> dict[str, Any]:
    """A step of training does not depend on how many samples there are."""
    sizes = [1000, 10_000] if options.small else [1000, 10_000, 100_000]
    steps, seconds, megabytes = options.size(50, 2), [], []
    for n in sizes:
        x = cloud(n, 2, 0, options).float()
        model = gencourse.build("realnvp", x, device=options.device)

        def call(model: Any = model, x: Tensor = x) -> None:
            model.fit(x, steps=steps, progress=False)

        call()
        seconds.append(timed(call, options.device) / steps)
        megabytes.append(peak_memory(call, options.device))
    return row("a step of Real-NVP", "n", sizes, seconds, megabytes)


def many(name: str, n: int, d: int, options: Options) -> dict[str, Any]:
    """One function of n points and n others: of 100 000, ten milliard distances or kernels."""
    x, y = (cloud(n, d, seed, options) for seed in (0, 1))
    seconds: list[float] = []
    megabytes = peak_memory(
        lambda: seconds.append(timed(lambda: FUNCTIONS[name](x, y), options.device)),
        options.device,
    )
    return row(f"{name}, {n} × {n}, d = {d}", "n", [n], seconds, [megabytes])
