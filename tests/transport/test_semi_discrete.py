"""Semi-discrete transport: the quantile map, masses of cells, Brenier, duality, POT."""

from __future__ import annotations

import io
import math

import ot
import pytest
import torch

from gencourse.transport import SemiDiscreteMap, SemiDiscreteSolver, semi_discrete

DOUBLE = torch.float64


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=generator(seed), dtype=DOUBLE)


@pytest.fixture(scope="module")
def plane() -> SemiDiscreteMap:
    """Unequal masses on 60 targets in the plane, away from the origin, from the square."""
    masses = torch.rand(60, generator=generator(1), dtype=DOUBLE) + 0.5
    return semi_discrete(cloud(60, 2) + 5, masses=masses)


class TestLine:
    """From U[-1/2, 1/2], T is the quantile function of the targets."""

    y = torch.tensor([-3.0, -1.0, 0.5, 0.6, 4.0], dtype=DOUBLE)
    w = torch.tensor([0.1, 0.3, 0.25, 0.15, 0.2], dtype=DOUBLE)
    edges = w.cumsum(0)[:-1] - 0.5

    def exact(self) -> SemiDiscreteMap:
        # Planes i and i + 1 meet at the edge: h_{i+1} - h_i = -edge_i (y_{i+1} - y_i).
        h = torch.cat([torch.zeros(1, dtype=DOUBLE), (-self.edges * self.y.diff()).cumsum(0)])
        return SemiDiscreteMap(self.y[:, None], masses=self.w, heights=h)

    def test_with_exact_heights_it_is_the_quantile_map(self) -> None:
        x = torch.linspace(-0.4999, 0.4999, 997, dtype=DOUBLE)
        expected = self.y[torch.searchsorted(self.edges, x)]
        assert torch.equal(self.exact().map(x[:, None])[:, 0], expected)

    def test_the_solver_finds_it(self) -> None:
        order = torch.tensor([3, 0, 4, 2, 1])
        fitted = semi_discrete(self.y[order, None], masses=self.w[order], tolerance=5e-4)
        x = torch.linspace(-0.5, 0.5, 4001, dtype=DOUBLE)
        cell = order[fitted.cell(x[:, None])]
        assert (cell.diff() >= 0).all()  # increasing
        found = x[1:][cell.diff() > 0]
        torch.testing.assert_close(found, self.edges, rtol=0, atol=1.5e-3)  # tolerance + grid

    def test_cost_in_closed_form(self) -> None:
        """Σ ∫ (x - y_i)² over the cells."""
        ends = torch.cat([self.edges.new_tensor([-0.5]), self.edges, self.edges.new_tensor([0.5])])
        cubes = (ends[1:] - self.y) ** 3 - (ends[:-1] - self.y) ** 3
        assert self.exact().cost().item() == pytest.approx((cubes / 3).sum().item(), rel=1e-4)

    def test_normal_source(self) -> None:
        """From N(0, 1) the edges are normal quantiles."""
        fitted = semi_discrete(self.y[:, None], masses=self.w, source="normal", tolerance=5e-4)
        x = torch.linspace(-4, 4, 8001, dtype=DOUBLE)
        found = x[1:][fitted.cell(x[:, None]).diff() > 0]
        expected = torch.special.ndtri(self.w.cumsum(0)[:-1])
        # An error of 5e-4 in mass, over a density of at least 0.17, and the grid.
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)


