"""Deck E's table: TV, KL, JS and W on the same laws, and which convergence implies which."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from gencourse.divergences import distances, parallel_lines

LOG_2 = math.log(2)


@pytest.mark.parametrize("theta", [-3.0, -1e-6, 1e-9, 0.5, 50.0])
def test_parallel_lines(theta: float) -> None:
    found = parallel_lines(theta)
    assert (found.tv, found.kl) == (1.0, math.inf)
    assert found.js == pytest.approx(LOG_2)
    assert found.w1 == pytest.approx(abs(theta))


def test_lines_that_meet() -> None:
    found = parallel_lines(0.0)
    assert (found.tv, found.kl, found.js, found.w1) == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="finite"):
        parallel_lines(math.inf)


def test_the_example_of_deck_e() -> None:
    """A point mass that moves from distance d₀ to d₅₀ and then to 0: only W sees it coming."""
    x = torch.arange(101.0)
    p = torch.eye(101)[0]
    rows = [distances(p, torch.eye(101)[i], x) for i in (100, 50, 0)]
    assert [r.tv for r in rows] == [1, 1, 0]
    assert [r.kl for r in rows] == [math.inf, math.inf, 0]
    assert [r.js for r in rows] == pytest.approx([LOG_2, LOG_2, 0])
    assert [r.w1 for r in rows] == [100, 50, 0]


def test_w1_is_that_of_scipy() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, generator=generator).double().sort().values
    p, q = torch.rand(2, 30, generator=generator).double().softmax(1)
    wanted = wasserstein_distance(x.numpy(), x.numpy(), p.numpy(), q.numpy())
    assert distances(p, q, x).w1 == pytest.approx(wanted, rel=1e-10)


def mixture(ε: float, x: Tensor, where: int) -> Tensor:
    """Return all mass at 0, but for ε somewhere else."""
    q = torch.zeros_like(x)
    q[0] = 1 - ε
    q[where] += ε
    return q


def test_kl_to_zero_takes_the_others_along() -> None:
    """Pinsker: TV ≤ √(KL/2); Lin 1991: JS ≤ log 2 · TV; on [0, 1]: W₁ ≤ TV."""
    x = torch.linspace(0, 1, 11, dtype=torch.float64)
    p = torch.full((11,), 1 / 11, dtype=torch.float64)
    before = math.inf
    for n in range(1, 8):
        q = p + (torch.arange(11).double() - 5) / 200 / 2**n
        found = distances(p, q, x)
        assert found.kl < before
        assert found.tv <= math.sqrt(found.kl / 2) + 1e-12
        assert found.js <= LOG_2 * found.tv + 1e-12
        assert found.w1 <= found.tv + 1e-12
        before = found.kl
    assert max(found.kl, found.tv, found.js, found.w1) < 1e-3


def test_no_arrow_can_be_turned_round() -> None:
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    p = mixture(0.0, x, 1)
    # JS and TV vanish with ε, and KL(q ‖ p) stays infinite: ε of q lies where p has nothing.
    small = distances(mixture(1e-6, x, 1000), p, x)
    assert small.kl == math.inf
    assert small.js < 1e-5
    # W₁ vanishes, and TV stays 1: the neighbouring point is near, and another point.
    moved = distances(p, torch.eye(1001, dtype=torch.float64)[1], x)
    assert moved.w1 == pytest.approx(1e-3)
    assert moved.tv == 1


@pytest.mark.parametrize(
    ("p", "q", "x", "complaint"),
    [
        ([0.5, 0.5], [0.5, 0.5], [0.0], "one shape"),
        ([0.5, 0.5], [0.5, 0.5], [1.0, 0.0], "increase"),
        ([0.5, 0.4], [0.5, 0.5], [0.0, 1.0], "sum 1"),
        ([0.5, 0.5], [0.5, 0.5], [0.0, math.nan], "x holds"),
    ],
)
def test_what_cannot_be_compared(
    p: list[float], q: list[float], x: list[float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        distances(torch.tensor(p), torch.tensor(q), torch.tensor(x))
