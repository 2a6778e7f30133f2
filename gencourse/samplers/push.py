"""Push-forward sampling: noise through a map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gencourse._validate import finite, positive
from gencourse.samplers._common import Function, start

__all__ = ["push_forward"]


@torch.no_grad()
def push_forward(
    map: Function | Sequence[Function],
    z: Tensor,
    *,
    batch: int | None = None,
    trajectory: bool = False,
) -> Tensor | list[Tensor]:
    """Sample the push-forward T#μ: draw z ~ μ, return x = T(z).

    For every set A, T#μ(A) = μ(T⁻¹(A)): no density is needed, and T need not be invertible.
    Generators, decoders and flows all sample in this way (decks B and D).

    Parameters
    ----------
    map : callable (n, …) -> (n, …), or sequence of such
        T, or the maps T₁, T₂, …, T_L of a composition T = T_L ∘ … ∘ T₁, as in a flow.
    z : Tensor of shape (n, …)
        Samples of μ.
    batch : int, optional
        Send at most so many rows through the map at once, to bound the memory.
    trajectory : bool
        Return also what lies between.

    Returns
    -------
    Tensor of shape (n, …), or list of L + 1 tensors
        x; with ``trajectory`` the points z, T₁(z), T₂(T₁(z)), …, x, whose shapes may differ.

    Raises
    ------
    ValueError
        If z is not a finite floating tensor, a map is not callable or changes the number of
        rows, or x is not finite.

    Examples
    --------
    >>> import torch
    >>> z = torch.rand(1000, 1, generator=torch.Generator().manual_seed(0))
    >>> x = push_forward(lambda u: -torch.log(1 - u), z)  # exponential, by its quantiles
    >>> bool((x.mean() - 1).abs() < 0.1)
    True
    """
    maps = [map] if callable(map) else list(map)
    if not maps:
        raise ValueError("map must be a function or a non-empty sequence of functions")
    z = start(z, 1, {f"map {i}": m for i, m in enumerate(maps)}).detach()
    if batch is not None:
        positive(batch, "batch", integer=True)
    states = [z]
    for T in maps:
        parts = [T(part) for part in states[-1].split(batch or len(z))]
        for part in parts:
            if not isinstance(part, Tensor) or part.ndim == 0:
                raise ValueError("map must return a tensor with one row for each row of z")
        x = torch.cat(parts)
        if len(x) != len(z):
            raise ValueError(f"map must keep the number of rows, {len(z)}, but returned {len(x)}")
        states.append(x)
    finite(states[-1], "map(z)")
    return states if trajectory else states[-1]
