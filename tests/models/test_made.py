"""Autoregressive models: laws of one coordinate, densities that add up, and what is learned."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

import gencourse
from gencourse import data
from gencourse.data.quantisation import dequantise
from gencourse.nets import DiscretisedLogistics, MixtureOfGaussians, cooled, spread_out


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs(n: int, components: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3 * components, *shape, generator=generator(seed)).double()


# ----------------------------------------------------------------- mixtures


def test_gaussian_mixtures_against_torch() -> None:
    parameters = outputs(5, 4, 3)
    logits, mean, log_scale = parameters.unflatten(1, (3, 4)).unbind(1)
    reference = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=logits.movedim(1, -1)),
        torch.distributions.Normal(mean.movedim(1, -1), log_scale.movedim(1, -1).exp()),
    )
    x = 3 * torch.randn(5, 3, generator=generator(1)).double()
    torch.testing.assert_close(
        MixtureOfGaussians().log_prob(parameters, x), reference.log_prob(x), rtol=1e-12, atol=1e-12
    )


def test_draws_from_a_gaussian_mixture() -> None:
    """Its distribution function at the draws is uniform: Kolmogorov–Smirnov below 2/√n."""
    n = 20_000
    parameters = outputs(1, 3, 1, seed=4).expand(n, -1, -1)
    u, v = torch.rand(2, n, 1, generator=generator(2)).double()
    x = MixtureOfGaussians().draw(parameters, u, v)
    logits, mean, log_scale = parameters.unflatten(1, (3, 3)).unbind(1)
    below = torch.special.ndtr((x[:, None] - mean) / log_scale.exp())
    place = (logits.softmax(1) * below).sum(1).flatten().sort().values
    ecdf = torch.arange(1, n + 1) / n
    assert (place - ecdf).abs().max() < 2 / math.sqrt(n)


@pytest.mark.parametrize("level", [0.125, 0.5, 2 / 255])
def test_the_probabilities_of_grey_levels_add_up(level: float) -> None:
    """Over all levels to 1, also for components far outside and far narrower than a level."""
    levels = torch.arange(round(2 / level) + 1).double() * level - 1
    parameters = outputs(6, 3, 1)
    parameters[1, 3:6] = torch.tensor([-9.0, 0.02, 40.0])[:, None]
    parameters[2, 6:9] = torch.tensor([-30.0, -6.0, 3.0])[:, None]
    law = DiscretisedLogistics(level)
    many = parameters.expand(-1, -1, len(levels))
    log_P = law.log_prob(many, levels.expand(6, -1))
    assert log_P.isfinite().all()
    torch.testing.assert_close(log_P.exp().sum(1), torch.ones(6).double(), rtol=1e-9, atol=0)


def test_the_probability_of_a_level_is_a_difference_of_sigmoids() -> None:
    parameters = outputs(1, 1, 1)
    _, mean, log_scale = parameters.flatten().tolist()

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-(x - mean) / math.exp(log_scale)))

    law = DiscretisedLogistics(0.5)
    expected = {
        -1.0: sigma(-0.75),
        -0.5: sigma(-0.25) - sigma(-0.75),
        0.0: sigma(0.25) - sigma(-0.25),
        1.0: 1 - sigma(0.75),
    }
    for q, p in expected.items():
        found = law.log_prob(parameters, torch.tensor([[q]]).double()).exp().item()
        assert found == pytest.approx(p, rel=1e-9)


def test_grey_levels_are_drawn_as_often_as_they_are_probable() -> None:
    n, level = 40_000, 0.25
    parameters = outputs(1, 3, 1, seed=1).expand(n, -1, -1)
    law = DiscretisedLogistics(level)
    u, v = torch.rand(2, n, 1, generator=generator(3)).double()
    drawn = law.draw(parameters, u, v)
    levels = torch.arange(9).double() * level - 1
    frequency = (drawn == levels).double().mean(0)
    p = law.log_prob(parameters[:1].expand(-1, -1, 9), levels[None]).exp()[0]
    assert ((frequency - p).abs() < 4 * (p * (1 - p) / n).sqrt() + 1e-9).all()
    assert frequency.sum() == 1


@given(st.floats(-30, 30), st.floats(-12, 8), st.sampled_from([0.125, 0.5, 2 / 255]))
def test_no_level_is_impossible(mean: float, log_scale: float, level: float) -> None:
    """Finite log-probabilities and gradients, in float32, wherever the network strays."""
    parameters = torch.tensor([[0.0], [mean], [log_scale]])[None].requires_grad_()
    for q in (-1.0, 0.0, 1.0):
        log_P = DiscretisedLogistics(level).log_prob(parameters, torch.full((1, 1), q))
        (slope,) = torch.autograd.grad(log_P.sum(), parameters)
        assert log_P.isfinite().all()
        assert slope.isfinite().all()
        assert log_P.item() <= 0


def test_components_start_side_by_side() -> None:
    bias = torch.randn(9, 2, generator=generator())
    logits = bias[:3].clone()
    spread_out(bias, 3, reach=2.0)
    assert torch.equal(bias[:3], logits)
    assert bias[3:6].tolist() == [[-2.0, -2.0], [0.0, 0.0], [2.0, 2.0]]
    torch.testing.assert_close(bias[6:], torch.full((3, 2), math.log(4 / 4)))
    one = torch.randn(3, 1, generator=generator())
    spread_out(one, 1, reach=2.0)
    assert one[1].item() == 0


@pytest.mark.parametrize("T", [0.3, 1.0, 2.0])
def test_a_cooled_mixture(T: float) -> None:
    """Weights π^{1/T}, renormalised, and standard deviations T σ, against torch's mixture."""
    parameters = torch.randn(5, 3 * 4, 2, generator=generator()).double()
    logits, mean, log_scale = parameters.unflatten(1, (3, 4)).unbind(1)
    weights = logits.softmax(1).pow(1 / T)
    reference = MixtureSameFamily(
        Categorical(probs=weights.transpose(1, 2)),
        Normal(mean.transpose(1, 2), T * log_scale.exp().transpose(1, 2)),
    )
    x = torch.randn(5, 2, generator=generator(1)).double()
    torch.testing.assert_close(
        MixtureOfGaussians().log_prob(cooled(parameters, T), x), reference.log_prob(x)
    )


