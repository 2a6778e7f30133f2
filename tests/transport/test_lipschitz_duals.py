"""The Kantorovich-Rubinstein dual, by linear programming and by a network."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gencourse.transport import duality, kantorovich_rubinstein, lipschitz_critic, wasserstein

DOUBLE = torch.float64


def cloud(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


class TestLinearProgram:
    @settings(max_examples=25)
    @given(n=st.integers(1, 8), m=st.integers(1, 8), d=st.integers(1, 3), seed=st.integers(0, 999))
    def test_no_gap_and_one_lipschitz_everywhere(self, n: int, m: int, d: int, seed: int) -> None:
        x, y = cloud(n, d, seed), cloud(m, d, seed + 1) + 0.5
        f = kantorovich_rubinstein(x, y)
        assert f.value.item() == pytest.approx(wasserstein(x, y, 1).item(), abs=1e-8)
        assert f.value.item() == pytest.approx((f.at_x.mean() - f.at_y.mean()).item(), abs=1e-12)
        # Anywhere in space, not only at the points; and there f is what was said.
        z = torch.cat([x, y, 3 * cloud(30, d, seed + 2)])
        values = f(z)
        rise = (values[:, None] - values).abs()
        assert (rise - torch.cdist(z, z)).max() < 1e-7
        torch.testing.assert_close(values[: n + m], torch.cat([f.at_x, f.at_y]))

    def test_weights(self) -> None:
        x, y = cloud(5, 2, 0), cloud(6, 2, 1)
        a, b = cloud(5, 1, 2).square()[:, 0], cloud(6, 1, 3).square()[:, 0]
        f = kantorovich_rubinstein(x, y, x_weights=a, y_weights=b)
        exact = wasserstein(x, y, 1, x_weights=a, y_weights=b)
        assert f.value.item() == pytest.approx(exact.item(), abs=1e-9)

    def test_points_without_mass_do_not_spoil_the_function(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The program leaves their prices free downwards; f there is what the others imply."""
        x, y = cloud(5, 2, 0), cloud(6, 2, 1)
        b = torch.tensor([0.0, 1, 0, 1, 0, 0], dtype=DOUBLE)
        prices = duality._prices

        def another_solution(*problem: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            f, g = prices(*problem)
            return f, g - 5 * (b == 0)

        monkeypatch.setattr(duality, "_prices", another_solution)
        f = kantorovich_rubinstein(x, y, y_weights=b)
        z = torch.cat([x, y])
        values = torch.cat([f.at_x, f.at_y])
        torch.testing.assert_close(f(z), values)
        assert ((values[:, None] - values).abs() - torch.cdist(z, z)).max() < 1e-9
        exact = wasserstein(x, y, 1, y_weights=b)
        assert f.value.item() == pytest.approx(exact.item(), abs=1e-9)

    def test_two_points(self) -> None:
        """Between point masses f climbs with slope 1 from y to x."""
        x, y = torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)
        f = kantorovich_rubinstein(x, y)
        assert f.value.item() == 5
        path = torch.linspace(0, 1, 5)[:, None] * x
        torch.testing.assert_close(f(path).diff(), torch.full((4,), 1.25))

    def test_equal_clouds_and_images(self) -> None:
        x = cloud(4, 12, 0).float().reshape(4, 3, 2, 2)
        f = kantorovich_rubinstein(x, x)
        assert f.value.item() == pytest.approx(0, abs=1e-6)
        assert f(x).shape == (4,)
        assert f.value.dtype == torch.float32
        with pytest.raises(ValueError, match="shape"):
            f(torch.zeros(2, 3))

    def test_bad_clouds(self) -> None:
        with pytest.raises(ValueError, match="same shape"):
            kantorovich_rubinstein(cloud(3, 2, 0), cloud(3, 1, 0))


class TestNetwork:
    @pytest.mark.parametrize(
        ("constraint", "reach"), [("penalty", 0.75), ("one-sided", 0.75), ("spectral", 0.9)]
    )
    def test_it_approaches_the_exact_distance_from_below(
        self, constraint: str, reach: float
    ) -> None:
        """On a small set: value / Lipschitz constant ≤ W₁, exactly, and not far below it."""
        x, y = cloud(40, 2, 0), cloud(60, 2, 1) + 1
        exact = wasserstein(x, y, 1).item()
        found = lipschitz_critic(x, y, constraint=constraint, steps=500)
        assert found.lower_bound.item() <= exact + 1e-6
        assert found.lower_bound.item() > reach * exact
        # With λ = 10 the best slope is about 1 + W₁/2λ = 1.08, and the value that much too high.
        assert 0.9 * exact < found.value.item() < 1.15 * exact
        assert found.value.item() == pytest.approx(
            (found.critic(x.float()).mean() - found.critic(y.float()).mean()).item(), abs=1e-5
        )
        assert found.lipschitz.item() == pytest.approx(
            (found.value / found.lower_bound).item(), rel=1e-9
        )
        value = found.history.metrics["value"]
        assert value[0] < 0.7 * value[-1]

    def test_constraints_hold_as_well_as_they_can(self) -> None:
        x, y = cloud(40, 2, 0), cloud(40, 2, 1) + 1
        spectral = lipschitz_critic(x, y, constraint="spectral", steps=100)
        assert spectral.lipschitz.item() < 1.02  # σ by power iteration, two steps at a time
        # A weak penalty lets the critic be steep: value above W₁, but not the bound.
        steep = lipschitz_critic(x, y, penalty=0.05, steps=200)
        exact = wasserstein(x, y, 1).item()
        assert steep.lipschitz.item() > 1.5
        assert steep.value.item() > 1.2 * exact
        assert steep.lower_bound.item() <= exact + 1e-6

    def test_seeds_and_state_of_the_world(self) -> None:
        x, y = cloud(10, 2, 0).float(), cloud(400, 2, 1).float()
        state = torch.get_rng_state()
        runs = [
            lipschitz_critic(
                x, y, steps=3, batch=32, generator=torch.Generator().manual_seed(s)
            ).value
            for s in (0, 0, 1)
        ]
        assert runs[0] == runs[1] != runs[2]
        assert runs[0].dtype == torch.float32
        assert torch.equal(state, torch.get_rng_state())

    def test_bad_input(self) -> None:
        x = cloud(3, 2, 0)
        with pytest.raises(ValueError, match="constraint must be one of"):
            lipschitz_critic(x, x, constraint="clipping")
        with pytest.raises(ValueError, match="penalty must be above 0"):
            lipschitz_critic(x, x, penalty=-1.0)
        with pytest.raises(ValueError, match="steps"):
            lipschitz_critic(x, x, steps=0)
        with pytest.raises(ValueError, match="y holds 1 NaN"):
            lipschitz_critic(x, torch.tensor([[0.0, math.nan]]))
