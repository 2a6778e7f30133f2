"""Sinkhorn's plan: optimality, its limits as ε → 0 and ∞, POT."""

from __future__ import annotations

import math

import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gencourse.transport import kantorovich, sinkhorn

DOUBLE = torch.float64


def problem(n: int, m: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(n, generator=generator, dtype=DOUBLE) + 0.1
    q = torch.rand(m, generator=generator, dtype=DOUBLE) + 0.1
    x = torch.randn(n, 2, generator=generator, dtype=DOUBLE)
    y = torch.randn(m, 2, generator=generator, dtype=DOUBLE) + 0.5
    return 2 * p / p.sum(), 2 * q / q.sum(), torch.cdist(x, y).square()


def entropy(p: torch.Tensor) -> float:
    p = p / p.sum()
    return -torch.xlogy(p, p).sum().item()


@settings(max_examples=20)
@given(
    n=st.integers(1, 8),
    m=st.integers(1, 8),
    seed=st.integers(0, 10_000),
    epsilon=st.sampled_from([0.3, 1.0, 10.0]),
)
def test_it_solves_the_entropic_problem(n: int, m: int, seed: int, epsilon: float) -> None:
    """Right marginals, and log P = (f_i + g_j - C_ij)/ε: sufficient, as it is strictly convex."""
    p, q, C = problem(n, m, seed)
    plan, cost = sinkhorn(p, q, C, epsilon)
    torch.testing.assert_close(plan.sum(1), p, rtol=0, atol=3e-9)  # 1e-9 of a mass of 2
    torch.testing.assert_close(plan.sum(0), q, rtol=0, atol=3e-9)
    assert cost.item() == pytest.approx((plan * C).sum().item())
    potential = epsilon * plan.log() + C
    rest = potential - potential[:, :1] - potential[:1] + potential[:1, :1]
    assert rest.abs().max() < 1e-7 * (1 + C.max())


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 5.0])
def test_equal_to_pot(epsilon: float) -> None:
    p, q, C = problem(30, 40, 0)
    plan, _ = sinkhorn(p / 2, q / 2, C, epsilon)
    reference = ot.bregman.sinkhorn_log(
        (p / 2).numpy(), (q / 2).numpy(), C.numpy(), epsilon, numItermax=100_000, stopThr=1e-11
    )
    # Both stop at an error of 1e-9 in the sum of the marginals.
    torch.testing.assert_close(plan, torch.from_numpy(reference), rtol=0, atol=1e-8)


def test_it_approaches_kantorovich_as_epsilon_falls() -> None:
    p, q, C = problem(20, 25, 1)
    exact = kantorovich(p, q, C)[1].item()
    excess = []
    for epsilon in (1.0, 0.1, 0.01):
        excess.append(sinkhorn(p, q, C, epsilon, tolerance=1e-7)[1].item() - exact)
        assert -1e-6 < excess[-1] <= 2 * epsilon * min(entropy(p), entropy(q))
    assert excess == sorted(excess, reverse=True)
    assert excess[-1] < 0.02 * exact


def test_it_approaches_independence_as_epsilon_grows() -> None:
    p, q, C = problem(20, 25, 2)
    plan, _ = sinkhorn(p, q, C, 1e6)
    torch.testing.assert_close(plan, p[:, None] * q / 2, rtol=1e-4, atol=0)


def test_two_points_in_closed_form() -> None:
    """C = 1 - I, equal masses: P₁₁ = ½ / (1 + e^{-1/ε}); and no ε underflows."""
    half = torch.full((2,), 0.5, dtype=DOUBLE)
    C = 1 - torch.eye(2, dtype=DOUBLE)
    for epsilon in (1e-4, 0.1, 1.0):
        plan, cost = sinkhorn(half, half, C, epsilon)
        assert plan[0, 0].item() == pytest.approx(0.5 / (1 + math.exp(-1 / epsilon)), rel=1e-9)
        assert (
            cost.item() == pytest.approx(1 / (1 + math.exp(1 / epsilon)), abs=1e-12)
            if (epsilon > 0.01)
            else cost.item() < 1e-300
        )


def test_places_without_mass_and_dtypes() -> None:
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.25, 0.75])
    plan, cost = sinkhorn(p, q, torch.ones(2, 3), 0.1)
    assert plan.dtype == cost.dtype == torch.float32
    torch.testing.assert_close(plan, torch.tensor([[0.0, 0.25, 0.75], [0.0, 0.0, 0.0]]))


def test_failure_to_converge_is_reported() -> None:
    p, q, C = problem(20, 25, 3)
    with pytest.raises(RuntimeError, match="after 3 iterations"):
        sinkhorn(p, q, C, 1e-3, iterations=3)


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan, math.inf, "small"])
def test_bad_epsilon(epsilon: object) -> None:
    p, q, C = problem(2, 3, 0)
    with pytest.raises(ValueError, match="epsilon"):
        sinkhorn(p, q, C, epsilon)


def test_bad_masses() -> None:
    p, q, C = problem(2, 3, 0)
    with pytest.raises(ValueError, match="must agree"):
        sinkhorn(p, 2 * q, C, 1.0)
    with pytest.raises(ValueError, match=r"q must have shape \(3,\)"):
        sinkhorn(p, p, C, 1.0)
