"""Euler–Maruyama, Heun and Runge–Kutta: closed forms, orders of convergence, probability flow."""

from __future__ import annotations

import math

import pytest
import torch
from known_laws import generator, ring8
from scipy import stats
from torch import Tensor

from gencourse import samplers

# The Ornstein–Uhlenbeck process dX = -θ(X - μ) dt + g dW from x₀ has at time t
# the mean μ + (x₀ - μ) e^{-θt} and the variance g² (1 - e^{-2θt}) / 2θ.
THETA, MU, G, X0, T = 1.0, 0.5, 0.8, 3.0, 1.0
MEAN = MU + (X0 - MU) * math.exp(-THETA * T)
VARIANCE = G**2 * (1 - math.exp(-2 * THETA * T)) / (2 * THETA)


def drift(x: Tensor, t: Tensor) -> Tensor:
    return -THETA * (x - MU)


def diffusion(x: Tensor, t: Tensor) -> float:
    return G


def grid(n: int) -> Tensor:
    return torch.linspace(0, T, n + 1, dtype=torch.float64)


def test_ornstein_uhlenbeck() -> None:
    """Mean and variance within the weak error, O(Δt), and the Monte Carlo error."""
    n, steps = 50_000, 50
    x = torch.full((n, 1), X0, dtype=torch.float64)
    x = samplers.euler_maruyama(drift, diffusion, x, grid(steps), generator=generator())
    # Euler's moments in closed form: mean μ + (x₀-μ)(1-θΔt)^k, and the sum of a geometric series.
    a = 1 - THETA * T / steps
    mean = MU + (X0 - MU) * a**steps
    variance = G**2 * T / steps * (1 - a ** (2 * steps)) / (1 - a**2)
    assert x.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(VARIANCE / n))
    assert x.var().item() == pytest.approx(variance, rel=4 * math.sqrt(2 / n))
    # And those are within O(Δt) of the truth: the error constant is below 1 here.
    assert abs(mean - MEAN) < T / steps
    assert abs(variance - VARIANCE) < T / steps
    standard = (x[:, 0] - x.mean()) / x.std()
    assert stats.kstest(standard.numpy(), "norm").pvalue > 1e-3


def test_halving_the_step_halves_the_bias() -> None:
    """Weak order 1. Without noise in x (common noise cancels), the mean's error is exact.

    The noise is the same for 10 and 20 steps up to its arrangement, and has mean zero; using
    antithetic pairs ±ξ removes it from the mean of a linear equation altogether.
    """

    def bias(steps: int) -> float:
        def paired(x: Tensor, t: Tensor) -> Tensor:
            return G * sign

        x = torch.full((2, 1), X0, dtype=torch.float64)
        sign = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
        noises = torch.randn(steps, 1, generator=generator(), dtype=torch.float64)
        for i, (t, s) in enumerate(zip(grid(steps)[:-1], grid(steps)[1:], strict=True)):
            deterministic = samplers.euler_step(drift, x, t, s - t)
            x = deterministic + paired(x, t) * (s - t).sqrt() * noises[i]
        return x.mean().item() - MEAN

    ratios = [bias(n) / bias(2 * n) for n in (20, 40, 80)]
    assert all(ratio == pytest.approx(2, abs=0.08) for ratio in ratios)


def test_weak_order_of_the_variance() -> None:
    """The variance's bias also halves, by the sampler itself: 0.0263, 0.0130 at 10, 20 steps.

    Its Monte Carlo error with n = 400,000 is √(2/n) VARIANCE = 0.0006.
    """

    def bias(steps: int) -> float:
        x = torch.full((400_000, 1), X0, dtype=torch.float64)
        x = samplers.euler_maruyama(drift, diffusion, x, grid(steps), generator=generator(steps))
        return x.var().item() - VARIANCE

    assert bias(5) / bias(10) == pytest.approx(2, abs=0.3)


