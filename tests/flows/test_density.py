"""The laws that flows start from, against torch.distributions, and the densities they make."""

from __future__ import annotations

import math

import pytest
import torch
from flow_checks import generator, normal, shaken
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from gencourse import flows
from gencourse.flows import architectures


def mixture(shape: tuple[int, ...] = (2,), K: int = 3, seed: int = 0) -> flows.DiagonalMixture:
    base = flows.DiagonalMixture(shape, K).double()
    with torch.no_grad():
        for i, p in enumerate(base.parameters()):
            p.copy_(normal(*p.shape, seed=seed + i))
    return base


def oracle(base: flows.DiagonalMixture) -> MixtureSameFamily:
    components = Independent(Normal(base.means, base.log_stds.exp()), 1)
    return MixtureSameFamily(Categorical(logits=base.logits), components)


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3, 3)])
@pytest.mark.parametrize("K", [1, 5])
def test_the_mixture_against_torch_distributions(shape: tuple[int, ...], K: int) -> None:
    base = mixture(shape, K)
    z = 2 * normal(50, *shape, seed=9)
    theirs = oracle(base).log_prob(z.flatten(1))
    torch.testing.assert_close(base.log_prob(z), theirs, rtol=1e-9, atol=1e-9)


def test_one_component_at_the_origin_is_the_standard_normal() -> None:
    base = flows.DiagonalMixture((3,), 1).double()
    with torch.no_grad():
        base.means.zero_()
    z = normal(20, 3)
    torch.testing.assert_close(base.log_prob(z), flows.StandardNormal().log_prob(z))
    assert torch.equal(flows.StandardNormal().draw(z, torch.zeros(20)), z)
    torch.testing.assert_close(base.draw(z, torch.rand(20, generator=generator()).double()), z)


def test_draws_have_the_law_of_the_density() -> None:
    """Shares of the components, and mean and variance within each; 200,000 draws.

    A share has a standard error of at most 0.0011, a mean or a variance of a component with a
    fifth of the draws of 0.005 σ or 0.007 σ²; the bounds are four of them.
    """
    n, base = 200_000, mixture(K=3)
    with torch.no_grad():
        base.means.copy_(20 * torch.eye(3, 2) - 5)  # far apart: the nearest mean tells which
        base.logits.copy_(torch.tensor([0.2, 0.3, 0.5]).log())
        base.log_stds.mul_(0.3)
        z = base.draw(normal(n, 2), torch.rand(n, generator=generator(1)).double())
    k = torch.cdist(z, base.means).argmin(1)
    for i, share in enumerate((0.2, 0.3, 0.5)):
        own, std = z[k == i], base.log_stds[i].exp()
        assert len(own) / n == pytest.approx(share, abs=0.0045)
        assert ((own.mean(0) - base.means[i]).abs() / std).max() < 0.02
        assert (own.var(0) / std.square() - 1).abs().max() < 0.03


def test_a_draw_of_one_has_a_component_to_fall_on() -> None:
    """Rounding may leave the last end of the weights below a ``u`` just under 1."""
    for seed in range(100):
        base = flows.DiagonalMixture((2,), 1000)
        with torch.no_grad():
            base.logits.normal_(generator=generator(seed))
        if base.logits.softmax(0).cumsum(0)[-1] < 1:
            break
    assert base.logits.softmax(0).cumsum(0)[-1] < 1
    assert base.draw(torch.zeros(1, 2), torch.ones(1)).isfinite().all()


def clusters(n: int = 3000) -> Tensor:
    centres = torch.tensor([[0.0, 9.0], [8.0, -3.0], [-7.0, -4.0], [1.0, 0.0]])
    k = torch.randint(4, (n,), generator=generator())
    spread = torch.tensor([[1.0, 0.2], [0.3, 0.3], [0.5, 1.0], [0.2, 0.4]])
    return centres[k] + spread[k] * torch.randn(n, 2, generator=generator(1))


def test_it_begins_at_the_clusters() -> None:
    """Of four well-separated Gaussians k-means finds means and spreads.

    So it begins at about their entropy, 0.3 below which no density can be.
    """
    x = clusters()
    base = flows.DiagonalMixture((2,), 4)
    base.measure(x, generator=generator(3))
    assert (base.logits.softmax(0) - 0.25).abs().max() < 0.05
    areas = torch.tensor([0.2, 0.09, 0.5, 0.08])  # σ_1 σ_2
    entropy = math.log(4) + math.log(2 * math.pi * math.e) + areas.log().mean().item()
    assert -base.log_prob(x).mean().item() == pytest.approx(entropy, abs=0.05)
    again = flows.DiagonalMixture((2,), 4)
    again.measure(x, generator=generator(3))
    assert torch.equal(base.means, again.means)


def test_what_it_cannot_begin_with() -> None:
    with pytest.raises(ValueError, match="5 samples cannot begin 6 components"):
        flows.DiagonalMixture((2,), 6).measure(clusters(5))
    with pytest.raises(ValueError, match="components must be above 0"):
        flows.DiagonalMixture((2,), 0)
    for value in (1.0, 0.0, 1e4):  # no spread at all: a density that is still finite
        same = flows.DiagonalMixture((2,), 1)
        same.measure(torch.full((5, 2), value))
        found = same.log_prob(torch.full((1, 2), value)).item()
        # At the mean: -log σ_1 σ_2 - log 2π, and 0.1 for rounding at a thousand σ from 0.
        at_mean = -same.log_stds.sum().item() - math.log(2 * math.pi)
        assert found == pytest.approx(at_mean, abs=0.1)


def test_narrow_clusters_far_from_zero_keep_their_digits() -> None:
    """Squares are multiplied out, so a spread of 1e-4 of the mean would leave float32 none."""
    x = 3 + 3e-4 * torch.randn(500, 2, generator=generator())
    base = flows.DiagonalMixture((2,), 2)
    base.measure(x, generator=generator())
    exact = base.double().log_prob(x.double())
    torch.testing.assert_close(base.float().log_prob(x).double(), exact, rtol=0, atol=1.0)


def test_a_flow_of_a_mixture_integrates_to_one() -> None:
    """log q(f(x)) + log|det ∂f/∂x| by the rectangle rule on 500² points over [-25, 25]².

    Steps of 0.1 are below the width of what two layers with s < ½ make of components with
    σ from 0.6 to 1.6; ReLUs leave kinks, hence 1e-3 and not rounding.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = shaken(architectures.realnvp((2,), layers=2, width=8, depth=1, bound=0.5))
    base = mixture(K=4)
    with torch.no_grad():
        base.log_stds.clamp_(-0.5, 0.5)
    ticks = torch.linspace(-25, 25, 501, dtype=torch.float64)
    with torch.no_grad():
        x = torch.cartesian_prod(ticks, ticks)
        density = flows.FlowDensity(f, base).log_prob(x)
        z, log_det = f(x)
    torch.testing.assert_close(density, oracle(base).log_prob(z) + log_det)
    assert density.exp().sum().item() * 0.1**2 == pytest.approx(1, abs=1e-3)
