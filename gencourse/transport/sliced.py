"""The sliced distance: many problems on the line instead of one in space."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import generator_on, points, positive
from gencourse.transport._checks import clouds, order

__all__ = ["sliced_wasserstein"]

BLOCK = 4_000_000  # projected points held at once, 32 MB


def sliced_wasserstein(
    x: Tensor,
    y: Tensor,
    p: float = 2.0,
    projections: int | Tensor = 200,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Sliced Wasserstein distance of order p between two clouds of points.

    Projected on a line through the origin, two clouds are as easy as sorting. The mean is over
    directions θ, uniform on the sphere:

    .. math:: SW_p(x, y) = \Big(\mathbb{E}_\theta\,
        W_p^p\big(\{\langle\theta, x_i\rangle\}, \{\langle\theta, y_j\rangle\}\big)\Big)^{1/p}.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Any floating dtype and device. Images count as vectors of their pixels.
    p : float
        The order, at least 1.
    projections : int, or Tensor of shape (k, d)
        How many directions to draw, or the directions themselves, one in each row; their
        lengths do not matter.
    generator : torch.Generator, optional
        Source of the directions, on any device; by default always the same ones.

    Returns
    -------
    Tensor
        A scalar of the dtype and on the device of ``x``, at most :math:`W_p`. Above zero it is
        differentiable in ``x`` and ``y`` wherever no two projections coincide.

    Raises
    ------
    ValueError
        If a cloud is empty, not finite, or not a floating tensor, if the shapes of the points
        differ, if p < 1, or if a direction is zero.

    Notes
    -----
    With n = m the sorted projections are matched one to one. Otherwise the quantile functions
    jump at the multiples of 1/n and of 1/m, the same for every direction, and the integral of
    the power of their difference is exact.

    References
    ----------
    N. Bonneel, J. Rabin, G. Peyré & H. Pfister 2015, *Sliced and Radon Wasserstein barycenters
    of measures*.

    Examples
    --------
    On the line every direction is that of the line:

    >>> import torch
    >>> sliced_wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]]), p=1)
    tensor(2.)
    """
    x, y = clouds(x, y)
    p = order(p)
    a, b = double(x).flatten(1), double(y).flatten(1)
    b = b.to(a.device)
    theta = _directions(projections, a, generator)
    n, m = len(a), len(b)
    rows = max(1, BLOCK // max(n, m))
    total = a.new_zeros(())
    for part in theta.split(rows):
        # One direction in each row: a sort then runs through neighbouring memory.
        u, v = _sorted(part @ a.T), _sorted(part @ b.T)
        if n == m:
            total = total + (u - v).abs().pow(p).sum() / n
        else:
            i, j, width = _steps(n, m)
            gap = u[:, i.to(u.device)] - v[:, j.to(u.device)]
            total = total + (gap.abs().pow(p) @ width.to(u.device)).sum()
    value = (total / len(theta)).pow(1 / p)
    return value.to(device=x.device, dtype=x.dtype)


def _directions(projections: int | Tensor, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Unit vectors, one in each row, in float64 beside x."""
    d = x.shape[1]
    if isinstance(projections, Tensor):
        theta = double(points(projections, "projections", (d,))).to(x.device)
    else:
        positive(projections, "projections", integer=True)
        generator = generator_on(generator)
        theta = torch.randn(
            projections, d, generator=generator, device=generator.device, dtype=torch.float64
        ).to(x.device)
    length = theta.norm(dim=1, keepdim=True)
    if isinstance(projections, Tensor) and not bool((length > 0).all()):
        raise ValueError("projections holds a row of zeros, which is no direction")
    return theta / length


def _sorted(rows: Tensor) -> Tensor:
    """Sort each row; by NumPy, which needs no permutation, where no gradient asks for one."""
    if rows.device.type == "cpu" and not (torch.is_grad_enabled() and rows.requires_grad):
        return torch.from_numpy(np.sort(rows.detach().numpy(), axis=1))
    return rows.sort(dim=1).values


@lru_cache(maxsize=8)
def _steps(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where two quantile functions of n and m equal steps are constant.

    Returns the index of the step of either on each piece, and the pieces' widths. Jumps are
    counted in whole multiples of 1/(nm): none is lost, and none is counted twice.
    """
    jumps = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()
    start = torch.cat([jumps.new_zeros(1), jumps[:-1]])
    return start // m, start // n, (jumps - start).double() / (n * m)
