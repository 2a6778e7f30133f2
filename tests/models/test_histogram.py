"""Histograms against NumPy and their definition; and the curse of dimension, measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ring8_bar
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.models.curse import curse_of_dimension, total_variation
from gencourse.models.histogram import Histogram


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(x: Tensor, **settings: float) -> Histogram:
    model = gencourse.build("histogram", x, **settings)
    model.fit(x, progress=False)
    assert isinstance(model, Histogram)
    return model


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=generator(seed))


# ----------------------------------------------------------------- the density


@pytest.mark.parametrize(("d", "b"), [(1, 17), (2, 6), (3, 4)])
def test_counts_and_density_against_numpy(d: int, b: int) -> None:
    x = normal(500, d)
    model = fitted(x, bins=b, smoothing=1e-9)
    box = list(zip(model.low.tolist(), model.high.tolist(), strict=True))
    counts, edges = np.histogramdd(x.double().numpy(), bins=b, range=box)
    np.testing.assert_array_equal(model.counts, counts)
    density, _ = np.histogramdd(x.double().numpy(), bins=b, range=box, density=True)
    at = torch.stack([torch.from_numpy((e[1:] + e[:-1]) / 2) for e in edges], 1)
    centres = torch.cartesian_prod(*at.T).reshape(-1, d)
    got = model.log_prob(centres).exp().numpy()
    np.testing.assert_allclose(got, density.flatten(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_density_integrates_to_one(d: int) -> None:
    """Exactly: one number in each cell times the cell's volume, empty cells included."""
    model = fitted(normal(100, d), bins=5, smoothing=0.5)
    low, high = model.low.double(), model.high.double()
    inside = (torch.arange(5) + 0.5) / 5
    grid = torch.cartesian_prod(*[inside] * d).reshape(-1, d).double()
    volume = ((high - low) / 5).prod()
    p = model.log_prob(low + grid * (high - low)).exp()
    assert (p * volume).sum().item() == pytest.approx(1, abs=1e-12)
    assert (p > 0).all()
    # Laplace: half a sample more in each cell.
    expected = (model.counts.flatten().double() + 0.5) / (100 + 0.5 * 5**d)
    torch.testing.assert_close(p * volume, expected, rtol=1e-12, atol=0)


def test_outside_the_box() -> None:
    model = fitted(normal(100, 2), bins=4)
    span = model.high - model.low
    for x in (model.low - 0.01 * span, model.high + 0.01 * span, torch.tensor([0.0, 1e6])):
        assert model.log_prob(x[None]).item() == -math.inf
    # The corners themselves belong to it.
    assert model.log_prob(torch.stack([model.low, model.high])).isfinite().all()


def test_samples_fill_each_cell_evenly() -> None:
    """Counts of a new histogram of samples, and their place within the cells."""
    x = normal(300, 2)
    model = fitted(x, bins=4, smoothing=1.0)
    n = 100_000
    samples = model.sample(n, generator=generator()).double()
    share = model.count(samples, 4) / n
    expected = (model.counts + 1) / (300 + 16)
    assert ((share - expected).abs() < 5 * (expected / n).sqrt()).all()
    place = ((samples - model.low) / (model.high - model.low) * 4) % 1
    # Uniform: mean 1/2 and variance 1/12, five standard errors.
    assert ((place.mean(0) - 0.5).abs() < 5 / math.sqrt(12 * n)).all()
    assert ((place.var(0) - 1 / 12).abs() < 5 * math.sqrt(1 / 180 / n)).all()


def test_before_training_it_is_uniform() -> None:
    model = gencourse.build("histogram", torch.zeros(1, 3))
    assert model.log_prob(torch.zeros(1, 3)).item() == pytest.approx(-3 * math.log(2))
    assert model.sample(1000, generator=generator()).abs().max() <= 1


# ----------------------------------------------------------------- the number of bins


def test_the_likeliest_number_of_bins_wins() -> None:
    model = gencourse.build("histogram", torch.zeros(1, 1))
    history = model.fit(normal(2000, 1), steps=15, progress=False)
    scores = history.metrics["log_likelihood"]
    best = history.metrics["bins"][scores.index(max(scores))]
    assert model.counts.shape == (best,)
    # Scott's width 3.49 σ n^(-1/3) over a range of about 8 σ means 29 bins.
    assert 10 < best < 90


