"""Every plot of an experiment draws on the axes it is given, or makes its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas
import pytest
import torch
from matplotlib.axes import Axes

from gencourse import data, failures, plots


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    with plots.style():
        yield
        plt.close("all")


@cache
def discriminator() -> pandas.DataFrame:
    return failures.perfect_discriminator(failures.pair("lines"), steps=10, every=5)


@cache
def collapse() -> failures.ModeCollapse:
    return failures.mode_collapse(steps=1, n=50, runs={"one": {}})


@cache
def oscillation() -> failures.Oscillation:
    return failures.oscillation(steps=2, every=1, n=20)


LINE = data.GaussianMixture(torch.tensor([[-1.0], [1.0]]), 0.5)
COINS = torch.tensor([0.5, 0.5])
SHARES = pandas.DataFrame({"between": [0.2, 0.0], "modes": [3.0, float("nan")]}, index=["a", "b"])

PLOTS: dict[str, Callable[[Axes | None], Axes]] = {
    "accuracy": lambda ax: failures.plot_accuracy(discriminator(), bayes=1.0, ax=ax),
    "bernoulli_descent": lambda ax: failures.plot_bernoulli_descent(
        failures.bernoulli_descent(steps=5), 0.6, ax=ax
    ),
    "bernoulli_losses": lambda ax: failures.plot_bernoulli_losses(
        failures.bernoulli_losses(), ax=ax
    ),
    "bernoulli_minimisers": lambda ax: failures.plot_bernoulli_minimisers(
        failures.bernoulli_minimisers(), ax=ax
    ),
    "bilinear_game": lambda ax: failures.plot_bilinear_game(failures.bilinear_game(), ax=ax),
    "coverage": lambda ax: failures.plot_coverage(SHARES, ax=ax),
    "distances": lambda ax: failures.plot_distances(oscillation(), ax=ax),
    "game_values": lambda ax: failures.plot_game_values(
        failures.discrete_gan_game(COINS, levels=(0.3, 0.5, 0.9)), ax=ax
    ),
    "gradient": lambda ax: failures.plot_gradient(discriminator(), ax=ax),
    "heavy_tails": lambda ax: failures.plot_heavy_tails(
        failures.heavy_tails((1, 10), repeats=50), ax=ax
    ),
    "instance_noise": lambda ax: failures.plot_instance_noise(
        failures.instance_noise((0.1, 0.5), noise="uniform"), ax=ax
    ),
    "log_d_along": lambda ax: failures.plot_log_d_along(
        failures.log_d_along(LINE, (0.0, 0.5)), ax=ax
    ),
    "mode_collapse": lambda ax: failures.plot_mode_collapse(collapse(), "one", ax=ax),
    "mode_mixture": lambda ax: failures.plot_mode_mixture(SHARES, ax=ax),
    "robust_location": lambda ax: failures.plot_robust_location(
        failures.robust_location([], n=50, d=2), ax=ax
    ),
    "shares": lambda ax: failures.plot_shares(oscillation(), ax=ax),
    "vanishing_gradient": lambda ax: failures.plot_vanishing_gradient(
        failures.vanishing_gradient(steps=5, every=5), ax=ax
    ),
}


def test_every_plot_is_here() -> None:
    assert {f"plot_{name}" for name in PLOTS} == {
        name for name in failures.__all__ if name.startswith("plot_")
    }


@pytest.mark.parametrize("name", PLOTS)
def test_plots(name: str) -> None:
    _, ax = plt.subplots()
    assert PLOTS[name](ax) is ax
    ax.figure.canvas.draw()
    drawn: Any = ax.lines or ax.patches or ax.images or ax.collections
    assert drawn
    assert ax.get_xlabel()
    assert PLOTS[name](None) is not ax


def test_runs_that_were_not_made() -> None:
    with pytest.raises(KeyError, match="unknown run 'two'"):
        failures.plot_mode_collapse(collapse(), "two")
