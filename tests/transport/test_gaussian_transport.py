"""W₂ between Gaussians: one dimension, commuting and singular covariances, POT, gradients."""

from __future__ import annotations

import math

import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencourse.transport import gaussian_w2, wasserstein

DOUBLE = torch.float64


def gaussian(d: int, seed: int, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    m = torch.randn(d, generator=generator, dtype=DOUBLE)
    A = torch.randn(d, rank or d, generator=generator, dtype=DOUBLE)
    return m, A @ A.T / d


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 5), st.floats(0, 5))
def test_on_the_line(m1: float, m2: float, s1: float, s2: float) -> None:
    """W₂² = (m₁ - m₂)² + (σ₁ - σ₂)², σ = 0 allowed."""
    m1, m2, S1, S2 = (torch.tensor(v, dtype=DOUBLE) for v in ([m1], [m2], [[s1**2]], [[s2**2]]))
    value = gaussian_w2(m1, S1, m2, S2).item()
    assert value == pytest.approx(math.hypot((m1 - m2).item(), s1 - s2), abs=1e-12)


def test_the_pair_of_the_recipes() -> None:
    one = torch.ones(1, dtype=DOUBLE)
    value = gaussian_w2(0 * one, torch.eye(1), one, 1.69 * torch.eye(1, dtype=DOUBLE))
    assert value.square().item() == pytest.approx(1.09, rel=1e-12)


@given(d=st.integers(1, 6), seed=st.integers(0, 10_000))
def test_equal_to_pot(d: int, seed: int) -> None:
    (m1, S1), (m2, S2) = gaussian(d, seed), gaussian(d, seed + 1)
    reference = ot.gaussian.bures_wasserstein_distance(m1, m2, S1, S2)
    assert gaussian_w2(m1, S1, m2, S2).item() == pytest.approx(reference.item(), rel=1e-6)


@given(d=st.integers(1, 5), r=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_it_is_a_metric_also_between_singular_laws(d: int, r: int, seed: int) -> None:
    a, b, c = gaussian(d, seed, min(r, d)), gaussian(d, seed + 1, 1), gaussian(d, seed + 2)
    ab, bc, ac = gaussian_w2(*a, *b), gaussian_w2(*b, *c), gaussian_w2(*a, *c)
    torch.testing.assert_close(ab, gaussian_w2(*b, *a))
    assert ac <= ab + bc + 1e-12
    # √(eps) = 1e-8 is what the usual formula, with its cancelling traces, would leave.
    assert gaussian_w2(*a, *a) < 1e-12 * (1 + a[1].norm())


def test_commuting_covariances_differ_by_their_roots() -> None:
    """Diagonal: Σ(√λ - √μ)²; and a small difference keeps its digits."""
    m = torch.zeros(3, dtype=DOUBLE)
    l, u = torch.tensor([4.0, 9.0, 0.0], dtype=DOUBLE), torch.tensor([1.0, 16.0, 4.0], dtype=DOUBLE)
    assert gaussian_w2(m, l.diag(), m, u.diag()).item() == pytest.approx(math.sqrt(6), rel=1e-14)
    near = (l.sqrt() + 1e-9).square()
    value = gaussian_w2(m, l.diag(), m, near.diag()).item()
    assert value == pytest.approx(math.sqrt(3) * 1e-9, rel=1e-5)


def test_rotated_lines_in_the_plane() -> None:
    """Laws on two lines at an angle φ: W₂² = 2 - 2|cos φ|."""
    m = torch.zeros(2, dtype=DOUBLE)
    for phi in (0.0, 0.3, math.pi / 2, 2.5):
        v = torch.tensor([math.cos(phi), math.sin(phi)], dtype=DOUBLE)
        value = gaussian_w2(m, torch.diag(torch.tensor([1.0, 0.0])), m, v[:, None] * v)
        assert value.square().item() == pytest.approx(2 - 2 * abs(math.cos(phi)), abs=1e-12)


def test_samples_approach_it() -> None:
    (m1, S1), (m2, S2) = gaussian(2, 0), gaussian(2, 7)
    generator = torch.Generator().manual_seed(0)
    x, y = (
        m + torch.randn(1500, 2, generator=generator, dtype=DOUBLE) @ torch.linalg.cholesky(S).T
        for m, S in ((m1, S1), (m2 + 2, S2))
    )
    # Between 1500 points the error is that of the means, about √(tr S / 750) = 0.06.
    assert wasserstein(x, y).item() == pytest.approx(
        gaussian_w2(m1, S1, m2 + 2, S2).item(), abs=0.15
    )


@pytest.mark.parametrize("isotropic", [False, True])
def test_gradients(isotropic: bool) -> None:
    """By finite differences; also at S = I, where eigenvectors have no derivative."""
    (m1, S1), (m2, S2) = gaussian(3, 0), gaussian(3, 1)
    S1 = torch.eye(3, dtype=DOUBLE) if isotropic else S1

    def squared(m1: torch.Tensor, A: torch.Tensor, m2: torch.Tensor, B: torch.Tensor) -> object:
        return gaussian_w2(m1, (A + A.T) / 2, m2, (B + B.T) / 2).square()

    inputs = [t.clone().requires_grad_() for t in (m1, S1, m2, S2)]
    assert torch.autograd.gradcheck(squared, inputs, atol=1e-6)


def test_dtype_and_estimated_covariances() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    value = gaussian_w2(x.mean(0), x.T.cov(), torch.zeros(4), torch.eye(4))
    assert value.dtype == torch.float32
    assert gaussian_w2(x.mean(0), x.T.cov(), x.mean(0), x.T.cov()).item() < 1e-13


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"S1": -torch.eye(2)}, "S1 has the negative eigenvalue -1"),
        ({"S2": torch.tensor([[1.0, 0.5], [0.0, 1.0]])}, "S2 is not symmetric"),
        ({"m2": torch.zeros(3)}, r"m2 must have shape \(2,\)"),
        ({"S1": torch.zeros(2)}, r"S1 must have shape \(2, 2\)"),
        ({"m1": torch.zeros(0)}, "m1 must have shape"),
        ({"S1": torch.full((2, 2), math.nan)}, "S1 holds 4 NaN"),
        ({"m1": [0.0, 0.0]}, "floating"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    good = {"m1": torch.zeros(2), "S1": torch.eye(2), "m2": torch.zeros(2), "S2": torch.eye(2)}
    with pytest.raises(ValueError, match=message):
        gaussian_w2(**{**good, **change})
