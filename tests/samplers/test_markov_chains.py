"""MALA and HMC leave a law invariant; the leapfrog has the properties that make it so."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from known_laws import BUMPS, Mixture, generator, ring8
from scipy import stats
from torch import Tensor

from gencourse import samplers

TIGHT = Mixture(torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64), 0.25)


def run(which: str, law: Mixture, x: Tensor, size: float, steps: int, **more: Any) -> Any:
    """One of the two samplers, at steps of about ``size`` standard deviations."""
    if which == "mala":
        h = (size * math.sqrt(law.variance)) ** 2 / 2
        return samplers.mala(law.log_prob, x, step_size=h, steps=steps, **more)
    return samplers.hmc(
        law.log_prob,
        x,
        step_size=size * math.sqrt(law.variance),
        leapfrog_steps=4,
        steps=steps,
        **more,
    )


@pytest.mark.parametrize("size", [0.7, 1.3])
@pytest.mark.parametrize("which", ["mala", "hmc"])
def test_a_mixture_is_left_invariant(which: str, size: float) -> None:
    """Chains that start from the law are still of the law, with large steps too.

    The chains are independent, so their last states are an independent sample: the
    Kolmogorov–Smirnov test applies as it stands. Without the accept-reject step it fails, by
    1e-6 and less; see the next test.
    """
    n = 20_000
    chain = run(which, BUMPS, BUMPS.sample(n), size, 30, generator=generator(1))
    assert 0.3 < chain.acceptance.mean() < 0.99
    x = chain.x[:, 0]
    p = stats.kstest(x.numpy(), lambda t: BUMPS.cdf(torch.from_numpy(t)).numpy()).pvalue
    assert p > 1e-3
    mean, var = BUMPS.means.mean().item(), BUMPS.variance + BUMPS.means.var(correction=0).item()
    assert x.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(var / n))
    fourth = (x - mean).pow(4).mean().item()
    error = 4 * math.sqrt(((x - mean).square() - var).square().mean().item() / n)
    assert x.var().item() == pytest.approx(var, abs=error)
    assert fourth > 0


def test_without_the_adjustment_it_is_not() -> None:
    """The check above has the power to see an error: ULA at the same step fails it."""
    h = 1.3**2 * BUMPS.variance / 2
    x = samplers.langevin(
        BUMPS.score, BUMPS.sample(20_000), step_size=h, steps=30, generator=generator(1)
    )
    cdf = BUMPS.cdf(x[:, 0])
    assert stats.kstest(cdf.numpy(), "uniform").pvalue < 1e-6


@pytest.mark.parametrize("which", ["mala", "hmc"])
def test_thinned_chains_of_a_gaussian(which: str) -> None:
    """One long run of a few chains, thinned until its states are nearly independent."""
    chain = run(
        which, TIGHT, TIGHT.sample(50), 1.0, 1200, generator=generator(2), trajectory=True, every=30
    )
    assert chain.x.shape == (41, 50, 3)
    for axis in range(3):
        z = (chain.x[..., axis] - TIGHT.means[0, axis]).flatten() / 0.5
        assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    # Coordinates stay independent: correlations of 2050 points are below 4/√2050.
    white = (chain.x - TIGHT.means).flatten(0, 1)
    correlation = torch.corrcoef(white.T) - torch.eye(3)
    assert correlation.abs().max() < 4 / math.sqrt(len(white))


@pytest.mark.parametrize("which", ["mala", "hmc"])
def test_chains_find_a_law_they_did_not_start_from(which: str) -> None:
    x = torch.full((5000, 3), 3.0, dtype=torch.float64)
    chain = run(which, TIGHT, x, 0.9, 120, generator=generator(3))
    for axis in range(3):
        z = (chain.x[:, axis] - TIGHT.means[0, axis]) / 0.5
        assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("which", ["mala", "hmc"])
def test_small_steps_are_accepted(which: str) -> None:
    rates = [
        run(which, BUMPS, BUMPS.sample(4000), size, 3, generator=generator(1))
        .acceptance.mean()
        .item()
        for size in (1.5, 0.5, 0.1, 0.01)
    ]
    assert rates == sorted(rates)
    assert rates[0] < 0.95
    assert rates[-1] > 0.9999


def test_mala_is_hmc_with_one_leap() -> None:
    """h = ε²/2, the same noise and the same decisions: the same chain to rounding."""
    law, x = BUMPS, BUMPS.sample(500)
    ε = 0.9
    a = samplers.mala(law.log_prob, x, step_size=ε**2 / 2, steps=10, generator=generator(4))
    b = samplers.hmc(
        law.log_prob, x, step_size=ε, leapfrog_steps=1, steps=10, generator=generator(4)
    )
    torch.testing.assert_close(a.x, b.x, rtol=1e-9, atol=1e-9)
    assert torch.equal(a.acceptance, b.acceptance)


# ----------------------------------------------------------------- leapfrog


def quartic(x: Tensor) -> Tensor:
    """Score of exp(-Σ x⁴/4 - x₁²x₂²): curved enough for every term to matter."""
    return -x.pow(3) - 2 * x * x.square().flip(-1)


def energy(x: Tensor, p: Tensor) -> Tensor:
    potential = x.pow(4).sum(-1) / 4 + x.square().prod(-1)
    return potential + 0.5 * p.square().sum(-1)


def phase_point() -> tuple[Tensor, Tensor]:
    z = torch.randn(2, 6, 2, generator=generator(), dtype=torch.float64)
    return z[0], z[1]


def test_leapfrog_is_reversible() -> None:
    x, p = phase_point()
    y, q = samplers.leapfrog(quartic, x, p, step_size=0.1, steps=25)
    assert (y - x).abs().max() > 0.5
    back, momentum = samplers.leapfrog(quartic, y, -q, step_size=0.1, steps=25)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(momentum, -p, rtol=0, atol=1e-12)


def test_leapfrog_preserves_volume() -> None:
    x, p = phase_point()

    def step(z: Tensor) -> Tensor:
        return torch.cat(samplers.leapfrog(quartic, z[:, :2], z[:, 2:], step_size=0.3, steps=5), 1)

    for z in torch.cat([x, p], 1):
        jacobian = torch.autograd.functional.jacobian(step, z[None])[0, :, 0]
        assert torch.linalg.det(jacobian).item() == pytest.approx(1, abs=1e-10)
        # Not for lack of motion.
        assert (jacobian - torch.eye(4)).abs().max() > 0.1


def test_leapfrog_has_an_energy_error_of_second_order() -> None:
    """Over a fixed time, halving ε quarters the error."""
    x, p = phase_point()

    def error(n: int) -> Tensor:
        y, q = samplers.leapfrog(quartic, x, p, step_size=1.0 / n, steps=n)
        return (energy(y, q) - energy(x, p)).abs().max()

    ratios = [(error(n) / error(2 * n)).item() for n in (40, 80, 160)]
    assert all(3.7 < ratio < 4.3 for ratio in ratios)


def test_a_proposal_into_nowhere_is_rejected() -> None:
    """Outside the unit interval the density is 0; no chain gets there, and none gets lost."""

    def log_prob(x: Tensor) -> Tensor:
        inside = (x.abs() < 1).all(1)
        return torch.where(inside, 0 * x.sum(1), torch.full_like(x[:, 0], -math.inf))

    x = torch.zeros(2000, 1, dtype=torch.float64)
    chain = samplers.mala(log_prob, x, step_size=0.2, steps=60, generator=generator())
    assert chain.x.abs().max() < 1
    assert stats.kstest(chain.x[:, 0].numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_the_start_must_have_positive_density() -> None:
    with pytest.raises(ValueError, match="log_prob\\(x\\) at the start holds 3 NaN or infinite"):
        samplers.mala(
            lambda x: torch.log(x.sum(1)), torch.zeros(3, 2), step_size=0.1, steps=1
        )  # fmt: skip


def test_a_log_density_without_gradient() -> None:
    with pytest.raises(ValueError, match="must be differentiable"):
        samplers.mala(lambda x: x.detach().sum(1), torch.zeros(3, 2), step_size=0.1, steps=1)


def test_hmc_in_many_dimensions_goes_far() -> None:
    """ring8 cannot be crossed by a local sampler: a lesson, and a check of the chains' locality."""
    ring = ring8()
    x = ring.means[:1].repeat(200, 1)
    chain = samplers.hmc(
        ring.log_prob, x, step_size=0.05, leapfrog_steps=8, steps=40, generator=generator()
    )
    assert (torch.cdist(chain.x, ring.means).argmin(1) == 0).all()
    assert chain.x.std() > 0.05
