"""Expectation-maximisation against scikit-learn, torch.distributions, and its own theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ring8_bar
import torch
from sklearn.mixture import GaussianMixture as Reference
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import gencourse
from gencourse import data
from gencourse.models.gmm import GaussianMixture


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mixture(k: int, d: int, seed: int = 0, **settings: float) -> GaussianMixture:
    """Return a mixture in float64 with weights, means and covariances that are all different."""
    g = generator(seed)
    model = gencourse.build("gmm", torch.zeros(1, d), components=k, **settings)
    assert isinstance(model, GaussianMixture)
    model.weights = torch.softmax(torch.randn(k, generator=g).double(), 0)
    model.means = 2 * torch.randn(k, d, generator=g).double()
    a = torch.randn(k, d, d, generator=g).double()
    model.covariances = a @ a.mT / d + 0.1 * torch.eye(d).double()
    return model


def reference(model: GaussianMixture) -> MixtureSameFamily:
    return MixtureSameFamily(
        Categorical(model.weights), MultivariateNormal(model.means, model.covariances)
    )


def points(n: int, d: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n, d, generator=generator(seed)).double()


# ----------------------------------------------------------------- the density


@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 2), (5, 7)])
def test_log_density_against_torch(k: int, d: int) -> None:
    model, x = random_mixture(k, d), points(40, d)
    torch.testing.assert_close(model.log_prob(x), reference(model).log_prob(x), rtol=1e-10, atol=0)


def test_far_away_there_is_still_a_density() -> None:
    """exp(-x²/2) is 0 in float64 from x = 39 on; its logarithm is not."""
    model = random_mixture(3, 2)
    x = torch.tensor([[1e4, -1e4]], dtype=torch.float64)
    assert model.log_prob(x).isfinite().all()
    torch.testing.assert_close(model.log_prob(x), reference(model).log_prob(x))


def test_the_density_integrates_to_one() -> None:
    model = gencourse.build("gmm", data.load("ring8"))
    model.fit(data.load("ring8"), steps=10, progress=False)
    # The trapezoidal rule is exact to rounding once its step (0.02) is below the width (0.1).
    axis = torch.arange(-4, 4, 0.02, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    # The weights are float32, and sum to 1 within 1e-7.
    assert model.log_prob(grid).exp().sum().item() * 0.02**2 == pytest.approx(1, abs=1e-6)


def test_samples_have_the_moments_of_the_mixture() -> None:
    model = random_mixture(3, 2)
    truth = reference(model)
    n = 200_000
    model = model.float()
    model.weights, model.means = model.weights.float(), model.means.float()
    model.covariances = model.covariances.float()
    x = model.sample(n, generator=generator()).double()
    assert x.shape == (n, 2)
    mean = truth.mean.double()
    std = truth.variance.double().sqrt()
    # Five standard errors of each mean.
    assert ((x.mean(0) - mean).abs() < 5 * std / math.sqrt(n)).all()
    # Law of total covariance: within the components plus between them.
    w, means = model.weights.double(), model.means.double()
    within = (w[:, None, None] * model.covariances.double()).sum(0)
    between = (w[:, None] * (means - mean)).T @ (means - mean)
    covariance = within + between
    # A sample covariance has relative errors of about √(2/n) = 0.3 %; the kurtosis of such
    # mixtures makes that no more than a few times larger.
    scale = std[:, None] * std
    assert ((torch.cov(x.T) - covariance).abs() / scale).max() < 0.02
    # And the mean log density is that of samples which torch drew.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        others = truth.sample((n,))
    a, b = truth.log_prob(x), truth.log_prob(others)
    assert (a.mean() - b.mean()).abs() < 5 * a.std() * math.sqrt(2 / n)


# ----------------------------------------------------------------- EM, a step at a time


def as_sklearn(model: GaussianMixture) -> Reference:
    """Return scikit-learn's mixture with the same parameters."""
    other = Reference(model.settings.components, reg_covar=model.settings.ridge)
    other.weights_ = model.weights.numpy()
    other.means_ = model.means.numpy()
    other.covariances_ = model.covariances.numpy()
    precisions = np.linalg.inv(other.covariances_)
    # Its factors are the transposed inverses of the lower Cholesky factors.
    other.precisions_cholesky_ = np.stack(
        [np.linalg.inv(np.linalg.cholesky(c)).T for c in other.covariances_]
    )
    other.precisions_ = precisions
    return other


