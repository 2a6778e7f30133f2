"""The Fréchet distance against closed forms and the packages that published FIDs come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from torch import Tensor

from gencourse.metrics import frechet_distance, frechet_distance_gaussian


def draw(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def features(n: int, d: int, seed: int = 0) -> Tensor:
    """Like those of a network: correlated, not negative, some always 0."""
    mixing = draw(d, d, 99) / math.sqrt(d)
    x = (draw(n, d, seed) @ mixing * (1 + 0.1 * seed) + 0.1).relu()
    x[:, :2] = 0
    return x


def definition(x: Tensor, y: Tensor) -> float:
    """With scipy's matrix square root."""
    m1, m2, S1, S2 = x.mean(0).numpy(), y.mean(0).numpy(), np.cov(x.T), np.cov(y.T)
    return float(((m1 - m2) ** 2).sum() + np.trace(S1 + S2 - 2 * np.real(sqrtm(S1 @ S2))))


@pytest.mark.parametrize(("n", "m", "d"), [(100, 80, 5), (50, 60, 20), (500, 400, 64)])
def test_definition(n: int, m: int, d: int) -> None:
    x, y = draw(n, d), 1.3 * draw(m, d, 1) + 0.2
    assert frechet_distance(x, y).item() == pytest.approx(definition(x, y), rel=1e-9)


# Many samples, few, and few on one side only; singular covariances in all of them.
@pytest.mark.parametrize(
    ("n", "m", "d"), [(400, 300, 32), (40, 50, 64), (300, 30, 64), (300, 290, 64), (64, 65, 64)]
)
def test_equals_torchmetrics_and_torch_fidelity(n: int, m: int, d: int) -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_fid")
    torchmetrics = pytest.importorskip("torchmetrics.image.fid")
    x, y = features(n, d), features(m, d, seed=1)
    ours = frechet_distance(x, y).item()
    statistics = [fidelity.fid_features_to_statistics(z) for z in (x, y)]
    theirs = fidelity.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    # They take the root of a product with eigenvalues of 0, each computed as about ±1e-17, so
    # each wrong by up to √1e-17 = 3e-9.
    assert ours == pytest.approx(theirs, rel=1e-7)
    other = torchmetrics._compute_fid(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()).item()
    assert ours == pytest.approx(other, rel=1e-7)


def test_gaussians_that_commute() -> None:
    """Diagonal covariances: Σ (μ₁ - μ₂)² + (σ₁ - σ₂)²."""
    m1, m2 = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0])
    s1, s2 = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, 0.5, 0.0])
    got = frechet_distance_gaussian(m1, s1.square().diag(), m2, s2.square().diag())
    assert got.item() == pytest.approx(1 + 4 + 4 + 2.25, rel=1e-6)


def test_gaussians_that_do_not_commute() -> None:
    """T pushes N(0, S₁) to N(0, T S₁ T): for symmetric T > 0 the distance is tr (T - 1)² S₁."""
    a, b = draw(6, 6), draw(6, 6, 1)
    S1, T = a @ a.T, b @ b.T + torch.eye(6)
    expected = ((T - torch.eye(6)) @ S1 @ (T - torch.eye(6))).trace().item()
    m = torch.zeros(6, dtype=torch.float64)
    assert frechet_distance_gaussian(m, S1, m, T @ S1 @ T).item() == pytest.approx(
        expected, rel=1e-10
    )


