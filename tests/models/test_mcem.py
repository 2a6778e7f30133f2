"""Monte Carlo EM against exact EM: unbiased, off by 1/√M, and near the same answer."""

from __future__ import annotations

import math

import pytest
import ring8_bar
import torch
from scipy.stats import chisquare, multinomial
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.models.gmm import GaussianMixture, MonteCarloMixture


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(slug: str, x: Tensor, **settings: float) -> GaussianMixture:
    model = gencourse.build(slug, x, **settings)
    assert isinstance(model, GaussianMixture)
    return model


def sampler(k: int = 4) -> MonteCarloMixture:
    model = build("gmm-mcem", torch.zeros(1, 2), components=k)
    assert isinstance(model, MonteCarloMixture)
    return model


def responsibilities(n: int, k: int = 4, seed: int = 0) -> Tensor:
    return torch.softmax(torch.randn(n, k, generator=generator(seed)).double(), 1)


# ----------------------------------------------------------------- the E-step


def test_shares_are_multinomial_counts() -> None:
    """20,000 rows with the same responsibilities: the counts follow the multinomial law."""
    r = torch.tensor([0.5, 0.3, 0.2]).double()
    n, M = 20_000, 3
    counts = M * sampler(3).sampled_responsibility(r.repeat(n, 1), M, generator=generator())
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-12)
    outcomes = [(a, b, M - a - b) for a in range(M + 1) for b in range(M + 1 - a)]
    seen = [int((counts.round() == torch.tensor(o)).all(1).sum()) for o in outcomes]
    p = (0.5, 0.3, 1 - 0.5 - 0.3)  # which sum to 1 exactly
    expected = [n * multinomial.pmf(o, M, p) for o in outcomes]
    assert sum(seen) == n
    assert chisquare(seen, expected).pvalue > 1e-3


@pytest.mark.parametrize("M", [1, 7, 600_000])
def test_shares_sum_to_one_and_are_unbiased(M: int) -> None:
    """The largest M does not fit into one block of draws."""
    n = 20_000 if M < 100 else 3
    r = responsibilities(1).repeat(n, 1)
    share = sampler().sampled_responsibility(r, M, generator=generator())
    torch.testing.assert_close(share.sum(1), torch.ones(n).double())
    # Five standard errors of the mean over all n M draws.
    sigma = (r[0] * (1 - r[0]) / (n * M)).sqrt()
    assert ((share.mean(0) - r[0]).abs() < 5 * sigma).all()


def test_the_error_falls_with_the_root_of_the_draws() -> None:
    """The mean square error is exactly Σ_k r_k (1 - r_k) / M."""
    r = responsibilities(4000)
    for M in (1, 4, 16, 64, 256):
        error = sampler().sampled_responsibility(r, M, generator=generator(M)) - r
        expected = (r * (1 - r)).sum(1).mean() / M
        # The mean over 4000 rows of numbers with a relative spread of about 1: 1.6 %.
        assert error.square().sum(1).mean().item() == pytest.approx(expected.item(), rel=0.08)


def test_memory_does_not_grow_with_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than a block of draws at once."""
    sizes = []
    plain = torch.multinomial

    def spy(*args: object, **kwargs: object) -> Tensor:
        drawn = plain(*args, **kwargs)  # type: ignore[arg-type, call-overload]
        sizes.append(drawn.numel())
        return drawn

    monkeypatch.setattr(torch, "multinomial", spy)
    monkeypatch.setattr("gencourse.models.gmm.BLOCK", 1000)
    sampler().sampled_responsibility(responsibilities(300), 50, generator=generator())
    assert sum(sizes) == 300 * 50
    assert max(sizes) <= 1000


def test_no_draws() -> None:
    with pytest.raises(ValueError, match="M must be above 0"):
        sampler().sampled_responsibility(responsibilities(3), 0)


# ----------------------------------------------------------------- whole runs


def test_with_many_draws_a_run_is_that_of_em() -> None:
    """After 5 iterations with M = 20,000 means and covariances agree to 1 %."""
    x = data.load("two_gaussians").sample(400, generator=generator())
    exact = build("gmm", x, components=2)
    sampled = build("gmm-mcem", x, components=2, draws=20_000, growth=1.0)
    for model in (exact, sampled):
        model.fit(x, steps=5, progress=False)
    torch.testing.assert_close(sampled.means, exact.means, rtol=0.01, atol=0.01)
    torch.testing.assert_close(sampled.covariances, exact.covariances, rtol=0.01, atol=0.01)


def test_more_draws_come_nearer_to_the_answer_of_em() -> None:
    """Overlapping clusters, where responsibilities are soft: the distance falls about as 1/√M."""
    truth = data.load("two_gaussians")
    x = 0.5 * torch.randn(1000, 2, generator=generator(1)) + truth.sample(
        1000, generator=generator()
    )
    exact = build("gmm", x, components=2)
    exact.fit(x, steps=200, progress=False)

    def gap(M: int) -> float:
        model = build("gmm-mcem", x, components=2, draws=M, growth=1.0)
        model.weights, model.means = exact.weights, exact.means
        model.covariances = exact.covariances
        total = 0.0
        for i in range(20):  # around the fixed point of EM
            share = model._weigh(exact.e_step(x)[0].exp(), i, g)  # type: ignore[attr-defined]
            model.m_step(x, share)
            total += (model.means - exact.means).square().sum().item()
        return math.sqrt(total / 20)

    g = generator()
    few, many = gap(2), gap(200)
    # √100 = 10; twenty repetitions know each to about 15 %.
    assert 6 < few / many < 16


def test_the_number_of_draws_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    plain = MonteCarloMixture.sampled_responsibility

    def spy(self: MonteCarloMixture, r: Tensor, M: int, **kwargs: torch.Generator) -> Tensor:
        asked.append(M)
        return plain(self, r, M, **kwargs)

    monkeypatch.setattr(MonteCarloMixture, "sampled_responsibility", spy)
    model = build("gmm-mcem", torch.zeros(1, 2), components=2, draws=3, growth=1.5)
    model.fit(torch.randn(50, 2, generator=generator()), steps=5, progress=False)
    assert asked == [3, 5, 7, 11, 16]  # ⌈3 · 1.5^i⌉


def test_the_bar_on_the_ring() -> None:
    """It ends where EM does: at the entropy of the data."""
    ring = data.load("ring8")
    model = gencourse.build("gmm-mcem", ring)
    model.fit(ring, steps=12, progress=False)
    result = ring8_bar.measure(model, 0)
    assert ring8_bar.shortcomings(result) == []
    assert result["quality"] > 0.97
    assert result["largest_share"] < 1.2
    assert result["w1"] < 2 * 0.105
    assert result["nll"] - result["entropy"] < 0.005


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"draws": 0}, "draws must be above 0"),
        ({"draws": 1.5}, "draws must be a whole number"),
        ({"growth": 0.9}, r"growth must be at least 1, not 0\.9"),
        ({"growth": math.nan}, "growth must be above 0"),
        ({"components": 0}, "components must be above 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        gencourse.build("gmm-mcem", torch.zeros(1, 2), **settings)