def test_strong_order() -> None:
    """Against the exact path of geometric Brownian motion: order ½; with additive noise order 1.

    dX = aX dt + bX dW has X_T = x₀ exp((a - b²/2) T + b W_T), so the same noise gives both.
    """
    a, b, n = 0.5, 0.8, 4000

    def errors(steps: int) -> tuple[float, float]:
        g = generator(steps)
        noise = torch.randn(steps, n, 1, generator=generator(steps), dtype=torch.float64)
        dt = T / steps
        W = noise.sum(0) * math.sqrt(dt)
        x0 = torch.ones(n, 1, dtype=torch.float64)
        x = samplers.euler_maruyama(
            lambda x, t: a * x, lambda x, t: b * x, x0, grid(steps), generator=g
        )
        multiplicative = (x - ((a - b**2 / 2) * T + b * W).exp()).abs().mean().item()
        # Additive noise: dX = -X dt + dW; the exact solution is the stochastic integral
        # ∫ e^{-(T-s)} dW, here by Euler on a grid 64 times finer with the same path.
        fine = 64
        parts = torch.randn(
            steps * fine, 500, 1, generator=generator(7), dtype=torch.float64
        ) * math.sqrt(dt / fine)
        weights = torch.exp(-(T - (torch.arange(steps * fine) + 0.5) * dt / fine)).double()
        exact = (weights[:, None, None] * parts).sum(0)
        y = torch.zeros(500, 1, dtype=torch.float64)
        for dW in parts.reshape(steps, fine, 500, 1).sum(1):
            y = y - dt * y + dW
        return multiplicative, (y - exact).abs().mean().item()

    coarse, fine = errors(16), errors(64)
    # Four times the steps: errors fall by 2 and by 4.
    assert coarse[0] / fine[0] == pytest.approx(2, rel=0.25)
    assert coarse[1] / fine[1] == pytest.approx(4, rel=0.25)


