"""Wasserstein autoencoders: the penalty against its definition, and codes that fit the prior."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import ring8_bar
import torch
from torch import Tensor

import gencourse
from gencourse import data, metrics
from gencourse.metrics.kernels import imq
from gencourse.models.wae import WassersteinAutoencoder, code_mmd

SLUGS = ("wae-mmd", "wae-gan")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(slug: str, x: Any, **settings: Any) -> WassersteinAutoencoder:
    model = gencourse.build(slug, x, **settings)
    assert isinstance(model, WassersteinAutoencoder)
    return model


# ----------------------------------------------------------------- the penalty


def codes(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def test_mmd_by_its_definition() -> None:
    """A double loop over pairs, with the kernel as the paper has it."""
    z, p, scales = 1 + 2 * codes(7, 3), codes(7, 3, 1), (0.1, 1.0, 10.0)

    def k(a: Tensor, b: Tensor) -> float:
        square = (a - b).square().sum().item()
        return sum(2 * 3 * s / (2 * 3 * s + square) for s in scales)

    n = 7
    value = -2 * sum(k(a, b) for a in z for b in p) / n**2
    for x in (z, p):
        value += sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    assert code_mmd(z, p, scales).item() == pytest.approx(value, rel=1e-12)


def test_it_is_the_mmd_of_the_metrics() -> None:
    z, p = codes(50, 4), 0.5 * codes(50, 4, 1)
    scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    kernel = partial(imq, constant=[2 * 4 * s for s in scales])
    torch.testing.assert_close(code_mmd(z, p), metrics.mmd(z, p, kernel), rtol=1e-10, atol=1e-12)


def test_it_has_no_bias_and_a_gradient() -> None:
    """Of 500 values for codes that are from the prior the mean is 0, within 5 standard errors."""
    values = torch.stack(
        [code_mmd(codes(20, 2, 2 * i), codes(20, 2, 2 * i + 1)) for i in range(500)]
    )
    assert values.mean().abs() < 5 * values.std() / 500**0.5
    assert (values < 0).any()
    z = codes(6, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: code_mmd(z, codes(6, 2, 1)), (z,))


# ----------------------------------------------------------------- encoders


def test_random_and_deterministic_encoders() -> None:
    x = torch.randn(5, 2, generator=generator())
    random = build("wae-mmd", x, width=8, encoder_noise=3)
    certain = build("wae-mmd", x, width=8, encoder_noise=0)
    assert torch.equal(
        random.encode(x, generator=generator()), random.encode(x, generator=generator())
    )
    assert not torch.equal(random.encode(x), random.encode(x))
    assert torch.equal(certain.encode(x), certain.encode(x))
    assert random.encoder[0].in_features == 5
    assert certain.encoder[0].in_features == 2


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"penalty": "kl"}, "penalty must be 'mmd' or 'gan', not 'kl'"),
        ({"weight": 0.0}, "weight must be above 0"),
        ({"averaging": 2.0}, "averaging must be at most 1"),
        ({"encoder_noise": -1}, "encoder_noise must be a whole number from 0 on"),
        ({"encoder_noise": True}, "encoder_noise must be a whole number from 0 on"),
        ({"scales": ()}, "scales must be one or more numbers"),
        ({"scales": 1.0}, "scales must be one or more numbers"),
        ({"scales": (1.0, -1.0)}, "each of scales must be above 0"),
        ({"beta1": 1.0}, r"beta1 must be a number in \[0, 1\)"),
        ({"beta2": math.nan}, r"beta2 must be a number in \[0, 1\)"),
        ({"batch": 1}, "batch must be at least 2"),
        ({"discriminator_steps": 0}, "discriminator_steps must be above 0"),
        ({"lr_discriminator": -1e-3}, "lr_discriminator must be above 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        gencourse.build("wae-mmd", torch.zeros(1, 2), **settings)


def test_images_have_no_encoder_noise() -> None:
    with pytest.raises(ValueError, match="encoder_noise is for points"):
        gencourse.build("wae-mmd", torch.zeros(1, 1, 8, 8), encoder_noise=2)


def test_the_game_has_its_own_defaults() -> None:
    x = torch.zeros(1, 2)
    mmd, gan = (build(slug, x).settings for slug in SLUGS)
    assert (mmd.penalty, gan.penalty) == ("mmd", "gan")
    assert mmd.beta1 != gan.beta1 == 0.0
    assert build("wae-gan", x, beta1=0.3).settings.beta1 == 0.3
    assert not hasattr(build("wae-mmd", x), "discriminator")


def test_scales_may_be_a_list() -> None:
    assert build("wae-mmd", torch.zeros(1, 2), scales=[1, 2]).settings.scales == (1, 2)


# ----------------------------------------------------------------- training


@pytest.mark.parametrize("slug", SLUGS)
def test_codes_take_the_law_of_the_prior(slug: str) -> None:
    """Data on a line in space, of another mean and width; the code has one dimension.

    Without the penalty the codes end up with any mean and width.
    """
    t = torch.randn(2000, 1, generator=generator())
    x = torch.cat([2 + 3 * t, -t, 0.5 * t], dim=1)
    model = build(slug, x, latent=1, width=32, depth=2, encoder_noise=0, seed=0)
    model.fit(x, steps=600, progress=False)
    with torch.no_grad():
        z = model.encode(x)
        error = (x - model.reconstruct(x)).square().sum(1).mean() / x.var(0).sum()
    assert z.mean().abs() < 0.25
    assert abs(z.std() - 1) < 0.25
    # Gaussian beyond two moments: |z| < 1 has probability 0.683.
    assert abs((z.abs() < 1).double().mean() - 0.683) < 0.12
    assert error < 0.02
    drawn = model.sample(4000, generator=generator())
    assert (drawn.mean(0) - x.mean(0)).abs().max() < 0.6
    assert (drawn.std(0) / x.std(0) - 1).abs().max() < 0.25


def test_the_averaged_decoder_samples() -> None:
    x = torch.randn(100, 2, generator=generator())
    model = build("wae-mmd", x, width=8)
    model.fit(x, steps=5, progress=False)
    z = torch.randn(6, 2, generator=generator())
    with torch.no_grad():
        expected = model.average(z)
        assert not torch.allclose(expected, model.decode(z))
    torch.testing.assert_close(model.sample(6, generator=generator()), expected)


@pytest.mark.nightly
def test_without_noise_the_encoder_leaves_gaps() -> None:
    """Narrow modes stay narrow, and the prior is wide."""
    ring = data.load("ring8")
    model = build("wae-mmd", ring, seed=0, encoder_noise=0)
    model.fit(ring, seed=0, progress=False)
    assert ring8_bar.measure(model, 0)["quality"] < ring8_bar.QUALITY
