"""The bar that models of the plane must meet on ``ring8``, in one place."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import gencourse
from gencourse.metrics import mode_coverage

SEEDS = (0, 1, 2)
SECONDS = 60.0
MODES = 8
QUALITY = 0.85  # share of samples within 3σ of a centre; of the data themselves 0.989
LARGEST_SHARE = 2.0  # of the fullest mode, in fair shares
SMOOTH_QUALITY, SMOOTH_W1 = 0.7, 0.25  # of models that must leave mass between the modes
W1 = 0.3  # at n = 2000, where two sets of real samples are about 0.1 apart


def measure(model_or_samples: gencourse.GenerativeModel | Tensor, seed: int) -> dict[str, float]:
    """What `evaluate` says at n = 2000, with coverage counted on 10,000 samples of a model."""
    ring = gencourse.data.load("ring8")
    if isinstance(model_or_samples, Tensor):
        samples = model_or_samples
    else:
        generator = torch.Generator().manual_seed(1000 + seed)
        samples = model_or_samples.sample(10_000, generator=generator).cpu()
    coverage = mode_coverage(samples, ring.modes, ring.mode_std)
    result = gencourse.evaluate(model_or_samples, ring, n=2000, seed=seed)
    return {
        **result,
        "modes": float(coverage.modes_covered),
        "quality": coverage.quality,
        "largest_share": coverage.largest_share,
    }


def runs(slug: str, **fit: Any) -> list[dict[str, float]]:
    """Build, train and measure a system with its default settings, once for each seed."""
    ring = gencourse.data.load("ring8")
    results = []
    for seed in SEEDS:
        model = gencourse.build(slug, ring, seed=seed)
        history = model.fit(ring, seed=seed, progress=False, **fit)
        results.append({**measure(model, seed), "seconds": history.seconds})
    return results


def median(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(r[name] for r in results) for name in results[0]}


def shortcomings(result: Mapping[str, float], *, smooth: bool = False) -> list[str]:
    """Name every part of the bar that a result misses."""
    met = {
        "modes": result["modes"] >= MODES,
        "quality": result["quality"] >= (SMOOTH_QUALITY if smooth else QUALITY),
        "largest_share": result["largest_share"] <= LARGEST_SHARE,
        "w1": result["w1"] <= (SMOOTH_W1 if smooth else W1),
        "seconds": result.get("seconds", 0.0) <= SECONDS,
    }
    return [name for name, is_met in met.items() if not is_met]
