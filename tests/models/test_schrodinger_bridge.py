"""The two-stage bridge: its drifts in closed form and by Monte Carlo, exact and learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import ring8_bar
import torch
from torch import Tensor

import gencourse
from gencourse import data, samplers
from gencourse.data.toys import GaussianMixture
from gencourse.models.bridges import MixtureBridge, first_drift, noise_times, second_drift
from gencourse.models.schrodinger_bridge import SchrodingerBridge
from gencourse.transport import wasserstein

RING = data.load("ring8")
assert isinstance(RING, GaussianMixture)
UNEVEN = GaussianMixture(torch.tensor([[1.0, 0.5], [-2.0, 0.0], [0.3, -1.5]]), 0.4, [0.5, 0.2, 0.3])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(**settings: Any) -> SchrodingerBridge:
    model = gencourse.build("schrodinger-bridge", RING, device="cpu", **settings)
    assert isinstance(model, SchrodingerBridge)
    return model


@pytest.fixture(scope="module")
def trained() -> SchrodingerBridge:
    """A third of the default training: about ten seconds."""
    model = built(seed=3, N1=25, N2=50)
    model.fit(RING, steps=1300, seed=3, progress=False)
    return model


def exact(model: SchrodingerBridge) -> MixtureBridge:
    """The bridge to the ring, for the σ and τ of a model; the origin is the mean of the ring."""
    assert isinstance(RING, GaussianMixture)
    return MixtureBridge(RING, float(model.sigma), float(model.tau))


# ----------------------------------------------------------------- closed forms


def log_expectation(bridge: MixtureBridge, x: Tensor, t: float) -> Tensor:
    """log E f(x + √(τ(1-t)) z) by Gauss–Hermite quadrature with 60 × 60 nodes."""
    node, weight = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(60))
    z = torch.cartesian_prod(node, node)
    log_w = (weight[:, None] * weight).flatten().log() - math.log(2 * math.pi)
    y = x[:, None] + math.sqrt(bridge.τ * (1 - t)) * z
    log_f = bridge.log_ratio(y.flatten(0, 1)).reshape(len(x), -1)
    return torch.logsumexp(log_w + log_f, dim=1)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8, 0.99])
@pytest.mark.parametrize(("σ", "τ"), [(1.0, 3.0), (0.8, 1.5), (1.5, 2.0)])
def test_the_drift_of_a_mixture_is_the_gradient_of_its_definition(
    t: float, σ: float, τ: float
) -> None:
    """Quadrature of E f, differentiated by autograd; σ = 1.5, τ = 2 makes f unbounded."""
    bridge = MixtureBridge(UNEVEN, σ, τ)
    x = torch.randn(6, 2, generator=generator(), dtype=torch.float64).requires_grad_()
    value = log_expectation(bridge, x, t)
    # E f(√τ z) from the origin is ∫ q_σ = 1; f is smooth, and quadrature is good to 1e-6.
    if t == 0:
        at_origin = log_expectation(bridge, torch.zeros(1, 2, dtype=torch.float64), 0.0)
        assert at_origin.item() == pytest.approx(0, abs=1e-6)
    gradient = torch.autograd.grad(value.sum(), x)[0]
    torch.testing.assert_close(
        bridge.first_drift(x.detach(), t), τ * gradient, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("σ", [0.05, 0.7, 2.0])
def test_the_score_of_a_mixture_is_the_gradient_of_its_log_density(σ: float) -> None:
    bridge = MixtureBridge(UNEVEN, 2.0, 5.0)
    x = UNEVEN.sample(20, generator=generator()).double().requires_grad_()
    gradient = torch.autograd.grad(bridge.blurred(σ).log_prob(x).sum(), x)[0]
    torch.testing.assert_close(bridge.score(x.detach(), σ), gradient, rtol=1e-9, atol=1e-9)
    t = 1 - (σ / 2) ** 2
    torch.testing.assert_close(
        bridge.second_drift(x.detach(), t), 4 * gradient, rtol=1e-9, atol=1e-9
    )


def test_the_ratio_of_a_mixture_is_that_of_its_densities() -> None:
    bridge = MixtureBridge(UNEVEN, 1.0, 3.0)
    x = torch.randn(9, 2, generator=generator(), dtype=torch.float64)
    scale = torch.tensor(3.0, dtype=torch.float64).sqrt()
    noise = torch.distributions.Normal(0.0, scale).log_prob(x).sum(1)
    expected = bridge.blurred(1.0).log_prob(x) - noise
    torch.testing.assert_close(bridge.log_ratio(x), expected, rtol=1e-10, atol=1e-10)


# ----------------------------------------------------------------- the drift by Monte Carlo


def test_the_monte_carlo_drift_converges_like_one_over_root_m() -> None:
    """The error of a mean of m draws: slope -1/2 of its logarithm against that of m.

    100 estimates at each of three points and three times, errors relative to their scatter
    of 2 % (the root mean square of 900 · 2 numbers).
    """
    bridge = MixtureBridge(UNEVEN, 1.0, 3.0)
    x = torch.tensor([[0.5, 0.5], [-1.0, 0.2], [0.0, -2.0]], dtype=torch.float64)
    counts, errors = [50, 200, 800, 2000], []
    for m in counts:
        drift = first_drift(bridge.log_ratio, bridge.score, 3.0, samples=m, generator=generator(m))
        squares = [
            (drift(x.repeat(100, 1), torch.tensor(t, dtype=torch.float64)) - exact_at)
            .square()
            .mean()
            for t in (0.1, 0.5, 0.9)
            for exact_at in [bridge.first_drift(x, t).repeat(100, 1)]
        ]
        errors.append(torch.stack(squares).mean().sqrt().item())
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    print(errors, slope)
    assert slope == pytest.approx(-0.5, abs=0.06)
    assert errors[-1] < 0.05


def test_a_constant_in_the_log_ratio_does_not_matter() -> None:
    """Even one that overflows when it is exponentiated: 1000 nats."""
    bridge = MixtureBridge(UNEVEN, 1.0, 3.0)
    x, t = torch.randn(5, 2, generator=generator()), torch.tensor(0.4)
    shifted = [
        first_drift(
            lambda y, c=c: bridge.log_ratio(y) + c, bridge.score, 3.0, generator=generator(1)
        )(x, t)
        for c in (-1000.0, 0.0, 1000.0)
    ]
    for other in shifted:
        # Adding 1000 in float32 rounds log ratios to 6e-5.
        torch.testing.assert_close(other, shifted[1], rtol=2e-3, atol=2e-3)


def test_at_the_end_the_drift_is_that_of_the_density_ratio() -> None:
    """At t = 1 nothing is averaged: b = τ ∇log f = τ ∇log q_σ + x."""
    bridge = MixtureBridge(UNEVEN, 1.0, 3.0)
    x, one = torch.randn(5, 2, generator=generator()), torch.tensor(1.0)
    expected = 3 * bridge.score(x) + x
    drift = first_drift(bridge.log_ratio, bridge.score, 3.0, samples=2)
    torch.testing.assert_close(drift(x, one), expected)
    torch.testing.assert_close(bridge.first_drift(x, 1.0), expected)


def test_functions_of_the_wrong_shape() -> None:
    bridge = MixtureBridge(UNEVEN, 1.0, 3.0)
    x, t = torch.zeros(5, 2), torch.tensor(0.5)
    with pytest.raises(ValueError, match=r"log_ratio must return \(80,\)"):
        first_drift(lambda y: bridge.log_ratio(y)[:, None], bridge.score, 3.0)(x, t)
    with pytest.raises(ValueError, match=r"score \(80, 2\), not \(80,\) and \(80,\)"):
        first_drift(bridge.log_ratio, lambda y: y[:, 0], 3.0)(x, t)
    for bad in (0.0, -1.0, math.nan, "3"):
        with pytest.raises(ValueError, match="τ must be"):
            first_drift(bridge.log_ratio, bridge.score, bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="σ must be"):
            second_drift(bridge.score, bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="N must be"):
        noise_times(0)


# ----------------------------------------------------------------- both stages, exact


def run(
    bridge: MixtureBridge, n: int, N1: int, N2: int, m: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Samples after the first and after the second stage, from exact functions."""
    g = generator(seed)
    drift = first_drift(bridge.log_ratio, bridge.score, bridge.τ, samples=m, generator=g)
    blurred = samplers.euler_maruyama(
        drift,
        lambda x, t: math.sqrt(bridge.τ),
        torch.zeros(n, 2),
        torch.linspace(0, 1, N1 + 1),
        generator=g,
    )
    times, drift = noise_times(N2), second_drift(bridge.score, bridge.σ)
    x = blurred
    if N2 > 1:
        x = samplers.euler_maruyama(drift, lambda x, t: bridge.σ, x, times[:-1], generator=g)
    return blurred, samplers.euler(drift, x, times[-2:])


