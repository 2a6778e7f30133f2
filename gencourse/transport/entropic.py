"""Entropic transport: a strictly convex problem near Kantorovich's, solved by scaling."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import positive
from gencourse.transport._checks import balanced, cost_matrix

__all__ = ["sinkhorn"]

CHECK_EVERY = 20  # iterations between looks at the marginals, each of which waits for the device


def sinkhorn(
    p: Tensor,
    q: Tensor,
    C: Tensor,
    epsilon: float,
    *,
    tolerance: float = 1e-9,
    iterations: int = 100_000,
) -> tuple[Tensor, Tensor]:
    r"""Plan that is cheap and spread out: Kantorovich's problem with an entropy.

    .. math::
        \min_{P \ge 0} \sum_{ij} P_{ij} C_{ij} + \epsilon \sum_{ij} P_{ij} (\log P_{ij} - 1)
        \quad\text{with}\quad P 1 = p, \quad P^\top 1 = q .

    The solution is :math:`P_{ij} = e^{(f_i + g_j - C_{ij})/\epsilon}`. Sinkhorn's algorithm fits
    the rows and the columns in turn; here by logarithms, so that no ε is too small:

    .. math:: f_i = \epsilon \log p_i - \epsilon \log \sum_j e^{(g_j - C_{ij})/\epsilon},

    and likewise for g. It starts with a large ε, and comes down to the given one by halves.

    Parameters
    ----------
    p : Tensor of shape (n,)
        The mass at each source, not negative.
    q : Tensor of shape (m,)
        The mass wanted at each target, of the same total as p, which need not be 1.
    C : Tensor of shape (n, m)
        The cost of moving one unit from source i to target j.
    epsilon : float
        In units of cost. The cost exceeds Kantorovich's by at most ε min(H(p), H(q)) per unit of
        mass; convergence slows down as ε → 0.
    tolerance : float
        Greatest sum over the rows of \|Σ_j P_ij - p_i\|, as a share of the mass. The columns fit.
    iterations : int
        At most so many with the given ε.

    Returns
    -------
    plan : Tensor of shape (n, m)
        P, like ``C``.
    cost : Tensor
        Σ P_ij C_ij, without the entropy; a scalar like ``C``. Neither carries a gradient.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, a mass is negative, or the totals of p and
        q differ by more than the rounding of their dtype.
    RuntimeError
        If the marginals do not fit after so many iterations.

    References
    ----------
    M. Cuturi 2013, *Sinkhorn distances*; G. Peyré & M. Cuturi 2019, *Computational optimal
    transport*, section 4.4 (logarithms) and remark 4.9 (ε by halves).

    Examples
    --------
    >>> import torch
    >>> half = torch.full((2,), 0.5)
    >>> sinkhorn(half, half, 1 - torch.eye(2), epsilon=1 / torch.log(torch.tensor(9.0)).item())
    (tensor([[0.4500, 0.0500],
            [0.0500, 0.4500]]), tensor(0.1000))
    """
    C = cost_matrix(C)
    positive(epsilon, "epsilon")
    positive(tolerance, "tolerance")
    positive(iterations, "iterations", integer=True)
    costs = double(C.detach())
    a, b = balanced(p.detach(), q.detach(), costs)
    # What holds no mass takes part in nothing, and its logarithm is not finite.
    rows, columns = a.nonzero()[:, 0], b.nonzero()[:, 0]
    total = a.sum()
    M = costs[rows[:, None], columns]
    log_p, log_q = (a[rows] / total).log(), (b[columns] / total).log()
    f, g = torch.zeros_like(log_p), torch.zeros_like(log_q)

    def sweep(f: Tensor, g: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        f = eps * (log_p - torch.logsumexp((g - M) / eps, dim=1))
        g = eps * (log_q - torch.logsumexp((f[:, None] - M) / eps, dim=0))
        return f, g

    width = (M.max() - M.min()).item()
    eps = epsilon
    ladder = []
    while eps < width:
        eps *= 2
        ladder.append(eps)
    for eps in reversed(ladder):
        for _ in range(CHECK_EVERY):
            f, g = sweep(f, g, eps)
    for i in range(iterations):
        f, g = sweep(f, g, epsilon)
        if i % CHECK_EVERY == CHECK_EVERY - 1 or i == iterations - 1:
            P = ((f[:, None] + g - M) / epsilon).exp()
            error = (P.sum(1) - log_p.exp()).abs().sum().item()
            if error < tolerance:
                break
    else:
        raise RuntimeError(
            f"after {iterations} iterations the plan misses its row sums by {error:.2g} of the "
            f"mass, and not by less than {tolerance:g}; give more iterations, a larger epsilon "
            "or a larger tolerance"
        )
    plan = torch.zeros_like(costs)
    plan[rows[:, None], columns] = P * total
    cost = (plan * costs).sum()
    return plan.to(C), cost.to(device=C.device, dtype=C.dtype)
