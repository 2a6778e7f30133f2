"""The shipped classifiers are fit to judge samples, and their files are what the tool makes."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path

import pytest
import torch
import train_classifier
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.data import ImageDataset
from gencourse.metrics import (
    digit_features,
    digit_probabilities,
    features,
    frechet_distance,
    glyph_features,
    glyph_probabilities,
    recognised,
)
from gencourse.metrics.features import SIDES, Classifier, classifier, extractor_for

FILES = Path(gencourse.__file__).parent / "metrics"
PROBABILITIES = {"digits": digit_probabilities, "glyphs": glyph_probabilities}
FEATURES = {"digits": digit_features, "glyphs": glyph_features}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@lru_cache
def load(name: str) -> ImageDataset:
    loaded = data.load(name)
    assert isinstance(loaded, ImageDataset)
    return loaded


def images(name: str, split: str = "test") -> Tensor:
    return load(name).images(split)


def counterfeit(name: str, what: str, n: int = 1000) -> Tensor:
    """Return images that are no characters, made of test images that the judge has not seen."""
    dataset = load(name)
    x, y = dataset.images("test"), dataset.labels("test")
    g = generator(5)
    flat = x.flatten(1)
    std, mean = torch.std_mean(flat, 0)
    if what == "blends of two classes":
        i, j = torch.randint(len(x), (2, n), generator=g)
        different = y[i] != y[j]
        return (x[i[different]] + x[j[different]]) / 2
    if what == "Gaussian pixels":
        made = mean + std * torch.randn(n, len(mean), generator=g)
    elif what == "pixels of different images":
        made = flat[torch.randint(len(x), (n, len(mean)), generator=g), torch.arange(len(mean))]
    elif what == "Gaussian with all covariances":
        values, vectors = torch.linalg.eigh(flat.double().T.cov())
        root = (vectors * values.clamp_min(0).sqrt()).float()
        made = mean + torch.randn(n, len(mean), generator=g) @ root.T
    elif what == "white noise":
        made = torch.randn(n, len(mean), generator=g)
    elif what == "uniform noise":
        made = 2 * torch.rand(n, len(mean), generator=g) - 1
    else:
        assert what == "flat grey"
        made = torch.linspace(-1, 1, 50)[:, None].repeat(1, len(mean))
    return made.clamp(-1, 1).reshape(-1, *x.shape[1:])


# ----------------------------------------------------------------- fit to judge


def test_new_digits_are_recognised() -> None:
    """Of 355 test digits 352 rightly, as `make features` said: the file is the one it wrote.

    Rounding differs between machines, and can turn one digit that is on the edge.
    """
    p = digit_probabilities(images("digits"))
    right = (p.argmax(1) == load("digits").labels("test")).sum().item()
    assert right == pytest.approx(352, abs=1)
    assert recognised(images("digits")) == pytest.approx(349 / 355, abs=1.5 / 355)
    assert recognised(images("digits", "train")) > 0.98
    # Calibrated: the mean confidence is about the share of right answers.
    assert p.amax(1).mean().item() == pytest.approx(right / 355, abs=0.015)


def test_new_glyphs_are_recognised() -> None:
    p = glyph_probabilities(images("glyphs"))
    assert (p.argmax(1) == load("glyphs").labels("test")).double().mean() > 0.998
    assert recognised(images("glyphs")) > 0.99


@pytest.mark.parametrize(
    ("what", "most"),
    [
        ("Gaussian pixels", 0.01),
        ("pixels of different images", 0.04),
        ("white noise", 0.01),
        ("uniform noise", 0.01),
        ("flat grey", 0.0),
        ("blends of two classes", 0.06),
        # Not among what it was trained with; digits measured 0.09, glyphs 0.00.
        ("Gaussian with all covariances", 0.13),
    ],
)
@pytest.mark.parametrize("name", SIDES)
def test_nothing_else_is(name: str, what: str, most: float) -> None:
    assert recognised(counterfeit(name, what)) <= most


def test_features_tell_good_samples_from_bad() -> None:
    """FID orders: training digits, blurred ones, blends, Gaussian, Gaussian pixels; collapse."""
    real = digit_features(images("digits"))
    train = images("digits", "train")
    noise = torch.randn(train.shape, generator=generator())

    def fid(x: Tensor) -> float:
        return frechet_distance(digit_features(x), real).item()

    names = ("Gaussian with all covariances", "Gaussian pixels")
    full, pixels = (fid(counterfeit("digits", name)) for name in names)
    blends = fid(counterfeit("digits", "blends of two classes"))
    distances = [fid(train), fid(train + 0.2 * noise), fid(train + 0.4 * noise), full, pixels]
    assert distances == sorted(distances)
    assert distances[0] < 1 < 20 * distances[0] < full
    assert blends > 50 * fid(train)
    nine_classes = train[load("digits").labels("train") != 3]
    assert fid(nine_classes) > 5 * fid(train)


# ----------------------------------------------------------------- what the functions return


@pytest.mark.parametrize("name", SIDES)
def test_shapes_and_consistency(name: str) -> None:
    x = images(name)[:7]
    found, p = FEATURES[name](x), PROBABILITIES[name](x)
    assert found.shape == (7, 64)
    assert p.shape == (7, 10)
    torch.testing.assert_close(p.sum(1), torch.ones(7))
    assert torch.equal(features(x), found)
    assert torch.equal(features(x, name), found)
    network = classifier(name)
    torch.testing.assert_close(network(x).softmax(1), p)
    torch.testing.assert_close(network.output(found).softmax(1), p)
    assert recognised(x) == pytest.approx((p.amax(1) > 0.9).double().mean().item())
    assert recognised(x, confidence=0.1) == 1.0


def test_many_images_are_looked_at_in_blocks() -> None:
    x = images("digits", "train")
    assert len(x) > 1024
    torch.testing.assert_close(digit_features(x)[1200:], digit_features(x[1200:]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_dtype_follows_the_input(dtype: torch.dtype) -> None:
    x = images("digits")[:50]
    found = digit_features(x.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), digit_features(x), rtol=2e-3, atol=2e-3)
    assert digit_probabilities(x.to(dtype)).dtype == dtype


def test_gradient() -> None:
    x = images("digits")[:4].double().requires_grad_()
    (gradient,) = torch.autograd.grad(digit_probabilities(x)[:, 3].sum(), x)
    assert gradient.abs().sum() > 0
    assert not digit_features(x.detach()).requires_grad
    with torch.no_grad():
        assert not digit_features(x).requires_grad
    assert not any(p.requires_grad for p in classifier("digits").parameters())


def test_no_random_numbers_are_used() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    from gencourse.metrics import features as _  # noqa: F401
    from gencourse.metrics.features import _load

    _load.cache_clear()
    digit_features(images("digits")[:2])
    assert torch.equal(torch.get_rng_state(), before)


def test_other_extractors() -> None:
    x = images("digits")[:9]
    assert torch.equal(features(x, "pixels"), x.flatten(1))
    assert features(x, lambda z: z.mean((1, 2))).shape == (9, 8)
    assert extractor_for(x) == "digits"
    assert extractor_for(images("glyphs")[:2]) == "glyphs"


# ----------------------------------------------------------------- bad input


def test_bad_input_is_named() -> None:
    x = images("digits")[:3]
    for function in (digit_features, digit_probabilities):
        with pytest.raises(ValueError, match=r"shape \(n, 1, 8, 8\), not \(3, 64\)"):
            function(x.flatten(1))
        with pytest.raises(ValueError, match="empty"):
            function(x[:0])
        with pytest.raises(ValueError, match="NaN"):
            function(x * math.nan)
    with pytest.raises(ValueError, match=r"shape \(n, 1, 28, 28\)"):
        glyph_features(x)
    with pytest.raises(ValueError, match="know digits and glyphs, not"):
        recognised(torch.zeros(2, 3, 8, 8))
    with pytest.raises(KeyError, match="did you mean 'inception'"):
        features(x, "inceptoin")
    with pytest.raises(ValueError, match=r"must return shape \(3, d\), not \(3, 1, 8, 8\)"):
        features(x, lambda z: z)
    with pytest.raises(ValueError, match=r"must return shape \(3, d\), not \(2, 64\)"):
        features(x, lambda z: z[:2].flatten(1))
    with pytest.raises(ValueError, match="the extractor's result holds"):
        features(x, lambda z: z.flatten(1) * math.inf)
    with pytest.raises(ValueError, match="images must have shape"):
        features(x.flatten(1))
    with pytest.raises(KeyError, match="unknown classifier"):
        classifier("faces")


@given(confidence=st.one_of(st.floats(max_value=0), st.floats(min_value=1), st.just(math.nan)))
def test_confidence_lies_between_0_and_1(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence must be"):
        recognised(images("digits")[:1], confidence=confidence)


# ----------------------------------------------------------------- the files


@pytest.mark.parametrize("name", SIDES)
def test_files_are_small_and_plain(name: str) -> None:
    file = FILES / f"{name}.pt"
    assert file.stat().st_size < 200_000
    state = torch.load(file, weights_only=True)
    assert {t.dtype for t in state.values()} == {torch.float16}
    network = Classifier(SIDES[name])
    network.load_state_dict(state)
    # What is in memory is what is in the file, and is written back as it was.
    again = torch.load(io.BytesIO(train_classifier.serialise(classifier(name))), weights_only=True)
    assert all(torch.equal(again[key], value) for key, value in state.items())


def test_training_is_reproducible_and_learns() -> None:
    """15 of 2500 steps give the same numbers twice; 80 are already far above chance."""
    first, again, other = (train_classifier.train("digits", steps=15, seed=s) for s in (0, 0, 1))
    contents = [train_classifier.serialise(network) for network in (first, again, other)]
    assert contents[0] == contents[1] != contents[2]
    logits = train_classifier.train("digits", steps=80)(images("digits"))
    # The average over the last 200 steps still holds much of the beginning.
    assert (logits.argmax(1) == load("digits").labels("test")).double().mean() > 0.3


def test_the_tool_writes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train_classifier, "STEPS", {"digits": 2, "glyphs": 2})
    assert train_classifier.main(["digits", "--folder", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["digits.pt"]
    Classifier(8).load_state_dict(torch.load(tmp_path / "digits.pt", weights_only=True))
    assert "digits: accuracy 0." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        train_classifier.main(["faces"])
    assert "no classifier is called faces" in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SIDES)
def test_training_gives_the_shipped_judge(name: str) -> None:
    """Another machine rounds differently, and training multiplies that; judgements agree."""
    network = train_classifier.train(name)
    x = images(name)
    with torch.no_grad():
        p = network(x).softmax(1)
    shipped = PROBABILITIES[name](x)
    assert (p.argmax(1) == shipped.argmax(1)).double().mean() > 0.985
    assert (p.amax(1) > 0.9).double().mean() > 0.95
    sure = (shipped.amax(1) > 0.9) == (p.amax(1) > 0.9)
    assert sure.double().mean() > 0.96
    for what in ("Gaussian pixels", "white noise", "blends of two classes"):
        with torch.no_grad():
            doubted = network(counterfeit(name, what)).softmax(1).amax(1)
        assert (doubted > 0.9).double().mean() < 0.08
