"""Exact transport against closed forms, scipy's assignment and its 1-D solver."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from gencourse import data
from gencourse.transport import wasserstein


def cloud(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_in_one_dimension_it_matches_sorted_points(p: float) -> None:
    """On the line the optimal plan is monotone: W_p^p = mean |x_(i) - y_(i)|^p."""
    x, y = cloud(200, 1, 0), 2 * cloud(200, 1, 1) + 1
    sorted_cost = (x.sort(0).values - y.sort(0).values).abs().pow(p).mean().pow(1 / p)
    torch.testing.assert_close(wasserstein(x, y, p), sorted_cost, rtol=1e-12, atol=0)


def test_in_one_dimension_it_agrees_with_scipy_for_unequal_numbers() -> None:
    x, y = cloud(70, 1, 0), cloud(110, 1, 1) - 0.5
    reference = wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert wasserstein(x, y, 1).item() == pytest.approx(reference, rel=1e-10)


@pytest.mark.parametrize("p", [1, 2, 4])
@pytest.mark.parametrize("d", [2, 7])
def test_equal_numbers_make_an_assignment_problem(p: float, d: int) -> None:
    """Birkhoff: with n = m and equal masses a permutation is optimal."""
    x, y = cloud(60, d, 2), cloud(60, d, 3) + 0.3
    cost = (x[:, None] - y).norm(dim=-1).pow(p)
    rows, columns = linear_sum_assignment(cost.numpy())
    reference = cost[rows, columns].mean().pow(1 / p)
    torch.testing.assert_close(wasserstein(x, y, p), reference, rtol=1e-12, atol=0)


def test_translation_costs_its_length() -> None:
    """W_p(x, x + v) = |v| for every p: the mean displacement is a lower bound."""
    x, v = cloud(80, 3, 4), torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)
    for p in (1, 2, 5):
        assert wasserstein(x, x + v, p).item() == pytest.approx(3.0, rel=1e-10)


def test_parallel_lines_are_theta_apart() -> None:
    """Deck C, example 1: W₁(P_0, P_θ) = |θ|, however far from overlapping the lines are."""
    generator = torch.Generator
    for theta in (-1.0, 0.25, 1.0):
        zero = data.load("parallel_lines").sample(300, generator=generator().manual_seed(0))
        other = data.load("parallel_lines", theta=theta)
        same_z = other.sample(300, generator=generator().manual_seed(0))
        assert wasserstein(zero, same_z, 1).item() == pytest.approx(abs(theta), rel=1e-5)
        fresh = other.sample(300, generator=generator().manual_seed(1))
        # A lower bound is |θ|; with 300 points the ends' positions differ by about 1/√300.
        assert abs(theta) <= wasserstein(zero, fresh, 1).item() + 1e-6 < abs(theta) + 0.15


def test_it_is_a_metric_between_clouds() -> None:
    x, y, z = cloud(40, 2, 0), cloud(50, 2, 1) + 1, cloud(60, 2, 2) - 1
    for p in (1, 2):
        torch.testing.assert_close(wasserstein(x, y, p), wasserstein(y, x, p))
        assert wasserstein(x, x, p).item() < 1e-7
        assert wasserstein(x, z, p) <= wasserstein(x, y, p) + wasserstein(y, z, p) + 1e-12
    assert wasserstein(x, y, 1) <= wasserstein(x, y, 2)  # Jensen


def test_gaussians_approach_their_closed_form() -> None:
    """W₂ between N(0, 1) and N(1, 1.3²) is √(1 + 0.3²)."""
    x, y = cloud(2000, 1, 5), 1.3 * cloud(2000, 1, 6) + 1
    # Sampling error of the two means and widths: about √(2.7/2000) = 0.037.
    assert wasserstein(x, y, 2).item() == pytest.approx(math.sqrt(1.09), abs=0.11)


def test_gradient_is_that_of_the_cost_at_the_optimal_plan() -> None:
    """∂ W₂² / ∂x_i = (2/n)(x_i - y_σ(i)), against finite differences too."""
    x, y = cloud(12, 2, 7).requires_grad_(), cloud(12, 2, 8)
    (gradient,) = torch.autograd.grad(wasserstein(x, y, 2).square(), x)
    cost = torch.cdist(x.detach(), y).square()
    _, match = linear_sum_assignment(cost.numpy())
    torch.testing.assert_close(gradient, 2 / 12 * (x.detach() - y[torch.as_tensor(match)]))
    assert torch.autograd.gradcheck(lambda x: wasserstein(x, y, 3), x)


def test_images_are_vectors_of_pixels_and_dtype_follows_the_first() -> None:
    x, y = cloud(10, 12, 0, torch.float32), cloud(15, 12, 1, torch.float64)
    value = wasserstein(x, y)
    assert value.dtype == torch.float32
    assert value.shape == ()
    as_images = wasserstein(x.reshape(10, 3, 2, 2), y.reshape(15, 3, 2, 2))
    assert torch.equal(value, as_images)


def test_small_distances_far_from_the_origin_survive() -> None:
    """Points 1e-6 apart at coordinates of 1e3, where |x|² - 2xy + |y|² has no digits left."""
    x = 1000 + cloud(20, 2, 0)
    assert wasserstein(x, x + 1e-6, 1).item() == pytest.approx(math.sqrt(2) * 1e-6, rel=1e-5)


def test_solver_that_stops_short_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencourse.transport.plan.MAXIMUM_PIVOTS", 1)
    with (
        pytest.warns(UserWarning, match="numItermax"),
        pytest.raises(RuntimeError, match="did not finish"),
    ):
        wasserstein(cloud(50, 2, 0), cloud(50, 2, 1))


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x, y = cloud(50, 2, 0), cloud(60, 2, 1)
    value = wasserstein(x.cuda(), y.cuda())
    assert value.device.type == "cuda"
    torch.testing.assert_close(value.cpu(), wasserstein(x, y))


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 8),
    m=st.integers(1, 8),
    d=st.integers(1, 3),
    seed=st.integers(0, 10_000),
    p=st.sampled_from([1, 1.5, 2]),
)
def test_it_lies_between_the_means_and_the_product_plan(
    n: int, m: int, d: int, seed: int, p: float
) -> None:
    """|mean x - mean y| ≤ W_p ≤ the cost of matching everything with everything."""
    x, y = cloud(n, d, seed), cloud(m, d, seed + 1) * 3
    value = wasserstein(x, y, p).item()
    assert value >= (x.mean(0) - y.mean(0)).norm().item() - 1e-9
    assert value <= torch.cdist(x, y).pow(p).mean().pow(1 / p).item() + 1e-9


@given(p=st.one_of(st.floats(max_value=0.999), st.just(math.nan), st.just(math.inf), st.text()))
def test_order_below_one_is_refused(p: object) -> None:
    x = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="p must be"):
        wasserstein(x, x, p)


def test_bad_clouds_are_refused() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="y is empty"):
        wasserstein(x, torch.zeros(0, 2))
    with pytest.raises(ValueError, match="same shape"):
        wasserstein(x, torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        wasserstein(x, torch.zeros(3))
    with pytest.raises(ValueError, match="y holds 1 NaN"):
        wasserstein(x, torch.tensor([[0.0, math.nan]]))
    with pytest.raises(ValueError, match="floating"):
        wasserstein(x, torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="torch tensor"):
        wasserstein(x, [[0.0, 0.0]])
