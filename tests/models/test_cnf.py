"""Continuous flows against autograd, torchdiffeq, and what a density must do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import ring8_bar
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

import gencourse
from gencourse import data
from gencourse.models.cnf import ContinuousFlow, rk4
from gencourse.nets import MLPField, UNetField


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, generator=generator(seed)).double()


def stirred(network: nn.Module, size: float = 0.5, seed: int = 1) -> nn.Module:
    """Give a field that starts at rest some motion, in float64."""
    g = generator(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(size * torch.randn(p.shape, generator=g) / max(1, p[0].numel()) ** 0.5)
    return network.double()


def random_flow(shape: tuple[int, ...] = (2,), **settings: float) -> ContinuousFlow:
    model = gencourse.build(
        "cnf", torch.zeros(1, *shape), width=16 if len(shape) == 1 else 8, **settings
    )
    assert isinstance(model, ContinuousFlow)
    stirred(model.field, 1.0 if len(shape) == 1 else 0.5)
    model.average.module.load_state_dict(model.field.state_dict())
    model = model.double()
    model.centre = 0.3 * noise(model.dimension, seed=2)
    model.scale = torch.tensor(1.5).double()
    return model


# ----------------------------------------------------------------- the fields


def jacobian_of(field: nn.Module, z: Tensor, t: float) -> Tensor:
    return torch.autograd.functional.jacobian(lambda v: field(v[None], t)[0], z)


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("t", [0.0, 0.37, 1.0])
def test_the_divergence_of_an_mlp_is_exact(d: int, t: float) -> None:
    field = stirred(MLPField(d, width=16))
    z = noise(6, d)
    (instant,) = field.at(torch.tensor([t], dtype=torch.float64))  # type: ignore[operator]
    v, divergence = instant.with_divergence(z)
    torch.testing.assert_close(v, field(z, t), rtol=1e-12, atol=1e-12)
    traces = torch.stack([jacobian_of(field, row, t).trace() for row in z])
    assert traces.abs().max() > 1e-2  # there is something to compare
    torch.testing.assert_close(divergence[:, 0], traces, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 6, 4), (3, 16, 16)])
def test_the_probe_of_a_u_net(shape: tuple[int, ...]) -> None:
    """εᵀ (∂v/∂z) ε by autograd's product of Jacobian and vector."""
    field = stirred(UNetField(shape, width=8))
    d = math.prod(shape)
    z, probe = noise(3, d), noise(3, d, seed=6).sign()
    (instant,) = field.at(torch.tensor([0.4], dtype=torch.float64))  # type: ignore[operator]
    v, estimate = instant.with_divergence(z, probe)
    torch.testing.assert_close(v, field(z, 0.4), rtol=1e-12, atol=1e-12)
    _, product = torch.autograd.functional.jvp(lambda u: field(u, 0.4), z, probe)
    expected = (product * probe).sum(1, keepdim=True)
    assert expected.abs().min() > 1e-4
    torch.testing.assert_close(estimate, expected, rtol=1e-9, atol=1e-9)


def test_the_probe_is_unbiased() -> None:
    """Over the whole basis it gives the trace; over random signs, the trace on average."""
    field = stirred(UNetField((1, 4, 4), width=8))
    z = noise(1, 16)
    trace = jacobian_of(field, z[0], 0.4).trace()
    (instant,) = field.at(torch.tensor([0.4], dtype=torch.float64))  # type: ignore[operator]
    _, parts = instant.with_divergence(z.repeat(16, 1), torch.eye(16).double())
    torch.testing.assert_close(parts.sum(), trace, rtol=1e-10, atol=1e-10)
    n = 4000
    _, estimates = instant.with_divergence(z.repeat(n, 1), noise(n, 16).sign())
    assert (estimates.mean() - trace).abs() < 5 * estimates.std() / math.sqrt(n)
    assert estimates.std() > 1e-3
    with pytest.raises(ValueError, match="give a probe"):
        instant.with_divergence(z)


def test_fields_depend_on_time_and_start_at_rest() -> None:
    for field, d in ((MLPField(3, width=8), 3), (UNetField((1, 8, 8), width=8), 64)):
        z = noise(4, d).float()
        assert field(z, 0.3).abs().max() == 0
        moving = stirred(field)
        assert (moving(z.double(), 0.1) - moving(z.double(), 0.9)).abs().max() > 1e-3


