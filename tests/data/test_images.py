"""Digits that ship, glyphs that are drawn, and the images they are kept in."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencourse import data


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- LabelledImages ---------------------------------------------------------------------


def tiny(dtype: torch.dtype = torch.uint8) -> data.LabelledImages:
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).to(torch.uint8)
    if dtype.is_floating_point:
        images = images / 127.5 - 1
    labels = torch.tensor([0, 1])
    return data.LabelledImages(
        "tiny", {"train": (images, labels), "test": (images[:1], labels[:1])}, ["a", "b"]
    )


def test_bytes_become_floats_in_minus_one_to_one() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    split = (images, torch.zeros(3))
    kept = data.LabelledImages("grey", {"train": split, "test": split}, ["all"])
    assert kept.images().dtype == torch.float32
    torch.testing.assert_close(kept.images().flatten(), torch.tensor([-1.0, -0.6, 1.0]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_callers_may_write_to_what_they_get(dtype: torch.dtype) -> None:
    kept = tiny(dtype)
    before = kept.images()
    kept.images().fill_(7.0)
    kept.labels().fill_(7)
    kept.sample(5, generator=seeded()).fill_(7.0)
    assert torch.equal(kept.images(), before)
    assert kept.labels().tolist() == [0, 1]


def test_samples_are_training_images_drawn_evenly() -> None:
    digits = data.load("digits")
    images = digits.images("train")
    x = digits.sample(20_000, generator=seeded())
    assert x.shape == (20_000, 1, 8, 8)
    nearest = torch.cdist(x.flatten(1), images.flatten(1))
    assert nearest.min(dim=1).values.max() < 1e-3
    counts = torch.bincount(nearest.argmin(dim=1), minlength=len(images)).double()
    # Multinomial: χ² has mean dof = 1441 (equal images aside) and deviation √(2 dof) = 54.
    expected = 20_000 / len(images)
    assert ((counts - expected).square() / expected).sum().item() < 1442 + 6 * 54
    assert torch.equal(x[:10], digits.sample(20_000, generator=seeded())[:10])


def test_inconsistent_images_are_refused() -> None:
    images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2)
    good = (images, labels)
    make = data.LabelledImages
    with pytest.raises(ValueError, match="'test' split is missing"):
        make("x", {"train": good}, ["a"])
    with pytest.raises(ValueError, match="2 train images, but labels"):
        make("x", {"train": (images, labels[:1]), "test": good}, ["a"])
    with pytest.raises(ValueError, match="uint8 or float32"):
        make("x", {"train": (images.double(), labels), "test": good}, ["a"])
    with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
        make("x", {"train": (images.float() + 2, labels), "test": good}, ["a"])
    with pytest.raises(ValueError, match="labels must lie in 0 … 0"):
        make("x", {"train": (images, labels + 1), "test": good}, ["a"])
    with pytest.raises(ValueError, match="different shapes"):
        make("x", {"train": good, "test": (images[..., :3], labels)}, ["a"])


def test_unknown_split_suggests_the_nearest() -> None:
    for method in (tiny().images, tiny().labels):
        with pytest.raises(KeyError, match="did you mean 'train'"):
            method("training")


@given(n=st.one_of(st.integers(max_value=0), st.floats(), st.booleans(), st.none()))
def test_only_positive_whole_numbers_of_images(n: object) -> None:
    with pytest.raises(ValueError, match="n must be"):
        tiny().sample(n)


# --- digits -----------------------------------------------------------------------------


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    digits, bunch = data.load("digits"), load_digits()
    images = torch.cat([digits.images("train"), digits.images("test")])
    assert digits.event_shape == (1, 8, 8)
    assert images.shape == (1797, 1, 8, 8)
    assert (images.min(), images.max()) == (-1.0, 1.0)
    # The same multiset of (image, label): the splits share nothing and leave nothing out.
    labels = torch.cat([digits.labels("train"), digits.labels("test")])
    ours = sorted(
        (*((image + 1) * 8).flatten().tolist(), label)
        for image, label in zip(images, labels.tolist(), strict=True)
    )
    theirs = sorted(
        (*image.flatten().tolist(), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    )
    assert ours == theirs


def test_digits_split_keeps_the_class_shares() -> None:
    digits = data.load("digits")
    train = torch.bincount(digits.labels("train"), minlength=10)
    test = torch.bincount(digits.labels("test"), minlength=10)
    assert torch.equal(test, (train + test) // 5)
    assert digits.classes == tuple("0123456789")
    assert torch.equal(digits.images("test"), data.load("digits").images("test"))


# --- glyphs -----------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (45, 3)])
def test_glyphs_have_the_size_asked_for(size: int, channels: int) -> None:
    glyphs = data.load("glyphs", size=size, channels=channels, n_train=30, n_test=20)
    assert glyphs.event_shape == (channels, size, size)
    assert glyphs.images("train").shape == (30, channels, size, size)
    assert glyphs.images("test").shape == (20, channels, size, size)
    assert glyphs.images().abs().max() <= 1


def test_glyphs_are_the_same_for_the_same_seed() -> None:
    first = data.load("glyphs", n_train=50, n_test=20, seed=3)
    again = data.load("glyphs", n_train=50, n_test=20, seed=3)
    other = data.load("glyphs", n_train=50, n_test=20, seed=4)
    assert torch.equal(first.images(), again.images())
    assert torch.equal(first.labels("test"), again.labels("test"))
    assert not torch.equal(first.images(), other.images())
    # Another number of training images leaves the test images as they were.
    longer = data.load("glyphs", n_train=60, n_test=20, seed=3)
    assert torch.equal(first.images("test"), longer.images("test"))
    assert not torch.equal(first.images("train")[:20], first.images("test"))


def test_glyph_classes_have_equal_shares() -> None:
    glyphs = data.load("glyphs", n_train=1005, n_test=100, characters="ABC")
    counts = torch.bincount(glyphs.labels())
    assert counts.tolist() == [335, 335, 335]
    assert glyphs.classes == ("A", "B", "C")


def test_glyphs_are_legible_to_a_simple_classifier() -> None:
    """Labels belong to their images: a linear model on pixels reads most of them."""
    from sklearn.linear_model import LogisticRegression

    glyphs = data.load("glyphs", size=16, n_train=3000, n_test=500)
    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(glyphs.images().flatten(1).numpy(), glyphs.labels().numpy())
    accuracy = model.score(glyphs.images("test").flatten(1).numpy(), glyphs.labels("test").numpy())
    assert accuracy > 0.9  # chance is 0.1


def test_glyph_ink_scales_with_the_picture() -> None:
    """The same drawing at two sizes covers the same share of the picture."""
    small = data.load("glyphs", size=32, n_train=200, n_test=1).images()
    large = data.load("glyphs", size=96, n_train=200, n_test=1).images()
    ink = [(x + 1).mean(dim=(1, 2, 3)) / 2 for x in (small, large)]
    # Antialiasing strokes thinner than a pixel costs accuracy: a few hundredths of the ink.
    torch.testing.assert_close(ink[0], ink[1], rtol=0.06, atol=0.002)
    lower = torch.nn.functional.avg_pool2d(large, 3)
    assert (lower - small).abs().mean() < 0.02


def test_glyphs_stay_inside_the_picture() -> None:
    """The border of a grey glyph is black almost everywhere: nothing is cut off."""
    images = data.load("glyphs", n_train=1000, n_test=1).images()
    border = torch.cat(
        [images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], dim=-1
    )
    assert (border > -0.9).float().mean() < 0.002


def test_colour_glyphs_have_contrast() -> None:
    """Ink and paper: brightest and darkest pixel are at least 0.25 apart in brightness."""
    images = (data.load("glyphs", channels=3, n_train=300, n_test=1).images() + 1) / 2
    brightness = images.mean(dim=1).flatten(1)
    # Dark channels reach 0.35, light ones start at 0.6; hairlines cover part of a pixel.
    assert (brightness.amax(1) - brightness.amin(1)).min() > 0.2
    assert images.std(dim=1).mean() > 0.05  # and there are colours


def test_glyphs_are_drawn_quickly() -> None:
    data.load("glyphs", n_train=1, n_test=1)  # the fonts' distance fields are cached here
    start = time.process_time()
    data.load("glyphs", n_train=6000, n_test=1000)
    assert time.process_time() - start < 5  # about 0.4 s on one core


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("size", [7, 0, -28, 28.0, "large"]),
        ("channels", [2, 0, 4, None]),
        ("characters", ["", "00", " ", "a b", 7, "0一"]),
        ("n_train", [0, -1, 1.5]),
        ("n_test", [0]),
        ("seed", [-1, 0.5, None, 2**62]),
    ],
)
def test_senseless_glyphs_are_refused(option: str, values: list) -> None:
    for value in values:
        with pytest.raises(ValueError, match=option if option != "characters" else "characters"):
            data.load("glyphs", **{"n_train": 2, "n_test": 2, option: value})


def test_characters_that_only_some_fonts_have_use_those_fonts() -> None:
    from gencourse.data.glyphs import FONTS, _distance_fields

    assert len(_distance_fields("0123456789")) == len(FONTS) == 20
    assert 0 < len(_distance_fields("é")) < len(FONTS)  # Computer Modern has no é
