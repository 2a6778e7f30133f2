"""Radial maps against calculus, and the flow made of them against what it promises."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import ring8_bar
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.models.tabak import RadialFlow, RadialMap


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, d: int, seed: int = 5) -> Tensor:
    return torch.randn(n, d, generator=generator(seed)).double()


def a_map(d: int, beta: float, radius: float = 1.5) -> RadialMap:
    centre = 0.3 * torch.ones(d).double()
    return RadialMap(centre, torch.tensor(radius).double(), torch.tensor(beta).double())


def fitted(x: Tensor, **settings: float) -> RadialFlow:
    model = gencourse.build("tabak", x, **settings)
    model.fit(x, progress=False)
    assert isinstance(model, RadialFlow)
    return model


@pytest.fixture(scope="module")
def ring_flow() -> RadialFlow:
    """A third of the samples, and less of the default steps."""
    x = data.load("ring8").sample(20_000, generator=generator())
    return fitted(x, steps=900, batch=2048)


# ----------------------------------------------------------------- one map

BETAS = [-0.95, -0.4, -1e-9, 0.0, 1e-9, 0.3, 0.95]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_its_inverse_in_closed_form(d: int, beta: float) -> None:
    phi, y = a_map(d, beta), noise(300, d)
    y[0] = phi.centre
    moved, _ = phi.forward(y)
    torch.testing.assert_close(phi.inverse(moved), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(phi.forward(phi.inverse(y))[0], y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_its_determinant_by_autograd(d: int, beta: float) -> None:
    phi, y = a_map(d, beta), noise(30, d)
    _, log_det = phi.forward(y)
    for point, expected in zip(y, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: phi.forward(v[None])[0][0], point)
        determinant = torch.linalg.det(jacobian)
        assert determinant > 0
        torch.testing.assert_close(determinant.log(), expected, rtol=1e-9, atol=1e-12)


def test_it_moves_the_ball_and_nothing_else() -> None:
    phi, y = a_map(3, 0.8), noise(500, 3)
    moved, log_det = phi.forward(y)
    before, after = ((v - phi.centre).norm(dim=1) for v in (y, moved))
    inside = before < phi.radius
    assert 0 < inside.sum() < 500
    assert (after[inside] > before[inside]).all()  # β > 0 moves outwards
    assert (after[inside] < phi.radius).all()
    assert torch.equal(moved[~inside], y[~inside])
    assert (log_det[~inside] == 0).all()
    torch.testing.assert_close(  # along the radii
        (moved - phi.centre) / after[:, None], (y - phi.centre) / before[:, None]
    )


# ----------------------------------------------------------------- the choice of β and of the ball


def gain(model: RadialFlow, ball: RadialMap, y: Tensor, beta: float) -> float:
    """L(β) - L(0), by its definition."""
    moved, log_det = ball._replace(beta=torch.tensor(beta).double()).forward(y)
    return (log_det + 0.5 * (y.square() - moved.square()).sum(1)).mean().item()


def untrained(d: int, **settings: float) -> RadialFlow:
    model = gencourse.build("tabak", torch.zeros(1, d), **settings)
    assert isinstance(model, RadialFlow)
    return model


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_newton_finds_the_best_beta(d: int, shift: float) -> None:
    model = untrained(d, strength=0.99)
    y = 0.5 * noise(2000, d) + shift
    ball = a_map(d, 0.0, radius=2.0)
    beta = model.best_beta(ball, y).item()
    grid = np.linspace(-0.99, 0.99, 1981)
    best = grid[np.argmax([gain(model, ball, y, b) for b in grid])]
    assert beta == pytest.approx(best, abs=2e-3)
    # And it stays within its bounds.
    bounded = untrained(d, strength=0.05).best_beta(ball, y).item()
    assert bounded == pytest.approx(math.copysign(min(0.05, abs(best)), best), abs=1e-3)


def test_the_ball_that_promises_most() -> None:
    """Among the candidates it has the largest gain to second order, a² / 2b, by autograd."""
    model = untrained(2, candidates=20)
    y = torch.cat([noise(500, 2) * 0.3 + 1, noise(500, 2) * 0.3 - 1]).float()
    best = model.best_ball(y, generator(3))
    alone = untrained(2, candidates=20)

    def promise(ball: RadialMap) -> float:
        def L(beta: Tensor) -> Tensor:
            moved, log_det = ball._replace(beta=beta).forward(y)
            return (log_det - 0.5 * moved.square().sum(1)).mean()

        zero = torch.zeros(())
        a = torch.autograd.functional.jacobian(L, zero)
        b = -torch.autograd.functional.hessian(L, zero)
        return (a**2 / (2 * b.clamp_min(1e-30))).item()

    # The same candidates one by one: each alone in its set, from the same numbers.
    seen: list[RadialMap] = []
    plain = RadialMap.shape

    def spy(self: RadialMap, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.centre.ndim == 2:
            seen.extend(RadialMap(*parts) for parts in zip(*self, strict=True))
        return plain(self, points)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RadialMap, "shape", spy)
        again = alone.best_ball(y, generator(3))
    assert torch.equal(again.centre, best.centre)
    assert len(seen) == 20
    promises = [promise(ball) for ball in seen]
    assert promise(best) == pytest.approx(max(promises), rel=1e-3)
    assert promise(best) > 3 * float(np.median(promises))


def test_a_ball_holds_its_share_of_a_gaussian() -> None:
    """At the origin: its volume times the density (2π)^(-d/2), whatever share was asked for."""
    volume = {1: lambda r: 2 * r, 2: lambda r: math.pi * r**2, 3: lambda r: 4 / 3 * math.pi * r**3}
    for d in (1, 2, 3):
        model = untrained(d, candidates=1, furthest=1e-6, smallest=0.02)
        ball = model.best_ball(noise(10, d).float(), generator(1))
        same = generator(1)
        torch.randn(1, d, generator=same)
        asked = 0.02 ** torch.rand(1, generator=same).item()
        share = volume[d](ball.radius.item()) * (2 * math.pi) ** (-d / 2)
        assert share == pytest.approx(asked, rel=1e-4)


# ----------------------------------------------------------------- the flow


def test_the_inverse_of_the_flow(ring_flow: RadialFlow) -> None:
    assert len(ring_flow.betas) > 100
    z = noise(500, 2)
    flow = gencourse.build("tabak", torch.zeros(1, 2))
    flow.restore(ring_flow.state_dict())
    x = flow.double().push(z)  # type: ignore[operator]
    torch.testing.assert_close(flow.pull(x)[0], z, rtol=0, atol=1e-9)  # type: ignore[operator]


def test_the_determinant_of_the_flow(ring_flow: RadialFlow) -> None:
    x = data.load("ring8").sample(5, generator=generator()).double()
    _, log_det = ring_flow.pull(x)
    for point, expected in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda v: ring_flow.pull(v[None])[0][0], point
        )
        torch.testing.assert_close(jacobian.logdet(), expected, rtol=1e-8, atol=1e-8)


def test_the_density_integrates_to_one() -> None:
    """It jumps at the surface of each ball, so the sum over a grid is good to its step only."""
    model = fitted(data.load("moons").sample(2000, generator=generator()), steps=100)
    assert len(model.betas) > 30
    axis = torch.arange(-5, 5, 0.025, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = sum(model.log_prob(part).exp().sum().item() for part in grid.split(50_000))
    assert mass * 0.025**2 == pytest.approx(1, abs=3e-3)


def test_the_likelihood_only_rises_and_is_the_true_one() -> None:
    """What the steps add up to is the likelihood of the training set."""
    x = data.load("moons").sample(2000, generator=generator())
    model = untrained(2)
    history = model.fit(x, steps=150, progress=False)
    recorded = history.metrics["log_likelihood"]
    assert np.diff(recorded).min() >= 0
    assert recorded[-1] > recorded[0] + 0.1
    assert model.log_prob(x).mean().item() == pytest.approx(recorded[-1], abs=1e-4)


def test_only_maps_that_gain_more_than_they_cost_are_kept() -> None:
    """On a Gaussian there is nothing to find beyond chance, by Akaike's measure."""
    x = torch.randn(2000, 2, generator=generator()) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    model = fitted(x, steps=200)
    assert len(model.betas) < 25
    # Each map that is kept has gained more than d + 2 = 4 nats in all samples together.
    plain = gencourse.build("cholesky", x)
    plain.fit(x, progress=False)
    total = (model.log_prob(x).sum() - plain.log_prob(x).sum()).item()
    assert total > 4 * len(model.betas)
    # Chance it is, all the same: new data gain nothing.
    new = torch.randn(20_000, 2, generator=generator(1)) @ torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    assert model.log_prob(new).mean() < plain.log_prob(new).mean() + 0.01


