"""Paths through latent spaces: their geometry, their ends, and codes that can be undone."""

from __future__ import annotations

import math

import pytest
import torch

import gencourse
from gencourse.applications import cross_fade, interpolate, slerp
from gencourse.applications.interpolate import code, decode
from gencourse.data.base import ImageDataset

DIGITS = gencourse.data.load("digits")
assert isinstance(DIGITS, ImageDataset)
A, B = DIGITS.images("test")[:3], DIGITS.images("test")[3:6]

#: Systems whose codes the other end of an equation or a network gives back.
SMALL = {
    "gan": {"width": 8, "latent": 4},
    "vae": {"width": 8, "importance": 1},
    "wae-mmd": {"width": 8},
    "ae-ot-gan": {"width": 8},
    "realnvp": {"layers": 2, "width": 8, "components": 3},
    "cnf": {"width": 8},
    "ddpm": {"width": 8, "T": 30},
    "ncsn": {"width": 8, "levels": 3, "langevin_steps": 3},
    "schrodinger-bridge": {"width": 8},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(slug: str, steps: int = 3) -> gencourse.GenerativeModel:
    model = gencourse.build(slug, DIGITS, seed=0, **SMALL[slug])
    model.fit(DIGITS, steps=steps, progress=False)
    return model


def test_a_cross_fade_is_straight() -> None:
    path = cross_fade(A, B, 5)
    assert path.shape == (3, 5, 1, 8, 8)
    assert torch.equal(path[:, 0], A)
    torch.testing.assert_close(path[:, -1], B)
    torch.testing.assert_close(path[:, 1], 0.75 * A + 0.25 * B)


def test_a_great_circle_by_hand() -> None:
    """From 2e₁ to 4e₂: a third of the way is 30°, and the length grows evenly."""
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    path = slerp(a, b, 4)[0]
    angles = torch.tensor([0.0, 30.0, 60.0, 90.0]) * math.pi / 180
    expected = torch.linspace(2, 4, 4)[:, None] * torch.stack([angles.cos(), angles.sin()], 1)
    torch.testing.assert_close(path, expected, atol=1e-6, rtol=1e-6)


def test_a_great_circle_keeps_the_length_of_noise() -> None:
    """Of independent noise in 64 dimensions the straight path's middle is 0.71 as long."""
    z = torch.randn(2, 200, 64, generator=generator(), dtype=torch.float64)
    middle = slerp(z[0], z[1], 3)[:, 1].norm(dim=1) / math.sqrt(64)
    straight = cross_fade(z[0], z[1], 3)[:, 1].norm(dim=1) / math.sqrt(64)
    # Standard errors: 1/√128 = 0.09 for one length, over √200.
    assert middle.mean().item() == pytest.approx(1, abs=0.03)
    assert straight.mean().item() == pytest.approx(math.sqrt(0.5), abs=0.03)


def test_equal_ends_give_a_constant_path() -> None:
    """Where the formula of the great circle is 0/0."""
    z = torch.randn(2, 8, generator=generator())
    torch.testing.assert_close(slerp(z, z, 4), z[:, None].expand(-1, 4, -1))


@pytest.mark.parametrize("slug", SMALL)
def test_every_family_leads_from_image_to_image(slug: str) -> None:
    model = small(slug)
    path = interpolate(model, A, B, steps=4, generator=generator())
    assert path.shape == (3, 4, 1, 8, 8)
    assert path.dtype == A.dtype
    assert (path.abs() <= 1).all()
    assert torch.equal(path, interpolate(model, A, B, steps=4, generator=generator()))


@pytest.mark.parametrize(("slug", "tolerance"), [("realnvp", 1e-3), ("cnf", 1e-2), ("ddpm", 0.05)])
def test_codes_of_invertible_models_can_be_undone(slug: str, tolerance: float) -> None:
    """A flow up to rounding, an equation up to its solver's error."""
    model = small(slug, steps=20)
    with torch.no_grad():
        again = decode(model, code(model, A))
    torch.testing.assert_close(again, A, atol=tolerance, rtol=0)


def test_the_search_finds_an_image_of_the_generator() -> None:
    """The noise of a made image, or other noise with nearly the same image."""
    model = small("gan", steps=50)
    made = model.sample(4, generator=generator(5))
    other = model.sample(4, generator=generator(6))
    with torch.no_grad():
        found = decode(model, code(model, made, generator()))
    assert (found - made).square().mean() < 0.05 * (other - made).square().mean()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no latent space"):
        interpolate(gencourse.build("made", DIGITS, width=8), A, B)
    model = gencourse.build("vae", DIGITS, width=8)
    with pytest.raises(ValueError, match="path must be"):
        interpolate(model, A, B, path="curved")
    with pytest.raises(ValueError, match="as many"):
        interpolate(model, A, B[:2])
    with pytest.raises(ValueError, match="shape"):
        interpolate(model, A[..., :4], B)
