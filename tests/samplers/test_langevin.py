"""ULA against the closed form of its own error, and annealed Langevin on exact scores."""

from __future__ import annotations

import math

import pytest
import torch
from known_laws import BUMPS, generator, ring8

from gencourse import samplers


@pytest.mark.parametrize("h", [0.05, 0.5, 1.2])
def test_ula_settles_at_its_biased_variance(h: float) -> None:
    """For N(0, σ²): x' = (1 - h/σ²) x + √(2h) ξ, so v = (1 - h/σ²)² v + 2h, v = σ²/(1 - h/2σ²).

    The variance of n independent normals has a standard error of √(2/n) of itself, 0.45 %
    for n = 100,000; four of them are allowed.
    """
    σ2 = 2.0
    n = 100_000
    expected = σ2 / (1 - h / (2 * σ2))
    # From the stationary law of the *continuous* diffusion: the start is forgotten like
    # (1 - h/σ²)^2k, below 1e-3 after these steps.
    steps = math.ceil(math.log(1e-3) / (2 * math.log(abs(1 - h / σ2))))
    x = math.sqrt(σ2) * torch.randn(n, 1, generator=generator(), dtype=torch.float64)
    x = samplers.langevin(lambda x: -x / σ2, x, step_size=h, steps=steps, generator=generator(1))
    tolerance = 4 * math.sqrt(2 / n)
    assert x.var().item() == pytest.approx(expected, rel=tolerance)
    assert x.mean().item() == pytest.approx(0, abs=4 * math.sqrt(expected / n))
    if h >= 0.5:
        # It is the biased value that is met, not σ².
        assert x.var().item() > σ2 * (1 + 2 * tolerance)


def test_ula_explodes_beyond_its_limit() -> None:
    """h > 2σ² multiplies the state by |1 - h/σ²| > 1 in every step."""
    x = samplers.langevin(
        lambda x: -x, torch.ones(10, 1), step_size=2.5, steps=60, generator=generator()
    )
    assert x.abs().max() > 1e6


def test_one_step_by_hand() -> None:
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    found = samplers.langevin_step(lambda x: -3 * x, x, 0.1, generator=generator())
    ξ = torch.randn(1, 2, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(found, x - 0.3 * x + math.sqrt(0.2) * ξ)


def test_annealed_langevin_finds_all_modes_evenly() -> None:
    """On the exact scores of the noised ring, from points that know nothing of it.

    4000 samples: a share of 1/8 has a standard error of 0.0052, and the bound is 4 of them.
    """
    ring = ring8()
    sigmas = samplers.geometric_sigmas(2.0, 0.01, 10)
    x = 2 * torch.randn(4000, 2, generator=generator(), dtype=torch.float64)
    x = samplers.annealed_langevin(
        lambda x, sigma: ring.noised(1.0, float(sigma) ** 2).score(x),
        x,
        sigmas,
        step_size=0.2 * 0.01**2,
        steps=30,
        generator=generator(1),
    )
    distance, nearest = torch.cdist(x, ring.means).min(1)
    shares = torch.bincount(nearest, minlength=8) / len(x)
    assert (shares - 1 / 8).abs().max() < 4 * math.sqrt(1 / 8 * 7 / 8 / len(x))
    # 98.9 % of a Gaussian in the plane lie within 3σ; the chain adds what noise is left.
    assert (distance < 0.3).double().mean() > 0.96
    # Without annealing the chains stay near the mode that they start at the side of.
    stuck = samplers.langevin(
        ring.score, torch.tensor([[2.0, 0.1]]).double().repeat(500, 1), step_size=2e-3, steps=300,
        generator=generator(),
    )  # fmt: skip
    assert (torch.cdist(stuck, ring.means).argmin(1) == 0).all()


def test_the_step_of_each_noise_level() -> None:
    """α_i = ε σ_i² / σ_L², seen from the moves of a zero score: variance α_i in each step."""
    x = torch.zeros(200_000, 1, dtype=torch.float64)
    path = samplers.annealed_langevin(
        lambda x, sigma: torch.zeros_like(x), x, [3.0, 0.5], step_size=0.01, steps=1,
        generator=generator(), trajectory=True,
    )  # fmt: skip
    assert path.shape == (3, 200_000, 1)
    variances = path.diff(dim=0).var(dim=(1, 2))
    # Standard error √(2/n) = 0.3 %.
    torch.testing.assert_close(
        variances, torch.tensor([0.01 * 36, 0.01], dtype=torch.float64), rtol=0.013, atol=0
    )


def test_one_annealed_step_by_hand() -> None:
    """x + (α/2) s + √α ξ: a Langevin step of size h = α/2."""
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    found = samplers.annealed_langevin(
        lambda x, sigma: -x / sigma, x, [2.0], step_size=0.3, steps=1, generator=generator()
    )
    half = samplers.langevin_step(lambda x: -x / 2, x, 0.15, generator=generator())
    torch.testing.assert_close(found, half)


def test_denoising_is_tweedies_formula() -> None:
    """The posterior mean under a Gaussian prior N(0, 1) with noise σ²: x / (1 + σ²)."""

    def score(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return -x / (1 + sigma**2)

    given = {"step_size": 1e-12, "steps": 1, "generator": generator()}
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    found = samplers.annealed_langevin(score, x, [0.7], denoise=True, **given)
    torch.testing.assert_close(found, x / (1 + 0.49), rtol=1e-4, atol=1e-5)


def test_a_score_pulls_to_the_density() -> None:
    """ULA with a small step on two bumps: moments within its O(h) bias and Monte Carlo error."""
    n, h = 20_000, 0.02
    x = samplers.langevin(
        BUMPS.score, BUMPS.sample(n), step_size=h, steps=100, generator=generator(1)
    )
    mean, var = BUMPS.means.mean(), BUMPS.variance + BUMPS.means.var(correction=0)
    assert x.mean().item() == pytest.approx(mean.item(), abs=4 * math.sqrt(var / n) + h)
    assert x.var().item() == pytest.approx(var.item(), rel=4 * math.sqrt(2 / n) + 2 * h)


@pytest.mark.parametrize("wrong", [(0.1, 1.0), (1.0, 1.0), (1.0, -0.1), (1.0, 0.0), ()])
def test_noise_levels_that_make_no_sense(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sigmas"):
        samplers.annealed_langevin(lambda x, s: -x, torch.zeros(3, 2), wrong)


@pytest.mark.parametrize(
    ("highest", "lowest", "levels"), [(0.1, 1.0, 3), (1.0, 1.0, 2), (1.0, 0.0, 3), (1.0, 0.1, 0)]
)
def test_geometric_levels_that_make_no_sense(highest: float, lowest: float, levels: int) -> None:
    with pytest.raises(ValueError, match=r"highest|lowest|levels"):
        samplers.geometric_sigmas(highest, lowest, levels)


def test_geometric_levels() -> None:
    sigmas = samplers.geometric_sigmas(1.0, 0.01, 10).double()
    assert sigmas[0].item() == pytest.approx(1, rel=1e-6)
    assert sigmas[-1].item() == pytest.approx(0.01, rel=1e-6)
    ratios = sigmas[1:] / sigmas[:-1]
    torch.testing.assert_close(ratios, torch.full_like(ratios, 0.01 ** (1 / 9)), rtol=1e-6, atol=0)
