"""Kantorovich's problem between finitely many points: masses that may be split."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse.transport._checks import balanced, cost_matrix

__all__ = ["kantorovich", "optimal_plan"]

# The network simplex needs a number of pivots that grows faster than the sample; POT's
# default of 1e5 stops short from some ten thousand points on, and returns a wrong value.
MAXIMUM_PIVOTS = 100_000_000


def kantorovich(p: Tensor, q: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    r"""Cheapest plan P that moves the masses p to the masses q.

    .. math::
        \min_{P \ge 0} \sum_{ij} P_{ij} C_{ij}
        \quad\text{with}\quad \sum_j P_{ij} = p_i, \quad \sum_i P_{ij} = q_j .

    A linear program, solved exactly by the network simplex of POT (N. Bonneel et al. 2011,
    *Displacement interpolation using Lagrangian mass transport*).

    Parameters
    ----------
    p : Tensor of shape (n,)
        The mass at each source, not negative.
    q : Tensor of shape (m,)
        The mass wanted at each target, of the same total as p, which need not be 1.
    C : Tensor of shape (n, m)
        The cost of moving one unit from source i to target j, of any sign.

    Returns
    -------
    plan : Tensor of shape (n, m)
        P, like ``C``; at most n + m - 1 entries are not zero.
    cost : Tensor
        The sum above, a scalar like ``C``. It is differentiable in ``C``, with gradient P by
        the envelope theorem.

    Raises
    ------
    ValueError
        If shapes do not fit, if a number is not finite or a mass negative, or if the totals of
        p and q differ by more than the rounding of their dtype.
    RuntimeError
        If the solver stops before the optimum.

    References
    ----------
    L. Kantorovich 1942, *On the translocation of masses*; deck E.

    Examples
    --------
    >>> import torch
    >>> p, q = torch.tensor([2.0, 1.0]), torch.tensor([1.0, 2.0])
    >>> kantorovich(p, q, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    (tensor([[1., 1.],
            [0., 1.]]), tensor(1.))
    """
    C = cost_matrix(C)
    costs = double(C)
    sent, received = balanced(p, q, costs)
    plan = optimal_plan(sent, received, costs)
    cost = (plan * costs).sum()
    return plan.to(C), cost.to(device=C.device, dtype=C.dtype)


def optimal_plan(p: Tensor, q: Tensor, C: Tensor) -> Tensor:
    """Return the plan for checked float64 masses and costs, without a gradient."""
    import ot

    plan, log = ot.emd(
        p.detach().cpu().numpy(),
        q.detach().cpu().numpy(),
        C.detach().cpu().numpy(),
        numItermax=MAXIMUM_PIVOTS,
        log=True,
    )
    if log["warning"] is not None:
        raise RuntimeError(f"the exact transport solver did not finish: {log['warning']}")
    return torch.from_numpy(plan).to(C.device)
