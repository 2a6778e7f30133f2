"""Reference answers of problem set 2, which the hidden checks compare with.

Each is written in another way than the solution in the notebook wherever there is another
way: a slip would have to be made twice to go unnoticed. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def f_divergence(f: Function, slope: float, p: Tensor, q: Tensor) -> Tensor:
    """Cell by cell: q f(p/q), the limit p f'(∞) where q = 0, and nothing where both are 0."""
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        if b > 0:
            total += b * float(f(torch.tensor([a / b], dtype=torch.float64)))
        elif a > 0:
            total += a * slope
    return torch.tensor(total, dtype=torch.float64)


def conjugate(f: Function, t: Tensor, u: Tensor) -> Tensor:
    """f*(t) as the largest of the values u t - f(u), one t after the other."""
    values = f(u.double()).tolist()
    best = [
        max(s * v - value for v, value in zip(u.tolist(), values, strict=True)) for s in t.tolist()
    ]
    return torch.tensor(best, dtype=torch.float64)


def pearson_conjugate(t: Tensor) -> Tensor:
    """By Young's equality at the best ratio u = max(0, 1 + t/2): f* = u t - (u - 1)^2."""
    u = (1 + t.double() / 2).clamp_min(0)
    return u * t.double() - (u - 1) ** 2


def js_conjugate(t: Tensor) -> Tensor:
    """By Young's equality at the best ratio u = e^2t / (2 - e^2t): f* = log((1 + u) / 2) / 2."""
    u = (2 * t.double()).exp() / (2 - (2 * t.double()).exp())
    return (torch.log1p(u) - math.log(2)) / 2


def optimal_critic(f: Function, p: Tensor, q: Tensor) -> Tensor:
    """f'(p/q) by central differences of fourth order."""
    u = p.double() / q.double()
    h = 1e-3 * u
    return (8 * (f(u + h) - f(u - h)) - (f(u + 2 * h) - f(u - 2 * h))) / (12 * h)


def lower_bound(T: Tensor, f_star: Function, p: Tensor, q: Tensor) -> Tensor:
    """E_p T - E_q f*(T), as two inner products."""
    T = T.double()
    return torch.dot(p.double(), T) - torch.dot(q.double(), f_star(T))


def four_distances(p: Tensor, q: Tensor, x: Tensor) -> tuple[float, float, float, float]:
    """TV as the mass that p has too much; KL in a loop; JS by entropies; W1 by quantiles."""
    a, b = p.double(), q.double()
    tv = (a - b).clamp_min(0).sum().item()
    kl = 0.0
    for s, t in zip(a.tolist(), b.tolist(), strict=True):
        if s > 0:
            kl += s * math.log(s / t) if t > 0 else math.inf

    def entropy(law: Tensor) -> Tensor:
        return -torch.xlogy(law, law).sum()

    js = (entropy((a + b) / 2) - (entropy(a) + entropy(b)) / 2).item()
    # ∫ |F⁻¹(t) - G⁻¹(t)| dt: both are steps, which jump where a cumulated mass is reached.
    F, G = a.cumsum(0), b.cumsum(0)
    jumps = torch.cat([F, G]).sort().values
    middle = (jumps[1:] + jumps[:-1]) / 2
    last = len(x) - 1
    up, down = (torch.searchsorted(H, middle).clamp_max(last) for H in (F, G))
    w1 = ((x.double()[up] - x.double()[down]).abs() * jumps.diff()).sum().item()
    return tv, kl, js, w1


def monge_cost(x: Tensor, y: Tensor, order: float) -> Tensor:
    """Least mean of |x_i - y_j|^order over all permutations, by the assignment problem."""
    from scipy.optimize import linear_sum_assignment

    C = (x.double()[:, None] - y.double()[None]).abs() ** order
    rows, columns = linear_sum_assignment(C.numpy())
    return C[torch.from_numpy(rows), torch.from_numpy(columns)].mean()


def transport_cost(p: Tensor, q: Tensor, C: Tensor) -> Tensor:
    """Kantorovich's cost by its dual: max f·p + g·q over prices with f_i + g_j ≤ C_ij."""
    import numpy as np
    from scipy.optimize import linprog

    n, m = C.shape
    pairs = np.zeros((n * m, n + m))
    for i in range(n):
        for j in range(m):
            pairs[i * m + j, [i, n + j]] = 1
    result = linprog(
        -torch.cat([p, q]).double().numpy(),
        A_ub=pairs,
        b_ub=C.double().flatten().numpy(),
        bounds=(None, None),
    )
    return torch.tensor(-result.fun, dtype=torch.float64)


def c_transform(f: Tensor, C: Tensor) -> Tensor:
    """Take the least C_ij - f_i over i, one column at a time."""
    columns = [min((C[i, j] - f[i]).item() for i in range(len(f))) for j in range(C.shape[1])]
    return torch.tensor(columns, dtype=torch.float64)


def lipschitz_bound(f: Tensor, D: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """(E_p f - E_q f) / L with L the steepest slope between two points, by a loop over pairs."""
    n = len(f)
    L = max((abs(f[i] - f[j]) / D[i, j]).item() for i in range(n) for j in range(i))
    return (f.double() * (p.double() - q.double())).sum() / L


def sinkhorn(p: Tensor, q: Tensor, C: Tensor, epsilon: float, iterations: int = 400) -> Tensor:
    """Scale the rows and the columns of e^(-C/ε) in turn, all of it as logarithms of the plan."""
    log_P = -C.double() / epsilon
    for _ in range(iterations):
        log_P = log_P + (p.double().log() - torch.logsumexp(log_P, 1))[:, None]
        log_P = log_P + (q.double().log() - torch.logsumexp(log_P, 0))
    return log_P.exp()


def gaussian_w2(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor) -> Tensor:
    """Use that tr (S1^½ S2 S1^½)^½ is the sum of the roots of the eigenvalues of S1 S2."""
    roots = torch.linalg.eigvals(S1.double() @ S2.double()).real.clamp_min(0).sqrt()
    squared = ((m1 - m2).double() ** 2).sum() + S1.trace() + S2.trace() - 2 * roots.sum()
    return squared.clamp_min(0).sqrt()


def gaussian_map(S1: Tensor, S2: Tensor) -> Tensor:
    """With S1 = L Lᵀ, the map L⁻ᵀ (Lᵀ S2 L)^½ L⁻¹."""
    L = torch.linalg.cholesky(S1.double())
    values, axes = torch.linalg.eigh(L.T @ S2.double() @ L)
    middle = (axes * values.clamp_min(0).sqrt()) @ axes.T
    inverse = torch.linalg.inv(L)
    return inverse.T @ middle @ inverse
