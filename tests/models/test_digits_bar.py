"""The bar on digits: that it can be missed, and that every system of images meets it."""

from __future__ import annotations

import time

import digits_bar
import pytest
import torch
from torch import Tensor

import gencourse
from gencourse.metrics import memorisation
from gencourse.transport import wasserstein

TRAIN, TEST = digits_bar.digits().images("train"), digits_bar.digits().images("test")
LABELS = digits_bar.digits().labels("train")


def distance(images: Tensor) -> float:
    """W2 to the test digits, in pixels, from as many images as there are test digits."""
    return wasserstein(images[: len(TEST)].flatten(1), TEST.flatten(1)).item()


def nearest(images: Tensor) -> Tensor:
    """Distance of each image to the nearest training digit."""
    return torch.cdist(images.flatten(1), TRAIN.flatten(1)).min(1).values


def gaussian_pixels() -> Tensor:
    """Each pixel with the right mean and variance, independent of the others."""
    noise = torch.randn(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return (TRAIN.mean(0) + TRAIN.std(0) * noise).clamp(-1, 1)


def blends() -> Tensor:
    """Averages of two training digits of different classes."""
    index = torch.randint(len(TRAIN), (2, 2000), generator=torch.Generator().manual_seed(0))
    i, j = index[:, LABELS[index[0]] != LABELS[index[1]]]
    return (TRAIN[i] + TRAIN[j]) / 2


# ----------------------------------------------------------------- the bar can be missed


def test_real_digits_meet_the_bar() -> None:
    for real in (TRAIN, TEST, TRAIN[torch.randperm(len(TRAIN))[:400]]):
        assert digits_bar.shortcomings(digits_bar.measure(real, 0)) == []


@pytest.mark.parametrize(
    ("what", "missed"),
    [
        ("baseline", {"recognised", "fid"}),
        ("gaussian pixels", {"recognised", "fid"}),
        ("blends", {"recognised"}),
        ("one class", {"classes", "fid"}),
        ("nine classes", {"classes"}),
        ("one digit", {"classes", "fid"}),
        ("noisy digits", {"recognised"}),
    ],
)
def test_each_part_of_the_bar_can_be_missed(what: str, missed: set[str]) -> None:
    noise = torch.randn(TRAIN.shape, generator=torch.Generator().manual_seed(1))
    counterfeits = {
        "baseline": digits_bar.gaussian_digits,
        "gaussian pixels": gaussian_pixels,
        "blends": blends,
        "one class": lambda: TRAIN[LABELS == 3],
        "nine classes": lambda: TRAIN[LABELS != 7],
        "one digit": lambda: TRAIN[:1].repeat(100, 1, 1, 1),
        "noisy digits": lambda: (TRAIN + 0.4 * noise).clamp(-1, 1),
    }
    found = digits_bar.shortcomings(digits_bar.measure(counterfeits[what](), 0))
    assert missed <= set(found)


def test_the_baseline_is_far_from_the_floor() -> None:
    """Both in one place, so that a chapter and a test quote the same numbers."""
    assert digits_bar.fid_floor() < 1
    assert 80 < digits_bar.fid_baseline() < 130
    assert digits_bar.fid(digits_bar.gaussian_digits(seed=1)) == pytest.approx(
        digits_bar.fid_baseline(), rel=0.05
    )
    # The baseline has the moments of the digits, up to what clipping to [-1, 1] takes away.
    drawn = digits_bar.gaussian_digits(20_000).flatten(1)
    assert (drawn.mean(0) - TRAIN.flatten(1).mean(0)).abs().max() < 0.15


def test_distances_see_collapse_and_copies() -> None:
    collapsed = TRAIN[LABELS == 3]
    assert distance(TRAIN) < distance(gaussian_pixels()) - 1
    assert distance(collapsed) > distance(gaussian_pixels()) - 0.5
    noise = torch.randn(TRAIN.shape, generator=torch.Generator().manual_seed(0))
    copies = (TRAIN + 0.02 * noise).clamp(-1, 1)
    assert nearest(copies).quantile(0.01) < 0.2 < nearest(TEST).quantile(0.01)
    assert memorisation(copies, TRAIN).share > 0.95


# ----------------------------------------------------------------- gan


@pytest.mark.slow
def test_gan_draws_digits() -> None:
    """1500 of the default 4000 steps: about half a minute.

    Seed 0 gave: recognised 0.90 (new digits 0.98, the Gaussian 0.09); rarest class 0.076; FID
    1.8 (training digits 0.6, the Gaussian 103); W2 3.04 (independent Gaussian pixels 4.45,
    the Gaussian 3.62, training digits 2.8 to 3.1); nearest training digit, 1 % quantile, 1.14
    (new digits 1.23); no copies.
    """
    model = gencourse.build("gan", digits_bar.digits(), seed=0)
    begun = time.process_time()
    model.fit(digits_bar.digits(), steps=1500, seed=0, progress=False)
    seconds = time.process_time() - begun  # of work: other tests run beside this one
    drawn = model.sample(2000, generator=torch.Generator().manual_seed(1))
    found = digits_bar.measure(drawn, 0)
    found["W2"] = distance(drawn)
    found["nearest"] = nearest(drawn).quantile(0.01).item()
    print(found)
    assert drawn.shape == (2000, 1, 8, 8)
    assert drawn.abs().max() <= 1
    assert found["recognised"] > 0.8
    assert found["rarest"] > 0.03
    assert found["fid"] < 6
    assert found["W2"] < 3.3
    assert found["W2"] < distance(gaussian_pixels()) - 1
    # Not copies: new digits by human hands are about as near to the training digits as these.
    assert found["nearest"] > 0.9
    assert memorisation(drawn, TRAIN).share < 0.01
    assert seconds < 60


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_one_cluster_of_noise_leaves_images_between_the_classes() -> None:
    """The same game with connected noise; 2000 steps are enough to tell."""
    recognised = {}
    for components in (1, 100):
        model = gencourse.build("gan", digits_bar.digits(), components=components)
        model.fit(digits_bar.digits(), steps=2000, progress=False)
        recognised[components] = digits_bar.measure(model, 0)["recognised"]
    print(recognised)
    assert recognised[100] > recognised[1] + 0.08


# ----------------------------------------------------------------- all of them

# What these teach on images is that they fail: one Gaussian, codes without a law, and a critic
# that saturates.
FAILURES = {"cholesky", "ae", "tv-gan"}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "slug",
    [s.slug for s in gencourse.systems() if "images" in s.kinds and s.slug not in FAILURES],
)
def test_every_system_draws_digits(slug: str) -> None:
    """Default settings, median of three seeds."""
    middle = digits_bar.median(digits_bar.runs(slug))
    print(slug, middle)
    assert digits_bar.shortcomings(middle) == []


@pytest.mark.nightly
def test_the_plain_gaussian_misses_the_bar() -> None:
    model = gencourse.build("cholesky", digits_bar.digits())
    model.fit(digits_bar.digits(), progress=False)
    assert "recognised" in digits_bar.shortcomings(digits_bar.measure(model, 0))


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_one_gaussian_as_noise_leaves_bridges_between_digits() -> None:
    """The same flow from N(0, I) and from a mixture; a third of the steps is enough to tell."""
    recognised = {}
    for components in (1, 150):
        model = gencourse.build("realnvp", digits_bar.digits(), components=components)
        model.fit(digits_bar.digits(), steps=1000, progress=False)
        recognised[components] = digits_bar.measure(model, 0)["recognised"]
    print(recognised)
    assert recognised[150] > recognised[1] + 0.2