def test_from_features_or_from_their_moments() -> None:
    x, y = features(200, 20), features(150, 20, seed=1)
    moments = frechet_distance_gaussian(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    assert frechet_distance(x, y).item() == pytest.approx(moments.item(), rel=1e-7)


@pytest.mark.parametrize("n", [10, 300])
def test_equal_sets_have_distance_0(n: int) -> None:
    """Up to √ε of the trace, for eigenvalues that should be 0."""
    x = features(n, 30)
    assert frechet_distance(x, x).item() == pytest.approx(0, abs=1e-7)
    assert frechet_distance(x, x[torch.randperm(n)]).item() == pytest.approx(0, abs=1e-7)
    assert frechet_distance(x, x + 0.1).item() == pytest.approx(30 * 0.01, rel=1e-6)


def test_all_points_in_one_place() -> None:
    x, y = torch.zeros(5, 3), torch.full((4, 3), 2.0)
    assert frechet_distance(x, y).item() == 12.0
    # To a point: the squared distance of the means and the whole variance.
    z = draw(50, 3)
    expected = z.mean(0).square().sum() + z.var(0).sum()
    assert frechet_distance(x, z.float()).item() == pytest.approx(expected.item(), rel=1e-6)


def test_it_is_biased_upwards_by_an_amount_that_falls_as_1_over_n() -> None:
    """Two samples of one law: the docstring says that n must be stated. Here d²/4n each."""
    distances = {n: frechet_distance(draw(n, 10), draw(n, 10, 1)).item() for n in (200, 2000)}
    assert distances[200] > 0.2
    assert 5 < distances[200] / distances[2000] < 20


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_dtype_follows_the_input(dtype: torch.dtype) -> None:
    x, y = features(60, 8).to(dtype), features(50, 8, seed=1).to(dtype)
    got = frechet_distance(x, y)
    assert got.dtype == dtype
    assert got.item() == pytest.approx(
        frechet_distance(x.double(), y.double()).item(), rel=2 * torch.finfo(dtype).eps
    )


@given(n=st.integers(2, 12), m=st.integers(2, 12), d=st.integers(1, 8), seed=st.integers(0, 10_000))
def test_properties(n: int, m: int, d: int, seed: int) -> None:
    """Symmetric, at least the shift of the means, unchanged by rotations, of degree 2."""
    x, y = draw(n, d, seed), 2 * draw(m, d, seed + 1)
    value = frechet_distance(x, y).item()
    assert value == pytest.approx(frechet_distance(y, x).item(), rel=1e-6, abs=1e-6)
    assert value >= (x.mean(0) - y.mean(0)).square().sum().item() - 1e-6
    q = torch.linalg.qr(draw(d, d, seed + 2)).Q
    assert frechet_distance(x @ q, y @ q).item() == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert frechet_distance(2 * x, 2 * y).item() == pytest.approx(4 * value, rel=1e-6, abs=1e-6)


def test_bad_input_is_named() -> None:
    x = draw(10, 3)
    with pytest.raises(ValueError, match="x must hold at least 2 points, not 1"):
        frechet_distance(x[:1], x)
    with pytest.raises(ValueError, match="y is empty"):
        frechet_distance(x, x[:0])
    with pytest.raises(ValueError, match="same dimension, not 3 and 2"):
        frechet_distance(x, x[:, :2])
    with pytest.raises(ValueError, match=r"x must have shape \(n, d\), not \(10, 3, 1\)"):
        frechet_distance(x[:, :, None], x)
    with pytest.raises(ValueError, match="x holds 30 NaN"):
        frechet_distance(x * math.nan, x)
    with pytest.raises(ValueError, match="floating dtype"):
        frechet_distance(x.long(), x)
    m, S = torch.zeros(3), torch.eye(3)
    with pytest.raises(ValueError, match="m2 and S2 must have shapes"):
        frechet_distance_gaussian(m, S, m, torch.ones(3, 2))
    with pytest.raises(ValueError, match="S1 must be symmetric"):
        frechet_distance_gaussian(m, S + torch.tensor([0.0, 0.0, 1.0]), m, S)
    with pytest.raises(ValueError, match="the same dimension, not 3 and 2"):
        frechet_distance_gaussian(m, S, m[:2], S[:2, :2])
    with pytest.raises(ValueError, match="m1 holds"):
        frechet_distance_gaussian(m * math.nan, S, m, S)