def test_without_maps_it_is_the_gaussian() -> None:
    x = torch.randn(100, 3, generator=generator())
    model = untrained(3)
    expected = -0.5 * x.double().square().sum(1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(model.log_prob(x.double()), expected)


def test_the_bar_on_the_ring(ring_flow: RadialFlow) -> None:
    """With a short training; `nightly` runs the whole one, on three seeds."""
    result = ring8_bar.measure(ring_flow, 0)
    assert ring8_bar.shortcomings(result) == []
    assert result["w1"] < 2 * 0.105
    assert 0 < result["nll"] - result["entropy"] < 0.25


def test_five_dimensions() -> None:
    """A shell, which no Gaussian describes: its likelihood rises on new data as well."""
    g = generator()

    def shell(n: int) -> Tensor:
        direction = torch.nn.functional.normalize(torch.randn(n, 5, generator=g))
        return direction * (2 + 0.1 * torch.randn(n, 1, generator=g))

    x = shell(5000)
    model = fitted(x, steps=200)
    plain = gencourse.build("cholesky", x)
    plain.fit(x, progress=False)
    new = shell(5000)
    assert model.log_prob(new).mean() > plain.log_prob(new).mean() + 0.7
    radius = model.sample(2000, generator=generator()).norm(dim=1)
    assert radius.std() < 0.5 * plain.sample(2000, generator=generator()).norm(dim=1).std()


def test_a_file_with_another_number_of_maps(tmp_path: Path, ring_flow: RadialFlow) -> None:
    ring_flow.save(tmp_path / "flow.pt")
    loaded = gencourse.load(tmp_path / "flow.pt")
    assert len(loaded.betas) == len(ring_flow.betas)  # type: ignore[arg-type]
    saved = torch.load(tmp_path / "flow.pt", weights_only=True)
    saved["state"]["radii"] = saved["state"]["radii"][1:]
    torch.save(saved, tmp_path / "broken.pt")
    with pytest.raises(ValueError, match="do not fit this model"):
        gencourse.load(tmp_path / "broken.pt")


# ----------------------------------------------------------------- degenerate data


def test_repeated_points() -> None:
    model = fitted(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).repeat(20, 1), steps=50)
    assert model.sample(20).isfinite().all()


def test_all_points_the_same() -> None:
    """The ridge is all the extent there is."""
    model = fitted(torch.full((20, 2), 3.0), steps=20)
    assert (model.sample(100, generator=generator()) - 3).abs().max() < 0.01


@given(
    st.sampled_from(["candidates", "smallest", "furthest", "strength", "batch", "ridge", "steps"]),
    st.sampled_from([0, -1, math.inf, "deep", True]),
)
def test_settings_that_make_no_sense(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        gencourse.build("tabak", torch.zeros(1, 2), **{name: value})


@pytest.mark.parametrize("name", ["smallest", "strength"])
def test_settings_that_must_be_below_one(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be below 1, not 1\.0"):
        gencourse.build("tabak", torch.zeros(1, 2), **{name: 1.0})
