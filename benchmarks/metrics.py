"""Metrics of samples, beside torchmetrics, torch-fidelity, prdc, scikit-learn and SciPy.

All sides get the same features, in float64, in the form that they take.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch_fidelity.metric_fid as fidelity_fid
import torch_fidelity.metric_kid as fidelity_kid
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity
from torch import Tensor
from torchmetrics.image import fid as torchmetrics_fid
from torchmetrics.image import kid as torchmetrics_kid

from gencourse.metrics import frechet_distance, kernel_distance, parzen_log_density, prdc

from .harness import Comparison, Options

__all__ = ["comparisons"]


def comparisons(options: Options) -> Iterator[Comparison]:
    """FID, KID, nearest neighbours, Parzen windows."""
    d = options.size(2048, 16)
    yield fid(options, options.size(1000, 30), d, 10)
    yield fid(options, options.size(5000, 60), d, 2)
    yield kid(options, options.size(5000, 60), d)
    yield neighbours(options, options.size(5000, 60), d)
    yield parzen_plane(options)
    yield parzen_images(options)


def features(n: int, d: int, seed: int, options: Options) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, d, generator=generator, dtype=torch.float64) + 0.02 * seed
    return z.relu().to(options.device)


def quiet(run: Callable[[], object]) -> Callable[[], object]:
    def silent() -> object:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return run()

    return silent


def relative(*values: float) -> float:
    return (max(values) - min(values)) / abs(values[0])


def fid(options: Options, n: int, d: int, aim: float) -> Comparison:
    x, y = features(n, d, 0, options), features(n, d, 1, options)
    a, b = x.cpu(), y.cpu()

    def ours() -> float:
        return frechet_distance(x, y).item()

    def fidelity() -> float:
        s, t = (fidelity_fid.fid_features_to_statistics(z) for z in (a, b))
        distance = fidelity_fid.fid_statistics_to_metric(s, t, False)
        return float(distance["frechet_inception_distance"])

    def metrics() -> float:
        args = (x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
        return torchmetrics_fid._compute_fid(*args).item()

    return Comparison(
        work=f"FID, n = {n}, d = {d}",
        ours=ours,
        peers={"torchmetrics": quiet(metrics), "torch-fidelity": quiet(fidelity)},
        difference=lambda: relative(ours(), metrics(), quiet(fidelity)()),  # type: ignore[arg-type]
        tolerance=1e-6,
        aim={"": aim},
        rounds=3,
        warm=False,
    )


def kid(options: Options, n: int, d: int) -> Comparison:
    x, y = features(n, d, 0, options), features(n, d, 1, options)
    a, b = x.cpu(), y.cpu()
    whole = {"kid_subsets": 1, "kid_subset_size": n, "verbose": False}

    def ours() -> float:
        return kernel_distance(x, y).item()

    def metrics() -> float:
        return torchmetrics_kid.poly_mmd(x, y).item()

    def fidelity() -> float:
        found = fidelity_kid.kid_features_to_metric(a, b, **whole)
        return float(found["kernel_inception_distance_mean"])

    return Comparison(
        work=f"KID from all pairs, n = {n}, d = {d}",
        ours=ours,
        peers={"torchmetrics": metrics, "torch-fidelity": quiet(fidelity)},
        difference=lambda: relative(ours(), metrics(), quiet(fidelity)()),  # type: ignore[arg-type]
        tolerance=1e-6,
        aim={"": 1.5},
        rounds=3,
        warm=False,
    )


def neighbours(options: Options, n: int, d: int) -> Comparison:
    x, y = features(n, d, 0, options), features(n, d, 1, options)
    a, b = x.cpu().numpy(), y.cpu().numpy()
    theirs = quiet(lambda: compute_prdc(a, b, 5))

    def difference() -> float:
        mine, other = prdc(x, y), theirs()
        return max(abs(getattr(mine, name) - value) for name, value in other.items())  # type: ignore[attr-defined]

    return Comparison(
        work=f"precision, recall, density, coverage, n = {n}, d = {d}",
        ours=lambda: prdc(x, y),
        peers={"prdc": theirs},
        difference=difference,
        tolerance=1e-12,
        aim={"": 2},
        rounds=3,
        warm=False,
    )


def parzen_plane(options: Options) -> Comparison:
    n, h = options.size(10_000, 50), 0.2
    centres, x = features(n, 2, 0, options), features(n, 2, 1, options)
    a, b = centres.cpu().numpy(), x.cpu().numpy()

    def theirs() -> np.ndarray:
        return KernelDensity(bandwidth=h).fit(a).score_samples(b)

    def ours() -> Tensor:
        return parzen_log_density(centres, x, h)

    return Comparison(
        work=f"Parzen log-density, {n} × {n}, d = 2",
        ours=ours,
        peers={"scikit-learn": theirs},
        difference=lambda: float(np.abs(ours().cpu().numpy() - theirs()).max()),
        tolerance=1e-6,
        aim={"": 2},
        rounds=3,
        warm=False,
    )


def parzen_images(options: Options) -> Comparison:
    """Images: the exact sum in log space, as scikit-learn's is wrong where all terms are tiny."""
    n, d, h = options.size(10_000, 50), options.size(784, 16), 0.2
    m = options.size(10_000 if options.full else 1000, 20)
    centres, x = features(n, d, 0, options), features(m, d, 1, options)
    a, b = centres.cpu().numpy(), x.cpu().numpy()

    def theirs() -> np.ndarray:
        squares = cdist(b, a, "sqeuclidean")
        return (
            logsumexp(squares / (-2 * h**2), axis=1)
            - np.log(n)
            - d * np.log(h * np.sqrt(2 * np.pi))
        )

    def ours() -> Tensor:
        return parzen_log_density(centres, x, h)

    def difference() -> float:
        other = theirs()
        return float((np.abs(ours().cpu().numpy() - other) / np.abs(other)).max())

    return Comparison(
        work=f"Parzen log-density, {m} × {n}, d = {d}",
        ours=ours,
        peers={"SciPy": theirs},
        difference=difference,
        tolerance=1e-6,
        aim={"": 10},
        rounds=3,
        warm=False,
    )