class TestPlane:
    def test_cells_have_their_masses(self, plane: SemiDiscreteMap) -> None:
        """By independent points, unlike those that the solver looked at."""
        x = torch.rand(400_000, 2, generator=generator(7), dtype=DOUBLE) - 0.5
        shares = torch.bincount(plane.cell(x), minlength=60).double() / len(x)
        error = (shares - plane.masses).norm().item()
        # 2e-3 by tolerance, and √(1/400000) = 1.6e-3 of sampling.
        assert error < 3.5e-3
        assert plane.residual.item() < 2e-3
        torch.testing.assert_close(plane.cell_masses(), shares, rtol=0, atol=1e-3)
        assert plane.cell_masses().sum().item() == pytest.approx(1)

    def test_plan_agrees_with_discrete_transport(self, plane: SemiDiscreteMap) -> None:
        """POT, from 4096 evenly spread points: the same cost, and nearly all the same pairs."""
        x = plane.spread_source(4096, generator=generator(3))
        cost = torch.cdist(x, plane.targets).square()
        plan = ot.emd(torch.full((4096,), 1 / 4096, dtype=DOUBLE), plane.masses, cost)
        assert plane.cost().item() == pytest.approx((plan * cost).sum().item(), rel=1e-3)
        assert (plan.argmax(1) == plane.cell(x)).double().mean() > 0.97

    def test_strong_duality(self, plane: SemiDiscreteMap) -> None:
        """E|x - T(x)|² = E|x|² + Σ w|y|² - 2 min E(h): no map is cheaper."""
        solver = SemiDiscreteSolver(plane, batch=2**17)
        energy = solver.step(generator=generator())["energy"]
        dual = 2 / 12 + plane.masses @ plane.targets.square().sum(1) - 2 * energy
        assert plane.cost().item() == pytest.approx(dual.item(), rel=1e-3)

    def test_other_maps_with_these_masses_cost_more(self, plane: SemiDiscreteMap) -> None:
        x = plane.sample_source(100_000, generator=generator(5))
        turned = plane.map(torch.stack([-x[:, 1], x[:, 0]], dim=1))  # the square turns onto itself
        assert (x - turned).square().sum(1).mean() > 1.005 * plane.cost()

    def test_it_is_the_gradient_of_a_convex_function(self, plane: SemiDiscreteMap) -> None:
        """Brenier: T = ∇u by autograd, and ⟨T(a) - T(b), a - b⟩ ≥ 0."""
        x = plane.sample_source(200, generator=generator(2)).requires_grad_()
        (gradient,) = torch.autograd.grad(plane.potential(x).sum(), x)
        torch.testing.assert_close(gradient, plane.map(x))
        a, b = x.detach()[:100], x.detach()[100:]
        assert ((plane.map(a) - plane.map(b)) * (a - b)).sum(1).min() >= 0
        middle = plane.potential((a + b) / 2)
        assert (middle <= (plane.potential(a) + plane.potential(b)) / 2 + 1e-12).all()

    def test_definition(self, plane: SemiDiscreteMap) -> None:
        x = plane.sample_source(300, generator=generator(4))
        planes = x @ plane.targets.T + plane.heights
        assert torch.equal(plane.top_cells(x, 3), planes.topk(3, dim=1).indices)
        torch.testing.assert_close(plane.potential(x), planes.amax(1))
        assert plane.map(x.float()).dtype == torch.float32

    def test_angles_between_planes(self, plane: SemiDiscreteMap) -> None:
        i, j = torch.tensor([0, 1, 2]), torch.tensor([3, 4, 2])
        n = torch.cat([plane.targets, -torch.ones(60, 1, dtype=DOUBLE)], 1)
        expected = torch.acos(torch.cosine_similarity(n[i], n[j]).clamp(-1, 1))
        torch.testing.assert_close(plane.angle(i, j), expected, rtol=0, atol=1e-7)
        assert plane.angle(i, j)[2] == 0


