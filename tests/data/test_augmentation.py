"""Jittered images: the map by hand, what stays, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from gencourse import data
from gencourse.data.augmentation import _interpolated_by_products, jitter


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_smooth_image_is_moved_by_an_affine_map() -> None:
    """The image v ↦ a·v is one of that kind after an affine map, away from the border.

    Torch's cubic interpolation is exact for constants, and for slopes to a tenth of the
    difference between neighbouring pixels (0.04), or 0.005 with both directions.
    """
    ticks = (torch.arange(24.0) + 0.5) / 12 - 1
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    plane = (0.3 * x + 0.2 * y).expand(40, 1, 24, 24)
    moved = jitter(plane, 0.1, share=1.0, generator=generator())
    inside = moved[:, 0, 6:-6, 6:-6].flatten(1)
    basis = torch.stack([x, y, torch.ones_like(x)], dim=-1)[6:-6, 6:-6].reshape(-1, 3)
    fit = torch.linalg.lstsq(basis, inside.T).solution
    torch.testing.assert_close((basis @ fit).T, inside, rtol=0, atol=5e-3)
    # Slopes 0.3 (1 + M_11) + 0.2 M_21, …; shift 0.3 m_1 + 0.2 m_2: all within 0.1 (0.3 + 0.2).
    away = (fit - torch.tensor([[0.3], [0.2], [0.0]])).abs()
    assert away.max() <= 0.05 + 1e-3
    assert away.max(dim=1).values.min() > 0.01  # and they do move


def test_a_share_stays_as_it_is() -> None:
    images = data.load("digits").images("train")[:1000]
    moved = jitter(images, 0.1, share=0.3, generator=generator())
    same = (moved == images).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx(0.7, abs=0.06)  # four standard errors
    assert torch.equal(jitter(images, 0.1, share=0.0), images)
    assert torch.equal(jitter(images, 0.0), images)
    assert moved.abs().max() <= 1
    again = jitter(images, 0.1, share=0.3, generator=generator())
    assert torch.equal(moved, again)


def test_each_image_moves_in_its_own_way() -> None:
    one = data.load("digits").images("train")[:1].expand(10, 1, 8, 8)
    moved = jitter(one, 0.1, share=1.0, generator=generator()).flatten(1)
    assert torch.pdist(moved).min() > 0.05


def test_interpolation_by_products_is_that_of_torch() -> None:
    """Values and gradients, also of points far outside, and of images that are not square."""
    options: dict[str, Any] = {"dtype": torch.float64, "generator": generator()}
    images = torch.randn(5, 3, 7, 4, **options).requires_grad_()
    grid = 1.5 * torch.randn(5, 6, 9, 2, **options)
    ours = _interpolated_by_products(images, grid)
    torchs = F.grid_sample(images, grid, mode="bicubic", align_corners=False)
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)
    cotangent = torch.randn(ours.shape, **options)
    gradients = (torch.autograd.grad(y, images, cotangent)[0] for y in (ours, torchs))
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_gradients_come_out_the_same_on_a_gpu_where_asked_to(accelerator: str) -> None:
    if accelerator != "cuda":
        pytest.skip("of the GPUs only those of CUDA can be asked for a fixed order")
    # Far from the ends of [-1, 1], at which the gradient ends.
    images = (0.1 * torch.randn(256, 3, 32, 32, generator=generator())).to(accelerator)
    images.requires_grad_()

    def gradient() -> torch.Tensor:
        moved = jitter(images, 0.1, share=1.0, generator=generator())
        return torch.autograd.grad(moved.square().sum(), images)[0]

    torch.use_deterministic_algorithms(True)
    try:
        first = gradient()
        assert all(torch.equal(gradient(), first) for _ in range(5))
    finally:
        torch.use_deterministic_algorithms(False)
    torch.testing.assert_close(gradient(), first)


@pytest.mark.parametrize(
    ("images", "options", "complaint"),
    [
        (torch.zeros(3, 8, 8), {}, "images must be floating, of shape"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.int64), {}, "images must be floating"),
        (torch.zeros(3, 1, 8, 8), {"amount": -0.1}, "amount must be above 0"),
        (torch.zeros(3, 1, 8, 8), {"amount": math.nan}, "amount must be above 0"),
        (torch.zeros(3, 1, 8, 8), {"share": 1.5}, "share must be a probability"),
    ],
)
def test_what_is_refused(images: torch.Tensor, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        jitter(images, **{"amount": 0.1, **options})