def test_leaving_each_sample_out() -> None:
    """The closed form against as many histograms as there are samples."""
    x = normal(40, 2)
    model = fitted(x, bins=3, smoothing=0.2)
    volume = ((model.high - model.low) / 3).double().prod()
    log_p = []
    for i in range(40):
        others = model.count(torch.cat([x[:i], x[i + 1 :]]).double(), 3)
        cell = model.count(x[i : i + 1].double(), 3).bool()
        log_p.append(((others[cell] + 0.2) / (39 + 0.2 * 9) / volume).log())
    expected = torch.cat(log_p).mean().item()
    assert model.left_out_log_likelihood().item() == pytest.approx(expected, rel=1e-6)


def test_more_samples_make_narrower_bins() -> None:
    """As n^(1/3): 500 times the samples, 8 times the bins; one choice is good to a factor 2."""

    def typical(n: int) -> float:
        chosen = [fitted(normal(n, 1, seed)).counts.shape[0] for seed in range(7)]
        return float(np.exp(np.log(chosen).mean()))

    assert 3.5 < typical(50_000) / typical(100) < 18


def test_the_bar_on_the_ring() -> None:
    ring = data.load("ring8")
    model = gencourse.build("histogram", ring)
    model.fit(ring, progress=False)
    result = ring8_bar.measure(model, 0)
    assert ring8_bar.shortcomings(result) == []
    assert result["quality"] > 0.97
    assert result["w1"] < 2 * 0.105
    # Steps instead of a curve cost a little: seeds 0 to 2 gave 0.037 to 0.050 nats.
    assert 0.01 < result["nll"] - result["entropy"] < 0.08


# ----------------------------------------------------------------- the curse of dimension


def test_total_variation_of_known_laws() -> None:
    """A single bin on the box against N(0, 1): ½ ∫ |p - u| in closed form."""
    truth = data.toys.Gaussian(torch.zeros(1), torch.eye(1))
    x = torch.tensor([[-2.0], [2.0]])
    model = fitted(x, bins=1, margin=1e-6)
    # φ(x) > 1/4 for |x| < c; there is mass beyond ±2 as well.
    c = math.sqrt(-2 * math.log(0.25 * math.sqrt(2 * math.pi)))
    expected = math.erf(c / math.sqrt(2)) - c / 2 + 1 - math.erf(math.sqrt(2))
    got = total_variation(model, truth, n=100_000)
    # Each term lies in [0, 1]: a standard error of at most 1/(2√n).
    assert got == pytest.approx(expected, abs=5 / (2 * math.sqrt(100_000)))
    with pytest.raises(ValueError, match="density of data set 'parallel_lines' is not known"):
        total_variation(
            gencourse.build("histogram", torch.zeros(1, 2)), data.load("parallel_lines")
        )


def test_the_error_grows_with_the_dimension() -> None:
    """Deck D: at n = 1000, from d = 1 to d = 6, for windows more slowly than for bins."""
    errors = curse_of_dimension(n=1000)
    for slug in ("histogram", "kde"):
        assert np.diff(errors[slug]).min() > -0.02
        assert errors[slug][-1] > 4 * errors[slug][0]
    assert all(h > k for h, k in zip(errors["histogram"], errors["kde"], strict=True))


def test_the_rate_worsens_with_the_dimension() -> None:
    """The error falls as n^(-1/(d+2)): 64 times the samples divide it by 4 in one dimension,
    and by 1.7 in six."""
    gain = {}
    for d in (1, 6):
        few, many = (
            np.mean(
                [
                    curse_of_dimension(["histogram"], dimensions=[d], n=n, seed=seed)["histogram"]
                    for seed in range(5)
                ]
            )
            for n in (125, 8000)
        )
        gain[d] = few / many
    assert 2.5 < gain[1] < 6.5
    assert 1.2 < gain[6] < 2.2


def test_too_many_cells() -> None:
    with pytest.raises(ValueError, match=r"2\^30 = 1.07e\+09 cells.*curse of dimension"):
        gencourse.build("histogram", torch.zeros(1, 30))
    with pytest.raises(ValueError, match="100 bins along each of 4 axes"):
        gencourse.build("histogram", torch.zeros(1, 4), bins=100)
    assert fitted(normal(100, 12)).counts.numel() <= 1_000_000


# ----------------------------------------------------------------- degenerate data


def test_data_without_a_range() -> None:
    x = normal(50, 3)
    x[:, 1] = 4.0
    with pytest.raises(ValueError, match=r"coordinates \[1\] are the same in all samples"):
        fitted(x)
    with pytest.raises(ValueError, match="single sample has no range"):
        fitted(torch.zeros(1, 2))


@given(
    st.sampled_from(["bins", "smoothing", "margin", "cells", "steps"]),
    st.sampled_from([0, -1, math.nan, "many", True]),
)
def test_settings_that_make_no_sense(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        gencourse.build("histogram", torch.zeros(1, 2), **{name: value})
