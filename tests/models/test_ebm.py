"""Energy-based model: its density, its chains, its constant, and what it learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.models.ebm import EnergyModel

RING = data.load("ring8")
STEP = 0.05


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(**settings: Any) -> EnergyModel:
    model = gencourse.build("ebm", RING, device="cpu", **settings)
    assert isinstance(model, EnergyModel)
    return model


def grid(model: EnergyModel, half: float = 6.0, step: float = STEP) -> tuple[Tensor, Tensor]:
    """Points on a grid, and the mass of the density around each by the trapezoidal rule."""
    axis = torch.arange(-half, half, step)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_p = torch.cat([model.log_prob(part) for part in points.split(20_000)])
    return points.double(), log_p.double().exp() * step**2


def bumpy(**settings: Any) -> EnergyModel:
    """An untrained model whose energy is far from a square: random weights, not small."""
    model = built(width=16, depth=2, langevin_steps=3, **settings)
    g = generator(3)
    with torch.no_grad():
        for network in (model.network, model.average.module):
            g.manual_seed(3)
            for p in network.parameters():
                p.copy_(0.6 * torch.randn(p.shape, generator=g))
    return model


@pytest.fixture(scope="module")
def trained() -> EnergyModel:
    """A sixth of the default training: about five seconds."""
    model = built(seed=3, temperatures=100)
    model.fit(RING, steps=700, seed=3, progress=False)
    return model


# ----------------------------------------------------------------- the density


def test_untrained_it_is_a_gaussian() -> None:
    model = built()
    x = 3 * torch.randn(50, 2, generator=generator())
    normal = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(model.log_prob(x), normal.log_prob(x).sum(1))
    # And so after centring and scaling: log p gains -d log s.
    model.centre, model.scale = torch.tensor([1.0, -2.0]), torch.tensor(3.0)
    u = (x - model.centre) / 3
    torch.testing.assert_close(model.log_prob(x), normal.log_prob(u).sum(1) - 2 * math.log(3))
    drawn = model.sample(5000, generator=generator())
    assert (drawn.mean(0) - model.centre).abs().max() < 4 * 3 / math.sqrt(1000)  # 1024 chains
    assert drawn.std().item() == pytest.approx(3, rel=0.15)


def test_the_constant_is_that_of_the_grid() -> None:
    """Annealed importance sampling against quadrature, for an energy with bumps."""
    model = bumpy(temperatures=100, particles=1000)
    model.step_size = torch.tensor(0.15)
    found = model.estimate_log_z(generator=generator())
    _, mass = grid(model, half=8)
    truth = mass.sum().log().item() + model.log_z.item()
    print(found.log_z, found.standard_error, truth)
    assert abs(truth - math.log(2 * math.pi)) > 0.5  # the network does matter
    assert found.standard_error < 0.1
    assert found.log_z.item() == pytest.approx(truth, abs=4 * found.standard_error.item())


def test_the_density_integrates_to_one(trained: EnergyModel) -> None:
    """On a grid, within four of the standard errors that it states for log Z."""
    _, mass = grid(trained)
    print(mass.sum(), trained.log_z_error)
    assert 0 < trained.log_z_error < 0.05
    assert mass.sum().log().item() == pytest.approx(0, abs=4 * trained.log_z_error.item())


def test_log_densities_have_gradients() -> None:
    """The score, against central differences in float64."""
    model = bumpy().double()
    x = RING.sample(4, generator=generator()).double().requires_grad_()
    assert torch.autograd.gradcheck(model.log_prob, (x,), eps=1e-6, atol=1e-6, rtol=1e-5)


# ----------------------------------------------------------------- the chains


@pytest.mark.parametrize("step_size", [0.02, 0.4])
def test_the_chains_leave_the_density_invariant(step_size: float) -> None:
    """From the law itself, drawn off the grid: the same moments after many rounds.

    4000 chains; a mean has a standard error of σ/√4000, and four of them are allowed.
    """
    model = bumpy(sample_rounds=20)
    model.step_size = torch.tensor(step_size)
    points, mass = grid(model, half=8, step=0.04)
    mass = mass / mass.sum()
    n = 4000
    chosen = torch.multinomial(mass, n, replacement=True, generator=generator())
    jitter = 0.04 * (torch.rand(n, 2, generator=generator(1)) - 0.5)
    u = points[chosen].float() + jitter
    g = generator(2)
    for _ in range(20):
        u, acceptance = model._round(model.average, u, g)
    assert 0 < acceptance <= 1
    for feature in (lambda x: x, torch.square, torch.sin, lambda x: (2 * x).cos(), torch.relu):
        wanted = mass @ feature(points)
        spread = (mass @ feature(points).square() - wanted.square()).sqrt()
        error = (feature(u.double()).mean(0) - wanted) / (spread / math.sqrt(n))
        assert error.abs().max() < 4


def test_the_jump_alone_finds_the_density() -> None:
    """Langevin steps of no size: only proposals from N(0, I) move, and they are weighed right."""
    model = bumpy()
    model.step_size = torch.tensor(1e-12)
    points, mass = grid(model, half=8)
    u = torch.randn(4000, 2, generator=generator())
    g = generator(1)
    for _ in range(60):
        u, _ = model._round(model.average, u, g)
    wanted = (mass / mass.sum()) @ points
    before = torch.randn(4000, 2, generator=generator()).double().mean(0)
    assert (u.double().mean(0) - wanted).abs().max() < 0.08
    assert (before - wanted).abs().max() > 0.3


def test_the_step_size_is_held_at_its_acceptance(trained: EnergyModel) -> None:
    u, rates = trained.chains, []
    for seed in range(10):
        u, rate = trained._round(trained.network, u, generator(seed))
        rates.append(rate.item())
    assert sum(rates) / 10 == pytest.approx(0.6, abs=0.12)
    assert trained.step_size < 0.09  # the modes are narrow


@pytest.mark.parametrize("negatives", ["pcd", "cd"])
def test_where_the_negatives_start(negatives: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Persistent ones where they stopped; those of contrastive divergence at the data."""
    model = built(negatives=negatives, chains=32, batch=16, width=4, particles=4, temperatures=2)
    starts: list[Tensor] = []
    original = model._round

    def recorded(network: Any, u: Tensor, g: Any) -> tuple[Tensor, Tensor]:
        starts.append(u.clone())
        return original(network, u, g)

    monkeypatch.setattr(model, "_round", recorded)
    chains = model.chains.clone()
    # All data are one of two points.
    x = torch.tensor([[3.0, 3.0], [5.0, 5.0]]).repeat(20, 1)
    model.fit(x, steps=1, progress=False)
    (start,) = starts
    assert start.shape == (16, 2)
    if negatives == "cd":
        assert torch.cdist(start, (x[:2] - model.centre) / model.scale).min(1).values.max() < 2e-3
    else:
        assert torch.cdist(start, chains).min(1).values.max() < 2e-3
    # 16 of the chains have moved to where the negatives stopped.
    moved = (model.chains != chains).any(1).sum()
    assert 0 < moved <= 16


