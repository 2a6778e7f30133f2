"""Stochastic differential equations: Euler–Maruyama, and running a diffusion backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gencourse.samplers._common import Record, returned, start, time_grid, white

__all__ = [
    "Coefficient",
    "Drift",
    "euler_maruyama",
    "euler_maruyama_step",
    "probability_flow",
    "reverse_drift",
]

#: (x, t) to a velocity of the shape of x; t is a 0-d tensor.
Drift = Callable[[Tensor, Tensor], Tensor]
#: (x, t) to a number, or a tensor that broadcasts against x.
Coefficient = Callable[[Tensor, Tensor], Tensor | float]


def euler_maruyama_step(
    drift: Drift,
    diffusion: Coefficient,
    x: Tensor,
    t: Tensor,
    dt: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return x + b(x, t) Δt + g(x, t) √|Δt| ξ, ξ ~ N(0, I)."""
    b = returned(drift(x, t), x.shape, "drift")
    return x + b * dt + diffusion(x, t) * dt.abs().sqrt() * white(x, generator)


@torch.no_grad()
def euler_maruyama(
    drift: Drift,
    diffusion: Coefficient,
    x: Tensor,
    times: Tensor | Sequence[float],
    *,
    generator: torch.Generator | None = None,
    trajectory: bool = False,
    every: int = 1,
) -> Tensor:
    r"""Integrate dX = b(X, t) dt + g(X, t) dW by the Euler–Maruyama method.

        X_{k+1} = X_k + b(X_k, t_k) Δt + g(X_k, t_k) √|Δt| ξ_k,   ξ_k ~ N(0, I).

    Expectations have an error of O(Δt) (weak order 1); paths one of O(√Δt), and of O(Δt) if g
    does not depend on x (strong order). Decreasing times integrate backwards: dt is then
    negative, and W runs from the end, as in the reverse of a diffusion.

    Maruyama 1955; Kloeden & Platen 1992, section 10.2; decks A and D.

    Parameters
    ----------
    drift : callable (x, t) -> Tensor of the shape of x
        b; t is a 0-d tensor.
    diffusion : callable (x, t) -> float or Tensor
        g, a number or a tensor that broadcasts against x: noise acts on each coordinate alone.
    x : Tensor of shape (n, …)
        X at the first time.
    times : Tensor or sequence of floats
        t_0, t_1, …, strictly increasing or strictly decreasing.
    generator : torch.Generator, optional
        Source of randomness, on any device.
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
        strictly monotone, or the drift has another shape than x.

    Examples
    --------
    An Ornstein–Uhlenbeck process, which tends to N(0, 1):

    >>> import torch
    >>> drift, diffusion = (lambda x, t: -x), (lambda x, t: 2**0.5)
    >>> x = euler_maruyama(drift, diffusion, torch.zeros(5000, 1), torch.linspace(0, 3, 61))
    >>> bool((x.var() - 1).abs() < 0.15)
    True
    """
    x = start(x, 1, {"drift": drift, "diffusion": diffusion})
    grid = time_grid(times, x)
    record = Record(x, trajectory, every)
    for i, (t, dt) in enumerate(zip(grid[:-1], grid.diff(), strict=True), 1):
        x = euler_maruyama_step(drift, diffusion, x, t, dt, generator=generator)
        record(i, x)
    return record.result(x)


def reverse_drift(drift: Drift, diffusion: Coefficient, score: Drift) -> Drift:
    """Drift b - g² ∇log p_t of the diffusion that runs backwards in time.

    If dX = b dt + g dW has the marginals p_t, then so has dX = (b - g² ∇log p_t) dt + g dW̄
    integrated over decreasing times (Anderson 1982). Here g is a function of t alone.
    """
    return lambda x, t: drift(x, t) - diffusion(x, t) ** 2 * score(x, t)


def probability_flow(drift: Drift, diffusion: Coefficient, score: Drift) -> Drift:
    """Velocity b - ½ g² ∇log p_t of the ordinary differential equation with the marginals p_t.

    If dX = b dt + g dW has the marginals p_t, then so has ẋ = b - ½ g² ∇log p_t, in both
    directions of time and without noise (Song et al. 2021, section 4.3). Here g is a function
    of t alone. Integrate it by :func:`heun` or :func:`rk4`.
    """
    return lambda x, t: drift(x, t) - 0.5 * diffusion(x, t) ** 2 * score(x, t)
