"""Completed images: known pixels stay, hidden ones are drawn, and baselines are what they say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gencourse
from gencourse.applications import harmonic_fill, inpaint, mean_fill
from gencourse.data.base import ImageDataset

DIGITS = gencourse.data.load("digits")
assert isinstance(DIGITS, ImageDataset)
X = DIGITS.images("test")[:4]
UPPER = (torch.arange(8) < 4)[:, None].expand(8, 8)
SMALL = {
    "ddpm": {"width": 8, "T": 10},
    "ncsn": {"width": 8, "levels": 3, "langevin_steps": 2},
    "schrodinger-bridge": {"width": 8},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(slug: str) -> gencourse.GenerativeModel:
    model = gencourse.build(slug, DIGITS, seed=0, **SMALL[slug])
    model.fit(DIGITS, steps=3, progress=False)
    return model


@pytest.mark.parametrize("slug", SMALL)
def test_known_pixels_stay_and_hidden_ones_do_not_leak(slug: str) -> None:
    model = small(slug)
    filled = inpaint(model, X, UPPER, resamplings=2, generator=generator())
    assert torch.equal(filled[..., :4, :], X[..., :4, :])
    assert (filled.abs() <= 1).all()
    # What is hidden is not looked at: any other values give the same completion.
    noise = torch.rand(X.shape, generator=generator(1))
    hidden = torch.where(UPPER, X, noise)
    again = inpaint(model, hidden, UPPER, resamplings=2, generator=generator())
    assert torch.equal(filled, again)
    # But another draw is another completion, and what is known matters.
    other = inpaint(model, X, UPPER, resamplings=2, generator=generator(2))
    assert not torch.equal(filled, other)


def test_a_diffusion_of_a_gaussian_is_conditioned_rightly() -> None:
    r"""Two pixels N(0, s²) with correlation ρ: given one, the other is N(ρ x, (1 - ρ²) s²).

    The model is a diffusion whose network is the exact noise of that Gaussian. For x_t with
    covariance ᾱ C + (1 - ᾱ) I, E[ε | x_t] = √(1 - ᾱ) (ᾱ C + (1 - ᾱ) I)⁻¹ x_t. The image has 8 × 8
    pixels that all equal one of two values: left columns one, right columns the other.
    """
    ρ, s, n = 0.8, 0.3, 4000
    model = gencourse.build("ddpm", torch.zeros(1, 1, 8, 8), width=8, T=50, variance="beta")
    C = s**2 * torch.tensor([[1.0, ρ], [ρ, 1.0]])

    class Exact(torch.nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            a = model.alpha_bar[(t.reshape(-1)[0] * model.settings.T).round().long()]
            inverse = torch.linalg.inv(a * C + (1 - a) * torch.eye(2))
            v = (1 - a).sqrt() * x[:, 0, 0][:, [0, 4]] @ inverse
            return v.repeat_interleave(4, 1)[:, None, None, :].expand(-1, 1, 8, -1)

    model.average = Exact()
    left = (torch.arange(8) < 4).expand(8, 8)
    x = torch.full((n, 1, 8, 8), s)
    filled = inpaint(model, x, left, resamplings=8, generator=generator())[:, 0, 0, 4]
    # Without the coupling the mean would be 0 and the standard deviation s = 0.3. The reverse
    # chain's 50 steps and the 8 visits leave a bias of some hundredths.
    assert filled.mean().item() == pytest.approx(ρ * s, abs=0.03)
    assert filled.std().item() == pytest.approx((1 - ρ**2) ** 0.5 * s, abs=0.03)
    once = inpaint(model, x, left, resamplings=1, generator=generator())[:, 0, 0, 4]
    assert abs(once.mean().item() - ρ * s) > abs(filled.mean().item() - ρ * s)


def test_the_harmonic_fill_solves_laplace() -> None:
    """A plane is harmonic: with its left and right columns known, the rest comes back."""
    plane = torch.linspace(-1, 1, 8, dtype=torch.float64).expand(2, 1, 8, 8)
    known = torch.zeros(8, 8, dtype=torch.bool)
    known[:, [0, -1]] = True
    torch.testing.assert_close(harmonic_fill(plane, known, sweeps=2000), plane)
    x = X.double()
    filled = harmonic_fill(x, UPPER)
    assert torch.equal(filled[..., :4, :], x[..., :4, :])
    # Hidden rows below known ones, and no flow across the border: constant down each column
    # would need constant rows; the maximum principle bounds them all the same.
    assert filled[..., 4:, :].amax() <= x[..., 3, :].amax()


def test_the_mean_fill() -> None:
    train = DIGITS.images("train")
    filled = mean_fill(X, UPPER, train)
    assert torch.equal(filled[..., :4, :], X[..., :4, :])
    torch.testing.assert_close(filled[0, :, 4:], train.mean(0)[:, 4:])


def test_refusals() -> None:
    model = small("ddpm")
    with pytest.raises(ValueError, match="boolean"):
        inpaint(model, X, UPPER.float())
    with pytest.raises(ValueError, match="broadcast"):
        inpaint(model, X, UPPER[:3])
    with pytest.raises(ValueError, match="noise level"):
        inpaint(gencourse.build("vae", DIGITS, width=8), X, UPPER)
    with pytest.raises(ValueError, match="resamplings"):
        inpaint(model, X, UPPER, resamplings=0)
