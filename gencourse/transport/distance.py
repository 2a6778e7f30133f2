"""Optimal transport between samples, over the exact solvers of POT.

The cost of moving x to y is a power of their Euclidean distance; everything is solved in
float64, whatever the precision of the input (R. Flamary et al., *POT: Python Optimal
Transport*, JMLR 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points

__all__ = ["wasserstein"]

# The network simplex needs a number of pivots that grows faster than the sample; POT's
# default of 1e5 stops short from some ten thousand points on, and returns a wrong value.
MAXIMUM_PIVOTS = 100_000_000


def wasserstein(x: Tensor, y: Tensor, p: float = 2.0) -> Tensor:
    r"""Exact Wasserstein distance of order p between two clouds of points.

    Each of the n points x and the m points y carries the same mass, and

    .. math:: W_p(x, y) = \Big(\min_{\pi} \sum_{ij} \pi_{ij} \|x_i - y_j\|^p\Big)^{1/p},

    over all plans :math:`\pi \ge 0` with row sums 1/n and column sums 1/m. It is the
    distance, not its p-th power. Between samples of the *same* distribution it is not
    zero but a sampling floor, which shrinks slowly with n: report it beside the value.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Any floating dtype and device. Images count as vectors of their pixels.
    p : float
        The order, at least 1.

    Returns
    -------
    Tensor
        A scalar of the dtype and on the device of ``x``. Above zero it is differentiable: by the
        envelope theorem the gradient is that of the cost at the optimal plan.

    Raises
    ------
    ValueError
        If a cloud is empty, not finite, or not a floating tensor, if the shapes of the
        points differ, or if p < 1.
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
    x, y = _clouds(x, y)
    p = _order(p)
    cost = torch.cdist(
        # Expanding |x - y|² as a matrix product would lose half the digits of small distances.
        double(x).flatten(1),
        double(y).flatten(1),
        compute_mode="donot_use_mm_for_euclid_dist",
    ).pow(p)
    value = (_optimal_plan(cost) * cost).sum()
    return value.pow(1 / p).to(device=x.device, dtype=x.dtype)


def _optimal_plan(cost: Tensor) -> Tensor:
    """Return the optimal plan between uniform masses, ``(n, m)``, for a float64 cost matrix."""
    import ot

    n, m = cost.shape
    plan, log = ot.emd(
        torch.full((n,), 1 / n, dtype=torch.float64).numpy(),
        torch.full((m,), 1 / m, dtype=torch.float64).numpy(),
        cost.detach().cpu().numpy(),
        numItermax=MAXIMUM_PIVOTS,
        log=True,
    )
    if log["warning"] is not None:
        raise RuntimeError(f"the exact transport solver did not finish: {log['warning']}")
    return torch.from_numpy(plan).to(cost.device)


def _clouds(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Check two clouds of points and that they live in the same space."""
    x, y = points(x, "x"), points(y, "y")
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"x and y must hold points of the same shape, not {tuple(x.shape[1:])} "
            f"and {tuple(y.shape[1:])}"
        )
    return x, y


def _order(p: float) -> float:
    """Check the order of a distance."""
    if isinstance(p, bool) or not isinstance(p, int | float) or not 1 <= p < float("inf"):
        raise ValueError(f"p must be a finite number of at least 1, not {p!r}")
    return float(p)
