"""Noise-conditional score network: its objective, its scores against exact ones, its sampler."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.data.toys import GaussianMixture
from gencourse.models.ncsn import ScoreNetwork

RING = data.load("ring8")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(**settings: Any) -> ScoreNetwork:
    model = gencourse.build("ncsn", RING, device="cpu", **settings)
    assert isinstance(model, ScoreNetwork)
    return model


def noised(sigma: float) -> GaussianMixture:
    """The exact law of the ring with noise of standard deviation σ added."""
    assert RING.modes is not None
    return GaussianMixture(RING.modes.double(), math.hypot(0.1, sigma))


def exact_score(x: Tensor, sigma: float) -> Tensor:
    x = x.double().requires_grad_()
    log_p = noised(sigma).log_prob(x)
    assert log_p is not None
    return torch.autograd.grad(log_p.sum(), x)[0]


def relative_error(model: ScoreNetwork, sigma: float) -> float:
    """Error of the score in L2 under the marginal, relative to the score itself."""
    x = noised(sigma).sample(5000, generator=generator(7))
    truth = exact_score(x, sigma)
    found = model.score(x, sigma).detach().double()
    return ((found - truth).square().sum() / truth.square().sum()).sqrt().item()


@pytest.fixture(scope="module")
def trained() -> ScoreNetwork:
    """A quarter of the default training: about five seconds."""
    model = built(seed=3)
    model.fit(RING, steps=1500, seed=3, progress=False)
    return model


# ----------------------------------------------------------------- noise levels and objective


def test_the_levels_are_geometric_in_units_of_the_data(trained: ScoreNetwork) -> None:
    sigmas = trained.sigmas.double()
    assert len(sigmas) == 10
    # The ring has a variance of (2² + 2·0.1²)/2 in each coordinate; 65,536 samples.
    assert trained.scale.item() == pytest.approx(math.sqrt(2.01), rel=0.01)
    assert sigmas[0].item() == pytest.approx(trained.scale.item(), rel=1e-5)
    assert sigmas[-1].item() == pytest.approx(0.01 * trained.scale.item(), rel=1e-5)
    ratios = sigmas[1:] / sigmas[:-1]
    torch.testing.assert_close(ratios, torch.full_like(ratios, 0.01 ** (1 / 9)), rtol=1e-5, atol=0)


def test_the_loss_tells_how_much_of_the_noise_is_known() -> None:
    """With weight σ², an idle network (s = 0) costs E‖ε‖²/d = 1 at every level.

    The least cost is 1 - σ² E‖∇log q_σ‖²/d, averaged over the levels; here by Monte Carlo.
    """
    model = built(lr=1e-9, averaging=1.0)
    with torch.no_grad():
        model.network.out.weight.zero_()  # type: ignore[union-attr]
        model.network.out.bias.zero_()  # type: ignore[union-attr]
    history = model.fit(RING, steps=200, seed=0, progress=False)
    losses = history.metrics["loss"]
    # 20 records of 512 · 2 squares each: a standard error of √(2/20480) = 0.01.
    assert sum(losses) / len(losses) == pytest.approx(1, abs=0.04)


def test_training_approaches_the_least_loss(trained: ScoreNetwork) -> None:
    """E‖σs + ε‖²/d at the truth is 1 - σ² E‖∇log q_σ‖²/d; a trained network is above, by little."""
    true_loss, loss = [], []
    for sigma in trained.sigmas.tolist():
        x = RING.sample(20_000, generator=generator())
        noise = torch.randn(x.shape, generator=generator(1))
        y = x + sigma * noise
        residual = (sigma * trained.score(y, sigma).detach() + noise).square()
        loss.append(residual.mean().item())
        true_loss.append(1 - sigma**2 * exact_score(y, sigma).square().mean().item())
    print(true_loss, loss)
    for a, b in zip(true_loss, loss, strict=True):
        # Mean of 40,000 squares: a standard error of 0.007.
        assert a - 0.03 < b < a + 0.06


# ----------------------------------------------------------------- the scores


def test_the_score_is_that_of_the_noised_mixture(trained: ScoreNetwork) -> None:
    """Two seeds gave 0.07 to 0.17 at the levels above, 0.14 to 0.28 at the two lowest."""
    errors = [relative_error(trained, sigma) for sigma in trained.sigmas.tolist()]
    print(errors)
    assert max(errors[:8]) < 0.25
    assert max(errors) < 0.4
    # The check can fail: a score of the next noise level is further off.
    sigma, other = trained.sigmas[4].item(), trained.sigmas[3].item()
    x = noised(sigma).sample(2000, generator=generator())
    truth = exact_score(x, sigma)
    assert (trained.score(x, other).detach() - truth).norm() / truth.norm() > 0.3


def test_one_noise_level_for_each_row(trained: ScoreNetwork) -> None:
    x = RING.sample(3, generator=generator())
    levels = trained.sigmas[[0, 4, 9]]
    together = trained.score(x, levels)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], trained.score(x[i : i + 1], levels[i]))


def test_the_score_keeps_the_kind_of_tensor(trained: ScoreNetwork) -> None:
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert trained.score(torch.ones(3, 2, dtype=dtype), 0.5).dtype == dtype
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\)"):
        trained.score(torch.zeros(3, 3), 0.5)


@pytest.mark.parametrize("sigma", [0.0, -1.0, 1e-3, 100.0, math.nan])
def test_a_noise_level_that_was_not_learned(trained: ScoreNetwork, sigma: float) -> None:
    with pytest.raises(ValueError, match=r"sigma must lie in \[0\.0141\d, 1\.41\d\]"):
        trained.score(torch.zeros(3, 2), sigma)
    with pytest.raises(ValueError, match="one number, or one for each of 3 rows"):
        trained.score(torch.zeros(3, 2), torch.ones(2))


# ----------------------------------------------------------------- the sampler


class Exact(ScoreNetwork):
    """A model whose network knows the truth."""

    def _score(self, x: Tensor, sigma: Tensor) -> Tensor:
        with torch.enable_grad():
            return exact_score(x.detach(), float(sigma)).to(x.dtype)


def check_shares(x: Tensor, spare: float = 0.0) -> Tensor:
    """All modes, each with 1/8 within four standard errors; return the distances to them."""
    assert RING.modes is not None
    distance, nearest = torch.cdist(x, RING.modes).min(1)
    shares = torch.bincount(nearest, minlength=8) / len(x)
    assert (shares - 1 / 8).abs().max() < 4 * math.sqrt(7 / 64 / len(x)) + spare
    return distance


def test_with_exact_scores_the_samples_are_exact() -> None:
    model = built()
    model.__class__ = Exact
    model.scale = torch.tensor(1.418)
    model.sigmas = model.sigmas * 1.418
    model.centre = torch.tensor([0.1, -0.1])
    distance = check_shares(model.sample(4000, generator=generator()))
    # Langevin steps that large leave the modes a little wide.
    width = (distance.square().mean() / 2).sqrt().item()
    assert width == pytest.approx(0.1, rel=0.15)


def test_it_learns_the_ring(trained: ScoreNetwork) -> None:
    """Short of the bar's training, but all modes, evenly."""
    x = trained.sample(4000, generator=generator())
    distance = check_shares(x, spare=0.02)
    assert (distance < 0.3).double().mean() > 0.85