# ----------------------------------------------------------------- the solver


def rotation(t: float) -> Tensor:
    return torch.tensor([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]).double()


@pytest.mark.parametrize("forwards", [True, False])
def test_the_solver_has_order_four(forwards: bool) -> None:
    """A rotation that speeds up, dy/dt = (1 + t) R′ y, whose angle is t + t²/2."""
    generator_of_rotations = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).double()
    y = noise(5, 2)
    end = y @ rotation(1.5 if forwards else -1.5).T

    def errors(steps: int) -> tuple[float, float]:
        times = torch.linspace(0, 1, 2 * steps + 1).double()
        times = times if forwards else times.flip(0)
        fields = [lambda u, t=t: (1 + t) * u @ generator_of_rotations.T for t in times]
        path, estimates = rk4(fields, y, (1 if forwards else -1) / steps)
        assert len(path) == steps + 1
        assert len(estimates) == steps
        assert torch.equal(path[0], y)
        error = (path[-1] - end).abs().max().item()
        return error, torch.stack(estimates).abs().sum(0).max().item()

    coarse, fine = errors(4), errors(8)
    assert coarse[0] / fine[0] == pytest.approx(16, rel=0.25)
    # The estimate is the error of a method of order 2: larger, and falling by about 4.
    assert all(estimate > error for error, estimate in (coarse, fine))
    assert 3 < coarse[1] / fine[1] < 10


# ----------------------------------------------------------------- the flow


def augmented(model: ContinuousFlow) -> nn.Module:
    """The equation of z and log-density as torchdiffeq wants it."""
    field = model.field

    class Equation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.field = field

        def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            (instant,) = self.field.at(t.reshape(1))
            v, divergence = instant.with_divergence(state[0])
            return v, divergence

    return Equation()


def test_against_torchdiffeq() -> None:
    """Dormand and Prince's method with adaptive steps and a tolerance of 1e-10."""
    model = random_flow(fine_steps=64)
    x = noise(50, 2)
    z, log_det = model.pull(x)
    start = ((x - model.centre) / model.scale, x.new_zeros(50, 1))
    times = torch.tensor([1.0, 0.0]).double()
    with torch.no_grad():
        theirs, change = odeint(augmented(model), start, times, rtol=1e-10, atol=1e-10)
    assert (z - start[0]).abs().max() > 0.3  # it goes somewhere
    torch.testing.assert_close(z, theirs[-1], rtol=0, atol=1e-6)
    expected = change[-1][:, 0] - 2 * model.scale.log()
    torch.testing.assert_close(log_det, expected, rtol=0, atol=1e-6)


def test_its_gradient_is_that_of_the_adjoint() -> None:
    """With fine steps, backpropagation and torchdiffeq's adjoint equation agree."""
    model = random_flow(solver_steps=32, energy=1e-12, error=1e-12)
    model.centre, model.scale = torch.zeros(2).double(), torch.tensor(1.0).double()
    x = noise(20, 2)
    parameters = list(model.field.parameters())
    ours = torch.autograd.grad(model.loss(x)["nll"], parameters)
    equation, times = augmented(model), torch.tensor([1.0, 0.0]).double()
    z, change = odeint_adjoint(
        equation, (x, x.new_zeros(20, 1)), times, rtol=1e-9, atol=1e-9,
        adjoint_params=tuple(parameters),
    )  # fmt: skip
    log_p = -0.5 * z[-1].square().sum(1) - math.log(2 * math.pi) + change[-1][:, 0]
    theirs = torch.autograd.grad(-log_p.mean(), parameters)
    for a, b in zip(ours, theirs, strict=True):
        assert a.abs().max() > 1e-4
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (5,), (1, 8, 8)])
def test_the_inverse(shape: tuple[int, ...]) -> None:
    points = len(shape) == 1
    model = random_flow(shape, fine_steps=48 if points else 24)
    z = noise(20 if points else 3, model.dimension)
    with torch.no_grad():
        x = model.push(z)
        back, _ = model.pull(x)
    assert (x - model.centre - model.scale * z).abs().max() > 0.1
    torch.testing.assert_close(back, z, rtol=0, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_the_determinant(d: int) -> None:
    model = random_flow((d,), fine_steps=48)
    x = noise(5, d)
    _, log_det = model.pull(x)
    for point, expected in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: model.pull(v[None])[0][0], point)
        torch.testing.assert_close(jacobian.logdet(), expected, rtol=0, atol=1e-5)


