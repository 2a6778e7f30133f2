"""The nearest Gaussian: what is known exactly of it."""

from __future__ import annotations

import math

import pytest
import torch

from gencourse.divergences import F_DIVERGENCES, divergence_on_a_line, nearest_gaussian

NAMES = ("kl", "reverse-kl", "pearson", "neyman", "squared-hellinger", "jeffreys", "js", "gan")
PARTS = torch.distributions.Normal(
    torch.tensor([-2.0, 2.0], dtype=torch.float64), torch.tensor([0.5, 0.8], dtype=torch.float64)
)
WEIGHTS = torch.tensor([0.6, 0.4], dtype=torch.float64)
MIXTURE = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(WEIGHTS), PARTS)


@pytest.mark.parametrize("name", NAMES)
def test_a_gaussian_is_nearest_to_itself(name: str) -> None:
    p = torch.distributions.Normal(
        torch.tensor(0.7, dtype=torch.float64), torch.tensor(1.3, dtype=torch.float64)
    )
    q = nearest_gaussian(F_DIVERGENCES[name], p.log_prob, -9.3, 10.7)
    # D_f is quadratic at its minimum: a value right to 1e-12 fixes parameters to about 1e-6.
    assert q.mean == pytest.approx(0.7, abs=1e-5)
    assert q.std == pytest.approx(1.3, abs=1e-5)
    least = F_DIVERGENCES[name].f(torch.ones(1, dtype=torch.float64)).item()
    assert q.value == pytest.approx(least, abs=1e-9)


def test_kl_keeps_mean_and_variance() -> None:
    """The likeliest Gaussian has the moments of p, whatever p is."""
    q = nearest_gaussian(F_DIVERGENCES["kl"], MIXTURE.log_prob, -10, 10)
    assert q.mean == pytest.approx(MIXTURE.mean.item(), abs=1e-4)
    assert q.std == pytest.approx(MIXTURE.stddev.item(), abs=1e-4)


def test_reverse_kl_settles_on_the_heavier_part() -> None:
    q = nearest_gaussian(F_DIVERGENCES["reverse-kl"], MIXTURE.log_prob, -10, 10)
    assert q.mean == pytest.approx(-2, abs=0.05)
    assert q.std == pytest.approx(0.5, abs=0.05)


def test_the_heaviest_part_is_found_between_nodes_of_the_grid() -> None:
    """Nearly equal parts: a grid's best need not be near the best of all, of value -log 0.36."""
    parts = torch.distributions.Normal(
        torch.tensor([-5.0, 0.0, 5.0], dtype=torch.float64),
        torch.tensor(0.5, dtype=torch.float64),
    )
    weights = torch.tensor([0.3, 0.36, 0.34], dtype=torch.float64)
    p = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(weights), parts)
    q = nearest_gaussian(F_DIVERGENCES["reverse-kl"], p.log_prob, -12, 12)
    assert q.mean == pytest.approx(0, abs=1e-3)
    # The parts are ten standard deviations apart: the others change the value by about e^-12.
    assert q.value == pytest.approx(-math.log(0.36), abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_no_neighbour_is_nearer(name: str) -> None:
    f = F_DIVERGENCES[name]
    q = nearest_gaussian(f, MIXTURE.log_prob, -10, 10)
    for mean, std in ((0.05, 0.0), (-0.05, 0.0), (0.0, 0.05), (0.0, -0.05)):
        other = torch.distributions.Normal(
            torch.tensor(q.mean + mean, dtype=torch.float64), q.std + std
        )
        beside = divergence_on_a_line(f, MIXTURE.log_prob, other.log_prob, -10, 10).item()
        assert beside > q.value


def test_an_empty_interval_is_told() -> None:
    with pytest.raises(ValueError, match="low must be below high"):
        nearest_gaussian(F_DIVERGENCES["kl"], MIXTURE.log_prob, 1.0, 1.0)