def test_exact_functions_make_the_ring() -> None:
    """Quality was 0.986 (of the data 0.989) and W1 0.10."""
    assert isinstance(RING, GaussianMixture)
    bridge = MixtureBridge(RING, 1.0, 3.0)
    blurred, x = run(bridge, 10_000, 50, 200, 8)
    found = ring8_bar.measure(x, 0)
    print(found)
    assert found["modes"] == 8
    assert found["quality"] >= 0.98
    assert found["largest_share"] < 1.15
    assert found["w1"] < found["w1_floor"] + 0.08
    # And between the stages, the blurred ring: its radius has moments of known size.
    truth = bridge.blurred(1.0).sample(100_000, generator=generator(1))
    assert blurred.mean(0).abs().max() < 0.08
    assert blurred.square().sum(1).mean().item() == pytest.approx(
        truth.square().sum(1).mean().item(), rel=0.04
    )


def test_halfway_the_paths_are_brownian_bridges_to_their_ends() -> None:
    """X_t has the law of t X_1 + √(τ t (1-t)) z, so E‖X_½‖² = ¼ E‖X_1‖² + d τ/4."""
    bridge = MixtureBridge(UNEVEN, 1.0, 3.0)
    drift = first_drift(bridge.log_ratio, bridge.score, 3.0, samples=16, generator=generator())
    paths = samplers.euler_maruyama(
        drift,
        lambda x, t: math.sqrt(3.0),
        torch.zeros(5000, 2),
        torch.linspace(0, 1, 51),
        generator=generator(1),
        trajectory=True,
    )
    end = bridge.blurred(1.0).sample(200_000, generator=generator(2))
    for k in (10, 25, 40):
        t = k / 50
        expected = t**2 * end.square().sum(1).mean() + 2 * 3.0 * t * (1 - t)
        # 5000 paths: a standard error of 2 %; 50 steps: an error of the drift of about 2 %.
        assert paths[k].square().sum(1).mean().item() == pytest.approx(expected.item(), rel=0.07)
        torch.testing.assert_close(paths[k].mean(0), t * end.mean(0), rtol=0, atol=0.08)


