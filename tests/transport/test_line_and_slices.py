"""One dimension in closed form, and the sliced distance built on it, against scipy and POT."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from gencourse.transport import sliced_wasserstein, wasserstein, wasserstein_1d

DOUBLE = torch.float64


def cloud(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def directions(k: int, d: int) -> torch.Tensor:
    theta = cloud(k, d, 99)
    return theta / theta.norm(dim=1, keepdim=True)


class TestOnTheLine:
    @given(
        n=st.integers(1, 9),
        m=st.integers(1, 9),
        seed=st.integers(0, 10_000),
        p=st.sampled_from([1, 1.5, 2, 3]),
        ties=st.booleans(),
    )
    def test_equal_to_the_linear_program(
        self, n: int, m: int, seed: int, p: float, ties: bool
    ) -> None:
        x, y = cloud(n, 1, seed), cloud(m, 1, seed + 1)
        if ties:
            x, y = x.round(), y.round()
        a, b = cloud(n, 1, seed + 2).square()[:, 0] + 0.01, cloud(m, 1, seed + 3).square()[:, 0]
        b[0] += 0.01  # the others may be as good as nothing
        exact = wasserstein(x, y, p, x_weights=a, y_weights=b)
        ours = wasserstein_1d(x[:, 0], y[:, 0], p, x_weights=a, y_weights=b)
        # 1e-9: the p-th root magnifies rounding near 0.
        torch.testing.assert_close(ours, exact, rtol=1e-9, atol=1e-6)

    def test_equal_to_scipy(self) -> None:
        x, y, a, b = cloud(70, 4, 0).T
        y, b = y[:50], b[:50]
        ours = wasserstein_1d(x, y, 1, x_weights=a.exp(), y_weights=b.exp())
        reference = wasserstein_distance(x, y, a.exp(), b.exp())
        assert ours.item() == pytest.approx(reference, rel=1e-12)

    def test_points_without_mass_do_not_count(self) -> None:
        x, y = torch.tensor([0.0, 100.0, 1.0]), torch.tensor([-50.0, 2.0, 70.0])
        value = wasserstein_1d(
            x, y, 1, x_weights=torch.tensor([1.0, 0, 1]), y_weights=torch.tensor([0.0, 3, 0])
        )
        assert value.item() == 1.5

    def test_gradient(self) -> None:
        x, y = cloud(6, 1, 1)[:, 0].requires_grad_(), cloud(9, 1, 2)[:, 0]
        assert torch.autograd.gradcheck(lambda x: wasserstein_1d(x, y, 2), x)

    @pytest.mark.parametrize("x", [torch.zeros(2, 1), torch.zeros(0), [0.0], torch.zeros(2).int()])
    def test_bad_points(self, x: object) -> None:
        with pytest.raises(ValueError, match="x "):
            wasserstein_1d(x, torch.zeros(2))


class TestSliced:
    @pytest.mark.parametrize("p", [1, 2, 3])
    @pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 45), (45, 60), (7, 100), (1, 5)])
    def test_equal_to_pot_with_the_same_projections(self, p: int, n: int, m: int) -> None:
        x, y, theta = cloud(n, 3, 0), 2 * cloud(m, 3, 1) + 1, directions(80, 3)
        reference = ot.sliced_wasserstein_distance(
            x.numpy(), y.numpy(), projections=theta.T.numpy().copy(), p=p
        )
        assert sliced_wasserstein(x, y, p, theta).item() == pytest.approx(reference, rel=1e-9)

    @given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 10_000))
    def test_one_direction_is_one_dimension(self, n: int, m: int, seed: int) -> None:
        """Coprime or not, the quantile functions are integrated exactly."""
        x, y, theta = cloud(n, 2, seed), cloud(m, 2, seed + 1), directions(1, 2)
        torch.testing.assert_close(
            sliced_wasserstein(x, y, 2, theta), wasserstein_1d(x @ theta[0], y @ theta[0], 2)
        )

    def test_known_value_for_a_translation(self) -> None:
        """SW₂² of a shift by v is E⟨θ, v⟩² = |v|²/d."""
        x, v = cloud(50, 3, 0), torch.tensor([1.0, 2.0, -2.0], dtype=DOUBLE)
        value = sliced_wasserstein(x, x + v, 2, 20_000)
        # The standard error of the mean of ⟨θ, v⟩², of variance 9² · 4/45, is 0.019 of 3.
        assert value.square().item() == pytest.approx(3.0, abs=0.1)

    def test_it_is_a_metric_below_the_exact_distance(self) -> None:
        x, y, z = cloud(30, 2, 0), cloud(40, 2, 1) + 1, cloud(30, 2, 2) * 2
        for p in (1, 2):
            d = {k: sliced_wasserstein(*k, p).item() for k in ((x, y), (y, x), (x, z), (y, z))}
            assert d[x, y] == pytest.approx(d[y, x], rel=1e-12)
            assert d[x, z] <= d[x, y] + d[y, z]
            assert 0 < d[x, y] <= wasserstein(x, y, p).item()
        assert sliced_wasserstein(x, x.flip(0)).item() < 1e-15  # the order of sums may differ

    @pytest.mark.parametrize(("n", "m"), [(6, 6), (6, 4)])
    def test_gradients_in_both_clouds(self, n: int, m: int) -> None:
        x, y, theta = (
            cloud(n, 2, 3).requires_grad_(),
            cloud(m, 2, 4).requires_grad_(),
            directions(5, 2),
        )
        assert torch.autograd.gradcheck(lambda x, y: sliced_wasserstein(x, y, 2, theta), (x, y))

    def test_descending_it_moves_one_cloud_onto_the_other(self) -> None:
        generator = torch.Generator().manual_seed(0)
        x, y = cloud(40, 2, 5).requires_grad_(), cloud(40, 2, 6) * 0.3 + 2
        before = wasserstein(x, y).item()
        for _ in range(100):
            loss = sliced_wasserstein(x, y, 2, 20, generator).square()
            (gradient,) = torch.autograd.grad(loss, x)
            x = (x - 20 * gradient).detach().requires_grad_()  # half of the way, d/2 · n/2
        assert wasserstein(x, y).item() < 0.05 * before

    def test_randomness_and_lengths_of_directions(self) -> None:
        x, y = cloud(20, 2, 0).float(), cloud(30, 2, 1).float()
        seeded = [
            sliced_wasserstein(x, y, 2, 10, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
        ]
        assert seeded[0] == seeded[1] != seeded[2]
        assert sliced_wasserstein(x, y) == sliced_wasserstein(x, y)
        assert seeded[0].dtype == torch.float32
        theta = directions(10, 2)
        torch.testing.assert_close(
            sliced_wasserstein(x, y, 2, theta), sliced_wasserstein(x, y, 2, 7 * theta)
        )

    def test_blocks_do_not_change_the_value(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x, y, theta = cloud(20, 2, 0), cloud(30, 2, 1), directions(50, 2)
        whole = sliced_wasserstein(x, y, 2, theta)
        monkeypatch.setattr("gencourse.transport.sliced.BLOCK", 100)
        torch.testing.assert_close(sliced_wasserstein(x, y, 2, theta), whole, rtol=1e-12, atol=0)

    def test_images(self) -> None:
        x, y = cloud(5, 12, 0), cloud(6, 12, 1)
        assert sliced_wasserstein(x.reshape(5, 3, 2, 2), y.reshape(6, 3, 2, 2)) == (
            sliced_wasserstein(x, y)
        )

    def test_never_slower_than_pot(self) -> None:
        """5000 points, 500 projections: 20 times as fast when written, and 3 are asked for."""
        x, y, theta = cloud(5000, 2, 0), cloud(5000, 2, 1), directions(500, 2)
        a, b, projections = x.numpy(), y.numpy(), theta.T.numpy().copy()

        def seconds(run: Callable[[], object]) -> float:
            times = []
            for _ in range(2):  # the first of them warms up
                begun = time.process_time()
                run()
                times.append(time.process_time() - begun)
            return min(times)

        ours = seconds(lambda: sliced_wasserstein(x, y, 2, theta))
        theirs = seconds(lambda: ot.sliced_wasserstein_distance(a, b, projections=projections))
        assert 3 * ours < theirs

    @pytest.mark.parametrize(
        ("projections", "message"),
        [
            (0, "above 0"),
            (2.5, "whole number"),
            (torch.zeros(3, 2), "row of zeros"),
            (torch.ones(3, 4), r"\(n, 2\)"),
            (torch.full((1, 2), math.nan), "NaN"),
        ],
    )
    def test_bad_projections(self, projections: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            sliced_wasserstein(cloud(3, 2, 0), cloud(3, 2, 1), 2, projections)

    def test_bad_clouds(self) -> None:
        with pytest.raises(ValueError, match="same shape"):
            sliced_wasserstein(cloud(3, 2, 0), cloud(3, 3, 1))
        with pytest.raises(ValueError, match="p must be"):
            sliced_wasserstein(cloud(3, 2, 0), cloud(3, 2, 1), 0.5)
