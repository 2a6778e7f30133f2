"""The linear push-forward against NumPy, torch.distributions and its own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ring8_bar
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import MultivariateNormal

import gencourse
from gencourse import data
from gencourse.models.cholesky import LinearPushForward


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud(n: int = 500, d: int = 3, seed: int = 0) -> Tensor:
    """Correlated points away from the origin."""
    g = generator(seed)
    mixing = torch.randn(d, d, generator=g)
    return torch.randn(n, d, generator=g) @ mixing.T + torch.randn(d, generator=g)


def fitted(x: Tensor, **settings: float) -> LinearPushForward:
    model = gencourse.build("cholesky", x, **settings)
    model.fit(x, progress=False)
    assert isinstance(model, LinearPushForward)
    return model


def test_the_likeliest_mean_and_factor() -> None:
    x = cloud()
    model = fitted(x, ridge=1e-12)
    y = x.double().numpy()
    covariance = np.cov(y.T, bias=True)
    np.testing.assert_allclose(model.mean, y.mean(0), rtol=1e-6)
    # One rounding to float32 of what was computed in float64.
    np.testing.assert_allclose(model.factor, np.linalg.cholesky(covariance), rtol=1e-6, atol=1e-6)


def test_no_other_gaussian_is_likelier() -> None:
    """The gradient of the likelihood with respect to mean and factor vanishes, by autograd."""
    x = cloud()
    model = fitted(x, ridge=1e-12).double()
    model.maximise(x.double())
    model.mean, model.factor = model.mean.requires_grad_(), model.factor.requires_grad_()
    gradients = torch.autograd.grad(model.log_prob(x.double()).mean(), [model.mean, model.factor])
    assert all(g.tril().abs().max() < 1e-8 for g in (gradients[0][None], gradients[1]))
    model.mean = model.mean.detach() + 0.1
    model.mean.requires_grad_()
    (elsewhere,) = torch.autograd.grad(model.log_prob(x.double()).mean(), model.mean)
    assert elsewhere.abs().max() > 1e-3


@pytest.mark.parametrize("d", [1, 2, 5])
def test_log_density_against_torch(d: int) -> None:
    model = fitted(cloud(d=d))
    at = cloud(50, d, seed=1).double()
    law = MultivariateNormal(model.mean.double(), scale_tril=model.factor.double())
    torch.testing.assert_close(model.log_prob(at), law.log_prob(at), rtol=1e-10, atol=1e-10)


def test_the_map_and_its_inverse() -> None:
    """T(z) = m + T z is triangular and increasing, T Tᵀ = Σ, and pull is its inverse."""
    model = fitted(cloud()).double()
    z = torch.randn(20, 3, dtype=torch.float64, generator=generator())
    back, log_det = model.pull(model.push(z))
    torch.testing.assert_close(back, z, rtol=0, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.push(v[None])[0], z[0])
    assert torch.equal(jacobian, jacobian.tril())
    assert (jacobian.diagonal() > 0).all()
    torch.testing.assert_close(log_det[0], -jacobian.logdet(), rtol=1e-12, atol=1e-12)


def test_samples_have_the_moments() -> None:
    model = fitted(cloud())
    n = 200_000
    x = model.sample(n, generator=generator()).double()
    std = x.std(0)
    assert ((x.mean(0) - model.mean).abs() < 5 * std / math.sqrt(n)).all()
    covariance = (model.factor @ model.factor.T).double()
    # √(2/n) = 0.3 %, five times.
    assert ((torch.cov(x.T) - covariance).abs() / (std[:, None] * std)).max() < 0.016


def test_it_is_exact_on_a_gaussian() -> None:
    gaussian = data.load("gaussian")
    model = gencourse.build("cholesky", gaussian)
    model.fit(gaussian, progress=False)
    result = gencourse.evaluate(model, gaussian, n=1000)
    # Five parameters from 65,536 points: KL of about 5 / (2 · 65536) = 4e-5 nats.
    assert abs(result["nll"] - result["entropy"]) < 1e-3
    # Two sets of real samples are as far apart; by chance one is the nearer.
    assert result["w1"] < 1.6 * result["w1_floor"]


def test_it_fails_on_the_ring() -> None:
    """The lesson: no linear map bends a Gaussian into a ring, and most mass lies in the hole.

    The best Gaussian has Σ = (2²/2 + 0.1²) I, and a Gaussian of variance s² per axis has
    log 2πe s² nats of entropy: 3.53 against the data's 0.32.
    """
    ring = data.load("ring8")
    model = gencourse.build("cholesky", ring)
    model.fit(ring, progress=False)
    result = ring8_bar.measure(model, 0)
    assert {"modes", "quality", "w1"} <= set(ring8_bar.shortcomings(result))
    assert result["quality"] < 0.1
    expected = math.log(2 * math.pi * math.e * 2.01)
    assert result["nll"] == pytest.approx(expected, abs=0.02)
    # 1 / (2π s²) is the peak of its density, at the centre of the hole.
    hole = torch.zeros(1, 2)
    true_log_p = ring.log_prob(hole)
    assert true_log_p is not None
    assert (model.log_prob(hole) - true_log_p).item() > 100


def test_the_plain_baseline_of_digits() -> None:
    digits = data.load("digits")
    model = gencourse.build("cholesky", digits)
    model.fit(digits, progress=False)
    drawn = model.sample(500, generator=generator())
    assert drawn.shape == (500, 1, 8, 8)
    assert model.log_prob(digits.images("test")).mean() > 0
    # More steps repeat the first.
    again = gencourse.build("cholesky", digits)
    history = again.fit(digits, steps=3, progress=False)
    assert torch.equal(again.factor, model.factor)
    assert len(set(history.metrics["log_likelihood"])) == 1


def test_a_singular_covariance() -> None:
    x = 1e9 * torch.randn(100, 1, generator=generator()) @ torch.ones(1, 20)
    with pytest.raises(FloatingPointError, match="singular to working precision; give a larger"):
        fitted(x)
    assert fitted(x, ridge=1e12).sample(5).isfinite().all()
    # A coordinate that never changes gets the ridge.
    assert fitted(torch.ones(5, 2)).factor.diagonal().tolist() == pytest.approx([1e-3, 1e-3])


@given(st.sampled_from(["ridge", "steps"]), st.sampled_from([0, -1, math.nan, math.inf, "a", True]))
def test_settings_that_make_no_sense(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        gencourse.build("cholesky", torch.zeros(1, 2), **{name: value})
