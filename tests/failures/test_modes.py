"""Modes that are lost, blended or visited in turn: counted on trained models."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import gencourse
from gencourse import failures
from gencourse.failures.mixture import _slopes

# ----------------------------------------------------------------- collapse


def test_players_out_of_balance_collapse() -> None:
    """Of seeds 0, 1 and 2 with 700 steps: 0, 1 and 1 modes; balanced, 8 of 8."""
    runs = {name: failures.COLLAPSING[name] for name in ("slow discriminator", "balanced")}
    found = failures.mode_collapse(runs=runs, steps=700, seed=1)
    table = found.table
    assert table.loc["slow discriminator", "modes"] <= 2
    assert table.loc["balanced", "modes"] == 8
    assert table.loc["balanced", "largest_share"] < 2
    assert (table["between"] + table["quality"]).to_numpy() == pytest.approx(1)
    assert found.samples["balanced"].shape == (4000, 2)


def test_data_without_modes() -> None:
    for function in (failures.mode_collapse, failures.mode_mixture, failures.oscillation):
        with pytest.raises(ValueError, match="'moons' has no modes"):
            function("moons")


# ----------------------------------------------------------------- mixture


@pytest.mark.parametrize("slope", [1.0, 5.0, 50.0])
def test_a_ramp_attains_the_bound(slope: float) -> None:
    """G(z) = clamp(L z) to [-δ/2, δ/2]: what lies strictly between has just that mass."""
    gap = 2.0
    normal = torch.distributions.Normal(0.0, 1.0)
    edge = torch.tensor(gap / (2 * slope)).double()
    outside = normal.cdf(-edge).item()
    bound = failures.mixture_bound(outside, gap, slope)
    assert bound == pytest.approx((1 - 2 * outside), rel=1e-6)


def test_a_rotation_does_not_matter_and_a_wrong_split_is_below() -> None:
    """Any set of mass a is at least as costly as a half-space: here, the outside of a disc."""
    radius, gap = 1.0, 0.5
    outside = math.exp(-(radius**2) / 2)  # of N(0, I) in the plane
    shell = math.exp(-((radius - gap) ** 2) / 2) - outside
    assert failures.mixture_bound(outside, gap, 1.0) < shell


def test_mixture_bound_of_nothing() -> None:
    assert failures.mixture_bound(0.0, 1.0, 1.0) == 0
    assert failures.mixture_bound(1.0, 1.0, 1.0) == 0
    with pytest.raises(ValueError, match="mass must lie"):
        failures.mixture_bound(1.2, 1.0, 1.0)


def test_slopes_of_a_network() -> None:
    """A linear network has one slope; any other has none above the product of the norms."""
    W = torch.tensor([[3.0, 0.0], [0.0, 0.5]])
    layer = nn.Linear(2, 2)
    layer.weight.data = W
    z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert _slopes(nn.Sequential(layer), z).tolist() == pytest.approx([3.0] * 50)
    assert failures.lipschitz_bound(nn.Sequential(layer, nn.ReLU(), layer)) == pytest.approx(9.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = gencourse.nets.mlp(2, 2, width=16)
    assert _slopes(network, z).max().item() <= failures.lipschitz_bound(network) + 1e-6
    with pytest.raises(ValueError, match="slope of Softmax"):
        failures.lipschitz_bound(nn.Sequential(nn.Softmax(dim=1)))


def test_transport_cuts_where_a_network_cannot() -> None:
    """Seed 0 with 1000 steps: 18 % between modes for the GAN, none for AE-OT, 1 % of the data."""
    frame = failures.mode_mixture(steps=700)
    gan, ae_ot, data = (frame.loc[name] for name in ("gan", "ae-ot", "data"))
    assert gan["modes"] == ae_ot["modes"] == data["modes"] == 8
    assert gan["between"] > 0.08
    assert ae_ot["between"] < 0.03
    assert data["between"] == pytest.approx(math.exp(-4.5), abs=0.005)
    assert 1e-4 < gan["least_between"] < gan["between"]
    assert gan["slope"] < gan["lipschitz"]


# ----------------------------------------------------------------- oscillation


def test_the_generator_runs_from_mode_to_mode() -> None:
    """Seeds 0, 1 and 2: 16, 16 and 17 changes at 20 looks; W₁ 3.2, 3.0, 2.9, of laws 1.2, 1.1, 1.0.

    A generator that stays put would change 0 times, one that covers the ring would have an even
    share, 1/8, on each mode.
    """
    found = failures.oscillation(steps=450, every=30, seed=1)
    assert found.shares.shape == (16, 8)
    assert found.shares.sum(dim=1).tolist() == pytest.approx([1] * 16)
    assert found.shares.amax(dim=1).mean() > 0.7
    assert found.changes >= 8
    assert found.table["fullest"].nunique() >= 5
    late = found.table.iloc[5:].mean()
    assert late["w1_laws"] < 0.6 * late["w1"]
    assert late["w1_weights"] < late["w1"]


def test_only_games_oscillate() -> None:
    with pytest.raises(ValueError, match="'gmm' is no game"):
        failures.oscillation(slug="gmm", components=2)


# ----------------------------------------------------------------- every adversarial system


def test_every_adversarial_system_of_points_is_covered() -> None:
    listed = [s.slug for s in failures.adversarial_systems()]
    wanted = [s for s in gencourse.systems() if s.family == "Adversarial"]
    assert listed == [s.slug for s in wanted if "points" in s.kinds]
    assert {"gan", "gan-minimax"} <= set(listed)


def test_coverage_of_two_systems() -> None:
    frame = failures.adversarial_coverage(slugs=("gan-minimax", "gan"), steps=20, n=300)
    assert list(frame.index) == ["gan-minimax", "gan"]
    assert list(frame.columns) == [
        "modes", "quality", "largest_share", "w1", "w1_floor", "seconds",
    ]  # fmt: skip
    assert frame.map(math.isfinite).all(axis=None)
    assert (frame["modes"] <= 25).all()
    model = gencourse.build("gan", gencourse.data.load("grid25"), device="cpu")
    model.fit(gencourse.data.load("grid25"), steps=20, progress=False)
    again = gencourse.evaluate(model, gencourse.data.load("grid25"), n=300)
    assert frame.loc["gan", "w1"] == pytest.approx(again["w1"])


def test_a_system_that_diverges_loses_only_its_own_row(monkeypatch: Any) -> None:
    def diverge(self: Any, *_: Any, **__: Any) -> None:
        raise FloatingPointError("diverged")

    monkeypatch.setattr(gencourse.models.get("gan").model_class(), "fit", diverge)
    frame = failures.adversarial_coverage(slugs=("gan",), steps=5, n=100)
    assert frame.loc["gan"].isna().all()


@pytest.mark.parametrize("slug", ["gna", "dcgna"])
def test_unknown_systems(slug: str) -> None:
    with pytest.raises(KeyError, match=f"unknown system '{slug}'"):
        failures.adversarial_coverage(slugs=("gan", slug))