@pytest.mark.parametrize(("k", "d"), [(1, 2), (3, 2), (4, 5)])
def test_one_step_of_em_against_scikit_learn(k: int, d: int) -> None:
    model, x = random_mixture(k, d, ridge=1e-6), points(300, d)
    other = as_sklearn(model)
    log_likelihood, log_responsibility = other._e_step(x.numpy())
    ours, mean = model.e_step(x)
    assert mean.item() == pytest.approx(log_likelihood, rel=1e-12)
    np.testing.assert_allclose(ours.numpy(), log_responsibility, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.exp().sum(1), 1, rtol=1e-12)

    other._m_step(x.numpy(), log_responsibility)
    model.m_step(x, ours.exp())
    # scikit-learn adds 10 ε to each mass.
    np.testing.assert_allclose(model.weights, other.weights_, rtol=1e-10)
    np.testing.assert_allclose(model.means, other.means_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.covariances, other.covariances_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_never_falls(seed: int) -> None:
    """Dempster, Laird & Rubin 1977, theorem 1; with a ridge of 1e-12 it holds to rounding."""
    model, x = random_mixture(4, 3, seed, ridge=1e-12), points(400, 3, seed + 10)
    values = []
    for _ in range(60):
        log_responsibility, log_likelihood = model.e_step(x)
        model.m_step(x, log_responsibility.exp())
        values.append(log_likelihood.item())
    steps = np.diff(values)
    assert steps.min() > -1e-10
    assert values[-1] - values[0] > 0.01


@pytest.mark.parametrize("name", ["ring8", "moons", "digits"])
def test_the_recorded_likelihood_never_falls(name: str) -> None:
    """In float32, and with a ridge; a mean log density near 30 rounds to 2e-6."""
    dataset = data.load(name)
    model = gencourse.build("gmm", dataset, components=8)
    history = model.fit(dataset, steps=30, progress=False)
    assert history.steps == list(range(1, 31))
    assert np.diff(history.metrics["log_likelihood"]).min() > -1e-4


def test_a_fixed_point_is_where_the_gradient_vanishes() -> None:
    """EM stops at stationary points of the likelihood: here of the means, by autograd."""
    model, x = random_mixture(2, 2, 1, ridge=1e-12), points(200, 2)
    for _ in range(3000):
        model.m_step(x, model.e_step(x)[0].exp())
    model.means = model.means.requires_grad_()
    (gradient,) = torch.autograd.grad(model.log_prob(x).mean(), model.means)
    assert gradient.abs().max() < 1e-6
    model.means = model.means.detach() + 0.1
    model.means.requires_grad_()
    (gradient,) = torch.autograd.grad(model.log_prob(x).mean(), model.means)
    assert gradient.abs().max() > 1e-3


# ----------------------------------------------------------------- whole runs


@pytest.mark.parametrize("seed", range(8))
def test_it_finds_the_ring_from_every_start(seed: int) -> None:
    """With plain k-means++ a quarter of all seeds put two means on one mode, 0.33 nats off."""
    ring = data.load("ring8")
    model = gencourse.build("gmm", ring, seed=seed)
    model.fit(ring, steps=8, seed=seed, progress=False)
    x = ring.sample(5000, generator=generator(99))
    true_log_p = ring.log_prob(x)
    assert true_log_p is not None
    # KL(data ‖ model), estimated without bias; 65,536 points fix 47 parameters to
    # 47 / (2 · 65536) = 4e-4 nats, and the largest of 30 seeds gave 1.5e-3.
    gap = (true_log_p - model.log_prob(x)).mean().item()
    assert abs(gap) < 0.005
    distance = torch.cdist(ring.modes, model.means).min(1).values
    assert distance.max() < 0.02


def test_the_bar_on_the_ring() -> None:
    """Median of 3 seeds: all modes, almost all samples on them, W1 at its sampling floor."""
    median = ring8_bar.median(ring8_bar.runs("gmm", steps=8))
    assert median["modes"] == 8
    assert median["quality"] > 0.97
    assert median["largest_share"] < 1.2
    assert median["w1"] < 2 * 0.105
    assert median["nll"] - median["entropy"] < 0.005


def test_the_likelihood_of_new_digits() -> None:
    """Pixels that never change do not make it fit 1442 digits and none of the others.

    The ridge of points, 1e-6, lets them: the likelihood of new digits is then up to 100 nats
    below that of the training set, where with the ridge of images it is about 5.
    """
    digits = data.load("digits")
    gaps = {}
    for ridge in (1e-6, None):
        settings = {} if ridge is None else {"ridge": ridge}
        model = gencourse.build("gmm", digits, components=8, **settings)
        model.fit(digits, steps=40, progress=False)
        new, old = (model.log_prob(digits.images(split)).mean() for split in ("test", "train"))
        gaps[ridge] = (old - new).item()
        assert model.sample(10).shape == (10, 1, 8, 8)
    assert 0 < gaps[None] < 20
    assert gaps[1e-6] > 2 * gaps[None]


# ----------------------------------------------------------------- degenerate data


def fitted(x: Tensor, **settings: float) -> GaussianMixture:
    model = gencourse.build("gmm", x, **settings)
    model.fit(x, steps=20, progress=False)
    assert isinstance(model, GaussianMixture)
    for value in (model.weights, model.means, model.covariances):
        assert value.isfinite().all()
    assert model.weights.sum().item() == pytest.approx(1, abs=1e-5)
    assert model.sample(20, generator=generator()).isfinite().all()
    assert model.log_prob(x).isfinite().all()
    return model


def test_repeated_points() -> None:
    """Three places, ten points on each, four components: no distance is left for the fourth."""
    x = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]).repeat(10, 1)
    model = fitted(x, components=4)
    assert torch.cdist(x[:3], model.means).min(1).values.max() < 1e-3
    # Each covariance is nothing but the ridge.
    assert model.covariances.abs().max() < 1e-4