def test_the_determinant_for_images() -> None:
    """Estimated with 200 probes; the same for the same rows, whatever else was drawn."""
    model = random_flow((1, 4, 4), fine_steps=6, probes=200)
    x = noise(1, 1, 4, 4)
    with torch.no_grad():
        _, log_det = model.pull(x.flatten(1))
        model.settings = replace(model.settings, probes=1)
        _, single = model.pull(x.flatten(1).repeat(200, 1))
        first = model.log_prob(x)
        torch.rand(7)
        assert torch.equal(model.log_prob(x), first)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.pull(v[None])[0][0], x.flatten())
    assert single.std() > 1e-2
    # Five standard errors, and the error of six steps of the solver.
    bound = 5 * single.std() / math.sqrt(200) + 1e-3
    assert (log_det[0] - jacobian.logdet()).abs() < bound


def test_the_density_integrates_to_one() -> None:
    model = random_flow()
    axis = torch.arange(-12, 12, 0.08, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = model.log_prob(grid).exp().sum().item() * 0.08**2
    # The solver's error, with 16 steps; the sum over the grid is exact to rounding.
    assert mass == pytest.approx(1, abs=1e-3)


def test_paths_lead_from_noise_to_samples() -> None:
    model = random_flow()
    z = noise(10, 2)
    path = model.paths(z)
    assert len(path) == model.settings.fine_steps + 1
    torch.testing.assert_close(path[0], model.centre + model.scale * z)
    assert torch.equal(path[-1], model.push(z))


def test_the_energy_is_that_of_the_paths() -> None:
    """∫ ‖v‖² dt by the trapezoidal rule along a fine solution."""
    model = random_flow(solver_steps=200)
    x = noise(30, 2)
    with torch.no_grad():
        found = model.loss(x)["energy"]
        u = (x - model.centre) / model.scale
        times = torch.linspace(1, 0, 401).double()
        fields = model.field.at(times)
        path, _ = rk4(fields, u, -1 / 200)
        speeds = torch.stack([f(y) for f, y in zip(fields[::2], path, strict=True)])
        expected = torch.trapezoid(speeds.square().sum(2).mean(1), dx=1 / 200)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)


# ----------------------------------------------------------------- what it learns

RING = data.load("ring8")


@pytest.fixture(scope="module")
def ring_flow() -> ContinuousFlow:
    """A good third of the default steps."""
    model = gencourse.build("cnf", RING)
    model.fit(RING, steps=600, progress=False)
    assert isinstance(model, ContinuousFlow)
    return model


def test_the_bar_on_the_ring(ring_flow: ContinuousFlow) -> None:
    result = ring8_bar.measure(ring_flow, 0)
    assert ring8_bar.shortcomings(result) == []
    assert result["quality"] > 0.92
    assert result["w1"] < 2 * 0.105
    assert 0 < result["nll"] - result["entropy"] < 0.1


def test_four_steps_follow_what_was_learned(ring_flow: ContinuousFlow) -> None:
    """The solver of the training and one with eight times its steps see the same density."""
    x = RING.sample(1000, generator=generator(7))
    settings, values = ring_flow.settings, {}
    try:
        for steps in (4, 16, 32):
            ring_flow.settings = replace(settings, fine_steps=steps)
            with torch.no_grad():
                values[steps] = ring_flow.log_prob(x).mean().item()
    finally:
        ring_flow.settings = settings
    assert values[16] == pytest.approx(values[32], abs=2e-3)
    assert values[4] == pytest.approx(values[32], abs=0.05)


def test_without_its_price_the_solver_is_cheated() -> None:
    """400 steps without the error term: the training reports a density that is not there."""
    model = gencourse.build("cnf", RING, error=1e-9, averaging=1.0)
    history = model.fit(RING, steps=400, progress=False)
    reported = sum(history.metrics["nll"][-10:]) / 10
    x = RING.sample(1000, generator=generator(7))
    with torch.no_grad():
        true_nll = -model.log_prob(x).mean().item()
    assert true_nll > reported + 0.3
    assert sum(history.metrics["error"][-10:]) / 10 > 0.1


