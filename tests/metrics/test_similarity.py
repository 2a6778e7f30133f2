"""PSNR and SSIM against torchmetrics, the definition, and what they must say of equal images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from gencourse import data
from gencourse.metrics import psnr, ssim

GLYPHS = data.load("glyphs", n_train=10, n_test=1, channels=3).images("train").double()


def noisy(x: Tensor, std: float = 0.3, seed: int = 0) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return (x + std * noise).clamp(-1, 1)


@pytest.mark.parametrize("limits", [(-1.0, 1.0), (-2.0, 3.0)])
def test_equal_torchmetrics(limits: tuple[float, float]) -> None:
    functional = pytest.importorskip("torchmetrics.functional.image")
    y, low, width = noisy(GLYPHS), limits[0], limits[1] - limits[0]
    for i in range(len(y)):
        a, b = GLYPHS[i : i + 1], y[i : i + 1]
        theirs = functional.peak_signal_noise_ratio(b, a, data_range=width)
        assert psnr(b, a, limits=limits).item() == pytest.approx(theirs.item(), rel=1e-6)
    # It pads with reflections and averages over the padding, too; the paper's code does not.
    _, whole = functional.structural_similarity_index_measure(
        y - low, GLYPHS - low, data_range=width, reduction="none", return_full_image=True
    )
    theirs = whole[:, :, 5:-5, 5:-5].mean((1, 2, 3))
    torch.testing.assert_close(ssim(y, GLYPHS, limits=limits), theirs, rtol=1e-9, atol=0)


def test_ssim_by_its_definition() -> None:
    """scipy's Gaussian filter, cut to the places where its window of 11 fits."""
    x, y = GLYPHS[:1, :1], noisy(GLYPHS[:1, :1])
    a, b = 1 + x[0, 0].numpy(), 1 + y[0, 0].numpy()  # black is 0

    def blur(z: np.ndarray) -> np.ndarray:
        return gaussian_filter(z, 1.5, radius=5)[5:-5, 5:-5]

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    c1, c2 = 0.02**2, 0.06**2
    expected = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert ssim(x, y).item() == pytest.approx(expected.mean(), rel=1e-12)


def test_a_window_as_large_as_the_image() -> None:
    """One place only: its weighted moments, by hand. Images of 8 × 8 get a window of 7."""
    x = data.load("digits").images("test")[:2].double()
    y = noisy(x)
    torch.testing.assert_close(ssim(x, y), ssim(x, y, window=7))
    x, y = x[:, :, 2:7, 2:7], y[:, :, 2:7, 2:7]
    g = torch.exp(-0.5 * (torch.arange(-2, 3).double() / 1.5) ** 2)
    w = torch.outer(g, g) / g.sum() ** 2

    def mean(z: Tensor) -> Tensor:
        return (w * z).sum((1, 2, 3))

    a, b = x + 1, y + 1
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.02**2, 0.06**2
    expected = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    torch.testing.assert_close(ssim(x, y), expected)


def test_equal_images() -> None:
    assert torch.equal(psnr(GLYPHS, GLYPHS), torch.full((10,), math.inf, dtype=torch.float64))
    torch.testing.assert_close(ssim(GLYPHS, GLYPHS), torch.ones(10, dtype=torch.float64))


def test_known_errors() -> None:
    x = torch.zeros(2, 1, 16, 16)
    y = torch.stack([x[0] + 0.02, x[1] - 2])  # 2/100 of the range, and all of it
    torch.testing.assert_close(psnr(x, y), torch.tensor([40.0, 0.0]))
    # Constant images: only the first factor is left, (2ab + c₁) / (a² + b² + c₁).
    # Black counts as 0, so that the greys 0.5 and 0.1 are a = 1.5 and b = 1.1.
    expected = (2 * 1.5 * 1.1 + 4e-4) / (1.5**2 + 1.1**2 + 4e-4)
    torch.testing.assert_close(ssim(x + 0.5, x + 0.1), torch.full((2,), expected))
    rough = noisy(x, 0.3)
    assert (ssim(rough, -rough) < -0.5).all()  # all contrasts turned round


def test_more_noise_is_worse_and_ssim_sees_structure() -> None:
    little, much = noisy(GLYPHS, 0.1), noisy(GLYPHS, 0.5)
    assert (psnr(little, GLYPHS) > psnr(much, GLYPHS)).all()
    assert (ssim(little, GLYPHS) > ssim(much, GLYPHS)).all()
    # A change of brightness costs PSNR as much as noise does, and SSIM less.
    brighter = GLYPHS + 0.1
    change = 0.1 * torch.ones_like(GLYPHS)
    rough = GLYPHS + change * torch.tensor([1.0, -1.0]).repeat(14)
    torch.testing.assert_close(psnr(brighter, GLYPHS), psnr(rough, GLYPHS))
    assert (1 - ssim(brighter, GLYPHS) < 0.7 * (1 - ssim(rough, GLYPHS))).all()


@pytest.mark.parametrize("function", [psnr, ssim])
def test_dtype_and_gradient(function: object) -> None:
    x, y = GLYPHS[:2, :1, :12, :12], noisy(GLYPHS)[:2, :1, :12, :12]
    got = function(x.float(), y.float())  # type: ignore[operator]
    assert got.dtype == torch.float32
    expected = function(x.float().double(), y.float().double())  # type: ignore[operator]
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=0)
    assert torch.autograd.gradcheck(lambda z: function(z, y), (x.clone().requires_grad_(),))  # type: ignore[operator]


@given(seed=st.integers(0, 1000), size=st.integers(1, 14))
def test_ssim_is_symmetric_and_at_most_1(seed: int, size: int) -> None:
    x = noisy(torch.zeros(2, 1, size, size + 3, dtype=torch.float64), 1.0, seed)
    y = noisy(torch.zeros(2, 1, size, size + 3, dtype=torch.float64), 1.0, seed + 1)
    torch.testing.assert_close(ssim(x, y), ssim(y, x))
    assert (ssim(x, y).abs() <= 1 + 1e-12).all()


def test_bad_input_is_named() -> None:
    x = GLYPHS
    for function in (psnr, ssim):
        with pytest.raises(ValueError, match="images of the same shape"):
            function(x, x[:, :1])
        with pytest.raises(ValueError, match="images of the same shape"):
            function(x.flatten(1), x.flatten(1))
        with pytest.raises(ValueError, match="y holds"):
            function(x, x * math.nan)
        with pytest.raises(ValueError, match="x is empty"):
            function(x[:0], x[:0])
        for limits in ((0.0, 0.0), (1.0, -1.0), (0.0, math.nan), (-math.inf, 1.0)):
            with pytest.raises(ValueError, match="limits must be two finite numbers"):
                function(x, x, limits=limits)
    for window in (4, 29, 0):
        with pytest.raises(ValueError, match="window must be"):
            ssim(x, x, window=window)
