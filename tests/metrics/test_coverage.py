"""Mode coverage against counts by hand and the truth it must report for the data itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencourse import data
from gencourse.metrics import mode_coverage

MODES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def test_counts_by_hand() -> None:
    samples = torch.tensor(
        [
            [0.0, 0.0],
            [0.29, 0.0],  # just within 3 × 0.1
            [0.31, 0.0],  # just outside
            [10.0, 0.1],
            [5.0, 5.0],  # between all modes
        ]
    )
    found = mode_coverage(samples, MODES, 0.1)
    assert found.modes_covered == 2
    assert found.n_modes == 4
    assert found.quality == pytest.approx(3 / 5)
    assert found.shares.tolist() == pytest.approx([2 / 5, 1 / 5, 0, 0])
    assert found.largest_share == pytest.approx(2 / 5 * 4)


def test_a_mode_counts_from_a_tenth_of_its_fair_share() -> None:
    """With K = 4 and n = 400 that is 10 samples: 10 count and 9 do not."""
    for on_last, covered in ((10, 2), (9, 1)):
        samples = MODES[0].repeat(400, 1)
        samples[:on_last] = MODES[3]
        assert mode_coverage(samples, MODES, 0.1).modes_covered == covered


def test_true_samples_cover_everything() -> None:
    """Quality is P(χ²₂ ≤ 9) = 1 - e^{-9/2}, and shares are even."""
    for name in ("ring8", "grid25"):
        toy = data.load(name)
        samples = toy.sample(100_000, generator=torch.Generator().manual_seed(0))
        found = mode_coverage(samples, toy.modes, toy.mode_std)
        assert found.modes_covered == found.n_modes == len(toy.modes)
        # Binomial standard deviation √(0.011 · 0.989 / 100000) = 0.0003.
        assert found.quality == pytest.approx(1 - math.exp(-4.5), abs=0.002)
        # A share of 1/25 has a relative standard deviation of √(24/100000) = 0.016.
        assert 1 <= found.largest_share / found.quality < 1.08
        assert found.shares.sum().item() == pytest.approx(found.quality)


def test_collapse_onto_one_mode() -> None:
    toy = data.load("ring8")
    found = mode_coverage(toy.modes[:1].repeat(500, 1), toy.modes, toy.mode_std)
    assert (found.modes_covered, found.quality, found.largest_share) == (1, 1.0, 8.0)


def test_samples_between_the_modes_have_no_quality() -> None:
    found = mode_coverage(torch.zeros(10, 2), data.load("ring8").modes, 0.1)
    assert (found.modes_covered, found.quality, found.largest_share) == (0, 0.0, 0.0)


def test_overlapping_modes_count_a_sample_once() -> None:
    """A sample within 3 σ of two centres belongs to the nearer one."""
    modes = torch.tensor([[0.0], [1.0]])
    found = mode_coverage(torch.tensor([[0.2], [0.9], [0.6]]), modes, 1.0)
    assert found.quality == 1.0
    assert found.shares.tolist() == pytest.approx([1 / 3, 2 / 3])


def test_any_precision() -> None:
    samples = data.load("ring8").sample(1000, generator=torch.Generator().manual_seed(0))
    toy = data.load("ring8")
    reference = mode_coverage(samples, toy.modes, toy.mode_std)
    # In half precision points move by up to 0.001 = σ/100: hardly any crosses 3 σ.
    half = mode_coverage(samples.half(), toy.modes, toy.mode_std)
    assert half.quality == pytest.approx(reference.quality, abs=0.01)
    assert half.shares.dtype == torch.float64


@given(seed=st.integers(0, 1000), n=st.integers(1, 50), k=st.integers(1, 6), d=st.integers(1, 4))
def test_invariants(seed: int, n: int, k: int, d: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(n, d, generator=generator)
    modes = torch.randn(k, d, generator=generator)
    found = mode_coverage(samples, modes, 0.2)
    assert found.shares.shape == (k,)
    assert found.shares.sum().item() == pytest.approx(found.quality)
    assert 0 <= found.quality <= 1
    assert 0 <= found.modes_covered <= k
    assert found.largest_share == pytest.approx(found.shares.max().item() * k)
    order = torch.randperm(k, generator=generator)
    permuted = mode_coverage(samples, modes[order], 0.2)
    torch.testing.assert_close(permuted.shares, found.shares[order])


@given(std=st.one_of(st.floats(max_value=0.0), st.just(math.nan), st.just(math.inf), st.text()))
def test_std_must_be_positive(std: object) -> None:
    with pytest.raises(ValueError, match="std must be"):
        mode_coverage(torch.zeros(3, 2), MODES, std)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="samples is empty"):
        mode_coverage(torch.zeros(0, 2), MODES, 0.1)
    with pytest.raises(ValueError, match="modes is empty"):
        mode_coverage(torch.zeros(3, 2), torch.zeros(0, 2), 0.1)
    with pytest.raises(ValueError, match=r"samples must have shape \(n, d\)"):
        mode_coverage(torch.zeros(3, 3), MODES, 0.1)
    with pytest.raises(ValueError, match="samples holds 2 NaN"):
        mode_coverage(torch.full((1, 2), math.nan), MODES, 0.1)
