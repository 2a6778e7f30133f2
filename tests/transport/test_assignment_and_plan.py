"""Monge's and Kantorovich's problems: the bakeries, brute force, scipy, duality."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gencourse.transport import kantorovich, kantorovich_dual, monge, paris_bakeries, wasserstein

DOUBLE = torch.float64


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def problem(n: int, m: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Masses of one total, which is not 1, and costs of either sign."""
    p, q = numbers(n, seed=seed) + 0.1, numbers(m, seed=seed + 1) + 0.1
    return 3 * p / p.sum(), 3 * q / q.sum(), numbers(n, m, seed=seed + 2) * 4 - 1


class TestBakeries:
    def test_best_assignment_takes_64_minutes(self) -> None:
        """Not 65, as the slide says; all 720 permutations are compared."""
        paris = paris_bakeries()
        C = paris.minutes
        permutation, minutes = monge(C)
        every = [C[range(6), s].sum().item() for s in itertools.permutations(range(6))]
        assert minutes.item() == min(every) == 64
        assert sum(value == 64 for value in every) == 1
        assert permutation.add(1).tolist() == [5, 6, 2, 1, 3, 4]
        assert C[range(6), paris.slide].tolist() == [10, 7, 15, 10, 14, 9]  # as on the slide: 65
        assert sorted(paris.slide.tolist()) == list(range(6))

    def test_best_plan_costs_1070_and_is_that_of_the_slide(self) -> None:
        paris = paris_bakeries()
        plan, cost = kantorovich(paris.baked, paris.wanted, paris.minutes)
        assert cost.item() == 1070
        assert (paris.slide_plan * paris.minutes).sum().item() == 1070
        assert torch.equal(paris.slide_plan.sum(1), paris.baked)
        assert torch.equal(paris.slide_plan.sum(0), paris.wanted)
        torch.testing.assert_close(plan.sum(1), paris.baked)

    def test_prices_of_bread_earn_as_much_as_the_best_plan_costs(self) -> None:
        paris = paris_bakeries()
        f, g, income = kantorovich_dual(paris.baked, paris.wanted, paris.minutes)
        assert income.item() == pytest.approx(1070, abs=1e-9)
        slack = paris.minutes - f[:, None] - g
        assert slack.min() > -1e-9
        # Complementary slackness: prices are tight wherever the slide's plan carries bread.
        assert slack[paris.slide_plan > 0].abs().max() < 1e-9


