"""Ordinary differential equations: Euler, Heun and the classical Runge–Kutta method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from gencourse.samplers._common import Record, returned, start, time_grid
from gencourse.samplers.sde import Drift

__all__ = ["euler", "euler_step", "heun", "heun_step", "rk4", "rk4_step"]


def euler_step(velocity: Drift, x: Tensor, t: Tensor, dt: Tensor) -> Tensor:
    """Return x + v(x, t) Δt: order 1, one evaluation."""
    return x + dt * returned(velocity(x, t), x.shape, "velocity")


def heun_step(velocity: Drift, x: Tensor, t: Tensor, dt: Tensor) -> Tensor:
    """Return x + ½ (k₁ + k₂) Δt, with k₁ = v(x, t) and k₂ = v(x + k₁ Δt, t + Δt).

    The trapezoidal rule with its end predicted by Euler: order 2, two evaluations.
    """
    k1 = returned(velocity(x, t), x.shape, "velocity")
    k2 = velocity(x + dt * k1, t + dt)
    return x + dt / 2 * (k1 + k2)


def rk4_step(velocity: Drift, x: Tensor, t: Tensor, dt: Tensor) -> Tensor:
    """Return x + (k₁ + 2 k₂ + 2 k₃ + k₄) Δt / 6: order 4, four evaluations (Kutta 1901)."""
    k1 = returned(velocity(x, t), x.shape, "velocity")
    k2 = velocity(x + dt / 2 * k1, t + dt / 2)
    k3 = velocity(x + dt / 2 * k2, t + dt / 2)
    k4 = velocity(x + dt * k3, t + dt)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _integrate(
    step: Callable[[Drift, Tensor, Tensor, Tensor], Tensor],
    velocity: Drift,
    x: Tensor,
    times: Tensor | Sequence[float],
    trajectory: bool,
    every: int,
) -> Tensor:
    x = start(x, 1, {"velocity": velocity})
    grid = time_grid(times, x)
    record = Record(x, trajectory, every)
    for i, (t, dt) in enumerate(zip(grid[:-1], grid.diff(), strict=True), 1):
        x = step(velocity, x, t, dt)
        record(i, x)
    return record.result(x)


def euler(
    velocity: Drift,
    x: Tensor,
    times: Tensor | Sequence[float],
    *,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    """Integrate ẋ = v(x, t) by Euler's method, whose error is O(Δt).

    Arguments as for :func:`heun`.
    """
    return _integrate(euler_step, velocity, x, times, trajectory, every)


def heun(
    velocity: Drift,
    x: Tensor,
    times: Tensor | Sequence[float],
    *,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    r"""Integrate ẋ = v(x, t) by Heun's method, whose error is O(Δt²).

        k₁ = v(x, t),   k₂ = v(x + k₁ Δt, t + Δt),   x ← x + ½ (k₁ + k₂) Δt.

    With the velocity of :func:`probability_flow` this turns noise into data, and back; it is the
    sampler of Karras et al. 2022, algorithm 1. Gradients pass through; wrap the call in
    ``torch.no_grad()`` where none are wanted.

    Parameters
    ----------
    velocity : callable (x, t) -> Tensor of the shape of x
        v; t is a 0-d tensor.
    x : Tensor of shape (n, …)
        The state at the first time.
    times : Tensor or sequence of floats
        t_0, t_1, …, strictly increasing or strictly decreasing.
    trajectory : bool
        Return the states at all times, beginning with x, instead of the last.
    every : int
        Keep one state in so many.

    Returns
    -------
    Tensor of shape (n, …), or with ``trajectory`` (1 + steps // every, n, …)

    Raises
    ------
    ValueError
        If x is not a finite floating tensor, there are fewer than two times or they are not
        strictly monotone, or the velocity has another shape than x.

    Examples
    --------
    >>> import torch
    >>> x = heun(lambda x, t: -x, torch.ones(1, 1), torch.linspace(0, 1, 101))
    >>> bool((x - torch.tensor(-1.0).exp()).abs() < 1e-4)
    True
    """
    return _integrate(heun_step, velocity, x, times, trajectory, every)


def rk4(
    velocity: Drift,
    x: Tensor,
    times: Tensor | Sequence[float],
    *,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    """Integrate ẋ = v(x, t) by the classical Runge–Kutta method, whose error is O(Δt⁴).

    Arguments as for :func:`heun`.
    """
    return _integrate(rk4_step, velocity, x, times, trajectory, every)
