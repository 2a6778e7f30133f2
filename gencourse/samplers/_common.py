"""What the samplers share: noise from any generator, gradients, records of where they went."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gencourse._validate import finite, points, positive

__all__ = [
    "Function",
    "Record",
    "per_row",
    "returned",
    "start",
    "time_grid",
    "uniform",
    "value_and_gradient",
    "white",
]

#: A function of points, (n, …) to (n, …) or to (n,).
Function = Callable[[Tensor], Tensor]


def white(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers of the shape, dtype and device of ``like``."""
    where = like.device if generator is None else generator.device
    noise = torch.randn(like.shape, generator=generator, device=where, dtype=like.dtype)
    return noise.to(like.device)


def uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Numbers uniform in [0, 1), of the shape, dtype and device of ``like``."""
    where = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, device=where, dtype=like.dtype).to(
        like.device
    )


def start(x: object, steps: int, functions: dict[str, object]) -> Tensor:
    """Check what every sampler is given: points to start from, a count, and callables."""
    positive(steps, "steps", integer=True)
    for name, function in functions.items():
        if not callable(function):
            raise ValueError(f"{name} must be a function of x, not {type(function).__name__}")
    return points(x, "x")


def returned(value: object, shape: torch.Size, name: str) -> Tensor:
    """Return what a caller's function gave, or raise ``ValueError`` if it has another shape.

    A score of shape (n, 1) would broadcast against points of shape (n, 2), and be wrong in
    silence.
    """
    if not isinstance(value, Tensor) or value.shape != shape:
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} must return a tensor of shape {tuple(shape)}, not {got}")
    return value


def value_and_gradient(log_prob: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x), shape ``(n,)``, and its gradient ∇ log p(x), of the shape of x."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        log_p = returned(log_prob(x), x.shape[:1], "log_prob")
        if not log_p.requires_grad:
            raise ValueError(
                "log_prob must be differentiable by autograd; compute it from x with torch, and "
                "without torch.no_grad() or .detach()"
            )
        # Each log p(x_i) depends on x_i alone, so the gradient of the sum is all gradients.
        (gradient,) = torch.autograd.grad(log_p.sum(), x)
    return log_p.detach(), gradient


def per_row(a: Tensor, x: Tensor) -> Tensor:
    """Shape numbers ``(n,)`` so that they multiply or choose the rows of ``x``."""
    return a.reshape(-1, *[1] * (x.ndim - 1))


def time_grid(times: Tensor | Sequence[float], x: Tensor) -> Tensor:
    """Return times as a strictly monotone vector in the dtype and on the device of ``x``."""
    given = torch.as_tensor(times)
    if given.ndim != 1 or len(given) < 2:
        raise ValueError(
            f"times must be a vector of at least 2 times, not of shape {tuple(given.shape)}"
        )
    grid = finite(given.to(device=x.device, dtype=x.dtype), "times")
    steps = grid.diff()
    if not (bool((steps > 0).all()) or bool((steps < 0).all())):
        raise ValueError(
            f"times must increase or decrease strictly, in the precision of x ({x.dtype})"
        )
    return grid


class Record:
    """Keeps every ``every``-th state, beginning with the first, or the last one only."""

    def __init__(self, x: Tensor, trajectory: bool, every: int = 1) -> None:
        positive(every, "every", integer=True)
        self.every = every
        self.states: list[Tensor] | None = [x] if trajectory else None

    def __call__(self, i: int, x: Tensor) -> None:
        """Take note of the state after step ``i``, counted from 1."""
        if self.states is not None and i % self.every == 0:
            self.states.append(x)

    def result(self, x: Tensor) -> Tensor:
        """Return the last state ``x``, or all that were kept, stacked along a new first axis."""
        return x if self.states is None else torch.stack(self.states)
