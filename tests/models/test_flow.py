"""Flows as models: densities with every Jacobian counted, and what training reaches."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import gencourse
from gencourse import data, flows
from gencourse.data.quantisation import dequantise

POINTS = ("nice", "realnvp", "maf", "iaf")
IMAGES = ("nice", "realnvp", "maf")
SMALL: dict[str, Any] = {"layers": 2, "width": 6, "depth": 1, "averaging": 1.0}
SMALL_IMAGES: dict[str, Any] = {**SMALL, "components": 3}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(slug: str, x: Tensor, steps: int = 30) -> gencourse.GenerativeModel:
    model = gencourse.build(slug, x, **(SMALL if x.ndim == 2 else SMALL_IMAGES))
    model.fit(x, steps=steps, progress=False)
    return model.double()


def images(n: int = 30, shape: tuple[int, ...] = (1, 4, 4)) -> Tensor:
    """Random images of five grey levels."""
    return torch.randint(5, (n, *shape), generator=generator()) / 2 - 1


# ----------------------------------------------------------------- the density


@pytest.mark.parametrize("slug", POINTS)
def test_the_density_of_points_is_that_of_the_samples(slug: str) -> None:
    """log p(x) = log N(z) - log|det ∂x/∂z|, from the Jacobian of the map that samples use."""
    x = data.load("moons").sample(300, generator=generator())
    model = small(slug, 5 * x + 2)
    z = torch.randn(4, 2, generator=generator(1)).double()
    draw = model.average.module.flow.inverse
    J = torch.stack(
        [torch.autograd.functional.jacobian(lambda r: draw(r[None])[0][0], r) for r in z]
    )
    expected = flows.standard_normal_log_density(z) - torch.linalg.slogdet(J).logabsdet
    found = model.log_prob(draw(z)[0])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("slug", POINTS)
def test_the_density_of_points_integrates_to_one(slug: str) -> None:
    """By the rectangle rule with steps of 0.03, a third of the width of a mode of the ring.

    The ReLUs leave kinks in the density, and the tails beyond ±9 hold a little mass.
    """
    model = small(slug, data.load("ring8").sample(2000, generator=generator()), steps=60)
    ticks = torch.linspace(-9, 9, 601).double()
    with torch.no_grad():
        mass = model.log_prob(torch.cartesian_prod(ticks, ticks)).exp().sum() * 0.03**2
    assert mass.item() == pytest.approx(1, abs=3e-3)


@pytest.mark.parametrize("slug", IMAGES)
def test_the_density_of_images_counts_every_jacobian(slug: str) -> None:
    """Against autograd's Jacobian of the whole way from pixels to noise, scaling included."""
    x = images()
    model = small(slug, x)
    assert model.level.item() == 0.5
    noisy = dequantise(x[:4].double(), 0.5, generator=generator(2))
    f, base = model.average.module.flow, model.average.module.base
    z, _ = f(noisy)
    J = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda r: f(r[None])[0].flatten(), row).reshape(
                16, 16
            )
            for row in noisy
        ]
    )
    expected = base.log_prob(z) + torch.linalg.slogdet(J).logabsdet
    torch.testing.assert_close(model.log_prob(noisy), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("slug", IMAGES)
def test_noise_of_images_begins_at_their_clusters(slug: str) -> None:
    """Two kinds of images, far apart: before any step, each has a component of its own."""
    x = torch.cat([0.9 * torch.ones(40, 1, 4, 4), -torch.ones(20, 1, 4, 4)])
    x[:, 0, 0, 0] *= 0.5 * torch.rand(60, generator=generator()) + 0.5
    settings = {**SMALL_IMAGES, "components": 2, "jitter": 0.0}
    model = gencourse.build(slug, x, **settings)
    model.fit(x, steps=1, progress=False)
    first = model.density.flow[0]
    assert first(x)[0].mean().item() == pytest.approx(0, abs=1e-5)
    assert first(x)[0].square().mean().item() == pytest.approx(1, abs=1e-5)
    base = model.density.base
    assert base.logits.softmax(0).sort().values.tolist() == pytest.approx([1 / 3, 2 / 3], abs=0.05)
    drawn = model.sample(300, generator=generator())
    bright = (drawn.mean((1, 2, 3)) > 0).float().mean().item()
    assert bright == pytest.approx(2 / 3, abs=0.11)  # four standard errors of 300 draws


def test_a_mixture_of_points() -> None:
    """The ring in eight pieces: 300 steps reach what one Gaussian as noise needs 5000 for."""
    ring = data.load("ring8")
    model = gencourse.build("realnvp", ring, layers=4, components=8, averaging=0.05)
    model.fit(ring, steps=300, progress=False)
    result = gencourse.evaluate(model, ring, n=1000)
    print(result)
    assert result["modes"] == 8
    assert result["quality"] > 0.96
    assert result["nll"] - result["entropy"] < 0.1


@pytest.mark.parametrize("slug", IMAGES)
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 6, 4), (1, 5, 5), (1, 16, 16)])
def test_images_of_any_size(slug: str, shape: tuple[int, ...]) -> None:
    x = images(20, shape)
    model = small(slug, x, steps=3)
    drawn = model.sample(6, generator=generator())
    assert drawn.shape == (6, *shape)
    # Grey levels, as the images they were learned from.
    assert set(drawn.unique().tolist()) <= {-1.0, -0.5, 0.0, 0.5, 1.0}
    assert model.log_prob(drawn).isfinite().all()