def test_the_gradient_is_that_of_the_likelihood() -> None:
    """E_data ∇f - E_p ∇f, with chains at their law, against autograd of the exact log p.

    On a grid Z, and so the likelihood, is a differentiable function of the weights.
    """
    model = bumpy()
    points, mass = grid(model, half=8)
    mass = mass / mass.sum()
    x = RING.sample(4000, generator=generator()) / 2

    def flat(value: Tensor) -> Tensor:
        parts = torch.autograd.grad(value, list(model.network.parameters()))
        return torch.cat([p.flatten() for p in parts])

    log_f = model._log_f(model.network, points.float())
    log_z = log_f.logsumexp(0) + 2 * math.log(STEP)
    exact = flat(log_z - model._log_f(model.network, x).mean())
    u = points[torch.multinomial(mass, 4000, replacement=True, generator=generator())].float()
    for seed in range(3):
        u, _ = model._round(model.network, u, generator(seed))
    found = flat(model.network(x).mean() - model.network(u).mean())
    assert (found - exact).norm() / exact.norm() < 0.15


def test_the_noise_is_removed_from_samples() -> None:
    """Untrained, y ~ N(0, I) with noise σ² in it: the mean of the data given y is (1 - σ²) y."""
    plain, noised = built(), built(noise=0.6)
    a, b = (m.sample(50, generator=generator()) for m in (plain, noised))
    torch.testing.assert_close(b, (1 - 0.36) * a)


def test_images_stay_in_range() -> None:
    model = gencourse.build(
        "ebm", data.load("digits"), width=4, device="cpu", sample_rounds=1, langevin_steps=1
    )
    assert model.sample(20, generator=generator()).abs().max() <= 1


# ----------------------------------------------------------------- what it learns


def test_it_learns_the_ring(trained: EnergyModel) -> None:
    """A sixth of the training: all modes, and half way from a Gaussian's 3.54 nats to 0.35."""
    x = trained.sample(4000, generator=generator())
    assert RING.modes is not None
    nearest = torch.cdist(x, RING.modes).argmin(1)
    shares = torch.bincount(nearest, minlength=8) / len(x)
    nll = -trained.log_prob(RING.sample(4000, generator=generator(1))).mean().item()
    radius = x.norm(dim=1)
    print(shares, nll, radius.mean(), radius.std())
    assert shares.min() > 0.05
    assert shares.max() < 0.25
    assert nll < 2.2
    assert radius.mean().item() == pytest.approx(2, abs=0.15)


# ----------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"negatives": "sgld"}, "negatives must be 'pcd' or 'cd', not 'sgld'"),
        ({"chains": 10, "batch": 11}, "batch must be at most the number of chains, 10"),
        ({"beta1": 1.0}, r"beta1 must be a number in \[0, 1\)"),
        ({"particles": 1}, "particles must be at least 2"),
        ({"noise": -0.1}, "noise must be above 0"),
        ({"regulariser": math.nan}, "regulariser must be above 0"),
        ({"langevin_steps": 0}, "langevin_steps must be above 0"),
        ({"averaging": 2.0}, "averaging must be at most 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        built(**settings)


@pytest.mark.parametrize("rounds", [0, -1, 1.5])
def test_sampling_that_makes_no_sense(rounds: Any) -> None:
    with pytest.raises(ValueError, match="rounds must be"):
        built(width=4).sample(3, rounds=rounds)


# ----------------------------------------------------------------- the bars
