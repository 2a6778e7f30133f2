"""One call that measures: real samples at the floor, the same truth for all, clear errors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import gencourse
from gencourse import data, metrics
from gencourse.metrics.inception import inception_available


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_real_samples_are_at_the_floor() -> None:
    ring = data.load("ring8")
    result = gencourse.evaluate(ring.sample(1000, generator=generator(77)), ring, n=1000)
    assert set(result) == {
        "w1", "w1_floor", "w2", "w2_floor", "modes", "quality", "largest_share",
    }  # fmt: skip
    assert all(isinstance(value, float) for value in result.values())
    # Both are distances between two sets of 1000 real samples: the same distribution, whose
    # spread over sets is about a quarter of its mean.
    for p in (1, 2):
        assert 0.4 < result[f"w{p}"] / result[f"w{p}_floor"] < 2.5
    assert result["modes"] == 8
    # P(χ²₂ ≤ 9) = 0.989, binomial standard deviation √(0.011 · 0.989 / 1000) = 0.0033.
    assert result["quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.015)
    assert 1 <= result["largest_share"] < 1.4


def test_the_floor_is_the_distance_of_the_real_samples_it_uses() -> None:
    """By another algorithm: for equal masses the optimal plan is an assignment."""
    ring = data.load("ring8")
    truth = generator(2 * 5)  # the stream of the truth for seed 5
    real, again = (ring.sample(200, generator=truth).double() for _ in range(2))
    samples = ring.sample(200, generator=generator(9))
    result = gencourse.evaluate(samples, ring, n=200, seed=5)

    def distance(x: Tensor, y: Tensor, p: int) -> float:
        cost = (x[:, None] - y[None]).norm(dim=2).pow(p).numpy()
        return float(cost[linear_sum_assignment(cost)].mean() ** (1 / p))

    for p in (1, 2):
        assert result[f"w{p}"] == pytest.approx(distance(samples.double(), real, p), rel=1e-6)
        assert result[f"w{p}_floor"] == pytest.approx(distance(again, real, p), rel=1e-6)


def test_every_model_meets_the_same_truth() -> None:
    """However much randomness it uses itself; another seed is another truth."""
    moons = data.load("moons")
    results = {}
    for slug, settings in (
        ("gmm", {"components": 2}),
        ("gan", {"width": 4, "latent": 7}),
        ("kde", {"centres": 50, "held_out": 10}),
    ):
        model = gencourse.build(slug, moons, **settings)
        model.fit(moons, steps=1, progress=False)
        results[slug] = gencourse.evaluate(model, moons, n=100, seed=3)
        assert gencourse.evaluate(model, moons, n=100, seed=3) == results[slug]
        assert gencourse.evaluate(model, moons, n=100, seed=4) != results[slug]
    floors = {(r["w1_floor"], r["w2_floor"]) for r in results.values()}
    assert len(floors) == 1
    assert results["gmm"]["entropy"] == results["kde"]["entropy"]
    assert "entropy" not in results["gan"]
    assert "nll" not in results["gan"]
    assert len({r["w1"] for r in results.values()}) == 3


def test_the_global_generator_is_left_alone() -> None:
    moons = data.load("moons")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    gencourse.evaluate(gencourse.build("gan", moons, width=4), moons, n=50)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_likelihood_of_the_truth_itself_is_the_entropy() -> None:
    """A mixture set to the ring's own parameters has NLL = entropy, sample by sample."""
    ring = data.load("ring8")
    model = gencourse.build("gmm", ring)
    model.means = ring.modes.clone()
    model.covariances = (0.1**2 * torch.eye(2)).repeat(8, 1, 1)
    result = gencourse.evaluate(model, ring, n=500)
    assert result["nll"] == pytest.approx(result["entropy"], abs=1e-4)
    # 8 well separated modes: log 8 + log(2πe σ²), which 500 samples give within 5/√500 nats.
    entropy = math.log(8) + math.log(2 * math.pi * math.e * 0.1**2)
    assert result["entropy"] == pytest.approx(entropy, abs=5 / math.sqrt(500))
    model.means = model.means + 0.1
    assert gencourse.evaluate(model, ring, n=500)["nll"] > result["entropy"] + 0.5


IMAGE_KEYS = {
    *("w1", "w1_floor", "w2", "w2_floor", "parzen", "memorised"),
    *("fid", "fid_floor", "kid", "precision", "recall", "density", "coverage"),
}
JUDGED_KEYS = IMAGE_KEYS | {"recognised", "classes", "inception_score"}