@pytest.mark.slow
def test_the_distance_to_the_data_falls_with_the_steps() -> None:
    """W2 at n = 2000, where two sets of real samples are 0.2 apart; mean of three seeds.

    One step in each stage gave 0.53 to 0.55, two 0.28 to 0.29, twenty 0.17 to 0.27.
    """
    assert isinstance(RING, GaussianMixture)
    bridge, found = MixtureBridge(RING, 1.0, 3.0), []
    for N in (1, 2, 20):
        total = 0.0
        for seed in (0, 1, 2):
            _, x = run(bridge, 2000, N, N, 8, seed)
            total += wasserstein(x, RING.sample(2000, generator=generator(9 + seed))).item()
        found.append(total / 3)
    print(found)
    assert found[0] > 1.5 * found[1]
    assert found[1] > 1.05 * found[2]


# ----------------------------------------------------------------- learned


def error(found: Tensor, truth: Tensor) -> float:
    """Relative, in L2."""
    return ((found - truth).square().sum() / truth.square().sum()).sqrt().item()


def test_the_learned_drifts_are_those_of_the_mixture(trained: SchrodingerBridge) -> None:
    """Where the process is at time t; of the first stage by 1000 draws, to see what was learned."""
    bridge, errors = exact(trained), {}
    assert trained.start.abs().max() < 0.05
    drift = first_drift(
        trained.log_ratio, trained.score, bridge.τ, samples=1000, generator=generator()
    )
    for t in (0.1, 0.5, 0.9):
        ends = bridge.blurred(bridge.σ).sample(100, generator=generator(1))
        z = torch.randn(100, 2, generator=generator(2))
        x = t * ends + math.sqrt(bridge.τ * t * (1 - t)) * z
        with torch.no_grad():
            found = drift(x, torch.tensor(t))
        errors["first", t] = error(found, bridge.first_drift(x, t))
    assert max(errors.values()) < 0.45
    for t in (0.0, 0.5, 0.9, 0.99):
        x = bridge.blurred(math.sqrt(1 - t) * bridge.σ).sample(2000, generator=generator(1))
        errors["second", t] = error(trained.second_drift(x, t).detach(), bridge.second_drift(x, t))
        assert errors["second", t] < 0.3
    print(errors)
    # The check can fail: the drift of another time is further off.
    x = bridge.blurred(bridge.σ).sample(2000, generator=generator(1))
    assert error(bridge.first_drift(x, 0.5), bridge.first_drift(x, 0.9)) > 0.35
    assert error(bridge.second_drift(x, 0.9), bridge.second_drift(x, 0.5)) > 0.35


