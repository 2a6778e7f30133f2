"""Diffusion Schrödinger bridge: its chains, its regression, and Gaussians in closed form."""

from __future__ import annotations

import math
from typing import Any

import pytest
import ring8_bar
import torch
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.models.dsb import DiffusionBridge, step_sizes
from gencourse.transport import wasserstein

RING = data.load("ring8")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(x: Any = RING, **settings: Any) -> DiffusionBridge:
    model = gencourse.build("dsb", x, device="cpu", **settings)
    assert isinstance(model, DiffusionBridge)
    return model


# ----------------------------------------------------------------- the reference


def test_step_sizes_grow_from_the_data_on() -> None:
    γ = step_sizes(20, 1.5)
    assert γ.sum().item() == pytest.approx(1.5)
    torch.testing.assert_close(γ.diff(), torch.full_like(γ.diff(), 2 * 1.5 / 400))
    assert γ[0].item() == pytest.approx(1.5 / 400)


def test_an_untrained_model_is_the_reference_in_both_directions() -> None:
    """x ← (1 - γ_k) x + √(2γ_k) ξ: mean and variance after N steps, from the recursion."""
    model = built(N=6, T=0.8)
    γ = step_sizes(6, 0.8)
    share = (1 - γ).prod().item()
    variance = 0.0
    for g in γ.tolist():
        variance = (1 - g) ** 2 * variance + 2 * g
    x = torch.tensor([[3.0, -1.0]]).repeat(20_000, 1)
    end = model.to_noise(x, generator=generator())[-1]
    torch.testing.assert_close(end.mean(0), share * x[0], rtol=0, atol=0.03)
    # 20,000 samples: a standard error of 1 %.
    assert end.var(0).mean().item() == pytest.approx(variance, rel=0.03)
    variance = 0.0
    for g in γ.flip(0).tolist():
        variance = (1 - g) ** 2 * variance + (2 * g if g != γ[0] else 0.0)
    begin = model.to_data(x, generator=generator())[0]
    torch.testing.assert_close(begin.mean(0), share * x[0], rtol=0, atol=0.03)
    assert begin.var(0).mean().item() == pytest.approx(variance, rel=0.03)


def test_chains_begin_where_they_are_told_and_can_be_repeated() -> None:
    model, x = built(N=5, T=0.5), torch.randn(4, 2, generator=generator()).double()
    there, back = model.to_noise(x, generator=generator(1)), model.to_data(x)
    assert there.shape == back.shape == (6, 4, 2)
    assert there.dtype == torch.float64
    torch.testing.assert_close(there[0], x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(back[-1], x, rtol=1e-6, atol=1e-6)
    assert torch.equal(there, model.to_noise(x, generator=generator(1)))
    for chain in (model.to_noise, model.to_data):
        with pytest.raises(ValueError, match=r"x must have shape \(n, 2\)"):
            chain(torch.zeros(3, 3))


# ----------------------------------------------------------------- the regression


def test_the_targets_are_those_of_the_paper() -> None:
    """y + F_k(x) - F_k(y) along a path, from the states alone (proposition 3)."""
    model = built(N=5, T=0.5, averaging=1.0, width=8)
    with torch.no_grad():
        for p in model.forward_average.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=generator(1)))
    x0 = torch.randn(7, 2, generator=generator())
    states, targets = model._reversed("forward", x0, generator(2))
    x = torch.cat([x0[None], states])
    for k in range(5):
        F = [model.mean(model.forward_average, y, k).detach() for y in (x[k], x[k + 1])]
        torch.testing.assert_close(targets[k], x[k + 1] + F[0] - F[1])
    # In the reference F_k(x) = (1 - γ) x, so the target is the former state but for γ.
    states, targets = built(N=5, T=0.5)._reversed("backward", x0, generator(2))
    x = torch.cat([states, x0[None]])
    γ = step_sizes(5, 0.5).float()[:, None, None]
    torch.testing.assert_close(targets, x[:-1] + (1 - γ) * (x[1:] - x[:-1]))


def test_training_takes_turns() -> None:
    """In two thirds of a round only the backward network moves, in the last the other."""
    before = {k: v.clone() for k, v in built(seed=1).state_dict().items()}
    moved: list[set[str]] = []
    model = built(seed=1, rounds=1, batch=8, paths=10)

    def look(step: int) -> None:
        state = {k: v.clone() for k, v in model.state_dict().items()}
        moved.append(
            {k.split(".")[0] for k in state if not torch.equal(state[k], before[k])}
            - {"centre", "scale"}
        )
        before.update(state)

    model.fit(RING, steps=6, progress=False, callback=look, every=2)
    assert moved[1:] == [
        {"backward_network", "backward_average"},
        {"backward_network", "backward_average"},
        {"forward_network", "forward_average"},
    ]


# ----------------------------------------------------------------- Gaussians, in closed form


def coupling(variance: Tensor, share: float, noise: float) -> Tensor:
    """Covariance of x_0 and x_N in the bridge from N(0, diag variance) to N(0, I).

    The reference has x_N = share · x_0 + √noise ξ. The bridge multiplies its density by a
    function of x_0 and one of x_N, so among Gaussians it keeps the entry of the precision
    matrix that couples the two, -share / noise =: -1/ε. The inverse of [[v, c], [c, 1]] has
    there -c / (v - c²), hence c² + ε c - v = 0.
    """
    ε = noise / share
    return (-ε + (ε**2 + 4 * variance).sqrt()) / 2