def test_images() -> None:
    """New digits against new digits; the test split is the truth, and training is the floor."""
    digits = data.load("digits")
    test, train = digits.images("test"), digits.images("train")
    result = gencourse.evaluate(train, digits, n=360)
    assert set(result) == JUDGED_KEYS
    assert 0.9 < result["w2"] / result["w2_floor"] < 1.1
    assert result["fid"] < 3 * result["fid_floor"]
    assert result["recognised"] > 0.98
    assert result["classes"] == 10
    assert result["inception_score"] > 9
    assert min(result["precision"], result["recall"], result["coverage"]) > 0.9
    assert result["memorised"] == 1.0  # they are the training digits
    noise = torch.rand(360, 1, 8, 8, generator=generator()) * 2 - 1
    worse = gencourse.evaluate(noise, digits, n=360)
    assert worse["w2"] > 1.5 * worse["w2_floor"]
    assert worse["parzen"] < result["parzen"] - 10
    assert worse["w2_floor"] == result["w2_floor"]
    assert worse["fid"] > 30 * result["fid"]
    assert worse["fid_floor"] == result["fid_floor"]
    assert worse["kid"] > result["kid"] + 1
    assert worse["recognised"] < 0.01
    assert worse["memorised"] == 0
    assert worse["coverage"] < 0.1
    one_class = train[digits.labels("train") == 6]
    collapsed = gencourse.evaluate(one_class, digits)
    assert collapsed["recognised"] > 0.98
    assert collapsed["classes"] == 1
    assert collapsed["inception_score"] < 1.2
    assert collapsed["precision"] > 0.9 > 0.3 > collapsed["recall"]
    # Not the training digits, and not like them in pixels: new digits.
    assert gencourse.evaluate(test + 0.01, digits)["memorised"] == 0


def test_the_metrics_of_images_are_those_of_gencourse_metrics() -> None:
    digits = data.load("digits")
    noise = torch.randn(400, 1, 8, 8, generator=generator())
    samples = (digits.images("train")[:400] + 0.3 * noise).clamp(-1, 1)
    result = gencourse.evaluate(samples, digits, seed=2)
    test = digits.images("test")  # all of it, whatever its order
    x, y = metrics.digit_features(samples), metrics.digit_features(test)
    assert result["fid"] == pytest.approx(metrics.frechet_distance(x, y).item(), rel=1e-5)
    assert result["kid"] == pytest.approx(metrics.kernel_distance(x, y).item(), rel=1e-5)
    found = metrics.prdc(y, x)
    for name in ("precision", "recall", "density", "coverage"):
        assert result[name] == pytest.approx(getattr(found, name)), name
    p = metrics.digit_probabilities(samples)
    assert result["inception_score"] == pytest.approx(metrics.inception_score(p).mean, rel=1e-6)
    assert result["recognised"] == metrics.recognised(samples)
    expected = metrics.memorisation(samples, digits.images("train")).share
    assert result["memorised"] == expected


def test_exact_test_images_have_no_parzen_likelihood() -> None:
    """It grows without bound as the windows shrink: left out, with the reason as a warning."""
    digits = data.load("digits")
    test = digits.images("test")
    shuffled = test[torch.randperm(len(test), generator=generator())]
    with pytest.warns(UserWarning, match="no Parzen likelihood: .*among the samples") as caught:
        result = gencourse.evaluate(shuffled, digits, n=len(test))
    assert caught[0].filename == __file__
    assert set(result) == JUDGED_KEYS - {"parzen"}
    assert result["w2"] == 0
    assert result["fid"] == pytest.approx(0, abs=1e-4)  # features are float32
    assert result["memorised"] == 0
    # A little disturbed, they are next to the test split.
    shuffled = shuffled + 1e-3 * torch.randn(test.shape, generator=generator())
    result = gencourse.evaluate(shuffled, digits, n=len(test))
    assert result["w2"] < 0.01
    assert result["parzen"] > 100


def test_few_images() -> None:
    """Where there are too few for the neighbours that features are compared by, those are out."""
    digits = data.load("digits")
    few = gencourse.evaluate(digits.images("train")[:5], digits)
    assert "fid" not in few
    assert 0 <= few["recognised"] <= 1
    more = gencourse.evaluate(digits.images("train")[:6], digits)
    assert set(more) == JUDGED_KEYS


def test_bits_per_dimension() -> None:
    """Uniform on [-1, 1]^64 needs log₂ 16 bits: 16 steps of 1/8. A mixture needs fewer.

    Its NLL is of test digits as they are; the bits are of dequantised ones.
    """
    digits = data.load("digits")
    model = gencourse.build("gmm", digits, components=10, ridge=0.05)
    model.fit(digits, steps=5, progress=False)
    result = gencourse.evaluate(model, digits, n=300)
    assert set(result) == JUDGED_KEYS | {"nll", "bits_per_dim"}
    assert 1 < result["bits_per_dim"] < 4
    index = torch.randperm(355, generator=generator(0))[:300]
    test = digits.images("test")[index]
    truth = metrics.bits_per_dimension(-model.log_prob(test).double().mean().item(), 64, 1 / 8)
    # Noise of variance δ²/12 = 0.0013 beside variances of at least 0.05 costs a little.
    assert truth < result["bits_per_dim"] < truth + 0.1
    assert gencourse.evaluate(model, digits, n=300) == result


