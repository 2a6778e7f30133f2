"""The bar that models of images must meet on ``digits``, in one place."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import gencourse
from gencourse.data.base import ImageDataset
from gencourse.metrics import (
    digit_features,
    digit_probabilities,
    frechet_distance,
    recognised,
)

SEEDS = (0, 1, 2)
N = 2000  # samples of a model, and of the baseline
RECOGNISED = 0.9  # share of samples; of real test digits 0.98
RAREST = 0.01  # least share of a class that counts as present, a tenth of its fair one


@lru_cache(maxsize=1)
def digits() -> ImageDataset:
    data = gencourse.data.load("digits")
    assert isinstance(data, ImageDataset)
    return data


def gaussian_digits(n: int = N, seed: int = 0) -> Tensor:
    """Draw from the plain baseline: a Gaussian with the mean and covariance of the digits."""
    train = digits().images("train").flatten(1).double()
    values, vectors = torch.linalg.eigh(train.T.cov())  # singular: some pixels are always black
    root = vectors * values.clamp_min(0).sqrt()
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, len(root), generator=generator, dtype=torch.float64)
    drawn = (train.mean(0) + noise @ root.T).clamp(-1, 1)
    return drawn.float().reshape(n, 1, 8, 8)


def fid(images: Tensor) -> float:
    """Fréchet distance to all test digits in the features of the shipped classifier."""
    real = digits().images("test")
    return frechet_distance(digit_features(images), digit_features(real)).item()


@lru_cache(maxsize=1)
def fid_baseline() -> float:
    """What the Gaussian gets; training digits get `fid_floor`."""
    return fid(gaussian_digits())


@lru_cache(maxsize=1)
def fid_floor() -> float:
    return fid(digits().images("train"))


def measure(model_or_samples: gencourse.GenerativeModel | Tensor, seed: int) -> dict[str, float]:
    """What the shipped classifier says of 2000 samples of a model, or of given ones."""
    if isinstance(model_or_samples, Tensor):
        samples = model_or_samples
    else:
        generator = torch.Generator().manual_seed(1000 + seed)
        samples = model_or_samples.sample(N, generator=generator).cpu()
    classes = digit_probabilities(samples).argmax(1).bincount(minlength=10) / len(samples)
    return {
        "recognised": recognised(samples),
        "rarest": classes.min().item(),
        "classes": float((classes >= RAREST).sum()),
        "fid": fid(samples),
        "fid_baseline": fid_baseline(),
        "fid_floor": fid_floor(),
    }


def runs(slug: str, *, seeds: Sequence[int] = SEEDS, **fit: Any) -> list[dict[str, float]]:
    """Build, train and measure a system with its default settings, once for each seed."""
    results = []
    for seed in seeds:
        model = gencourse.build(slug, digits(), seed=seed)
        history = model.fit(digits(), seed=seed, progress=False, **fit)
        results.append({**measure(model, seed), "seconds": history.seconds})
    return results


def median(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(r[name] for r in results) for name in results[0]}


def shortcomings(result: Mapping[str, float]) -> list[str]:
    """Name every part of the bar that a result misses."""
    met = {
        "recognised": result["recognised"] >= RECOGNISED,
        "classes": result["classes"] >= 10,
        "fid": result["fid"] < result["fid_baseline"],
    }
    return [name for name, is_met in met.items() if not is_met]
