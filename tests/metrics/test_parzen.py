"""Parzen windows against scipy's log-sum-exp, closed forms and a brute-force bandwidth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from gencourse import data
from gencourse.metrics import parzen_log_density, parzen_log_likelihood


def draw(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def oracle(centres: torch.Tensor, x: torch.Tensor, h: float) -> np.ndarray:
    """The definition, on the full matrix of differences."""
    c, x = centres.flatten(1).double().numpy(), x.flatten(1).double().numpy()
    n, d = c.shape
    squares = ((x[:, None] - c) ** 2).sum(-1)
    constant = math.log(n) + d * math.log(h) + d / 2 * math.log(2 * math.pi)
    return logsumexp(-squares / (2 * h**2), axis=1) - constant


@pytest.mark.parametrize("d", [1, 2, 10, 64])
@pytest.mark.parametrize("h", [0.01, 0.2, 3.0])
def test_density_agrees_with_scipy(d: int, h: float) -> None:
    centres, x = draw(300, d, 0), 1.5 * draw(50, d, 1)
    got = parzen_log_density(centres, x, h)
    # Squared distances carry an error of about 1e-15 d, divided by 2h².
    tolerance = 1e-12 + 1e-14 * d / h**2
    np.testing.assert_allclose(got.numpy(), oracle(centres, x, h), rtol=1e-13, atol=tolerance)


def test_density_far_from_the_origin() -> None:
    """Distances come from a matrix product, around the mean: an offset costs no digits."""
    centres, x = draw(100, 3, 0), draw(20, 3, 1)
    np.testing.assert_allclose(
        parzen_log_density(centres + 1e4, x + 1e4, 0.1).numpy(),
        oracle(centres, x, 0.1),
        atol=1e-6,  # what 1e4 + x itself has lost: 1e-12 · |x| / h² ≈ 1e-9, with room
    )


def test_density_integrates_to_one() -> None:
    centres = draw(20, 1, 0)
    at = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    total = torch.trapezoid(parzen_log_density(centres, at, 0.3).exp(), at[:, 0])
    assert total.item() == pytest.approx(1.0, abs=1e-10)


def test_one_centre_is_a_gaussian() -> None:
    x = draw(30, 4, 0)
    got = parzen_log_density(torch.zeros(1, 4), x, 0.7)
    normal = torch.distributions.Normal(0.0, torch.tensor(0.7, dtype=torch.float64))
    torch.testing.assert_close(got, normal.log_prob(x).sum(1), rtol=1e-12, atol=1e-12)


def test_density_is_finite_where_it_would_underflow() -> None:
    got = parzen_log_density(torch.zeros(5, 2), torch.full((1, 2), 1e4), 0.01)
    assert got.item() == pytest.approx(-1e12, rel=1e-6)


def test_gradient_is_the_score() -> None:
    """∇ log p(x) = Σ w_i(x) (c_i - x) / h², with softmax weights."""
    centres, h = draw(40, 2, 0), 0.5
    x = draw(7, 2, 1).requires_grad_()
    (score,) = torch.autograd.grad(parzen_log_density(centres, x, h).sum(), x)
    pull = (centres - x.detach()[:, None]) / h**2
    weight = torch.softmax(-(h**2) / 2 * pull.square().sum(-1), dim=1)
    torch.testing.assert_close(score, (weight[..., None] * pull).sum(1))


def test_result_does_not_depend_on_the_block() -> None:
    centres, x = draw(50, 2, 0), draw(33, 2, 1)
    whole = parzen_log_density(centres, x, 0.3)
    for block in (1, 50, 120, 10_000):
        torch.testing.assert_close(
            parzen_log_density(centres, x, 0.3, block=block), whole, rtol=1e-12, atol=1e-12
        )


def test_images_and_dtypes() -> None:
    centres, x = draw(20, 12, 0).float(), draw(5, 12, 1).float()
    flat = parzen_log_density(centres, x, 0.5)
    assert flat.shape == (5,)
    assert flat.dtype == torch.float32
    images = parzen_log_density(centres.reshape(20, 3, 2, 2), x.reshape(5, 3, 2, 2), 0.5)
    assert torch.equal(flat, images)
    # float32 input, float64 inside: equal to the oracle to float32's last digits
    np.testing.assert_allclose(flat.numpy(), oracle(centres, x, 0.5), rtol=2e-7)


def test_likelihood_with_a_given_bandwidth() -> None:
    samples, test = draw(200, 3, 0), draw(80, 3, 1)
    reference = oracle(samples, test, 0.4)
    estimate = parzen_log_likelihood(samples, test, 0.4)
    assert estimate.mean == pytest.approx(reference.mean(), rel=1e-12)
    assert estimate.standard_error == pytest.approx(reference.std(ddof=1) / math.sqrt(80))
    assert estimate.bandwidth == 0.4


@pytest.mark.parametrize("d", [1, 2, 8])
def test_chosen_bandwidth_maximises_the_validation_likelihood(d: int) -> None:
    samples, validation, test = draw(300, d, 0), draw(200, d, 1), draw(100, d, 2)
    estimate = parzen_log_likelihood(samples, test, validation=validation)
    grid = np.geomspace(estimate.bandwidth / 3, estimate.bandwidth * 3, 1001)
    scores = [oracle(samples, validation, h).mean() for h in grid[::10]]
    best = grid[::10][int(np.argmax(scores))]
    # The grid's own step is 2.2 %.
    assert estimate.bandwidth == pytest.approx(best, rel=0.025)
    chosen = oracle(samples, validation, estimate.bandwidth).mean()
    assert chosen >= max(scores) - 1e-4
    assert estimate.mean == pytest.approx(oracle(samples, test, estimate.bandwidth).mean())


def test_no_point_both_chooses_the_bandwidth_and_is_evaluated() -> None:
    samples, test = draw(300, 2, 0), draw(100, 2, 1)
    default = parzen_log_likelihood(samples, test)
    explicit = parzen_log_likelihood(samples, test[1::2], validation=test[::2])
    assert default == explicit


def test_many_samples_of_the_truth_approach_the_entropy() -> None:
    """The estimate is a lower bound on average (Jensen), and tight for many samples."""
    toy = data.load("two_gaussians")
    generator = torch.Generator().manual_seed(0)
    samples = toy.sample(5000, generator=generator)
    test = toy.sample(2000, generator=generator)
    estimate = parzen_log_likelihood(samples, test)
    # Smoothing costs a few hundredths of a nat; the standard error is 1/√1000 = 0.03.
    assert estimate.mean == pytest.approx(-toy.entropy(), abs=0.12)
    fewer = parzen_log_likelihood(samples[:100], test)
    assert fewer.mean < estimate.mean
    assert fewer.bandwidth > estimate.bandwidth


def test_collapsed_samples_get_a_window_that_reaches_the_data() -> None:
    """For one repeated point c, ĥ² = E‖x - c‖² / d."""
    test = 2 * draw(400, 2, 0) + 1
    estimate = parzen_log_likelihood(torch.zeros(50, 2), test)
    expected = test[::2].square().mean().sqrt().item()
    assert estimate.bandwidth == pytest.approx(expected, rel=1e-2)


def test_units_do_not_matter() -> None:
    """Scaling everything by s scales the bandwidth by s and adds -d log s."""
    samples, test = draw(200, 2, 0), draw(100, 2, 1)
    base = parzen_log_likelihood(samples, test)
    for s in (1e-4, 1e5):
        scaled = parzen_log_likelihood(s * samples, s * test)
        assert scaled.bandwidth == pytest.approx(s * base.bandwidth, rel=1e-6)
        assert scaled.mean == pytest.approx(base.mean - 2 * math.log(s), rel=1e-6)


def test_validation_points_among_the_samples_are_found_out() -> None:
    x = draw(60, 2, 0)
    with pytest.raises(ValueError, match="among the samples"):
        parzen_log_likelihood(x, x)
    with pytest.raises(ValueError, match="all the same point"):
        parzen_log_likelihood(torch.zeros(5, 2), torch.zeros(8, 2))


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    samples, test = draw(200, 2, 0), draw(100, 2, 1)
    ours, theirs = parzen_log_likelihood(samples.cuda(), test.cuda()), None
    theirs = parzen_log_likelihood(samples, test)
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-9)
    assert parzen_log_density(samples.cuda(), test.cuda(), 0.3).device.type == "cuda"


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 30),
    m=st.integers(2, 20),
    d=st.integers(1, 5),
    h=st.floats(0.05, 10.0),
    seed=st.integers(0, 10_000),
)
def test_agrees_with_scipy_everywhere(n: int, m: int, d: int, h: float, seed: int) -> None:
    samples, test = 3 * draw(n, d, seed), draw(m, d, seed + 1)
    reference = oracle(samples, test, h)
    got = parzen_log_likelihood(samples, test, h)
    assert got.mean == pytest.approx(reference.mean(), rel=1e-9, abs=1e-9)


@given(h=st.one_of(st.floats(max_value=0.0), st.just(math.nan), st.just(math.inf), st.text()))
def test_bandwidth_must_be_positive(h: object) -> None:
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="bandwidth must be"):
        parzen_log_density(x, x, h)
    with pytest.raises(ValueError, match="bandwidth must be"):
        parzen_log_likelihood(x, x, h)


def test_bad_input_is_named() -> None:
    x = torch.zeros(6, 2)
    with pytest.raises(ValueError, match="samples is empty"):
        parzen_log_likelihood(torch.zeros(0, 2), x)
    with pytest.raises(ValueError, match="samples and test must hold points of the same shape"):
        parzen_log_likelihood(x, torch.zeros(6, 3))
    with pytest.raises(ValueError, match="samples and validation"):
        parzen_log_likelihood(x, x, validation=torch.zeros(6, 3))
    with pytest.raises(ValueError, match="not both"):
        parzen_log_likelihood(x, x, 0.5, validation=x)
    with pytest.raises(ValueError, match="at least 4 test points"):
        parzen_log_likelihood(x, x[:3])
    with pytest.raises(ValueError, match="at least 2 test points"):
        parzen_log_likelihood(x, x[:1], 0.5)
    with pytest.raises(ValueError, match="centres holds 1 NaN"):
        parzen_log_density(torch.tensor([[math.nan, 0.0]]), x, 0.5)
    with pytest.raises(ValueError, match="block must be"):
        parzen_log_density(x, x, 0.5, block=0)