def test_other_images() -> None:
    """Glyphs have a classifier if they are digits; colour needs Inception, which is not here."""
    glyphs = data.load("glyphs", n_train=200, n_test=60)
    result = gencourse.evaluate(glyphs.images("train"), glyphs, n=60)
    assert set(result) == JUDGED_KEYS
    assert result["recognised"] > 0.95
    letters = data.load("glyphs", n_train=100, n_test=40, characters="abc")
    assert set(gencourse.evaluate(letters.images("train"), letters, n=40)) == IMAGE_KEYS
    colour = data.load("glyphs", n_train=100, n_test=40, size=8, channels=3)
    found = gencourse.evaluate(colour.images("train"), colour, n=40)
    assert {"w2", "parzen", "memorised"} <= set(found)
    assert "recognised" not in found
    assert ("fid" in found) == inception_available()


def test_the_floor_has_as_many_samples_as_the_model() -> None:
    """1000 real digits come nearer to the 355 test digits than 355 do: so must the floor."""
    digits = data.load("digits")
    train = digits.images("train")
    few, many = (gencourse.evaluate(train, digits, n=n) for n in (355, 1400))
    assert many["w2"] < few["w2"]
    assert many["w2_floor"] < few["w2_floor"]
    assert many["w2"] > 0.95 * many["w2_floor"]


def test_of_a_tensor_the_first_n_are_used() -> None:
    moons = data.load("moons")
    x = moons.sample(300, generator=generator(4))
    assert gencourse.evaluate(x, moons, n=100) == gencourse.evaluate(x[:100], moons, n=100)
    # Fewer than n: as many real ones.
    assert gencourse.evaluate(x[:50], moons, n=100) == gencourse.evaluate(x[:50], moons, n=50)


def test_any_floating_dtype_and_gradient() -> None:
    moons = data.load("moons")
    x = moons.sample(100, generator=generator(4))
    expected = gencourse.evaluate(x, moons, n=100)
    assert gencourse.evaluate(x.double().requires_grad_(), moons, n=100) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize(
    ("samples", "n", "complaint"),
    [
        (torch.zeros(10, 3), 10, r"samples must have shape \(n, 2\), not \(10, 3\)"),
        (torch.zeros(10, 1, 8, 8), 10, r"samples must have shape \(n, 2\)"),
        (torch.zeros(2), 10, r"samples must have shape \(n, 2\), not \(2,\)"),
        (torch.tensor(0.0), 10, r"samples must have shape \(n, 2\), not \(\)"),
        (torch.zeros(0, 2), 10, "samples is empty"),
        (torch.full((10, 2), math.nan), 10, "samples holds 20 NaN"),
        (torch.zeros(10, 2, dtype=torch.int64), 10, "samples must have a floating dtype"),
        (torch.zeros(10, 2).numpy(), 10, "samples must be a torch tensor, not ndarray"),
        (None, 10, "samples must be a torch tensor, not NoneType"),
        (torch.zeros(10, 2), 0, "n must be above 0"),
        (torch.zeros(10, 2), 1.5, "n must be a whole number"),
    ],
)
def test_bad_samples(samples: Any, n: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        gencourse.evaluate(samples, data.load("ring8"), n=n)


@pytest.mark.parametrize("truth", ["ring8", torch.zeros(10, 2), None])
def test_bad_truth(truth: Any) -> None:
    with pytest.raises(ValueError, match=r"data must be a data set of gencourse\.data, not"):
        gencourse.evaluate(torch.zeros(10, 2), truth)


def test_a_model_of_other_data() -> None:
    model = gencourse.build("gan", data.load("digits"), width=4)
    with pytest.raises(ValueError, match=r"samples must have shape \(n, 2\), not \(\d+, 1, 8, 8\)"):
        gencourse.evaluate(model, data.load("ring8"), n=20)


def test_a_model_that_draws_nonsense() -> None:
    model = gencourse.build("gan", data.load("ring8"), width=4)
    with torch.no_grad():
        next(model.average.parameters()).fill_(math.nan)
    with pytest.raises(ValueError, match=r"samples holds \d+ NaN"):
        gencourse.evaluate(model, data.load("ring8"), n=20)
