"""Transport distances, beside POT."""

from __future__ import annotations

from collections.abc import Iterator

import ot
import torch

from gencourse.transport import sliced_wasserstein, wasserstein

from .harness import Comparison, Options

__all__ = ["comparisons"]


def comparisons(options: Options) -> Iterator[Comparison]:
    """Sliced and exact distances."""
    yield sliced(options)
    yield exact(options)


def sliced(options: Options) -> Comparison:
    n, k = options.size(5000, 50), options.size(500, 10)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 2, generator=generator, dtype=torch.float64) + 1
    theta = torch.randn(k, 2, generator=generator, dtype=torch.float64)
    theta = theta / theta.norm(dim=1, keepdim=True)
    a, b, directions = x.numpy(), y.numpy(), theta.T.contiguous().numpy()
    x, y, theta = (t.to(options.device) for t in (x, y, theta))

    def ours() -> float:
        return sliced_wasserstein(x, y, projections=theta).item()

    def theirs() -> float:
        return float(ot.sliced_wasserstein_distance(a, b, projections=directions, p=2))

    return Comparison(
        work=f"sliced W2, {n} points, {k} projections",
        ours=ours,
        peers={"POT": theirs},
        difference=lambda: abs(ours() / theirs() - 1),
        tolerance=1e-9,
        aim={"": 3},
    )


def exact(options: Options) -> Comparison:
    n = options.size(2048, 40)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 2, generator=generator, dtype=torch.float64) + 1
    a, b = x.numpy(), y.numpy()
    x, y = x.to(options.device), y.to(options.device)

    def theirs() -> float:
        return float(ot.emd2([], [], ot.dist(a, b), numItermax=10_000_000)) ** 0.5

    return Comparison(
        work=f"exact W2, n = {n}",
        ours=lambda: wasserstein(x, y).item(),
        peers={"POT": theirs},
        difference=lambda: abs(wasserstein(x, y).item() / theirs() - 1),
        tolerance=1e-9,
        aim={"": 1},
    )