def test_a_flow_that_does_not_learn_is_noticed() -> None:
    idle = gencourse.build("cnf", RING, lr=1e-12)
    idle.fit(RING, steps=10, progress=False)
    assert {"quality", "modes"} <= set(ring8_bar.shortcomings(ring8_bar.measure(idle, 0)))


@pytest.mark.parametrize("objective", ["likelihood", "matching"])
@pytest.mark.parametrize("name", ["digits", "glyphs"])
def test_images(name: str, objective: str) -> None:
    """A few steps bring the loss down, and samples have grey levels."""
    dataset = data.load(name)
    settings = {"width": 8, "batch": 16, "probes": 1, "solver_steps": 2, "fine_steps": 2}
    model = gencourse.build("cnf", dataset, objective=objective, **settings)
    steps = 20 if name == "digits" else 2
    losses = model.fit(dataset, steps=steps, progress=False).metrics["loss"]
    if name == "digits":
        assert losses[-1] < losses[0] - 0.05
    x = model.sample(3, generator=generator())
    assert x.shape == (3, *dataset.event_shape)
    level = model.level.item()  # type: ignore[operator, union-attr]
    assert x.abs().max() <= 1
    torch.testing.assert_close((x + 1) / level, ((x + 1) / level).round(), rtol=0, atol=1e-4)
    assert model.log_prob(x).isfinite().all()


# ----------------------------------------------------------------- flow matching


def test_the_field_that_matches_gaussian_data() -> None:
    """For data N(m, s² I) the minimiser is known: E[u - z_0 | z_t = z] is linear in z.

    With z_t = (1 - t) z_0 + t u all is jointly Gaussian, and

        v(z, t) = m + (t s² - (1 - t)) / ((1 - t)² + t² s²) (z - t m).

    A field trained by matching comes near it: of a mean square of about 1 a few percent are left.
    """
    m, s = torch.tensor([2.0, -1.0]), 0.5
    x = m + s * torch.randn(20_000, 2, generator=generator())
    model = gencourse.build("cnf", x, objective="matching", batch=512)
    model.fit(x, steps=1000, progress=False)
    assert isinstance(model, ContinuousFlow)
    m, s = (m - model.centre) / model.scale, s / model.scale
    for t in (0.1, 0.5, 0.9):
        z = (1 - t) * noise(2000, 2).float() + t * (m + s * noise(2000, 2, seed=6).float())
        exact = m + (t * s**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * s**2) * (z - t * m)
        with torch.no_grad():
            error = (model.average.module(z, t) - exact).square().mean()
        assert error < 0.02 * exact.square().mean().clamp_min(0.5)


def test_matching_learns_the_ring() -> None:
    """It solves no equation in training; samples and density of the ring come out all the same."""
    model = gencourse.build("cnf", RING, objective="matching", width=96)
    model.fit(RING, steps=1500, progress=False)
    result = gencourse.evaluate(model, RING, n=2000)
    print(result)
    assert result["modes"] == 8
    assert result["quality"] > 0.8
    assert result["nll"] - result["entropy"] < 0.5


def test_times_of_rows() -> None:
    """A field at a time for each row is the field at each time."""
    for field, d in ((MLPField(3, width=8), 3), (UNetField((1, 8, 8), width=8), 64)):
        field = stirred(field)
        z, times = noise(4, d), torch.tensor([0.0, 0.2, 0.7, 1.0]).double()
        one_by_one = [field(row[None], t) for row, t in zip(z, times, strict=True)]
        torch.testing.assert_close(field(z, times), torch.cat(one_by_one))


@given(
    st.sampled_from(
        ["width", "solver_steps", "fine_steps", "probes", "energy", "error", "batch",
         "lr", "clip", "averaging", "steps"]
    ),
    st.sampled_from([0, -1, math.inf, "deep", True]),
)  # fmt: skip
def test_settings_that_make_no_sense(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        gencourse.build("cnf", torch.zeros(1, 2), **{name: value})


def test_averaging_is_a_rate() -> None:
    with pytest.raises(ValueError, match=r"averaging must be at most 1, not 1\.5"):
        gencourse.build("cnf", torch.zeros(1, 2), averaging=1.5)