@pytest.mark.parametrize("slug", POINTS)
def test_scores_against_central_differences(slug: str) -> None:
    model = small(slug, data.load("ring8").sample(200, generator=generator()))
    x = data.load("ring8").sample(3, generator=generator(1)).double().requires_grad_()
    assert torch.autograd.gradcheck(model.log_prob, (x,), eps=1e-7, atol=1e-4, rtol=1e-3)


# ----------------------------------------------------------------- sampling


@pytest.mark.parametrize("slug", POINTS)
def test_temperature_scales_the_noise(slug: str) -> None:
    model = small(slug, data.load("ring8").sample(500, generator=generator()))
    warm = model.sample(50, generator=generator(1)).double()
    model.settings = dataclasses.replace(model.settings, temperature=0.5)
    cool = model.sample(50, generator=generator(1)).double()
    f = model.average.module.flow
    torch.testing.assert_close(f(cool)[0], 0.5 * f(warm)[0], rtol=1e-5, atol=1e-5)


def test_nice_keeps_volume_but_for_its_scaling() -> None:
    """log p(x) - log N(f(x)) is one number for all x."""
    model = small("nice", data.load("ring8").sample(500, generator=generator()), steps=100)
    x = data.load("ring8").sample(50, generator=generator(1)).double()
    f = model.average.module.flow
    difference = model.log_prob(x) - flows.standard_normal_log_density(f(x)[0])
    torch.testing.assert_close(difference, difference[:1].expand(50), rtol=1e-10, atol=1e-10)
    assert f[-1].log_scale.abs().min() > 1e-3


# ----------------------------------------------------------------- settings


def test_each_architecture_has_its_own_defaults() -> None:
    points, pictures = torch.zeros(1, 2), torch.zeros(1, 1, 8, 8)
    nice, realnvp = (gencourse.build(s, points).settings for s in ("nice", "realnvp"))
    assert (nice.architecture, realnvp.architecture) == ("nice", "realnvp")
    assert nice.layers > realnvp.layers
    assert gencourse.build("nice", points, layers=3).settings.layers == 3
    assert gencourse.build("realnvp", pictures).settings.batch != realnvp.batch


