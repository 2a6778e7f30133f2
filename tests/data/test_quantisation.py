"""Grey levels: what they are, and that noise fills them without moving anything."""

from __future__ import annotations

import pytest
import torch

from gencourse import data
from gencourse.data import dequantise, grey_level
from gencourse.data.quantisation import quantise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_digits_have_seventeen_levels() -> None:
    assert grey_level(data.load("digits").images("test")) == pytest.approx(1 / 8)


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_levels_of_n_values_in_minus_one_to_one(levels: int) -> None:
    values = torch.linspace(-1, 1, levels)
    images = values[torch.randint(levels, (200, 1, 8, 8), generator=generator())]
    images.view(-1)[:levels] = values
    assert grey_level(images) == pytest.approx(2 / (levels - 1), rel=1e-4)


def test_continuous_and_constant_images_count_as_eight_bit() -> None:
    assert grey_level(torch.rand(20, 1, 8, 8, generator=generator())) == pytest.approx(2 / 255)
    assert grey_level(torch.zeros(2, 1, 8, 8)) == pytest.approx(2 / 255)


def test_noise_is_uniform_over_one_level() -> None:
    """Variance w²/12, mean 0, never further than w/2: rounding gives the image back."""
    images = data.load("digits").images("test")
    noisy = dequantise(images, 1 / 8, generator=generator())
    noise = noisy - images
    assert noise.abs().max() <= 1 / 16 + 1e-6
    # 22,720 pixels: standard errors 0.00024 of the mean, and 0.6 % of the variance.
    assert noise.mean().abs() < 0.001
    assert noise.var().item() == pytest.approx((1 / 8) ** 2 / 12, rel=0.03)
    assert torch.equal((noisy * 8).round() / 8, images)


def test_dtype_follows_and_seeds_count() -> None:
    x = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
    a, b = (dequantise(x, 0.1, generator=generator(1)) for _ in range(2))
    assert a.dtype == torch.float64
    assert torch.equal(a, b)
    assert not torch.equal(a, dequantise(x, 0.1, generator=generator(2)))


@pytest.mark.parametrize("images", [torch.zeros(0, 1, 8, 8), torch.full((1, 1, 2, 2), torch.nan)])
def test_no_levels_in_nothing(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="images"):
        grey_level(images)


@pytest.mark.parametrize("level", [1 / 8, 2 / 255])
def test_rounding_undoes_the_noise(level: float) -> None:
    """And what lies beyond the darkest and the brightest level goes to them."""
    levels = torch.arange(round(2 / level) + 1) * level - 1
    x = levels[torch.randint(len(levels), (50, 1, 4, 4), generator=generator())]
    noisy = dequantise(x, 0.99 * level, generator=generator(1))
    torch.testing.assert_close(quantise(noisy, level), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(quantise(noisy, torch.tensor(level)), x, rtol=0, atol=1e-6)
    assert quantise(torch.tensor([-7.0, 7.0]), level).tolist() == pytest.approx([-1, 1], abs=1e-6)
