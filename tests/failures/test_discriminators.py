"""What a discriminator that is too good does to gradients: theorems 3 to 6, measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from gencourse import failures
from gencourse.data import GaussianMixture

# ----------------------------------------------------------------- theorems 3 and 4


@pytest.mark.parametrize("name", ["lines", "manifolds", "digits"])
def test_a_perfect_discriminator_can_be_trained(name: str) -> None:
    """On supports that hardly meet: accuracy 1 on new samples, JS at log 2, no gradient."""
    frame = failures.perfect_discriminator(failures.pair(name), steps=300)
    last = frame.iloc[-1]
    assert last["accuracy"] == 1
    assert last["js"] > 0.98 * math.log(2)
    for column in ("gradient_real", "gradient_fake", "minimax"):
        assert last[column] < 0.3 * frame[column].max()
    assert last["log_d"] == frame["log_d"].max() > 10 * last["minimax"]


@pytest.mark.parametrize("name", ["gaussians", "noisy lines"])
def test_where_laws_overlap_there_is_none(name: str) -> None:
    """Accuracy stays at the best possible, and gradients stay. Of 2000 samples: ± 0.011."""
    if name == "gaussians":
        pair = failures.pair(name)
    else:  # as for Gaussians at this distance: along the lines both laws are the same
        bayes = stats.norm.cdf(0.5 / (2 * 0.3))
        pair = failures.pair("lines", theta=0.5).with_noise(0.3, bayes)
    frame = failures.perfect_discriminator(pair, steps=300)
    last = frame.iloc[-1]
    assert last["accuracy"] == pytest.approx(pair.bayes, abs=0.04)
    assert last["js"] < 0.5 * math.log(2)
    for column in ("gradient_real", "gradient_fake", "minimax"):
        assert last[column] > 0.7 * frame[column].max()


def test_gradients_of_the_discriminator_are_those_of_autograd() -> None:
    from gencourse.failures.perfect import _measure

    with torch.random.fork_rng():
        torch.manual_seed(0)
        D = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    real, fake = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(1))
    found = _measure(D, real, fake)
    real.requires_grad_()
    fake.requires_grad_()
    for name, value, x in (
        ("gradient_real", D(real).sigmoid(), real),
        ("gradient_fake", D(fake).sigmoid(), fake),
        ("minimax", (1 - D(fake).sigmoid()).log(), fake),
        ("log_d", D(fake).sigmoid().log(), fake),
    ):
        (gradient,) = torch.autograd.grad(value.sum(), x)
        assert found[name] == pytest.approx(gradient.norm(dim=1).mean().item(), rel=1e-5)
    v = D(real).sigmoid().log().mean() + (1 - D(fake).sigmoid()).log().mean()
    assert found["js"] == pytest.approx((v.item() + math.log(4)) / 2, rel=1e-5)


def test_pairs_draw_what_they_say() -> None:
    for name in failures.PAIRS:
        pair = failures.pair(name)
        for sample in (pair.real, pair.fake):
            x, y = (sample(7, torch.Generator().manual_seed(2)) for _ in range(2))
            assert len(x) == 7
            assert torch.equal(x, y)
    noisy = failures.pair("lines").with_noise(0.1)
    x = noisy.real(4000, torch.Generator().manual_seed(0))
    assert x[:, 0].std().item() == pytest.approx(0.1, rel=0.05)
    with pytest.raises(KeyError, match="did you mean 'lines'"):
        failures.pair("line")
    with pytest.raises(ValueError, match="meet everywhere"):
        failures.pair("manifolds", intrinsic=3, dimension=6)


# ----------------------------------------------------------------- instance noise


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_noise_makes_js_informative(sigma: float) -> None:
    frame = failures.instance_noise(sigma=sigma)
    np.testing.assert_allclose(frame["js"], math.log(2))
    assert (frame["noisy_js"].diff().iloc[1:] > 0).all()
    slopes = np.gradient(frame["noisy_js"], frame.index)[1:-1]
    assert slopes == pytest.approx(frame["slope"].iloc[1:-1].to_numpy(), abs=0.01)
    np.testing.assert_allclose(frame["accuracy"], stats.norm.cdf(frame.index / (2 * sigma)))
    assert (frame["accuracy"] < 1).all()
    assert (frame["noisy_js"] < math.log(2)).all()


def test_the_noisy_js_of_gaussians_by_another_quadrature() -> None:
    from scipy.integrate import quad

    theta, sigma = 0.5, 0.3
    p, q = stats.norm(0, sigma).pdf, stats.norm(theta, sigma).pdf

    def integrand(x: float) -> float:
        m = 0.5 * (p(x) + q(x))
        return 0.5 * (p(x) * math.log(p(x) / m) + q(x) * math.log(q(x) / m))

    expected = quad(integrand, -2.5, 3, epsabs=1e-12)[0]
    row = failures.instance_noise([theta], sigma=sigma).iloc[0]
    assert row["noisy_js"] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("sigma", [0.01, 0.1, 0.5])
def test_the_bound_with_bounded_noise(sigma: float) -> None:
    """W₁ ≤ 2 √V + 2 C √JS with the diameter C; exact JS against that of histograms."""
    frame = failures.instance_noise(sigma=sigma, noise="uniform")
    assert (frame["w1"] <= frame["bound"]).all()
    half = math.sqrt(3) * sigma
    x = torch.arange(-200_000, 400_000) / 100_000 + 0.5e-5
    for theta in (0.05, 0.5):
        p = ((x > -half) & (x < half)).double()
        q = ((x > theta - half) & (x < theta + half)).double()
        p, q = p / p.sum(), q / q.sum()
        m = 0.5 * (p + q)
        js = 0.5 * sum(torch.xlogy(a, a / m.clamp_min(1e-300)).sum() for a in (p, q)).item()
        assert frame.loc[theta, "noisy_js"] == pytest.approx(js, abs=2e-3)


def test_with_the_radius_in_place_of_the_diameter_the_bound_fails() -> None:
    """The lines far apart, hardly any noise: the right-hand side must not be halved."""
    row = failures.instance_noise([2.0], sigma=1e-3, noise="uniform").iloc[0]
    noise, rest = 2e-3, row["bound"] - 2e-3
    assert row["w1"] > noise + rest / 2
    assert row["w1"] <= noise + rest


def test_noise_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="noise must be 'gaussian' or 'uniform'"):
        failures.instance_noise(noise="cauchy")
    with pytest.raises(ValueError, match="theta must be above 0"):
        failures.instance_noise([-1.0])


# ----------------------------------------------------------------- theorem 5, and 2.6


@pytest.mark.parametrize("seed", [0, 1])
def test_the_generators_gradient_vanishes_below_its_bound(seed: int) -> None:
    frame = failures.vanishing_gradient(seed=seed, steps=400)
    assert (frame["minimax"] <= frame["bound"]).all()
    assert frame["bound"].iloc[-1] < 1  # and it says something
    assert frame["minimax"].iloc[-1] < 0.1 * frame["minimax"].max()
    # The log-D gradient grows instead, and so does its spread from sample to sample.
    assert frame["log_d"].iloc[-1] > 0.9 * frame["log_d"].max() > 10 * frame["log_d"].iloc[0]
    assert frame["log_d"].iloc[-1] > 100 * frame["minimax"].iloc[-1]
    assert frame["log_d_std"].iloc[-1] > 10 * frame["log_d_std"].iloc[0]


def test_the_jacobian_of_the_generator() -> None:
    from gencourse.failures.vanishing import _jacobians

    with torch.random.fork_rng():
        torch.manual_seed(0)
        G = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    z = torch.tensor([[0.2], [0.7]])
    J = _jacobians(G, z)
    assert J.shape == (2, 2, 14)
    for i in range(2):
        for k in range(2):
            wanted = torch.autograd.grad(G(z)[i, k], list(G.parameters()))
            torch.testing.assert_close(J[i, k], torch.cat([w.flatten() for w in wanted]))


def test_under_noise_the_log_d_gradient_is_cauchy() -> None:
    minimax, log_d = failures.noisy_gradients(20_000, generator=torch.Generator().manual_seed(1))
    assert stats.kstest(log_d.numpy(), "cauchy").pvalue > 0.01
    assert stats.kstest(minimax.numpy() / 0.05, "norm").statistic < 0.02
    assert stats.kstest(log_d.numpy(), "norm").pvalue < 1e-6


def test_averaging_helps_one_loss_and_not_the_other() -> None:
    frame = failures.heavy_tails((1, 10, 100, 1000))
    # The interquartile range of a standard Cauchy law is 2; of 2000 samples: ± 0.07.
    assert frame["log_d_iqr"].to_numpy() == pytest.approx(2, abs=0.3)
    assert frame.loc[1, "minimax_iqr"] / frame.loc[100, "minimax_iqr"] == pytest.approx(10, rel=0.2)
    growth = frame["log_d_std"].loc[1000] / frame["log_d_std"].loc[10]
    assert growth == pytest.approx(10, rel=0.3)  # as √n
    assert frame.loc[1000, "minimax_std"] == pytest.approx(frame.loc[100, "minimax_std"], rel=0.1)
    assert (frame["log_d_tail"] > 25).all()  # 63.7 in theory
    assert (frame["minimax_tail"] < 6).all()  # 3.8


# ----------------------------------------------------------------- theorem 6

LINE = GaussianMixture(torch.tensor([[-1.0], [1.5]]), 0.5, [0.3, 0.7])
PLANE = GaussianMixture(torch.tensor([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.0]]), 0.4, [0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("data", "means", "stds", "weights"),
    [
        (LINE, [[0.3]], [0.8], None),
        (LINE, [[-2.0], [0.0], [2.0]], [0.3, 0.6, 0.4], [0.2, 0.5, 0.3]),
        (PLANE, [[0.3, 0.2]], [0.6], None),
        (PLANE, [[0.3, 0.2], [-0.5, 1.0]], [0.6, 0.3], [0.3, 0.7]),
    ],
)
def test_theorem_6(data: GaussianMixture, means: Any, stds: Any, weights: Any) -> None:
    """Both sides of the identity agree to a relative 1e-6, and far from zero."""
    found = failures.log_d_gradient(
        data,
        torch.tensor(means),
        torch.tensor(stds),
        None if weights is None else torch.tensor(weights).double(),
        nodes=300,
    )
    assert found.log_d.shape == (len(means) * (data.event_shape[0] + 1),)
    assert found.relative_error < 1e-6
    assert found.right.norm() > 0.1
    # With the wrong factor, or without the JS, they do not.
    for wrong in (found.kl, found.kl - found.js, found.kl + 2 * found.js):
        assert (found.log_d - wrong).norm() > 1e-3 * found.log_d.norm()


def test_the_kl_of_theorem_6_in_closed_form() -> None:
    """Of N(μ, σ²) from N(0, s²): ∂μ = μ/s², and ∂ log σ = σ²/s² - 1."""
    data = GaussianMixture(torch.zeros(1, 1), 0.5)
    found = failures.log_d_gradient(data, torch.tensor([[0.3]]), torch.tensor([0.75]))
    mu = torch.tensor([[0.3]]).double().item()
    assert found.kl.tolist() == pytest.approx([mu / 0.25, 0.5625 / 0.25 - 1], rel=1e-9)


def test_along_a_line() -> None:
    frame = failures.log_d_along(LINE, [-1.0, 0.0, 1.0])
    assert frame["log_d"].to_numpy() == pytest.approx(frame["right"].to_numpy(), rel=1e-6)
    assert list(frame.index) == [-1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((PLANE, torch.zeros(1, 1), torch.ones(1)), r"shape \(n, 2\)"),
        ((LINE, torch.zeros(1, 1), -torch.ones(1)), "positive numbers"),
        ((LINE, torch.zeros(1, 1), torch.ones(1), torch.tensor([0.5])), "sum 1"),
        ((LINE, torch.zeros(1, 1), torch.tensor([1e-3])), "nodes are too few"),
        ((GaussianMixture(torch.zeros(1, 3), 1.0), torch.zeros(1, 3), torch.ones(1)), "plane"),
    ],
)
def test_wrong_input_of_theorem_6(arguments: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        failures.log_d_gradient(*arguments)