@pytest.fixture(scope="module")
def gaussian() -> tuple[DiffusionBridge, Tensor]:
    """Variances 1.6 and 0.4, whose mean is 1: the data are standardised already."""
    variance = torch.tensor([1.6, 0.4])
    x = variance.sqrt() * torch.randn(20_000, 2, generator=generator())
    model = built(x, N=10, T=0.5, rounds=4, width=32, depth=2, batch=512, paths=2000, refresh=200)
    model.fit(x, steps=4000, seed=0, progress=False)
    return model, variance


def test_between_gaussians_it_is_the_bridge_in_closed_form(
    gaussian: tuple[DiffusionBridge, Tensor],
) -> None:
    """Both chains have the right end, and the coupling of the two ends is the bridge's.

    T = 0.5 is so short that the reference ends at about N(0, diag(1.2, 0.8)), and the first
    backward chain, started at N(0, I), misses the data.
    """
    model, variance = gaussian
    γ = step_sizes(10, 0.5)
    share, noise = (1 - γ).prod().item(), 0.0
    for g in γ.tolist():
        noise = (1 - g) ** 2 * noise + 2 * g
    expected = coupling(variance, share, noise)
    x = variance.sqrt() * torch.randn(20_000, 2, generator=generator(1))
    there = model.to_noise(x, generator=generator(2))
    z = torch.randn(20_000, 2, generator=generator(3))
    back = model.to_data(z, generator=generator(4))
    print(there[-1].var(0), back[0].var(0), expected)
    # 20,000 samples: standard errors of 1 %; chains of 10 steps and networks, of a few more.
    torch.testing.assert_close(there[-1].var(0), torch.ones(2), rtol=0.1, atol=0)
    torch.testing.assert_close(back[0].var(0), variance, rtol=0.15, atol=0)
    for first, last in ((there[0], there[-1]), (back[0], back[-1])):
        found = ((first - first.mean(0)) * (last - last.mean(0))).mean(0)
        print(found)
        torch.testing.assert_close(found, expected, rtol=0, atol=0.06)
    # The check can fail: the reference couples them otherwise.
    assert ((share * variance - expected).abs() > 0.06).any()


def test_rounds_reduce_the_error_of_the_ends() -> None:
    """Variances of the ends against 1 and the data's, after one round and after four."""
    variance = torch.tensor([1.6, 0.4])
    x = variance.sqrt() * torch.randn(20_000, 2, generator=generator())
    errors = {}
    for rounds in (1, 4):
        model = built(
            x,
            N=10,
            T=0.3,
            rounds=rounds,
            width=32,
            depth=2,
            batch=512,
            paths=2000,
            refresh=200,
            seed=0,
        )
        model.fit(x, steps=600 * rounds, seed=0, progress=False)
        z = torch.randn(20_000, 2, generator=generator(3))
        back = model.to_data(z, generator=generator(4))[0].var(0)
        errors[rounds] = (back / variance - 1).abs().max().item()
    print(errors)
    assert errors[1] > 2 * errors[4]


# ----------------------------------------------------------------- the ring


@pytest.mark.slow
def test_both_chains_end_where_they_should() -> None:
    """Half of the default training: about twenty seconds."""
    model = built(seed=3)
    model.fit(RING, steps=model.settings.steps // 2, seed=3, progress=False)
    x = RING.sample(2000, generator=generator())
    noise = model.to_noise(x, generator=generator(1))[-1]
    z = model.centre + model.scale * torch.randn(4000, 2, generator=generator(2))
    found = {
        "noise": wasserstein(noise, z[:2000]).item(),
        "floor": wasserstein(z[2000:], z[:2000]).item(),
        "mean": noise.mean(0).norm().item(),
        "variance": (noise.var(0) / model.scale.square()).tolist(),
    }
    drawn = model.sample(2000, generator=generator(4))
    found |= ring8_bar.measure(drawn, 0)
    print(found)
    assert found["noise"] < found["floor"] + 0.15
    assert found["mean"] < 0.15
    torch.testing.assert_close(noise.var(0) / model.scale.square(), torch.ones(2), rtol=0, atol=0.2)
    assert found["modes"] == 8
    assert found["quality"] > 0.7
    assert found["w1"] < 0.25
    # The reference alone, with which both chains begin, does neither.
    idle = ring8_bar.measure(built().sample(2000, generator=generator(4)), 0)
    assert {"quality", "w1"} <= set(ring8_bar.shortcomings(idle))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"N": 0}, "N must be above 0"),
        ({"T": -1.0}, "T must be above 0"),
        ({"N": 2, "T": 2.0}, r"must be below 1: T = 2\.0 needs more than N = 2"),
        ({"rounds": 1.5}, "rounds must be a whole number"),
        ({"refresh": 0}, "refresh must be above 0"),
        ({"averaging": 2.0}, "averaging must be at most 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        built(**settings)


def test_math_of_the_coupling() -> None:
    """The closed form against iterative proportional fitting of one-dimensional Gaussians.

    A Gaussian is (precisions, coupling); fitting an end adds to its own precision what is
    missing for the right marginal variance.
    """
    v, share, noise = 1.6, 0.7, 0.5
    a, b, off = 1 / v + share**2 / noise, 1 / noise, -share / noise
    for _ in range(200):
        b = 1.0 + off**2 / a  # the marginal precision of the end, b - off²/a, becomes 1
        a = 1 / v + off**2 / b
    covariance = torch.linalg.inv(torch.tensor([[a, off], [off, b]], dtype=torch.float64))
    assert covariance[0, 0].item() == pytest.approx(v)
    assert covariance[1, 1].item() == pytest.approx(1.0)
    expected = coupling(torch.tensor([v], dtype=torch.float64), share, noise)
    assert covariance[0, 1].item() == pytest.approx(expected.item())
    assert math.isfinite(expected.item())