def test_one_step_by_hand() -> None:
    """Both directions of time: dt is signed in the drift, and not in the noise."""
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    ξ = torch.randn(1, 2, generator=generator(), dtype=torch.float64)
    for times in ([0.0, 0.25], [0.25, 0.0]):
        dt = times[1] - times[0]
        found = samplers.euler_maruyama(
            lambda x, t: x * (1 + t), lambda x, t: 2 + t, x, times, generator=generator()
        )
        expected = x + x * (1 + times[0]) * dt + (2 + times[0]) * 0.5 * ξ
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_orders_of_convergence(method: str, order: int) -> None:
    """ẋ = x cos t + (0, t), solved once finely: the error falls by 2^order when Δt is halved."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        # x₁' = x₁ cos t gives exp(sin t); x₂' = -x₂ + t gives 2e^{-t} + t - 1, from 1.
        return torch.stack([x[:, 0] * t.cos(), -x[:, 1] + t], 1)

    x0 = torch.ones(1, 2, dtype=torch.float64)
    exact = torch.tensor([[math.exp(math.sin(1.0)), 2 * math.exp(-1.0)]], dtype=torch.float64)
    integrate = getattr(samplers, method)

    def error(n: int) -> Tensor:
        return (integrate(velocity, x0, grid(n)) - exact).abs().max()

    rates = [math.log2(error(n) / error(2 * n)) for n in (16, 32, 64)]
    assert all(rate == pytest.approx(order, abs=0.15) for rate in rates)


def test_integration_can_be_undone() -> None:
    x = torch.randn(10, 2, generator=generator(), dtype=torch.float64)

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return torch.sin(3 * x.flip(1)) * (1 + t)

    there = samplers.rk4(velocity, x, grid(200))
    back = samplers.rk4(velocity, there, grid(200).flip(0))
    torch.testing.assert_close(back, x, rtol=0, atol=1e-8)


# ----------------------------------------------------------------- diffusions of a known mixture

# dX = -½β X dt + √β dW with constant β keeps mixtures mixtures: at time t the law of
# e^{-βt/2} X₀ + √(1 - e^{-βt}) ε.
BETA = 8.0


def marginal(t: Tensor):  # type: ignore[no-untyped-def]
    shrink = math.exp(-BETA * float(t) / 2)
    return ring8().noised(shrink, 1 - shrink**2)


def forward_drift(x: Tensor, t: Tensor) -> Tensor:
    return -0.5 * BETA * x


def forward_diffusion(x: Tensor, t: Tensor) -> float:
    return math.sqrt(BETA)


def score(x: Tensor, t: Tensor) -> Tensor:
    return marginal(t).score(x)


def backwards(n: int) -> Tensor:
    """Times from 1 to 0 that crowd towards 0, where the score changes fastest."""
    return torch.linspace(1, 0, n + 1, dtype=torch.float64) ** 3


def check_ring(x: Tensor) -> None:
    """Shares, the law along both axes, and the spread within the modes."""
    ring = ring8()
    distance, nearest = torch.cdist(x, ring.means).min(1)
    shares = torch.bincount(nearest, minlength=8) / len(x)
    assert (shares - 1 / 8).abs().max() < 4 * math.sqrt(1 / 8 * 7 / 8 / len(x))
    for axis in (0, 1):
        u = ring.cdf(x[:, axis], axis)
        assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    # Mean square distance to the centre is 2σ²; its relative standard error is 1/√n.
    assert distance.square().mean().item() == pytest.approx(0.02, rel=4 / math.sqrt(len(x)) + 0.03)


def test_the_probability_flow_gives_the_law() -> None:
    velocity = samplers.probability_flow(forward_drift, forward_diffusion, score)
    start = torch.randn(4000, 2, generator=generator(), dtype=torch.float64)
    x = samplers.heun(velocity, start, backwards(80))
    check_ring(x)
    # It is a map: forwards again, the noise comes back.
    again = samplers.heun(velocity, x, backwards(80).flip(0))
    assert (again - start).abs().quantile(0.99) < 0.05


def test_the_reverse_diffusion_gives_the_law() -> None:
    reverse = samplers.reverse_drift(forward_drift, forward_diffusion, score)
    start = torch.randn(4000, 2, generator=generator(), dtype=torch.float64)
    x = samplers.euler_maruyama(
        reverse, forward_diffusion, start, backwards(200), generator=generator(1)
    )
    check_ring(x)


def test_ancestral_sampling_of_a_gaussian_chain() -> None:
    """Exact conditionals of a diffusion from N(m, v): after any number of steps, N(m, v) again."""
    m, v, T = 1.5, 0.3, 6
    alpha_bar = torch.linspace(1, 0.01, T + 1, dtype=torch.float64)

    def kernel(x: Tensor, t: float, s: float) -> tuple[Tensor, Tensor]:
        # x_s and x_t are jointly Gaussian: x_t = √α x_s + √(1-α) ε.
        a_t, a_s = alpha_bar[int(t)], alpha_bar[int(s)]
        α = a_t / a_s
        v_s, v_t = a_s * v + 1 - a_s, a_t * v + 1 - a_t
        gain = α.sqrt() * v_s / v_t
        mean = a_s.sqrt() * m + gain * (x - a_t.sqrt() * m)
        return mean, (v_s - gain**2 * v_t).sqrt()

    n = 50_000
    noise = torch.randn(n, 1, generator=generator(), dtype=torch.float64)
    a = alpha_bar[T]
    start = a.sqrt() * m + (a * v + 1 - a).sqrt() * noise
    for times in (range(T, -1, -1), [T, 3, 0], [T, 0]):
        x = samplers.ancestral(kernel, start, times, generator=generator(1))
        assert x.mean().item() == pytest.approx(m, abs=4 * math.sqrt(v / n))
        assert x.var().item() == pytest.approx(v, rel=4 * math.sqrt(2 / n))


def test_gradients_pass_through_an_ordinary_equation() -> None:
    """d x(1) / d x(0) of ẋ = -x is e^{-1}."""
    x = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(samplers.rk4(lambda x, t: -x, x, grid(20)).sum(), x)
    assert gradient.item() == pytest.approx(math.exp(-1), abs=1e-6)


# ----------------------------------------------------------------- push-forward


def test_push_forward_of_the_uniform_law() -> None:
    """The quantile function maps U[0, 1] to its law."""
    z = torch.rand(5000, 1, generator=generator(), dtype=torch.float64)
    x = samplers.push_forward(lambda u: -torch.log1p(-u), z)
    assert isinstance(x, Tensor)
    assert stats.kstest(x[:, 0].numpy(), "expon").pvalue > 1e-3


def test_push_forward_through_a_composition() -> None:
    z = torch.randn(100, 3, generator=generator())
    double, first = (lambda x: 2 * x), (lambda x: x[:, :1])
    states = samplers.push_forward([double, first], z, trajectory=True, batch=7)
    assert [s.shape for s in states] == [(100, 3), (100, 3), (100, 1)]
    torch.testing.assert_close(states[-1], 2 * z[:, :1])
    whole = samplers.push_forward([double, first], z)
    assert isinstance(whole, Tensor)
    torch.testing.assert_close(whole, states[-1])


@pytest.mark.parametrize(
    "bad", [[], 3, [3], lambda z: z.sum(), lambda z: z[:1], lambda z: 0 * z / 0]
)
def test_maps_that_are_none(bad: object) -> None:
    with pytest.raises((ValueError, TypeError), match=r"map|iterable"):
        samplers.push_forward(bad, torch.ones(3, 2))  # type: ignore[arg-type]
