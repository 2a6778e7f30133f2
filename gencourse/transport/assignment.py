"""Monge's problem between finitely many points: who goes where."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse.transport._checks import cost_matrix

__all__ = ["monge"]


def monge(C: Tensor) -> tuple[Tensor, Tensor]:
    r"""Cheapest permutation: each of n sources goes to a target of its own.

    .. math:: \min_{\sigma \in \mathrm{Perm}_n} \sum_{i=1}^n C_{i, \sigma(i)}

    The number of permutations is n!, but the best is found in O(n³) steps (D. F. Crouse 2016,
    *On implementing 2D rectangular assignment algorithms*, in SciPy).

    Parameters
    ----------
    C : Tensor of shape (n, n)
        The cost of sending source i to target j; any floating dtype and device, any sign.

    Returns
    -------
    permutation : Tensor of shape (n,), int64
        σ, counted from 0: source i goes to target ``permutation[i]``.
    cost : Tensor
        The sum above, a scalar like ``C``, differentiable in ``C``.

    Raises
    ------
    ValueError
        If ``C`` is not a square matrix of finite floating numbers.

    References
    ----------
    G. Monge 1781, *Mémoire sur la théorie des déblais et des remblais*; deck E.

    Examples
    --------
    >>> import torch
    >>> monge(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    (tensor([1, 0]), tensor(5.))
    """
    from scipy.optimize import linear_sum_assignment

    C = cost_matrix(C)
    if C.shape[0] != C.shape[1]:
        raise ValueError(
            f"Monge's problem needs as many sources as targets, and C has shape {tuple(C.shape)}; "
            "kantorovich splits masses, and takes any shape"
        )
    costs = double(C)
    rows, columns = linear_sum_assignment(costs.detach().cpu().numpy())
    permutation = torch.from_numpy(columns).to(costs.device)
    cost = costs[torch.from_numpy(rows).to(costs.device), permutation].sum()
    return permutation.to(C.device), cost.to(device=C.device, dtype=C.dtype)
