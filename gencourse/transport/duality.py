"""The dual problems: prices instead of plans, and a 1-Lipschitz function for W₁."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points
from gencourse.transport._checks import balanced, clouds, cost_matrix, weights

__all__ = ["LipschitzFunction", "kantorovich_dual", "kantorovich_rubinstein"]


def kantorovich_dual(p: Tensor, q: Tensor, C: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Best prices: what a carrier can charge without being undercut.

    .. math::
        \max_{f, g} \sum_i f_i p_i + \sum_j g_j q_j
        \quad\text{with}\quad f_i + g_j \le C_{ij} .

    Carrying a unit away from i costs its owner f_i, and bringing one to j costs g_j. No pair may
    cost more than going alone, so the income is at most the cost of any plan; at the optimum
    both are equal, and prices are tight, f_i + g_j = C_ij, wherever the best plan moves mass.

    Parameters
    ----------
    p : Tensor of shape (n,)
    q : Tensor of shape (m,)
    C : Tensor of shape (n, m)
        As in :func:`kantorovich`.

    Returns
    -------
    f : Tensor of shape (n,)
    g : Tensor of shape (m,)
        Prices, like ``C``. Raising all f and lowering all g by one number changes nothing; here
        the least f is 0.
    value : Tensor
        The sum above, a scalar like ``C``: Kantorovich's cost. Its gradient in p is f and in q
        is g: what one more unit would cost.

    Raises
    ------
    ValueError
        As :func:`kantorovich`.
    RuntimeError
        If the linear program could not be solved.

    Notes
    -----
    A program with n + m unknowns and n m constraints, solved by HiGHS through SciPy: about 1 s
    at n = m = 100, and much slower than :func:`kantorovich` beyond.

    References
    ----------
    C. Villani, *Optimal Transport: Old and New*, 2009, theorem 5.10; deck E.

    Examples
    --------
    >>> import torch
    >>> f, g, value = kantorovich_dual(torch.ones(1), torch.ones(1), torch.tensor([[7.0]]))
    >>> value
    tensor(7.)
    """
    C = cost_matrix(C)
    costs = double(C)
    a, b = balanced(p, q, costs)
    f, g = _prices(a.detach(), b.detach(), costs.detach())
    value = f @ a + g @ b
    return f.to(C), g.to(C), value.to(device=C.device, dtype=C.dtype)


@dataclass(frozen=True)
class LipschitzFunction:
    """The 1-Lipschitz function that tells two clouds apart best, defined in the whole space.

    Attributes
    ----------
    value : Tensor
        Σ a_i f(x_i) - Σ b_j f(y_j) = W₁, a scalar.
    at_x : Tensor of shape (n,)
    at_y : Tensor of shape (m,)
        f at the points of either cloud.
    y : Tensor of shape (m, d)
        The second cloud, from which f is extended.
    """

    value: Tensor
    at_x: Tensor
    at_y: Tensor
    y: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        r"""Return f(z) = min_j (f(y_j) + \|z - y_j\|), the greatest 1-Lipschitz extension.

        Parameters
        ----------
        z : Tensor of shape (k, \*event_shape)

        Returns
        -------
        Tensor of shape (k,)
            Like ``z`` (E. J. McShane 1934).
        """
        at = double(points(z, "z", self.y.shape[1:])).to(double(self.y).device).flatten(1)
        values = double(self.at_y) + _distances(at, double(self.y).flatten(1))
        return values.amin(1).to(device=z.device, dtype=z.dtype)


def kantorovich_rubinstein(
    x: Tensor,
    y: Tensor,
    *,
    x_weights: Tensor | None = None,
    y_weights: Tensor | None = None,
) -> LipschitzFunction:
    r"""Solve the Kantorovich-Rubinstein dual of W₁ exactly, by linear programming.

    .. math::
        W_1(x, y) = \max_{\|f\|_L \le 1} \sum_i a_i f(x_i) - \sum_j b_j f(y_j) .

    It is the problem that the critic of a Wasserstein GAN approximates; see
    :func:`lipschitz_critic`.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Any floating dtype and device; the cost is the Euclidean distance.
    x_weights : Tensor of shape (n,), optional
    y_weights : Tensor of shape (m,), optional
        The masses a and b, not negative; each set is scaled to sum 1. By default equal.

    Returns
    -------
    LipschitzFunction
        The function f, its values at the points and the distance.

    Raises
    ------
    ValueError
        As :func:`wasserstein`.
    RuntimeError
        If the linear program could not be solved.

    Notes
    -----
    The program asks f(x_i) - f(y_j) ≤ \|x_i - y_j\| of pairs from different clouds only. Its
    solution is then extended from y to all points as the least f that the constraints allow,
    which is 1-Lipschitz everywhere and at least as good: W₁ needs no other constraint.

    References
    ----------
    L. Kantorovich & G. Rubinstein 1958; C. Villani 2009, remark 6.5; deck E.

    Examples
    --------
    >>> import torch
    >>> f = kantorovich_rubinstein(torch.tensor([[5.0]]), torch.tensor([[2.0]]))
    >>> f.value, f(torch.tensor([[4.0]])) - f(torch.tensor([[3.0]]))
    (tensor(3.), tensor([1.]))
    """
    x, y = clouds(x, y)
    a = weights(x_weights, "x_weights", len(x), x)
    b = weights(y_weights, "y_weights", len(y), y)
    u, v = double(x.detach()).flatten(1), double(y.detach()).flatten(1)
    a, b, v = a.to(u.device), b.to(u.device), v.to(u.device)
    D = _distances(u, v)
    _, g = _prices(a, b, D)
    # f = -g at y if no other y is nearer to undercut it.
    at_y = (-g + _distances(v, v)).amin(1)
    at_x = (at_y + D).amin(1)
    value = a @ at_x - b @ at_y
    return LipschitzFunction(
        value.to(device=x.device, dtype=x.dtype), at_x.to(x), at_y.to(x), y.detach().to(x)
    )


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _prices(p: Tensor, q: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """Solve the dual program for float64 masses and costs; the least f is 0."""
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, eye_array, hstack, kron

    n, m = C.shape
    rows = hstack([kron(eye_array(n), np.ones((m, 1))), kron(np.ones((n, 1)), eye_array(m))])
    result = linprog(
        -torch.cat([p, q]).cpu().numpy(),
        A_ub=csr_array(rows),
        b_ub=C.flatten().cpu().numpy(),
        bounds=(None, None),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"the dual program was not solved: {result.message}")
    prices = torch.from_numpy(result.x).to(C.device)
    f, g = prices[:n], prices[n:]
    return f - f.min(), g + f.min()