class TestMonge:
    @given(n=st.integers(1, 6), seed=st.integers(0, 10_000))
    def test_no_permutation_is_cheaper(self, n: int, seed: int) -> None:
        C = numbers(n, n, seed=seed) - 0.5
        permutation, cost = monge(C)
        assert sorted(permutation.tolist()) == list(range(n))
        assert cost.item() == pytest.approx(C[torch.arange(n), permutation].sum().item())
        best = min(C[range(n), s].sum().item() for s in itertools.permutations(range(n)))
        assert cost.item() == pytest.approx(best, abs=1e-12)

    def test_dtype_and_gradient(self) -> None:
        C = numbers(5, 5, seed=0).float().requires_grad_()
        permutation, cost = monge(C)
        assert cost.dtype == torch.float32
        assert permutation.dtype == torch.int64
        cost.backward()
        expected = torch.zeros(5, 5).index_put_((torch.arange(5), permutation), torch.ones(5))
        assert torch.equal(C.grad, expected)

    def test_small_differences_between_large_costs_survive_in_float64(self) -> None:
        C = torch.tensor([[1e9 + 1e-5, 1e9], [1e9, 1e9]], dtype=DOUBLE)
        assert monge(C)[0].tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("C", "message"),
        [
            (torch.zeros(2, 3), "as many sources as targets"),
            (torch.zeros(3), r"shape \(n, d\)"),
            (torch.zeros(0, 0), "empty"),
            (torch.zeros(2, 2, 2), "matrix"),
            (torch.tensor([[math.nan]]), "NaN"),
            (torch.zeros(2, 2, dtype=torch.int64), "floating"),
            ([[0.0]], "torch tensor"),
        ],
    )
    def test_bad_matrices(self, C: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            monge(C)


class TestKantorovich:
    @settings(max_examples=25)
    @given(n=st.integers(1, 7), m=st.integers(1, 7), seed=st.integers(0, 10_000))
    def test_marginals_optimum_and_no_duality_gap(self, n: int, m: int, seed: int) -> None:
        """Primal feasible, dual feasible, and equal: both are optimal, whatever solved them."""
        p, q, C = problem(n, m, seed)
        plan, cost = kantorovich(p, q, C)
        torch.testing.assert_close(plan.sum(1), p, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(plan.sum(0), q, rtol=1e-9, atol=1e-12)
        assert plan.min() >= 0
        assert int((plan > 1e-12).sum()) <= n + m - 1  # a vertex of the polytope
        assert cost.item() == pytest.approx((plan * C).sum().item())
        f, g, value = kantorovich_dual(p, q, C)
        assert (C - f[:, None] - g).min() > -1e-9
        assert value.item() == pytest.approx((f @ p + g @ q).item(), abs=1e-9)
        assert value.item() == pytest.approx(cost.item(), abs=1e-8)
        assert f.min().item() == 0

    def test_against_an_independent_solver(self) -> None:
        p, q, C = problem(6, 9, 5)
        rows = torch.kron(torch.eye(6, dtype=DOUBLE), torch.ones(1, 9, dtype=DOUBLE))
        columns = torch.kron(torch.ones(1, 6, dtype=DOUBLE), torch.eye(9, dtype=DOUBLE))
        solved = linprog(
            C.flatten().numpy(),
            A_eq=torch.cat([rows, columns]).numpy(),
            b_eq=torch.cat((p, q)).numpy(),
        )
        assert kantorovich(p, q, C)[1].item() == pytest.approx(solved.fun, rel=1e-9)

    def test_equal_masses_are_an_assignment(self) -> None:
        """Birkhoff: with equal masses a permutation is among the best plans."""
        C = numbers(30, 30, seed=1)
        one = torch.ones(30, dtype=DOUBLE)
        assert kantorovich(one, one, C)[1].item() == pytest.approx(monge(C)[1].item(), rel=1e-12)

    def test_gradient_is_the_plan(self) -> None:
        p, q, C = problem(4, 5, 2)
        C.requires_grad_()
        plan, cost = kantorovich(p, q, C)
        (gradient,) = torch.autograd.grad(cost, C)
        torch.testing.assert_close(gradient, plan)

    def test_prices_are_the_gradient_in_the_masses(self) -> None:
        """The cost of moving h more from i to j, by finite differences, is f_i + g_j."""
        p, q, C = problem(4, 5, 3)
        f, g, value = kantorovich_dual(p, q, C)
        h = 1e-6
        more = kantorovich(p + h * torch.eye(4)[1], q + h * torch.eye(5)[2], C)[1]
        assert ((more - value) / h).item() == pytest.approx((f[1] + g[2]).item(), abs=1e-6)

    def test_dtype_follows_the_costs(self) -> None:
        p, q, C = problem(4, 5, 4)
        for dtype in (torch.float32, torch.float16):
            plan, cost = kantorovich(p.to(dtype), q.to(dtype), C.to(dtype))
            assert plan.dtype == cost.dtype == dtype
        mixed = kantorovich(p, q.float(), C)[1]
        assert mixed.item() == pytest.approx(kantorovich(p, q, C)[1].item(), rel=1e-5)

    def test_places_without_mass_take_no_part(self) -> None:
        p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.0, 0.5])
        plan, cost = kantorovich(p, q, torch.tensor([[1.0, -9.0, 3.0], [-9.0, -9.0, -9.0]]))
        assert cost.item() == 2
        assert plan.tolist() == [[0.5, 0, 0.5], [0, 0, 0]]

    @pytest.mark.parametrize(
        ("p", "q", "message"),
        [
            ([1.0, 1.0], [1.0, 2.0], "must agree"),
            ([1.0, -1.0], [0.0, 0.0], "negative"),
            ([0.0, 0.0], [0.0, 0.0], "no mass"),
            ([1.0, math.inf], [1.0, 1.0], "infinite"),
            ([1.0], [0.5, 0.5], r"p must have shape \(2,\)"),
        ],
    )
    @pytest.mark.parametrize("solve", [kantorovich, kantorovich_dual])
    def test_bad_masses(self, solve: object, p: list, q: list, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            solve(torch.tensor(p), torch.tensor(q), torch.zeros(2, 2))

    def test_integers_are_refused_with_their_name(self) -> None:
        with pytest.raises(ValueError, match=r"p must be .* floating"):
            kantorovich(torch.tensor([1]), torch.ones(1), torch.zeros(1, 1))


class TestWeightedClouds:
    def test_repeated_points_weigh_double(self) -> None:
        x, y = numbers(5, 2, seed=0), numbers(4, 2, seed=1)
        repeated = wasserstein(torch.cat([x, x[:1]]), y)
        weights = torch.tensor([2.0, 1, 1, 1, 1])
        torch.testing.assert_close(wasserstein(x, y, x_weights=weights), repeated)

    def test_bad_weights(self) -> None:
        x = numbers(3, 2, seed=0)
        with pytest.raises(ValueError, match=r"x_weights must have shape \(3,\)"):
            wasserstein(x, x, x_weights=torch.ones(2))
        with pytest.raises(ValueError, match="y_weights holds negative"):
            wasserstein(x, x, y_weights=-torch.ones(3))