@pytest.mark.parametrize(
    ("slug", "x", "given_one", "complaint"),
    [
        ("nice", torch.zeros(1, 2), {"architecture": "nise"}, "unknown architecture 'nise'; did"),
        ("maf", torch.zeros(1, 2), {"layers": 0}, "layers must be above 0"),
        ("maf", torch.zeros(1, 2), {"bound": -1.0}, "bound must be above 0"),
        ("maf", torch.zeros(1, 2), {"temperature": 0.0}, "temperature must be above 0"),
        ("iaf", torch.zeros(1, 2), {"averaging": 1.5}, "averaging must be at most 1"),
        ("realnvp", torch.zeros(1, 1), {}, "a coupling needs two coordinates"),
        ("iaf", torch.zeros(1, 1, 8, 8), {}, "'iaf' learns points"),
        ("maf", torch.zeros(1, 3, 8, 8), {"width": 8}, "multiple of the images' 3 channels"),
    ],
)
def test_what_cannot_be_built(
    slug: str, x: Tensor, given_one: dict[str, Any], complaint: str
) -> None:
    with pytest.raises((ValueError, KeyError), match=complaint):
        gencourse.build(slug, x, **given_one)


def test_a_single_coordinate_has_an_autoregressive_flow() -> None:
    x = 3 + 0.5 * torch.randn(500, 1, generator=generator())
    model = gencourse.build("maf", x, **SMALL)
    model.fit(x, steps=20, progress=False)
    drawn = model.sample(5000, generator=generator(1))
    assert drawn.mean().item() == pytest.approx(3, abs=0.1)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.05)


# ----------------------------------------------------------------- training


@pytest.mark.parametrize("slug", POINTS)
def test_one_pair_of_layers_learns_a_conditional_law(slug: str) -> None:
    """x_1 ~ N(0, 1), x_2 | x_1 ~ N(0.8 x_1, 0.6²): slope, spread, and the entropy.

    NICE has one scale for all of x_2, and that is enough here. 20,000 draws leave a standard
    error of 0.005; 0.05 leaves room for 400 steps that do not quite converge.
    """
    z = torch.randn(20_000, 2, generator=generator())
    x = torch.stack((z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]), dim=1)
    model = gencourse.build(slug, x, layers=2, width=16, depth=1, averaging=0.05)
    model.fit(x, steps=400, progress=False)
    cov = model.sample(20_000, generator=generator(1)).T.cov()
    slope = (cov[0, 1] / cov[0, 0]).item()
    assert slope == pytest.approx(0.8, abs=0.05)
    assert (cov[1, 1] - slope * cov[0, 1]).sqrt().item() == pytest.approx(0.6, abs=0.05)
    entropy = math.log(2 * math.pi * math.e) + math.log(0.6)
    assert -model.log_prob(x).mean().item() == pytest.approx(entropy, abs=0.02)


def briefly(slug: str) -> dict[str, float]:
    ring = data.load("ring8")
    model = gencourse.build(slug, ring, seed=10, averaging=0.05)
    model.fit(ring, steps=300, seed=10, progress=False)
    result = gencourse.evaluate(model, ring, n=1000, seed=10)
    return {**result, "gap": result["nll"] - result["entropy"]}


@pytest.mark.parametrize("slug", POINTS)
def test_a_short_training_gets_most_of_the_way(slug: str) -> None:
    """300 steps; a Gaussian, which is where they start, is 3.2 nats above the entropy."""
    result = briefly(slug)
    print(result)
    assert -0.1 < result["gap"] < (2.0 if slug == "nice" else 1.0)
    assert result["modes"] == 8


def test_training_would_notice_a_wrong_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """With -Σ s instead of Σ s the flow is rewarded for shrinking, and learns no ring."""
    right = flows.AffineCoupling.forward

    def wrong(self: flows.AffineCoupling, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = right(self, x)
        return z, -log_det

    monkeypatch.setattr(flows.AffineCoupling, "forward", wrong)
    result = briefly("realnvp")
    print(result)
    assert not -0.1 < result["gap"] < 1.0
    assert result["modes"] < 8


# ----------------------------------------------------------------- full runs