def test_all_points_the_same() -> None:
    model = fitted(torch.full((20, 2), 5.0), components=3)
    torch.testing.assert_close(model.means, torch.full((3, 2), 5.0))
    assert (model.sample(100, generator=generator()) - 5).abs().max() < 0.01


def test_a_dimension_that_never_changes() -> None:
    x = torch.randn(200, 3, generator=generator())
    x[:, 1] = 7.0
    model = fitted(x, components=2)
    torch.testing.assert_close(model.means[:, 1], torch.full((2,), 7.0))
    torch.testing.assert_close(model.covariances[:, 1, 1], torch.full((2,), 1e-6))


def test_a_single_point_and_a_single_component() -> None:
    model = fitted(torch.tensor([[1.0, 2.0]]), components=1)
    torch.testing.assert_close(model.means, torch.tensor([[1.0, 2.0]]))


def test_one_dimension() -> None:
    x = torch.cat([torch.randn(500, 1, generator=generator()), 10 + torch.zeros(500, 1)])
    model = fitted(x, components=2)
    assert sorted(model.means.flatten().tolist()) == pytest.approx([0, 10], abs=0.2)


def test_fewer_samples_than_components() -> None:
    model = gencourse.build("gmm", torch.zeros(1, 2))
    with pytest.raises(
        ValueError, match="5 samples cannot be explained by 8 components; give more"
    ):
        model.fit(torch.randn(5, 2, generator=generator()), progress=False)


def test_a_scale_at_which_the_ridge_drowns() -> None:
    """Covariances of 1e12 swallow a ridge of 1e-6; the error says what to do."""
    x = 1e6 * torch.randn(100, 1, generator=generator()) @ torch.ones(1, 20)
    model = gencourse.build("gmm", x, components=1)
    with pytest.raises(FloatingPointError, match="singular to working precision; give a larger"):
        model.fit(x, progress=False)
    model = gencourse.build("gmm", x, components=1, ridge=1e8)
    model.fit(x, progress=False)
    assert model.sample(5).isfinite().all()
