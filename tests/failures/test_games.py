"""Games and coins whose failures are known exactly: duality, the bilinear game, biases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from gencourse import failures, transport
from gencourse.metrics import energy_distance

# ----------------------------------------------------------------- min max and max min


def matrices() -> st.SearchStrategy[torch.Tensor]:
    sizes = st.tuples(st.integers(1, 5), st.integers(1, 5))
    entries = st.integers(-9, 9)
    return sizes.flatmap(
        lambda s: st.lists(
            st.lists(entries, min_size=s[1], max_size=s[1]), min_size=s[0], max_size=s[0]
        ).map(lambda rows: torch.tensor(rows, dtype=torch.float64))
    )


@given(matrices())
def test_weak_and_strong_duality(V: torch.Tensor) -> None:
    """Pure: min max ≥ max min. Mixed: equal, between both, and no reply beats either strategy."""
    found = failures.game_values(V)
    assert found.gap >= 0
    assert found.mixed_min_max == pytest.approx(found.mixed_max_min, abs=1e-9)
    assert found.max_min - 1e-9 <= found.mixed_min_max <= found.min_max + 1e-9
    for strategy in (found.row, found.column):
        assert strategy.sum().item() == pytest.approx(1, abs=1e-9)
        assert (strategy >= -1e-9).all()
    assert (found.row @ V).max().item() == pytest.approx(found.mixed_min_max, abs=1e-8)
    assert (V @ found.column).min().item() == pytest.approx(found.mixed_max_min, abs=1e-8)


def test_a_saddle_point_needs_no_mixing() -> None:
    found = failures.game_values(torch.tensor([[2.0, 1.0], [3.0, 0.0]]))
    assert (found.min_max, found.max_min, found.gap) == (2.0, 2.0, 0.0)


def test_rock_paper_scissors() -> None:
    found = failures.game_values(torch.tensor([[0.0, 1, -1], [-1, 0, 1], [1, -1, 0]]))
    assert (found.min_max, found.max_min) == (1.0, -1.0)
    assert found.mixed_min_max == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(found.row, torch.full((3,), 1 / 3).double())


@pytest.mark.parametrize("p", [(0.5, 0.5), (0.25, 0.75)])
def test_the_gan_game_is_worth_minus_log_4_only_when_mixed(p: tuple[float, ...]) -> None:
    V = failures.discrete_gan_game(torch.tensor(p))
    found = failures.game_values(V)
    assert found.mixed_min_max == pytest.approx(-math.log(4), abs=1e-9)
    assert found.min_max > -math.log(4) + 0.1
    # The law of the data is an optimal mixture: D = ½ is a best reply to it.
    at_data = torch.tensor(p, dtype=torch.float64) @ V
    assert at_data.max().item() == pytest.approx(-math.log(4), abs=1e-12)


def test_payoffs_of_the_gan_game() -> None:
    V = failures.discrete_gan_game(torch.tensor([0.25, 0.75]), levels=(0.2, 0.5))
    assert V.shape == (2, 4)
    # The second column is D = (0.2, 0.5).
    fixed = 0.25 * math.log(0.2) + 0.75 * math.log(0.5)
    assert V[0, 1].item() == pytest.approx(fixed + math.log(0.8))
    assert V[1, 1].item() == pytest.approx(fixed + math.log(0.5))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: failures.game_values(torch.zeros(3)), "V must be a matrix"),
        (lambda: failures.game_values(torch.full((2, 2), math.nan)), "NaN"),
        (lambda: failures.discrete_gan_game(torch.tensor([0.5, 0.2])), "sum 1"),
        (lambda: failures.discrete_gan_game(torch.ones(1, 1)), r"shape \(K,\)"),
        (
            lambda: failures.discrete_gan_game(torch.tensor([0.5, 0.5]), levels=(0.0, 0.5)),
            "strictly between 0 and 1",
        ),
        (lambda: failures.discrete_gan_game(torch.full((5,), 0.2)), "take fewer levels"),
        (lambda: failures.plot_game_values(torch.zeros(1, 3)), "at least two rows"),
        (lambda: failures.bilinear_game(eta=0.0), "eta must be above 0"),
        (lambda: failures.bilinear_game(start=(0.0, 0.0)), "start must be"),
        (lambda: failures.bernoulli_losses(1.5), r"must lie in \[0, 1\]"),
        (lambda: failures.bernoulli_losses(0.5, 0), "m must be above 0"),
        (lambda: failures.bernoulli_descent(lr=-1.0), "lr must be above 0"),
    ],
)
def test_wrong_input(call: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()


# ----------------------------------------------------------------- the bilinear game


@pytest.mark.parametrize("eta", [0.01, 0.1, 1.0])
def test_simultaneous_steps_spiral_outwards_by_a_known_factor(eta: float) -> None:
    """‖z_t‖ = (1 + η²)^(t/2) ‖z_0‖, turning by arctan η in each step."""
    frame = failures.bilinear_game(eta=eta, steps=100, start=(0.6, -0.8))
    np.testing.assert_allclose(frame["radius"], frame["theory"], rtol=1e-12)
    np.testing.assert_allclose(
        frame["turns"], frame.index * math.atan(eta) / (2 * math.pi), rtol=1e-9
    )
    # In continuous time, where η → 0, nothing spirals: the flow is a rotation.
    rotation = expm(np.array([[0.0, -1.0], [1.0, 0.0]]))
    assert np.linalg.norm(rotation @ [0.6, -0.8]) == pytest.approx(1)


@pytest.mark.parametrize("eta", [0.1, 1.0, 1.9])
def test_alternating_steps_stay_on_an_ellipse(eta: float) -> None:
    frame = failures.bilinear_game(eta=eta, steps=500, alternating=True, start=(0.6, -0.8))
    energy = frame["x"] ** 2 + frame["y"] ** 2 - eta * frame["x"] * frame["y"]
    np.testing.assert_allclose(energy, energy[0], rtol=1e-10)
    assert frame["theory"].isna().all()


@pytest.mark.parametrize("alternating", [False, True])
def test_averages_telescope(alternating: bool) -> None:
    """‖z̄‖ = ‖z_T - z_0‖ / (η T), whichever way the players move."""
    eta, steps = 0.1, 300
    frame = failures.bilinear_game(eta=eta, steps=steps, alternating=alternating)
    moved = np.hypot(frame["x"] - 1, frame["y"]).iloc[1:]
    expected = moved / (eta * frame.index[1:])
    np.testing.assert_allclose(frame["average_radius"].iloc[1:], expected, rtol=1e-9, atol=1e-12)
    # From anywhere on the circle; the iterates themselves are no nearer than at the start.
    if alternating:
        assert frame["average_radius"].iloc[-1] < 0.1
        assert frame["radius"].iloc[-100:].min() > 0.9


def test_small_steps_make_the_average_converge() -> None:
    """With η = 1/√T the spiral grows by at most √e, and the average falls as 1/√T."""
    ends = []
    for steps in (100, 10_000):
        frame = failures.bilinear_game(eta=steps**-0.5, steps=steps)
        assert frame["radius"].iloc[-1] == pytest.approx(math.exp(0.5), rel=0.01)
        ends.append(frame["average_radius"].iloc[-1])
        assert ends[-1] <= (1 + math.exp(0.5)) / math.sqrt(steps)


# ----------------------------------------------------------------- a coin


@pytest.mark.parametrize("theta_star", [0.6, 0.9])
@pytest.mark.parametrize("m", [1, 2, 7])
def test_the_cramer_gradient_is_unbiased_and_that_of_w1_is_not(theta_star: float, m: int) -> None:
    frame = failures.bernoulli_losses(theta_star, m)
    np.testing.assert_allclose(
        frame["cramer_sample_gradient"], frame["cramer_gradient"], atol=1e-12
    )
    # The sample loss is larger by the variance of θ̂, which does not depend on θ.
    variance = theta_star * (1 - theta_star) / m
    np.testing.assert_allclose(frame["cramer_sample"] - frame["cramer"], variance, atol=1e-12)
    bias = (frame["w1_sample_gradient"] - frame["w1_gradient"]).abs()
    assert bias.max() > 0.1
    assert (frame["w1_sample"] >= frame["w1"] - 1e-12).all()  # Jensen


def test_one_toss_points_the_wrong_way() -> None:
    """E ∂W₁ = P(0) - P(1) = 1 - 2 θ*, whatever θ is: also above θ*, where it should be +1."""
    frame = failures.bernoulli_losses(0.6, 1)
    np.testing.assert_allclose(frame["w1_sample_gradient"], -0.2, atol=1e-12)


@pytest.mark.parametrize("theta", [0.125, 0.5, 0.85])
def test_losses_are_those_of_the_library(theta: float) -> None:
    """Against W₁ and energy distance of point sets, over all outcomes of three tosses."""
    theta_star, m = 0.6, 3
    row = failures.bernoulli_losses(theta_star, m, thetas=[theta]).iloc[0]
    coin = torch.tensor([0.0, 1.0]).double()
    model = torch.tensor([1 - theta, theta], dtype=torch.float64)
    w1 = cramer = 0.0
    for outcome in range(2**m):
        tosses = torch.tensor([float(outcome >> i & 1) for i in range(m)]).double()
        heads = int(tosses.sum())
        probability = theta_star**heads * (1 - theta_star) ** (m - heads)
        w1 += probability * transport.wasserstein_1d(tosses, coin, p=1, y_weights=model).item()
        # A coin of forty sides stands for the model: θ is a multiple of 1/40.
        sides = torch.tensor([0.0] * round(40 * (1 - theta)) + [1.0] * round(40 * theta))
        energy = energy_distance(tosses[:, None], sides.double()[:, None], unbiased=False)
        cramer += probability * energy.item() / 2
    assert row["w1_sample"] == pytest.approx(w1, rel=1e-9)
    assert row["cramer_sample"] == pytest.approx(cramer, rel=1e-9)


def test_gradients_are_derivatives() -> None:
    for m in (1, 4):
        thetas = np.linspace(0.011, 0.979, 40)
        h = 1e-6
        here = failures.bernoulli_losses(0.6, m, thetas=thetas.tolist())
        up = failures.bernoulli_losses(0.6, m, thetas=(thetas + h).tolist())
        for name in ("w1", "w1_sample", "cramer", "cramer_sample"):
            slope = (up[name].to_numpy() - here[name].to_numpy()) / h
            np.testing.assert_allclose(slope, here[f"{name}_gradient"], atol=1e-5)


def test_minimisers() -> None:
    """From single tosses W₁ makes the model deterministic; Cramér finds θ* from any number."""
    frame = failures.bernoulli_minimisers()
    assert frame.loc[(0.6, 1), "w1"] == 1
    assert frame.loc[(0.9, 5), "w1"] == 1
    assert frame.loc[(0.6, 2), "w1"] == 0.5
    assert frame.loc[(0.6, 3), "w1"] == pytest.approx(2 / 3)
    for (theta_star, m), row in frame.iterrows():
        assert row["cramer"] == pytest.approx(theta_star, abs=1e-12)
        # A median is within a standard deviation of the mean, and this one a multiple of 1/m.
        assert abs(row["w1"] - theta_star) <= math.sqrt(theta_star * (1 - theta_star) / m) + 1e-12
        assert row["w1"] * m == pytest.approx(round(row["w1"] * m), abs=1e-9)
        losses = failures.bernoulli_losses(theta_star, m)
        least = failures.bernoulli_losses(theta_star, m, thetas=[row["w1"]])["w1_sample"].iloc[0]
        assert least <= losses["w1_sample"].min() + 1e-12


@pytest.mark.parametrize("theta_star", [0.6, 0.9])
def test_descent_ends_where_the_theory_says(theta_star: float) -> None:
    generator = torch.Generator().manual_seed(3)
    frame = failures.bernoulli_descent(theta_star, 1, generator=generator)
    assert frame["w1"].iloc[-1] > 0.97
    # With a rate of 0.01 Cramér's error has variance about lr/2 · θ*(1 - θ*), at first.
    assert frame["cramer"].iloc[-200:].mean() == pytest.approx(theta_star, abs=0.05)


# ----------------------------------------------------------------- robust location


def test_games_find_the_centre_that_mean_and_median_miss() -> None:
    """In 20 dimensions, a fifth of the points 5 away in each: the mean errs by 0.2 · 5 · √20.

    The median of (1 - ε) N(0, 1) + ε N(5, 1) is Φ⁻¹(½/(1 - ε)) = 0.319, which over 20 coordinates
    is 1.43. Seed 0 gave TV 0.068 and GAN 0.086; sampling alone errs by √(20/16000) = 0.035.
    """
    errors = failures.robust_location()["error"]
    assert errors["mean"] == pytest.approx(math.sqrt(20), rel=0.05)
    assert errors["median"] == pytest.approx(0.319 * math.sqrt(20), rel=0.05)
    assert errors["tv-gan"] < 0.15
    assert errors["gan"] < 0.2


def test_without_contamination_all_estimates_agree() -> None:
    errors = failures.robust_location(["tv-gan"], n=5000, d=5, share=0.0, epochs=20)["error"]
    assert errors.max() < 0.15


def test_refusals_of_robust_location() -> None:
    source = torch.Generator()
    for share in (-0.1, 0.5, math.nan):
        with pytest.raises(ValueError, match="share must lie in"):
            failures.contaminated(5, 2, share, generator=source)
    with pytest.raises(ValueError, match="epochs"):
        failures.robust_location(epochs=0)
    with pytest.raises(KeyError, match="unknown objective 'tvgan'"):
        failures.robust_location(["tvgan"])