class TestSources:
    @pytest.mark.parametrize("source", ["uniform", "normal"])
    def test_spread_points_have_the_law_of_independent_ones(self, source: str) -> None:
        transport = SemiDiscreteMap(cloud(3, 2), source=source)
        variance = {"uniform": 1 / 12, "normal": 1.0}[source]
        for draw in (transport.sample_source, transport.spread_source):
            x = draw(2**14, generator=generator(1))
            # Standard errors of mean and variance are below 0.008 and 0.011 of √variance.
            assert x.mean(0).abs().max() < 0.04 * math.sqrt(variance)
            torch.testing.assert_close(
                x.T.cov(), variance * torch.eye(2, dtype=DOUBLE), rtol=0, atol=0.05 * variance
            )
        a, b = (transport.spread_source(64, generator=generator(s)) for s in (1, 2))
        assert not torch.equal(a, b)
        assert torch.equal(a, transport.spread_source(64, generator=generator(1)))

    def test_spread_points_weigh_cells_better(self) -> None:
        transport = SemiDiscreteMap(cloud(20, 2))
        exact = transport.cell_masses(2**18)

        def error(draw: object) -> float:
            shares = [
                transport._shares(draw(4096, generator=generator(s)), transport.heights)
                for s in range(5)
            ]
            return sum((share - exact).norm().item() for share in shares)

        assert 2 * error(transport.spread_source) < error(transport.sample_source)

    def test_any_sampler(self) -> None:
        """A ring as the source; by symmetry the cells of four targets around it are quarters."""

        def ring(n: int, generator: torch.Generator | None) -> torch.Tensor:
            angle = 2 * math.pi * torch.rand(n, generator=generator)
            return torch.stack([angle.cos(), angle.sin()], dim=1)

        y = torch.tensor([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [0.0, -2.0]])
        # 1e-2: independent points only, and quarters may turn around the ring at no cost.
        fitted = semi_discrete(y, source=ring, tolerance=1e-2, generator=generator())
        torch.testing.assert_close(
            fitted.cell_masses(generator=generator(1)), torch.full((4,), 0.25), rtol=0, atol=0.01
        )
        angle = torch.tensor([0.1, 1.6, 3.1, 4.7])
        assert torch.equal(fitted.cell(torch.stack([angle.cos(), angle.sin()], 1)), torch.arange(4))
        with pytest.raises(ValueError, match="must draw a tensor of shape"):
            SemiDiscreteMap(y, source=lambda n, g: torch.zeros(n, 3))


