"""The game of Goodfellow et al.: closed forms, gradients, and the optimal discriminator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from torch import Tensor

from gencourse import nets, objectives
from gencourse.objectives import GAN, GAN_MINIMAX, value

# σ(s) is within 1e-13 of 1 at s = 30, so the textbook formula still has two or three digits
# there; up to 15 it has about nine.
logits = stn.arrays(np.float64, (7, 1), elements=st.floats(-15, 15)).map(torch.from_numpy)


def naive_value(real: Tensor, fake: Tensor) -> Tensor:
    """V as written in the paper, with D = σ(s) formed explicitly."""
    d_real, d_fake = 1 / (1 + (-real).exp()), 1 / (1 + (-fake).exp())
    return d_real.log().mean() + (1 - d_fake).log().mean()


def test_an_undecided_discriminator_has_value_minus_log_4() -> None:
    s = torch.zeros(5, 1, dtype=torch.float64)
    assert value(s, s).item() == pytest.approx(-math.log(4), rel=1e-15)
    assert GAN_MINIMAX.generator_loss(s).item() == pytest.approx(-math.log(2), rel=1e-15)
    assert GAN.generator_loss(s).item() == pytest.approx(math.log(2), rel=1e-15)


@given(logits, logits)
def test_value_is_the_formula_of_the_paper(real: Tensor, fake: Tensor) -> None:
    # 1 - σ(15) ≈ 3e-7 keeps a relative precision of 2e-16 / 3e-7 ≈ 1e-9, and its logarithm
    # (about -15) an absolute one of the same size.
    assert value(real, fake).item() == pytest.approx(naive_value(real, fake).item(), abs=1e-8)
    assert value(real, fake) < 0
    for objective in (GAN_MINIMAX, GAN):
        assert objective.critic_loss(real, fake) == -value(real, fake)
    d = 1 / (1 + (-fake).exp())
    assert GAN_MINIMAX.generator_loss(fake).item() == pytest.approx(
        (1 - d).log().mean().item(), abs=1e-8
    )
    assert GAN.generator_loss(fake).item() == pytest.approx(-d.log().mean().item(), abs=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_everything_stays_finite_where_the_formula_does_not(dtype: torch.dtype) -> None:
    """At s = 1e4, σ(-s) is 0 in every precision; log σ(-s) is -1e4 all the same."""
    far = torch.full((3, 1), 1e4, dtype=dtype)
    assert naive_value(-far, far).isinf()
    right = torch.tensor(-2e4, dtype=dtype)
    assert torch.equal(value(-far, far), right)  # everything wrong, and sure of it
    assert value(far, -far) == 0  # everything right
    for objective in (GAN_MINIMAX, GAN):
        for s in (far, -far):
            x = s.clone().requires_grad_()
            loss = objective.generator_loss(x) + objective.critic_loss(x, x)
            loss.backward()
            assert loss.isfinite()
            assert x.grad is not None
            assert x.grad.isfinite().all()
            assert loss.dtype == dtype


@given(logits, logits)
def test_gradients_in_the_logits(real: Tensor, fake: Tensor) -> None:
    """Per sample: -σ(s) for minimax, -σ(-s) for log-D; -σ(-s) and σ(s) for the critic."""
    n = len(fake)
    for objective, slope in ((GAN_MINIMAX, -torch.sigmoid(fake)), (GAN, -torch.sigmoid(-fake))):
        s = fake.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective.generator_loss(s), s)
        torch.testing.assert_close(gradient, slope / n, rtol=1e-12, atol=1e-15)
        a, b = real.clone().requires_grad_(), fake.clone().requires_grad_()
        of_real, of_fake = torch.autograd.grad(objective.critic_loss(a, b), (a, b))
        torch.testing.assert_close(of_real, -torch.sigmoid(-real) / n, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(of_fake, torch.sigmoid(fake) / n, rtol=1e-12, atol=1e-15)


def test_only_the_log_d_gradient_survives_a_sure_discriminator() -> None:
    """At s = -20 (D = 2e-9), where minimax has 2e-9 of a gradient left, log-D has all of it."""
    for objective, size in ((GAN_MINIMAX, math.exp(-20)), (GAN, 1.0)):
        s = torch.tensor([[-20.0]], dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(objective.generator_loss(s), s)
        assert -gradient.item() == pytest.approx(size, rel=1e-8)


@given(logits, logits)
def test_minimax_is_zero_sum_in_what_the_generator_can_change(real: Tensor, fake: Tensor) -> None:
    """Critic and minimax generator add up to -E[log D(x)], whatever the fakes are."""
    total = GAN_MINIMAX.critic_loss(real, fake) + GAN_MINIMAX.generator_loss(fake)
    on_real = torch.nn.functional.softplus(-real).mean()
    assert total.item() == pytest.approx(on_real.item(), abs=1e-12)


def normal_density(x: Tensor, mean: float, std: float) -> Tensor:
    return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def test_a_trained_discriminator_finds_the_density_ratio() -> None:
    """D* = p/(p+q) and V(D*) = -log 4 + 2 JS, between p = N(0, 1) and q = N(1, 1.3²).

    The value of any D, integrated by quadrature, is at most that maximum: the integrand
    p log D + q log(1 - D) is largest, point by point, at D*. Only how near it comes depends
    on the training.
    """
    x = torch.linspace(-12, 14, 20_001, dtype=torch.float64)[:, None]
    dx = (x[1] - x[0]).item()
    p, q = normal_density(x, 0.0, 1.0), normal_density(x, 1.0, 1.3)

    def exact_value(s: Tensor) -> float:
        log_d = torch.nn.functional.logsigmoid
        return ((p * log_d(s) + q * log_d(-s)).sum() * dx).item()

    middle = (p + q) / 2
    two_js = ((p * (p / middle).log() + q * (q / middle).log()).sum() * dx).item()
    assert two_js == pytest.approx(0.192744, abs=1e-6)
    bound = -math.log(4) + two_js
    best = (p / q).log()
    assert exact_value(best) == pytest.approx(bound, abs=1e-12)

    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nets.mlp(1, 1, width=32, depth=2)
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 600)
    before = exact_value(network(x.float()).detach().double())
    for _ in range(600):
        real = torch.randn(1024, 1, generator=generator)
        fake = 1 + 1.3 * torch.randn(1024, 1, generator=generator)
        optimiser.zero_grad()
        objectives.get("gan").critic_loss(network(real), network(fake)).backward()
        optimiser.step()
        schedule.step()

    s = network(x.float()).detach().double()
    reached = exact_value(s)
    assert before < bound - 0.1
    # Six seeds came within 1.6e-4 nats and 0.023 of the optimum.
    assert bound - 0.001 < reached <= bound + 1e-9
    seen = (middle > 0.02)[:, 0]  # where the samples are
    assert (torch.sigmoid(s) - p / (p + q))[seen].abs().max() < 0.05


@pytest.mark.parametrize("name", ["gna", "GAN", None, 3, ["gan"]])
def test_unknown_objectives_are_named(name: object) -> None:
    with pytest.raises(KeyError, match=r"unknown objective .*") as caught:
        objectives.get(name)  # type: ignore[arg-type]
    assert repr(name) in str(caught.value)
    if name in ("gna", "GAN"):
        assert "did you mean 'gan'" in str(caught.value)
