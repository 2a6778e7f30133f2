"""Transport on the line, where the optimal plan is known: it keeps the order."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite
from gencourse.transport._checks import order, weights

__all__ = ["wasserstein_1d"]


def wasserstein_1d(
    x: Tensor,
    y: Tensor,
    p: float = 2.0,
    *,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> Tensor:
    r"""Wasserstein distance of order p between points on the line, in closed form.

    .. math:: W_p = \Big(\int_0^1 |F_x^{-1}(t) - F_y^{-1}(t)|^p \, dt\Big)^{1/p},

    where :math:`F^{-1}` are the quantile functions. Both are steps, so the integral is a sum
    over the n + m places where one of them jumps.

    Parameters
    ----------
    x : Tensor of shape (n,)
    y : Tensor of shape (m,)
        Any floating dtype and device.
    p : float
        The order, at least 1.
    x_weights : Tensor of shape (n,), optional
    y_weights : Tensor of shape (m,), optional
        The masses of the points, not negative; each set is scaled to sum 1. By default equal.

    Returns
    -------
    Tensor
        A scalar like ``x``, differentiable in the points.

    Raises
    ------
    ValueError
        If a tensor is not a finite floating vector, if p < 1, or if weights are negative, all
        zero or of a wrong number.

    References
    ----------
    F. Santambrogio, *Optimal Transport for Applied Mathematicians*, 2015, proposition 2.17.

    Examples
    --------
    >>> import torch
    >>> wasserstein_1d(torch.tensor([0.0, 1.0]), torch.tensor([3.0]), p=1)
    tensor(2.5000)
    """
    p = order(p)
    for value, name in ((x, "x"), (y, "y")):
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim != 1:
            what = (
                f"{value.dtype} of shape {tuple(value.shape)}"
                if isinstance(value, Tensor)
                else type(value).__name__
            )
            raise ValueError(f"{name} must be a floating tensor of shape (n,), not {what}")
        finite(value, name)
    a = weights(x_weights, "x_weights", len(x), x)
    b = weights(y_weights, "y_weights", len(y), y)
    (u, at_x), (v, at_y) = double(x).sort(), double(y).sort()
    F, G = a.to(u.device)[at_x].cumsum(0), b.to(u.device)[at_y.to(u.device)].cumsum(0)
    t = torch.cat([F, G]).sort().values.clamp_max(1.0)
    # Up to the jump at t, either quantile is its first point whose cumulated mass reaches t.
    width = torch.diff(t, prepend=t.new_zeros(1))
    i = torch.searchsorted(F, t).clamp_max(len(u) - 1)
    j = torch.searchsorted(G, t).clamp_max(len(v) - 1)
    value = ((u[i] - v.to(u.device)[j]).abs().pow(p) * width).sum().pow(1 / p)
    return value.to(device=x.device, dtype=x.dtype)
