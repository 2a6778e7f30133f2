"""Copies of training data are found, and new data are not taken for copies."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gencourse import data
from gencourse.metrics import memorisation

DIGITS = data.load("digits")
TRAIN, TEST = DIGITS.images("train"), DIGITS.images("test")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(x: Tensor, std: float) -> Tensor:
    return x + std * torch.randn(x.shape, generator=generator())


def test_by_hand() -> None:
    """Training points at 0, 9 and 10, and thrice at 0 makes no difference."""
    train = torch.tensor([[0.0], [9.0], [10.0], [0.0], [0.0]])
    samples = torch.tensor([[0.0], [2.2], [2.3], [9.2], [9.3], [-3.0]])
    # Ratios: 0, 2.2/6.8 < 1/3, 2.3/6.7 > 1/3, 0.2/0.8, 0.3/0.7 > 1/3, 3/12.
    found = memorisation(samples, train)
    assert found.share == pytest.approx(4 / 6)
    assert found.held_out_share is None
    assert found.distance_ratio is None
    assert memorisation(samples, train, ratio=0.3).share == pytest.approx(3 / 6)
    held_out = torch.tensor([[4.0], [2.0]])  # distances 4 and 2; the lower median is 2
    found = memorisation(samples, train, held_out)
    assert found.held_out_share == pytest.approx(1 / 2)  # 2/7
    # Distances of the samples 0, 0.2, 0.3, 2.2, 2.3, 3: lower median 0.3.
    assert found.distance_ratio == pytest.approx(0.3 / 2)


def test_copies_are_caught() -> None:
    for std in (0.0, 0.01, 0.05):
        found = memorisation(noisy(TRAIN, std), TRAIN, TEST)
        assert found.share > 0.95
        assert found.distance_ratio < 0.35
    half = torch.cat([TRAIN[:300], TEST[:300]])
    assert memorisation(half, TRAIN).share == pytest.approx(0.5, abs=0.02)


def test_new_digits_are_not_copies() -> None:
    found = memorisation(TEST[::2], TRAIN, TEST[1::2])
    assert found.share == 0
    assert found.held_out_share == 0
    assert found.distance_ratio == pytest.approx(1, abs=0.1)
    far = memorisation(noisy(TEST, 0.5), TRAIN, TEST)
    assert far.share == 0
    assert far.distance_ratio > 1.5


def test_block_dtype_and_duplicates() -> None:
    samples = noisy(TRAIN[:100], 0.1)
    whole = memorisation(samples, TRAIN, TEST)
    for same in (
        memorisation(samples, TRAIN, TEST, block=3000),
        memorisation(samples, TRAIN.repeat(2, 1, 1, 1), TEST),
    ):
        assert (same.share, same.held_out_share) == (whole.share, whole.held_out_share)
        assert same.distance_ratio == pytest.approx(whole.distance_ratio, rel=1e-12)
    assert memorisation(samples.half(), TRAIN).share == pytest.approx(whole.share, abs=0.02)


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100.0))
def test_units_do_not_matter(seed: int, scale: float) -> None:
    train = torch.randn(20, 3, generator=generator(seed), dtype=torch.float64)
    samples = torch.randn(10, 3, generator=generator(seed + 1), dtype=torch.float64)
    share = memorisation(samples, train).share
    assert memorisation(scale * samples, scale * train).share == share
    assert 0 <= share <= 1


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="samples and train must hold points of the same shape"):
        memorisation(TRAIN.flatten(1), TRAIN)
    with pytest.raises(ValueError, match="samples and held_out"):
        memorisation(TRAIN, TRAIN, TEST.flatten(1))
    with pytest.raises(ValueError, match="at least 2 different points"):
        memorisation(TRAIN, TRAIN[:1].repeat(5, 1, 1, 1))
    with pytest.raises(ValueError, match="train is empty"):
        memorisation(TRAIN, TRAIN[:0])
    with pytest.raises(ValueError, match="samples holds"):
        memorisation(TRAIN * math.nan, TRAIN)
    for ratio in (0.0, 1.0, math.nan, "a third"):
        with pytest.raises(ValueError, match="ratio must"):
            memorisation(TRAIN, TRAIN, ratio=ratio)