def test_the_methods_are_the_drifts_of_the_learned_functions(trained: SchrodingerBridge) -> None:
    """Also from a start that is not the origin, to which the process is relative."""
    m = torch.tensor([3.0, -1.0])
    moved = built(N2=50)
    moved.load_state_dict(trained.state_dict())
    moved.start, moved.centre = m, m
    x, t = torch.randn(7, 2, generator=generator()), 0.4
    here = moved.first_drift(x + m, t, generator=generator(5))
    drift = first_drift(
        lambda y: moved.log_ratio(y + m),
        lambda y: moved.score(y + m),
        float(moved.tau),
        samples=moved.settings.N3,
        generator=generator(5),
    )
    torch.testing.assert_close(here, drift(x, torch.tensor(t)), rtol=1e-4, atol=1e-4)
    there = second_drift(moved.score, float(moved.sigma))(x + m, torch.tensor(t))
    torch.testing.assert_close(moved.second_drift(x + m, t), there, rtol=1e-4, atol=1e-4)


def test_the_learned_ratio_is_that_of_the_densities(trained: SchrodingerBridge) -> None:
    bridge = exact(trained)
    x = bridge.blurred(bridge.σ).sample(5000, generator=generator(1))
    truth, found = bridge.log_ratio(x), trained.log_ratio(x).detach()
    rms = (found - truth).square().mean().sqrt().item()
    print(rms, truth.std().item())
    assert rms < 0.25 * truth.std().item()


def test_the_loss_of_an_idle_model() -> None:
    """Ratio 1, score of a network of zeros: 2 log 2 and E‖ε‖²/d = 1."""
    model = built(lr=1e-9, averaging=1.0, batch=4096)
    for network in (model.ratio[-1], model.denoiser.out):
        torch.nn.init.zeros_(network.weight)  # type: ignore[arg-type, union-attr]
        torch.nn.init.zeros_(network.bias)  # type: ignore[arg-type, union-attr]
    history = model.fit(RING, steps=10, progress=False)
    assert history.metrics["ratio"][0] == pytest.approx(2 * math.log(2), abs=1e-4)
    # 8192 squares: a standard error of 0.016.
    assert history.metrics["score"][0] == pytest.approx(1, abs=0.06)


def test_a_third_of_the_training_makes_a_ring(trained: SchrodingerBridge) -> None:
    """Seed 3 gave quality 0.90 and W1 0.08 from 50 steps in the second stage."""
    x = trained.sample(2000, generator=generator(1))
    found = ring8_bar.measure(x, 0)
    print(found)
    assert found["modes"] == 8
    assert found["quality"] > 0.8
    assert found["w1"] < 0.25
    idle = built().sample(2000, generator=generator(1))
    assert {"quality", "w1"} <= set(ring8_bar.shortcomings(ring8_bar.measure(idle, 0)))