def test_samples_at_a_temperature() -> None:
    """Of one Gaussian component: T times the noise around the mean, in every coordinate."""
    x = torch.randn(2000, 2, generator=generator())
    model = small(x, components=1)
    warm = model.sample(4000, generator=generator(1))
    model.settings = dataclasses.replace(model.settings, temperature=0.5)
    cool = model.sample(4000, generator=generator(1))
    torch.testing.assert_close(cool[:, 0].std(), 0.5 * warm[:, 0].std(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("level", [0.0, -1.0, math.nan])
def test_levels_that_make_no_sense(level: float) -> None:
    with pytest.raises(ValueError, match="level must be above 0"):
        DiscretisedLogistics(level)


# ----------------------------------------------------------------- the model


def small(x: Tensor, **settings: object) -> gencourse.GenerativeModel:
    model = gencourse.build("made", x, **{"components": 3, "width": 12, "depth": 1, **settings})
    model.fit(x, steps=20, progress=False)
    return model.double()


def test_the_density_of_points_integrates_to_one() -> None:
    """Steps of 0.05 are a fraction of every component's width after 20 steps of training."""
    model = small(data.load("ring8").sample(200, generator=generator()))
    ticks = torch.linspace(-15, 15, 601).double()
    with torch.no_grad():
        mass = model.log_prob(torch.cartesian_prod(ticks, ticks)).exp().sum() * 0.05**2
    assert mass.item() == pytest.approx(1, abs=1e-4)


def test_the_conditionals_multiply() -> None:
    """log p(x) is log p(x_1) + log p(x_2 | x_1), each a law by itself."""
    model = small(data.load("moons").sample(200, generator=generator()))
    ticks = torch.linspace(-6, 6, 1201).double()
    for x_1 in (-1.0, 0.3):
        with torch.no_grad():
            line = torch.stack((torch.full_like(ticks, x_1), ticks), dim=1)
            joint = model.log_prob(line).exp()
        p_1 = joint.sum() * 0.01  # ∫ p(x_1, x_2) dx_2
        network, scale = model.average, model.standardise
        z, _ = scale(torch.tensor([[x_1, 9.9]]).double())
        first = MixtureOfGaussians().log_prob(network(z), z)[0, 0].exp() / scale.std[0]
        assert p_1.item() == pytest.approx(first.item(), rel=1e-3)


def test_the_density_of_images_adds_up() -> None:
    """Over every image of 2 × 2 pixels and 3 levels, times the volume δ⁴ = 1 of each."""
    levels = torch.tensor([-1.0, 0.0, 1.0])
    x = levels[torch.randint(3, (40, 1, 2, 2), generator=generator())]
    model = small(x, dropout=0.0, temperature=1.0)
    assert model.level.item() == 1.0
    every = torch.tensor(list(itertools.product(levels.tolist(), repeat=4))).view(-1, 1, 2, 2)
    log_p = model.log_prob(every.double())
    assert log_p.exp().sum().item() == pytest.approx(1, rel=1e-9)
    # Spread evenly over each level, and nothing outside.
    noisy = dequantise(every.double(), 1.0, generator=generator(1))
    assert torch.equal(model.log_prob(noisy), log_p)
    assert model.log_prob(torch.full((1, 1, 2, 2), 1.6).double()).item() == -math.inf
    # And samples come as often as the density says: 9,999 draws of 81 images.
    drawn = model.sample(9_999, generator=generator(2))
    assert set(drawn.unique().tolist()) <= {-1.0, 0.0, 1.0}
    code = ((drawn.flatten(1) + 1) * torch.tensor([27, 9, 3, 1])).sum(1).long()
    frequency = code.bincount(minlength=81) / 9_999
    p = log_p.exp()
    assert ((frequency - p).abs() < 5 * (p * (1 - p) / 9_999).sqrt() + 1e-9).all()


@pytest.mark.parametrize("colours", [1, 3])
def test_images_are_drawn_from_the_density(colours: int) -> None:
    """Mean log-density of samples: what the model says of its own draws, step by step."""
    x = torch.rand(20, colours, 6, 5, generator=generator()).mul(8).round().div(4) - 1
    model = small(x, width=6)
    drawn = model.sample(3, generator=generator(3)).double()
    assert drawn.shape == (3, colours, 6, 5)
    assert model.log_prob(drawn).isfinite().all()
    torch.testing.assert_close(drawn, (drawn * 4).round() / 4)


def test_it_learns_a_gaussian_with_its_correlation() -> None:
    """x_2 | x_1 ~ N(0.8 x_1, 0.6²): the slope and the spread of what it draws.

    20,000 draws leave a standard error of 0.005 on both; the rest is what 600 steps miss.
    """
    z = torch.randn(20_000, 2, generator=generator())
    x = torch.stack((z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]), dim=1)
    model = gencourse.build("made", x, components=1, width=16, depth=1, averaging=0.05, lr=0.01)
    model.fit(x, steps=600, progress=False)
    drawn = model.sample(20_000, generator=generator(1))
    cov = drawn.T.cov()
    slope = cov[0, 1] / cov[0, 0]
    assert slope.item() == pytest.approx(0.8, abs=0.04)
    rest = drawn[:, 1] - slope * drawn[:, 0]
    assert rest.std().item() == pytest.approx(0.6, abs=0.03)
    entropy = math.log(2 * math.pi * math.e) + math.log(0.6)
    assert -model.log_prob(x).mean().item() == pytest.approx(entropy, abs=0.02)


def test_it_comes_near_the_entropy_of_the_ring() -> None:
    """In 600 steps to 0.05 nats. The average is a shorter one, as it lags by 1/rate steps."""
    ring = data.load("ring8")
    model = gencourse.build("made", ring, seed=10, averaging=0.05, lr=0.01, width=64)
    model.fit(ring, steps=600, seed=10, progress=False)
    result = gencourse.evaluate(model, ring, n=2000, seed=10)
    print(result)
    assert result["nll"] - result["entropy"] < 0.05
    assert result["quality"] > 0.95


@pytest.mark.parametrize(
    ("given_one", "complaint"),
    [
        ({"components": 0}, "components must be above 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\), not 1.0"),
        ({"dropout": "no"}, "dropout must be a number"),
        ({"averaging": 2.0}, "averaging must be at most 1"),
        ({"lr": -1.0}, "lr must be above 0"),
    ],
)
def test_settings_that_make_no_sense(given_one: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        gencourse.build("made", torch.zeros(1, 2), **given_one)


# ----------------------------------------------------------------- full runs