def test_samples_come_from_the_averaged_weights(trained: ScoreNetwork) -> None:
    pairs = list(zip(trained.network.parameters(), trained.average.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in pairs)
    before = trained.sample(5, generator=generator(), steps=2)
    saved = [a.clone() for a, _ in pairs]
    with torch.no_grad():
        for a, _ in pairs:
            a.zero_()
    assert torch.equal(trained.sample(5, generator=generator(), steps=2), before)
    with torch.no_grad():
        for (a, _), old in zip(pairs, saved, strict=True):
            a.copy_(old)


def test_images_stay_in_range() -> None:
    model = gencourse.build("ncsn", data.load("digits"), width=8, device="cpu", langevin_steps=1)
    assert model.sample(20, generator=generator()).abs().max() <= 1


# ----------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sigma_max": 0.01}, "sigma_max must be above sigma_min"),
        ({"sigma_min": 0.0}, "sigma_min must be above 0"),
        ({"levels": 1}, "levels must be at least 2"),
        ({"levels": 2.0}, "levels must be a whole number"),
        ({"langevin_step": 4.0}, "langevin_step must be below 4"),
        ({"langevin_steps": 0}, "langevin_steps must be above 0"),
        ({"averaging": 2.0}, "averaging must be at most 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        built(**settings)


@pytest.mark.parametrize("steps", [0, -1, 1.5])
def test_sampling_that_makes_no_sense(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps must be"):
        built(width=4).sample(3, steps=steps)


# ----------------------------------------------------------------- the bars


@pytest.mark.nightly
def test_the_score_after_full_training() -> None:
    """0.03 to 0.08, and 0.11 at the lowest noise, a seventh of a mode's width."""
    model = built(seed=0)
    model.fit(RING, seed=0, progress=False)
    errors = [relative_error(model, sigma) for sigma in model.sigmas.tolist()]
    print(errors)
    assert max(errors) < 0.2