@pytest.mark.slow
def test_the_distance_to_the_data_falls_with_the_training_samples() -> None:
    """From 16 points, two for each mode on average, and from 65,536: W2 was 1.04 and 0.34."""
    found = []
    for n in (16, 65_536):
        x = RING.sample(n, generator=generator())
        model = built(seed=0)
        model.fit(x, steps=800, progress=False)
        drawn = model.sample(2000, generator=generator(1))
        found.append(wasserstein(drawn, RING.sample(2000, generator=generator(2))).item())
    print(found)
    assert found[0] > 1.3 * found[1]


# ----------------------------------------------------------------- the second stage by itself


def test_a_small_variance_repairs_what_is_nearly_right(trained: SchrodingerBridge) -> None:
    """Points of the ring with noise of variance 0.09: each goes back to the mode it came from."""
    x = RING.sample(1000, generator=generator())
    assert RING.modes is not None
    mode = torch.cdist(x, RING.modes).argmin(1)
    noisy = x + 0.3 * torch.randn(x.shape, generator=generator(1))
    clean = trained.denoise(noisy, variance=0.09, generator=generator(2))
    gap = torch.cdist(clean, RING.modes).min(1)
    assert (torch.cdist(noisy, RING.modes).min(1).values < 0.3).float().mean() < 0.5
    assert (gap.values < 0.3).float().mean() > 0.85
    assert (gap.indices == mode).float().mean() > 0.95
    assert torch.equal(clean, trained.denoise(noisy, variance=0.09, generator=generator(2)))


def test_known_coordinates_stay_and_decide_the_others(trained: SchrodingerBridge) -> None:
    """x = 2 is known, the rightmost mode: y is near 0 more often than on all of the ring.

    Not always: while the noise hides x, y may settle for another mode.
    """
    start = trained.sample(500, generator=generator()) + float(trained.sigma) * torch.randn(
        500, 2, generator=generator(1)
    )
    known, mask = torch.tensor([2.0, math.nan]), torch.tensor([True, False])
    x = trained.denoise(start, known=known, mask=mask, generator=generator(2))
    assert torch.equal(x[:, 0], torch.full((500,), 2.0))
    free = trained.denoise(start, generator=generator(2))
    near, anyway = ((y[:, 1].abs() < 0.4).float().mean().item() for y in (x, free))
    print(near, anyway)
    assert near > anyway + 0.1


def test_bad_input_of_the_second_stage(trained: SchrodingerBridge) -> None:
    x = torch.zeros(3, 2)
    for variance in (0.0, -1.0, math.nan, "1"):
        with pytest.raises(ValueError, match="variance must be"):
            trained.denoise(x, variance=variance)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"variance must be at most σ² = 0\.98"):
        trained.denoise(x, variance=1.5)
    with pytest.raises(ValueError, match="belong together"):
        trained.denoise(x, known=x)
    with pytest.raises(ValueError, match="mask must be a tensor of dtype bool"):
        trained.denoise(x, known=x, mask=torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"broadcast to \(3, 2\)"):
        trained.denoise(x, known=torch.zeros(4, 2), mask=torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="known holds NaN"):
        trained.denoise(x, known=x + math.nan, mask=torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\)"):
        trained.denoise(torch.zeros(3, 3))
    with pytest.raises(ValueError, match=r"sigma must lie in \[0\.0198\d, 0\.992\d\]"):
        trained.score(x, 2.0)
    with pytest.raises(ValueError, match="one number, or one for each of 3 rows"):
        trained.score(x, torch.ones(2))


def test_drifts_keep_the_kind_of_tensor(trained: SchrodingerBridge) -> None:
    for dtype in (torch.float16, torch.float32, torch.float64):
        x = torch.ones(3, 2, dtype=dtype)
        assert trained.first_drift(x, 0.5).dtype == dtype
        assert trained.second_drift(x, 0.5).dtype == dtype
        assert trained.log_ratio(x).dtype == dtype
        assert trained.log_ratio(x).shape == (3,)
        assert trained.denoise(x, variance=0.01).dtype == dtype


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sigma": 0.0}, "sigma must be above 0"),
        ({"tau": -1}, "tau must be above 0"),
        ({"N1": 0}, "N1 must be above 0"),
        ({"N2": 1}, "N2 must be at least 2"),
        ({"N3": 2.5}, "N3 must be a whole number"),
        ({"averaging": 2.0}, "averaging must be at most 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        built(**settings)
