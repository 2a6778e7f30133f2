"""Optimal transport between samples, over the exact solvers of POT.

The cost of moving x to y is a power of their Euclidean distance; everything is solved in
float64, whatever the precision of the input (R. Flamary et al., *POT: Python Optimal
Transport*, JMLR 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse.transport._checks import clouds, order, weights
from gencourse.transport.plan import optimal_plan

__all__ = ["wasserstein"]


def wasserstein(
    x: Tensor,
    y: Tensor,
    p: float = 2.0,
    *,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> Tensor:
    r"""Exact Wasserstein distance of order p between two clouds of points.

    .. math:: W_p(x, y) = \Big(\min_{\pi} \sum_{ij} \pi_{ij} \|x_i - y_j\|^p\Big)^{1/p},

    over all plans :math:`\pi \ge 0` whose row sums are the masses of the n points x and whose
    column sums are those of the m points y: by default 1/n and 1/m. It is the
    distance, not its p-th power. Between samples of the *same* distribution it is not
    zero but a sampling floor, which shrinks slowly with n: report it beside the value.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Any floating dtype and device. Images count as vectors of their pixels.
    p : float
        The order, at least 1.
    x_weights : Tensor of shape (n,), optional
    y_weights : Tensor of shape (m,), optional
        The masses of the points, not negative; each set is scaled to sum 1.

    Returns
    -------
    Tensor
        A scalar of the dtype and on the device of ``x``. Above zero it is differentiable: by the
        envelope theorem the gradient is that of the cost at the optimal plan.

    Raises
    ------
    ValueError
        If a cloud is empty, not finite, or not a floating tensor, if the shapes of the
        points differ, if p < 1, or if weights are negative, all zero or of a wrong number.
    RuntimeError
        If the solver stops before the optimum.

    Notes
    -----
    Time grows like n³ at worst: about 0.4 s for n = m = 2000 and 3 s for 5000 on one CPU core.
    Memory is that of two n × m matrices in float64.

    References
    ----------
    C. Villani, *Optimal Transport: Old and New*, 2009, definition 6.1; deck E.

    Examples
    --------
    >>> import torch
    >>> wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]]), p=1)
    tensor(2.)
    """
    x, y = clouds(x, y)
    p = order(p)
    a = weights(x_weights, "x_weights", len(x), x)
    b = weights(y_weights, "y_weights", len(y), y)
    u, v = double(x).flatten(1), double(y).flatten(1)
    # Expanding |u - v|² as a matrix product would lose half the digits of small distances.
    distance = torch.cdist(u, v.to(u.device), compute_mode="donot_use_mm_for_euclid_dist")
    cost = distance.pow(p)
    value = (optimal_plan(a, b, cost) * cost).sum()
    return value.pow(1 / p).to(device=x.device, dtype=x.dtype)
