"""MMD, KID and energy distance against their definitions, other packages and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from gencourse.metrics import energy_distance, kernel_distance, kernels, mmd


def draw(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = draw(300, 4), 1.2 * draw(211, 4, 1) + 0.3


def definition(
    x: Tensor, y: Tensor, kernel: Callable[[Tensor, Tensor], Tensor], unbiased: bool
) -> float:
    """Three whole Gram matrices."""
    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    if unbiased:
        xx, yy = xx.fill_diagonal_(0), yy.fill_diagonal_(0)
        return float(xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * xy.mean())
    return float(xx.mean() + yy.mean() - 2 * xy.mean())


KERNELS = {
    "rbf": partial(kernels.rbf, bandwidth=1.3),
    "imq": partial(kernels.imq, constant=1.3**2),
    "polynomial": kernels.polynomial,
    "energy": kernels.negative_distance,
}


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("name", KERNELS)
def test_definition(name: str, unbiased: bool) -> None:
    bandwidth = 1.3 if name in ("rbf", "imq") else None
    expected = definition(X, Y, KERNELS[name], unbiased)
    got = mmd(X, Y, name, bandwidth=bandwidth, unbiased=unbiased)
    assert got.item() == pytest.approx(expected, rel=1e-10)
    assert mmd(X, Y, KERNELS[name], unbiased=unbiased).item() == pytest.approx(expected, rel=1e-10)
    for block in (1, 100, 5000):  # tiles of 1, 10 and 70 points
        part = mmd(X[:60], Y[:50], KERNELS[name], unbiased=unbiased, block=block)
        assert part.item() == pytest.approx(
            definition(X[:60], Y[:50], KERNELS[name], unbiased), rel=1e-9
        )


def test_the_median_heuristic_is_the_default() -> None:
    h = kernels.median_distance(X, Y).item()
    assert mmd(X, Y).item() == pytest.approx(mmd(X, Y, bandwidth=h).item(), rel=1e-12)
    imq = mmd(X, Y, partial(kernels.imq, constant=h**2))
    assert mmd(X, Y, "imq").item() == pytest.approx(imq.item(), rel=1e-12)


def test_two_gaussians_in_closed_form() -> None:
    """Gaussian kernel h, laws N(0, 1) and N(μ, 1): means of k are Gaussians of width h² + 2."""
    mean, h = 1.5, 0.8
    x, y = draw(4000, 1, 2), draw(4000, 1, 3) + mean
    total = h**2 + 2
    expected = 2 * h / math.sqrt(total) * (1 - math.exp(-(mean**2) / (2 * total)))
    # Standard error of the U-statistic: about 2 · 0.4 / √4000 = 0.012.
    assert mmd(x, y, bandwidth=h).item() == pytest.approx(expected, abs=0.03)
    # Biased: (1 - E k) / n more from each set.
    gap = mmd(x, y, bandwidth=h, unbiased=False) - mmd(x, y, bandwidth=h)
    assert gap.item() == pytest.approx(2 * (1 - h / math.sqrt(total)) / 4000, rel=0.05)


@pytest.mark.parametrize("name", KERNELS)
def test_equal_sets(name: str) -> None:
    """Biased: exactly nothing. Unbiased: -2 (E k(x, x) - E k(x, x')) / n on average, negative."""
    assert mmd(X, X, name, unbiased=False).item() == pytest.approx(0, abs=1e-12)
    assert mmd(X, X, name).item() < 0


def test_the_same_law_is_unbiased() -> None:
    values = torch.stack([mmd(draw(40, 2, i), draw(60, 2, 1000 + i), "imq") for i in range(300)])
    error = values.std() / math.sqrt(300)
    assert values.mean().abs() < 3.5 * error


def test_energy_distance_in_one_dimension() -> None:
    """scipy returns the root of twice ∫ (F - G)²; so does deck E define Cramér's, without both."""
    x, y = X[:, :1], Y[:, :1]
    expected = stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2
    assert energy_distance(x, y).item() == pytest.approx(expected, rel=1e-9)


def test_energy_distance_of_two_points() -> None:
    x, y = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    assert energy_distance(x, y).item() == pytest.approx(10.0)
    assert energy_distance(x, x).item() == 0.0


def features(n: int, d: int = 32, seed: int = 0) -> Tensor:
    return (draw(n, d, seed) + 0.05 * seed).relu()


def test_kid_equals_torch_fidelity_and_torchmetrics() -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    torchmetrics = pytest.importorskip("torchmetrics.image.kid")
    x, y = features(300), features(300, seed=1)
    ours = kernel_distance(x, y).item()
    options = {"kid_subsets": 3, "kid_subset_size": 300, "verbose": False}
    theirs = fidelity.kid_features_to_metric(x, y, **options)  # each subset is the whole set
    assert ours == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours == pytest.approx(torchmetrics.poly_mmd(x, y).item(), rel=1e-9)


def test_kid_by_subsets() -> None:
    """The mean over the subsets, as another package computes each of them."""
    fidelity = pytest.importorskip("torch_fidelity.metric_kid")
    x, y = features(120), features(150, seed=1)
    generator = torch.Generator().manual_seed(7)
    ours = kernel_distance(x, y, subsets=5, subset_size=40, generator=generator).item()
    generator.manual_seed(7)
    values = []
    for _ in range(5):
        i, j = (torch.randperm(n, generator=generator)[:40] for n in (120, 150))
        options = {"kid_subsets": 1, "kid_subset_size": 40, "verbose": False}
        found = fidelity.kid_features_to_metric(x[i], y[j], **options)
        values.append(found["kernel_inception_distance_mean"])
    assert ours == pytest.approx(np.mean(values), rel=1e-9)
    default = kernel_distance(x, y, subsets=5, subset_size=40)
    assert default == kernel_distance(x, y, subsets=5, subset_size=40)
    # Every subset is unbiased, so their mean comes near the value from all pairs.
    many = kernel_distance(x, y + 0.2, subsets=400, subset_size=40).item()
    assert many == pytest.approx(kernel_distance(x, y + 0.2).item(), rel=0.05)


def test_kid_of_a_known_pair() -> None:
    """One feature, all of x at 1 and all of y at 0: k = 8, 1 and 1."""
    assert kernel_distance(torch.ones(5, 1), torch.zeros(4, 1)).item() == pytest.approx(7.0)


@pytest.mark.parametrize("function", [mmd, kernel_distance, energy_distance])
def test_gradient(function: object) -> None:
    """A step along the negative gradient brings the sets together, by what autograd says."""
    x = X[:50].clone().requires_grad_()
    value = function(x, Y[:50] + 1)  # type: ignore[operator]
    (gradient,) = torch.autograd.grad(value, x)
    step = 1e-5 * gradient / gradient.norm()
    after = function(x.detach() - step, Y[:50] + 1)  # type: ignore[operator]
    # Where the median is the bandwidth, it moves with the points, and is not differentiated.
    slack = 0.2 if function is mmd else 1e-3
    assert (value - after).item() == pytest.approx(1e-5 * gradient.norm().item(), rel=slack)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_dtype_follows_the_input(dtype: torch.dtype) -> None:
    x, y = X.to(dtype), Y.to(dtype)
    for function in (mmd, kernel_distance, energy_distance):
        got = function(x, y)
        assert got.dtype == dtype
        expected = function(x.double(), y.double()).item()  # type: ignore[operator]
        assert got.item() == pytest.approx(expected, rel=2 * torch.finfo(dtype).eps)


def test_images_count_as_vectors() -> None:
    x, y = X.reshape(300, 1, 2, 2), Y.reshape(211, 1, 2, 2)
    assert mmd(x, y) == mmd(X, Y)
    assert energy_distance(x, y) == energy_distance(X, Y)


@given(n=st.integers(2, 12), m=st.integers(2, 12), d=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_properties(n: int, m: int, d: int, seed: int) -> None:
    x, y = draw(n, d, seed), draw(m, d, seed + 1)
    assert mmd(x, y).item() == pytest.approx(mmd(y, x).item(), abs=1e-12)
    shift = energy_distance(x + 5, y + 5).item()
    assert energy_distance(x, y).item() == pytest.approx(shift, abs=1e-9)
    assert energy_distance(x, y) >= 0
    assert energy_distance(3 * x, 3 * y).item() == pytest.approx(
        3 * energy_distance(x, y).item(), abs=1e-9
    )
    assert mmd(x, y, "imq", unbiased=False).item() >= -1e-12


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="x is empty"):
        mmd(torch.zeros(0, 2), X)
    with pytest.raises(ValueError, match="y holds 1 NaN"):
        mmd(X[:, :2], torch.tensor([[math.nan, 0.0]]))
    with pytest.raises(ValueError, match="points of the same shape"):
        mmd(X, Y[:, :2])
    with pytest.raises(ValueError, match="at least 2 points, not 1 and 211"):
        mmd(X[:1], Y)
    with pytest.raises(ValueError, match="x must have shape"):
        mmd(torch.zeros(3), X)
    with pytest.raises(ValueError, match="median distance between points is 0"):
        mmd(torch.zeros(5, 2), torch.zeros(5, 2))
    with pytest.raises(KeyError, match="did you mean 'rbf'"):
        mmd(X, Y, "rbff")
    with pytest.raises(ValueError, match="bandwidth must be above 0"):
        mmd(X, Y, bandwidth=0.0)
    with pytest.raises(ValueError, match="has no bandwidth"):
        mmd(X, Y, "energy", bandwidth=1.0)
    with pytest.raises(ValueError, match="not to a function"):
        mmd(X, Y, kernels.rbf, bandwidth=1.0)
    with pytest.raises(ValueError, match="x must hold at least 2 points"):
        kernel_distance(X[:1], Y)
    with pytest.raises(ValueError, match="same dimension, not 4 and 2"):
        kernel_distance(X, Y[:, :2])
    with pytest.raises(ValueError, match="subset_size must lie between 2 and the 211 points"):
        kernel_distance(X, Y, subsets=3)
    with pytest.raises(ValueError, match="subsets must be"):
        kernel_distance(X, Y, subsets=0)