class TestSolver:
    def test_step_is_the_gradient_of_the_energy(self) -> None:
        """∂E/∂h = P[cell] - w, by finite differences of the energy on the same points."""
        targets = cloud(5, 2)
        gradient = []
        for i in range(5):
            energies = []
            for sign in (1, -1):
                h = torch.zeros(5, dtype=DOUBLE)
                h[i] = sign * 1e-2
                solver = SemiDiscreteSolver(SemiDiscreteMap(targets, heights=h), batch=2**15)
                energies.append(solver.step(generator=generator(3))["energy"])
            gradient.append((energies[0] - energies[1]) / 2e-2)
        flat = SemiDiscreteMap(targets, heights=torch.zeros(5, dtype=DOUBLE))
        shares = flat._shares(flat.spread_source(2**15, generator=generator(3)), flat.heights)
        # E is quadratic across the walls: central differences err by a few wall segments only.
        torch.testing.assert_close(torch.stack(gradient), shares - 0.2, rtol=0, atol=1e-3)

    def test_energy_is_the_mean_potential_less_that_of_the_masses(self) -> None:
        """E(h) = E u(x) - ⟨w, h⟩, also where neither source nor targets surround the origin."""
        x = cloud(4096, 2, 3) + 4
        transport = SemiDiscreteMap(cloud(9, 2) + 2, source=lambda n, g: x[:n])
        expected = transport.potential(x[:300]).mean() - transport.masses @ transport.heights
        found = SemiDiscreteSolver(transport, batch=300).step()["energy"]
        torch.testing.assert_close(found, expected)

    def test_start_lets_no_cell_starve(self) -> None:
        """Interior targets have empty cells where h = 0; from the elliptic start few have."""
        targets = cloud(300, 4) @ torch.diag(torch.tensor([4.0, 1.0, 1.0, 0.2], dtype=DOUBLE))
        flat = SemiDiscreteMap(targets, heights=torch.zeros(300, dtype=DOUBLE))
        start = SemiDiscreteMap(targets)
        assert (flat.cell_masses() == 0).double().mean() > 0.5
        assert (start.cell_masses() == 0).double().mean() < 0.1

    def test_moving_and_scaling_the_targets_changes_nothing_but_their_place(self) -> None:
        y = cloud(40, 2).float()
        x = torch.rand(1000, 2, generator=generator(1)) - 0.5
        plain, moved = semi_discrete(y), semi_discrete(100 * y + 1000)
        same = (plain.cell(x) == moved.cell(x)).double().mean()
        assert same > 0.97  # float32 keeps five digits of the coordinates

    def test_going_on_from_saved_state_gives_the_same_numbers(self) -> None:
        def start() -> tuple[SemiDiscreteMap, SemiDiscreteSolver, torch.Generator]:
            transport = SemiDiscreteMap(cloud(20, 2))
            return transport, SemiDiscreteSolver(transport, batch=256, patience=5), generator(0)

        one, solver, dice = start()
        for _ in range(23):
            solver.step(generator=dice)
        buffer = io.BytesIO()
        saved = {"map": one.state_dict(), "solver": solver.state_dict(), "dice": dice.get_state()}
        torch.save(saved, buffer)
        unbroken = [solver.step(generator=dice)["energy"].item() for _ in range(14)]
        buffer.seek(0)
        saved = torch.load(buffer, weights_only=True)
        other, resumed, dice = start()
        other.load_state_dict(saved["map"])
        resumed.load_state_dict(saved["solver"])
        dice.set_state(saved["dice"])
        assert [resumed.step(generator=dice)["energy"].item() for _ in range(14)] == unbroken
        assert torch.equal(one.heights, other.heights)

    def test_after_convergence_nothing_changes(self) -> None:
        transport = SemiDiscreteMap(cloud(10, 2))
        solver = SemiDiscreteSolver(transport, tolerance=0.05)
        for _ in range(30):
            last = solver.step(generator=generator())
        assert solver.converged
        heights = transport.heights.clone()
        assert solver.step(generator=generator()) == last
        assert torch.equal(transport.heights, heights)

    def test_a_map_takes_over_another_number_of_targets(self) -> None:
        saved = SemiDiscreteMap(cloud(7, 2), source="normal").state_dict()
        empty = SemiDiscreteMap(torch.zeros(1, 2, dtype=DOUBLE), source="normal")
        empty.load_state_dict(saved)
        assert torch.equal(empty.targets, saved["targets"])
        assert empty.cell(torch.zeros(3, 2)).shape == (3,)

    def test_no_convergence_is_said(self) -> None:
        with pytest.warns(RuntimeWarning, match="miss their masses by"):
            semi_discrete(cloud(50, 2), steps=30, tolerance=1e-6)

    def test_precision_follows_the_targets(self) -> None:
        for dtype, inside in ((torch.float16, torch.float32), (DOUBLE, DOUBLE)):
            fitted = semi_discrete(cloud(4, 2).to(dtype), tolerance=0.02)
            assert fitted.heights.dtype == fitted.cost().dtype == inside

    def test_building_and_asking_leave_the_global_generator_alone(self) -> None:
        state = torch.get_rng_state()
        fitted = semi_discrete(cloud(4, 2), tolerance=0.02)
        assert fitted.cost() == fitted.cost()
        fitted.cell_masses()
        assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": torch.zeros(3)}, r"shape \(n, d\)"),
        ({"targets": torch.zeros(3, 1, 2)}, "flatten"),
        ({"targets": torch.full((2, 2), math.nan)}, "NaN"),
        ({"masses": torch.ones(2)}, r"masses must be a tensor of shape \(3,\)"),
        ({"masses": torch.tensor([1.0, 0.0, 1.0])}, "positive"),
        ({"steps": 0}, "steps"),
        ({"lr": -1.0}, "lr must be above 0"),
        ({"batch": 2.5}, "batch must be a whole number"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"source": 3}, "source must be a name"),
    ],
)
def test_bad_input(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        semi_discrete(**{"targets": torch.zeros(3, 2), **options})


def test_unknown_source_suggests_a_name() -> None:
    with pytest.raises(KeyError, match="did you mean 'normal'"):
        semi_discrete(torch.zeros(3, 2), source="norml")


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    fitted = semi_discrete(cloud(30, 2).cuda(), generator=generator())  # a generator on the CPU
    assert fitted.heights.device.type == "cuda"
    assert fitted.map(torch.zeros(3, 2, device="cuda")).device.type == "cuda"
