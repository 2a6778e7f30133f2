"""Bits per dimension against codes whose length is known."""

from __future__ import annotations

import math

import pytest
import torch

from gencourse.data import dequantise
from gencourse.metrics import bits_per_dimension


def test_the_convention_of_papers() -> None:
    """NLL / (d log 2) + 8 for 256 levels on [0, 1], NLL / (d log 2) + 7 on [-1, 1]."""
    assert bits_per_dimension(100.0, 48, level=1 / 256) == pytest.approx(
        100 / (48 * math.log(2)) + 8
    )
    assert bits_per_dimension(100.0, 48, level=2 / 256) == pytest.approx(
        100 / (48 * math.log(2)) + 7
    )


@pytest.mark.parametrize("scale", [1.0, 2.0, 255.0])
def test_it_does_not_depend_on_the_scale(scale: float) -> None:
    """Scaling by s adds d log s to the NLL, and multiplies the level by s."""
    nll = 10.0 + 64 * math.log(scale)
    assert bits_per_dimension(nll, 64, scale / 8) == pytest.approx(
        bits_per_dimension(10.0, 64, 1 / 8)
    )


def test_the_entropy_of_a_grey_level() -> None:
    """Pixels of 4 levels with known shares: the histogram's density has exactly their entropy."""
    shares = torch.tensor([0.5, 0.25, 0.125, 0.125])
    level, d = 0.5, 3
    generator = torch.Generator().manual_seed(0)
    index = torch.multinomial(shares, 20_000 * d, True, generator=generator).reshape(-1, d)
    x = dequantise(level * index - 0.75, level, generator=generator)
    found = ((x + 1) / level).long().clamp(0, 3)
    log_density = (shares[found] / level).log().sum(1)
    bits = bits_per_dimension(-log_density.mean(), d, level)
    assert isinstance(bits, torch.Tensor)
    # Entropy 1.75 bits, of standard deviation 0.97 over a pixel: 0.97/√60000 = 0.004.
    assert bits.item() == pytest.approx(1.75, abs=0.02)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="dimensions must be a whole number"):
        bits_per_dimension(1.0, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dimensions must be above 0"):
        bits_per_dimension(1.0, 0)
    with pytest.raises(ValueError, match="level must be above 0"):
        bits_per_dimension(1.0, 2, 0.0)
