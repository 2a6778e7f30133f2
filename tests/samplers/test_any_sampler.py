"""What holds for every sampler: kinds of tensors, trajectories, randomness, and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from known_laws import generator
from torch import Tensor

from gencourse import samplers


def log_prob(x: Tensor) -> Tensor:
    return -0.5 * x.square().flatten(1).sum(1)


def minus(x: Tensor, *_: Any) -> Tensor:
    return -x


#: Each with a standard normal target and ``steps`` steps; deterministic ones take no generator.
RANDOM: dict[str, Callable[..., Any]] = {
    "langevin": lambda x, n, **k: samplers.langevin(minus, x, step_size=0.1, steps=n, **k),
    "mala": lambda x, n, **k: samplers.mala(log_prob, x, step_size=0.1, steps=n, **k).x,
    "hmc": lambda x, n, **k: (
        samplers.hmc(log_prob, x, step_size=0.2, leapfrog_steps=2, steps=n, **k).x
    ),
    "annealed_langevin": lambda x, n, **k: samplers.annealed_langevin(
        minus, x, [1.0], step_size=0.1, steps=n, **k
    ),
    "euler_maruyama": lambda x, n, **k: samplers.euler_maruyama(
        minus, lambda x, t: 1.4, x, torch.linspace(0, 1, n + 1), **k
    ),
    "ancestral": lambda x, n, **k: samplers.ancestral(
        lambda x, t, s: (0.9 * x, 0.4), x, list(range(n, -1, -1)), **k
    ),
}
ORDINARY: dict[str, Callable[..., Any]] = {
    name: lambda x, n, name=name, **k: getattr(samplers, name)(
        minus, x, torch.linspace(0, 1, n + 1), **k
    )
    for name in ("euler", "heun", "rk4")
}
ALL = {**RANDOM, **ORDINARY}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (5, 1, 4, 4)])
@pytest.mark.parametrize("name", ALL)
def test_the_kind_of_tensor_is_kept(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(shape, generator=generator()).to(dtype)
    before = x.clone()
    y = ALL[name](x, 3)
    assert y.shape == shape
    assert y.dtype == dtype
    assert y.isfinite().all()
    assert not y.requires_grad
    assert torch.equal(x, before)
    assert not torch.equal(y, x)


@pytest.mark.parametrize("name", ALL)
def test_trajectories(name: str) -> None:
    x = torch.randn(4, 2, generator=generator())
    random = name in RANDOM

    def run(**more: Any) -> Tensor:
        return ALL[name](x, 7, **more, **({"generator": generator(1)} if random else {}))

    path = run(trajectory=True)
    assert path.shape == (8, 4, 2)
    assert torch.equal(path[0], x)
    assert torch.equal(path[-1], run())
    thinned = run(trajectory=True, every=3)
    assert thinned.shape == (3, 4, 2)
    assert torch.equal(thinned, path[[0, 3, 6]])


@pytest.mark.parametrize("name", RANDOM)
def test_randomness_comes_from_the_generator(name: str) -> None:
    x = torch.randn(4, 2, generator=generator())
    torch.manual_seed(0)
    state = torch.get_rng_state()
    a, b, c = (RANDOM[name](x, 3, generator=generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    RANDOM[name](x, 3)
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", [name for name in RANDOM if name != "euler_maruyama"])
def test_a_path_is_made_of_steps(name: str) -> None:
    """n steps, and n steps more from there with the same stream, are 2n steps."""
    x = torch.randn(6, 2, generator=generator(), dtype=torch.float64)
    g = generator(1)
    halves = RANDOM[name](RANDOM[name](x, 4, generator=g), 4, generator=g)
    whole = RANDOM[name](x, 8, generator=generator(1))
    torch.testing.assert_close(halves, whole)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ALL)
def test_on_the_gpu_with_noise_from_the_cpu(accelerator: str, name: str) -> None:
    x = torch.randn(50, 2, generator=generator())
    given_ones = {"generator": generator(1)} if name in RANDOM else {}
    here = ALL[name](x, 5, **given_ones)
    given_ones = {"generator": generator(1)} if name in RANDOM else {}
    there = ALL[name](x.to(accelerator), 5, **given_ones)
    assert there.device.type == accelerator
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        ([[1.0]], "x must be a torch tensor, not list"),
        (torch.zeros(3), r"x must have shape \(n, d\)"),
        (torch.zeros(0, 2), "x is empty"),
        (torch.zeros(3, 2, dtype=torch.int64), "x must have a floating dtype"),
        (torch.tensor([[math.nan, 0.0]]), "x holds 1 NaN"),
        (torch.tensor([[math.inf, 0.0]]), "x holds 1 NaN or infinite"),
    ],
)
def test_points_that_are_none(name: str, x: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ALL[name](x, 3)


@given(st.one_of(st.integers(max_value=0), st.floats(), st.text(), st.none(), st.booleans()))
def test_numbers_of_steps_that_make_no_sense(steps: Any) -> None:
    for name in ("langevin", "mala", "hmc", "annealed_langevin"):
        with pytest.raises(ValueError, match="steps must be"):
            RANDOM[name](torch.zeros(3, 2), steps)


@given(
    st.one_of(
        st.floats(max_value=0), st.just(math.nan), st.just(math.inf), st.text(), st.none(),
        st.booleans(),
    )
)  # fmt: skip
def test_step_sizes_that_make_no_sense(h: Any) -> None:
    x = torch.zeros(3, 2)
    for call in (
        lambda: samplers.langevin(minus, x, step_size=h, steps=1),
        lambda: samplers.mala(log_prob, x, step_size=h, steps=1),
        lambda: samplers.hmc(log_prob, x, step_size=h, leapfrog_steps=1, steps=1),
        lambda: samplers.annealed_langevin(minus, x, [1.0], step_size=h),
    ):
        with pytest.raises(ValueError, match="step_size must be"):
            call()


@given(st.lists(st.floats(-5, 5), max_size=6))
def test_times_are_strictly_monotone_or_refused(times: list[float]) -> None:
    """Compared in float32, the precision of x."""
    x = torch.ones(2, 1)
    grid = torch.tensor(times, dtype=torch.float32)
    steps = grid.diff()
    monotone = len(times) >= 2 and bool((steps > 0).all() or (steps < 0).all())
    for run in (
        lambda: samplers.heun(minus, x, times),
        lambda: samplers.euler_maruyama(minus, lambda x, t: 1.0, x, times),
    ):
        if monotone:
            assert run().shape == x.shape
        else:
            with pytest.raises(ValueError, match="times must"):
                run()


@pytest.mark.parametrize("times", [[0.0, math.nan], [[0.0, 1.0]], [0.0, math.inf], 3.0])
def test_times_that_are_none(times: Any) -> None:
    with pytest.raises(ValueError, match="times"):
        samplers.heun(minus, torch.ones(2, 1), times)
    with pytest.raises(ValueError, match="times must hold at least 2"):
        samplers.ancestral(lambda x, t, s: (x, 1.0), torch.ones(2, 1), [1])


@pytest.mark.parametrize("every", [0, -1, 1.5, None])
@pytest.mark.parametrize("name", ALL)
def test_thinning_that_makes_no_sense(name: str, every: Any) -> None:
    with pytest.raises(ValueError, match="every must be"):
        ALL[name](torch.zeros(3, 2), 3, trajectory=True, every=every)


def wide(x: Tensor, *_: Any) -> Tensor:
    """Return (n, 1), which would broadcast in silence."""
    return -x.sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda x: samplers.langevin(wide, x, step_size=0.1, steps=1), "score must return"),
        (lambda x: samplers.langevin("score", x, step_size=0.1, steps=1), "score must be a func"),
        (lambda x: samplers.mala(wide, x, step_size=0.1, steps=1), "log_prob must return"),
        (lambda x: samplers.annealed_langevin(wide, x, [1.0]), "score must return"),
        (lambda x: samplers.heun(wide, x, [0.0, 1.0]), "velocity must return"),
        (lambda x: samplers.heun(None, x, [0.0, 1.0]), "velocity must be a function"),
        (
            lambda x: samplers.euler_maruyama(wide, lambda x, t: 1.0, x, [0.0, 1.0]),
            "drift must return a tensor of shape",
        ),
        (
            lambda x: samplers.euler_maruyama(minus, 1.0, x, [0.0, 1.0]),
            "diffusion must be a function of x, not float",
        ),
        (
            lambda x: samplers.ancestral(lambda x, t, s: (wide(x), 1.0), x, [1, 0]),
            "kernel's mean must return",
        ),
        (
            lambda x: samplers.hmc(log_prob, x, step_size=0.1, leapfrog_steps=0, steps=1),
            "leapfrog_steps must be above 0",
        ),
    ],
)
def test_functions_that_do_not_fit(call: Callable[[Tensor], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call(torch.zeros(3, 2))
