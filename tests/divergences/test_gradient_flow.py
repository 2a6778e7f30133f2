"""The gradient flow of an f-divergence with exact ratios: direction, speed, rate of descent."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gencourse.divergences import F_DIVERGENCES, flow_velocity, step_weight

DOUBLE = torch.float64
DECK_A = ("kl", "js", "logd", "jeffreys")
SMOOTH = tuple(name for name in F_DIVERGENCES if name != "tv")


def log_normal(x: Tensor, mean: float, std: float) -> Tensor:
    """Log density of N(mean, std²) in each coordinate, summed over the last."""
    standardised = (x - mean) / std
    return (-standardised.square() / 2 - math.log(std * math.sqrt(2 * math.pi))).sum(-1)


def log_mixture(x: Tensor) -> Tensor:
    parts = torch.stack([log_normal(x, -1.0, 0.6), log_normal(x, 1.5, 0.8)])
    return parts.logsumexp(0) - math.log(2)


# ----------------------------------------------------------------- the weights


@pytest.mark.parametrize("name", SMOOTH)
def test_the_weight_is_f_second_times_r(name: str) -> None:
    D = torch.linspace(-20, 20, 401, dtype=DOUBLE)
    r = (-D).exp()
    expected = F_DIVERGENCES[name].f_second(r) * r
    torch.testing.assert_close(step_weight(F_DIVERGENCES[name], D), expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("name", "closed_form"),
    [
        ("kl", torch.ones_like),
        ("js", torch.sigmoid),
        ("logd", lambda D: torch.sigmoid(-D)),
        ("jeffreys", lambda D: 1 + D.exp()),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_weights_of_deck_a(
    name: str, closed_form: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    D = torch.linspace(-40, 40, 161, dtype=dtype)
    # exp and one quotient: a few roundings.
    tolerance = 40 * torch.finfo(dtype).eps
    weight = step_weight(F_DIVERGENCES[name], D)
    torch.testing.assert_close(weight, closed_form(D), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", DECK_A)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_extreme_ratios_give_finite_weights(name: str, dtype: torch.dtype) -> None:
    largest = 11.0 if dtype == torch.float16 else 1e4
    D = torch.tensor([-largest, -30.0, 0.0, 10.0], dtype=dtype)
    weight = step_weight(F_DIVERGENCES[name], D)
    assert weight.dtype == dtype
    assert weight.isfinite().all()
    assert (weight >= 0).all()
    if dtype in (torch.float64, torch.float32):
        # Where D is beyond the range: the limits, and for Jeffreys a very large number.
        low, high = step_weight(F_DIVERGENCES[name], torch.tensor([-1e4, 1e4], dtype=dtype))
        limits = {"kl": (1, 1), "js": (0, 1), "logd": (1, 0), "jeffreys": (1, math.inf)}[name]
        assert low.item() == pytest.approx(limits[0], abs=1e-12)
        if name == "jeffreys":
            assert high > 1e18
        else:
            assert high.item() == pytest.approx(limits[1], abs=1e-12)


# ----------------------------------------------------------------- the velocity


@pytest.mark.parametrize("name", SMOOTH)
def test_the_velocity_is_the_negative_gradient_of_the_first_variation(name: str) -> None:
    """-∇f′(r) with both derivatives by autograd from f alone, without f″."""
    divergence = F_DIVERGENCES[name]
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)

    def log_ratio(x: Tensor) -> Tensor:
        return log_mixture(x) - log_normal(x, 0.3, 1.4)

    h, D = flow_velocity(divergence, log_ratio, x)
    x = x.requires_grad_()
    r = (-log_ratio(x)).exp()
    (f_prime,) = torch.autograd.grad(divergence.generator(r).sum(), r, create_graph=True)
    (slope,) = torch.autograd.grad(f_prime.sum(), x)
    torch.testing.assert_close(h, -slope, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(D, log_ratio(x).detach())
    assert not h.requires_grad
    assert not D.requires_grad


def divergence_after(name: str, step: float) -> tuple[float, float]:
    """D_f(q̃ ‖ p) for q̃ the law of x + step · h(x), x ~ q, by quadrature; and E_q h².

    The map T is monotone, so that q̃(T(x)) = q(x)/T′(x) and the integral over y = T(x) of
    p f(q̃/p) is one over x.
    """
    divergence = F_DIVERGENCES[name]

    def log_q(x: Tensor) -> Tensor:
        return log_normal(x[:, None], 0.4, 1.7)

    def velocity(x: Tensor) -> Tensor:
        h, _ = flow_velocity(
            divergence, lambda x: log_mixture(x) - log_normal(x, 0.4, 1.7), x[:, None]
        )
        return h[:, 0]

    x = torch.linspace(-14, 14, 20_001, dtype=DOUBLE)
    T = x + step * velocity(x)
    width = 1e-5
    T_prime = 1 + step * (velocity(x + width) - velocity(x - width)) / (2 * width)
    assert (T_prime > 0).all()
    log_p = log_mixture(T[:, None])
    r = (log_q(x) - T_prime.log() - log_p).exp()
    value = torch.trapezoid(log_p.exp() * divergence.generator(r) * T_prime, x)
    return value.item(), torch.trapezoid(log_q(x).exp() * velocity(x).square(), x).item()


@pytest.mark.parametrize("name", DECK_A)
def test_a_small_step_lowers_the_divergence_at_the_rate_of_the_squared_speed(name: str) -> None:
    step = 1e-3
    here, squared_speed = divergence_after(name, 0.0)
    ahead, behind = divergence_after(name, step)[0], divergence_after(name, -step)[0]
    assert ahead < here < behind
    # A central difference: its error is of second order in the step.
    assert (ahead - behind) / (2 * step) == pytest.approx(-squared_speed, rel=1e-3)


def test_the_flow_of_kl_between_gaussians() -> None:
    """The moments of particles against the closed form of the Langevin diffusion.

    For p = N(μ, τ²) and q_t = N(m, v) in each coordinate, m′ = -(m - μ)/τ² and
    v′ = 2 (1 - v/τ²). Euler steps of 0.01 τ² are of relative error about 0.01.
    """
    mu = torch.tensor([1.0, -0.5], dtype=DOUBLE)
    tau2 = torch.tensor([0.8, 1.6], dtype=DOUBLE)
    g = torch.Generator().manual_seed(0)
    x = 0.5 * torch.randn(300, 2, generator=g, dtype=DOUBLE) + torch.tensor([-1.0, 2.0])
    m_0, v_0 = x.mean(0), x.var(0, correction=0)
    step, time = 0.002, 0.6

    for _ in range(round(time / step)):
        m, v = x.mean(0), x.var(0, correction=0)

        def log_ratio(x: Tensor, m: Tensor = m, v: Tensor = v) -> Tensor:
            log_p = -((x - mu).square() / tau2 + tau2.log()) / 2
            log_q = -((x - m).square() / v + v.log()) / 2
            return (log_p - log_q).sum(1)

        x = x + step * flow_velocity(F_DIVERGENCES["kl"], log_ratio, x)[0]

    mean = mu + (m_0 - mu) * (-time / tau2).exp()
    variance = tau2 + (v_0 - tau2) * (-2 * time / tau2).exp()
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=5e-3)
    torch.testing.assert_close(x.var(0, correction=0), variance, rtol=5e-3, atol=0)
    # Not because nothing moved.
    assert (mean - m_0).abs().min() > 0.5
    assert (variance - v_0).abs().min() > 0.2


def test_images_move_as_their_pixels_do() -> None:
    x = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    divergence = F_DIVERGENCES["js"]
    flat, _ = flow_velocity(divergence, lambda x: log_normal(x, 1.0, 0.7), x.flatten(1))
    h, D = flow_velocity(divergence, lambda x: log_normal(x.flatten(1), 1.0, 0.7), x)
    assert torch.equal(h.flatten(1), flat)
    assert h.shape == x.shape
    assert D.shape == (6,)
    with torch.no_grad():  # as samplers run
        again, _ = flow_velocity(divergence, lambda x: log_normal(x.flatten(1), 1.0, 0.7), x)
    assert torch.equal(again, h)


def test_log_ratios_that_are_none() -> None:
    x, kl = torch.zeros(5, 2), F_DIVERGENCES["kl"]
    with pytest.raises(ValueError, match=r"shape \(5,\), not \(5, 1\)"):
        flow_velocity(kl, lambda x: x[:, :1], x)
    with pytest.raises(ValueError, match="not float"):
        flow_velocity(kl, lambda x: 1.0, x)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="differentiable"):
        flow_velocity(kl, lambda x: x.detach().sum(1), x)
