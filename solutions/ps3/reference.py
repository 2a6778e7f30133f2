"""Reference answers of problem set 3, which the hidden checks compare with.

Each is written in another way than the solution in the notebook: finite differences for
derivatives, loops over rows and coordinates, paths counted one by one. Everything is float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., Tensor]


def score(energy: Function, x: Tensor) -> Tensor:
    """Minus the gradient of the energy, by central differences."""
    x, step = x.double(), 1e-5
    columns = [
        (energy(x - e) - energy(x + e)) / (2 * step)
        for e in step * torch.eye(x.shape[1], dtype=torch.float64)
    ]
    return torch.stack(columns).T


def langevin_step(x: Tensor, s: Tensor, h: float, noise: Tensor) -> Tensor:
    """The step, one coordinate after the other."""
    moved = [
        a + h * b + math.sqrt(2 * h) * e
        for a, b, e in zip(
            x.flatten().tolist(), s.flatten().tolist(), noise.flatten().tolist(), strict=True
        )
    ]
    return torch.tensor(moved, dtype=torch.float64).reshape(x.shape)


def log_proposal(there: Tensor, here: Tensor, s: Tensor, h: float) -> Tensor:
    """Log N(there; here + h s, 2h I) of each row, with its constant."""
    d = here.shape[1]
    off = ((there - here - h * s).double() ** 2).sum(1)
    return -off / (4 * h) - d / 2 * math.log(4 * math.pi * h)


def log_acceptance(
    x: Tensor, y: Tensor, energy_x: Tensor, energy_y: Tensor, s_x: Tensor, s_y: Tensor, h: float
) -> Tensor:
    """Log of min(1, π(y) q(x|y) / (π(x) q(y|x))) from the two densities themselves."""
    x, y, s_x, s_y = x.double(), y.double(), s_x.double(), s_y.double()
    ratio = (
        log_proposal(x, y, s_y, h)
        - log_proposal(y, x, s_x, h)
        + energy_x.double()
        - energy_y.double()
    )
    return torch.minimum(ratio, torch.zeros_like(ratio))


def metropolis_matrix(p: Tensor, Q: Tensor) -> Tensor:
    """P, entry by entry; p need not sum to 1."""
    p, Q, k = p.double(), Q.double(), len(p)
    P = torch.zeros(k, k, dtype=torch.float64)
    for i in range(k):
        for j in range(k):
            if i != j and Q[i, j] > 0:
                P[i, j] = min(float(Q[i, j]), float(p[j] * Q[j, i] / p[i]))
        P[i, i] = 1 - P[i].sum()
    return P


def additive(x: Tensor, m: Function, sign: int = 1) -> Tensor:
    """Row by row: the second half moves by ± m of the first."""
    k = x.shape[1] // 2
    rows = [torch.cat([r[:k], r[k:] + sign * m(r[None, :k])[0]]) for r in x.double()]
    return torch.stack(rows)


def affine(x: Tensor, s: Function, t: Function) -> tuple[Tensor, Tensor]:
    """Row by row; the log determinant from the Jacobian by central differences."""

    def forward(x: Tensor) -> Tensor:
        k = x.shape[1] // 2
        rows = [torch.cat([r[:k], r[k:] * s(r[None, :k])[0].exp() + t(r[None, :k])[0]]) for r in x]
        return torch.stack(rows)

    x = x.double()
    return forward(x), torch.linalg.slogdet(jacobians(forward, x)).logabsdet


def jacobians(f: Function, x: Tensor) -> Tensor:
    """∂f/∂x of each row by central differences, shape (n, d, d)."""
    x, step = x.double(), 1e-5
    columns = [
        (f(x + e) - f(x - e)) / (2 * step)
        for e in step * torch.eye(x.shape[1], dtype=torch.float64)
    ]
    return torch.stack(columns).permute(1, 2, 0)


def flow_log_density(x: Tensor, layers: Sequence[Callable[[Tensor], tuple[Tensor, Tensor]]]):
    """Change of variables through the whole chain at once, with its Jacobian by differences."""

    def chain(u: Tensor) -> Tensor:
        for layer in layers:
            u = layer(u)[0]
        return u

    z = chain(x.double())
    log_q = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)
    return log_q + torch.linalg.slogdet(jacobians(chain, x)).logabsdet


def masks(d: int, hidden: Sequence[Tensor]) -> list[Tensor]:
    """One entry at a time, from the degrees as plain numbers."""
    degrees = [list(range(1, d + 1)), *[h.tolist() for h in hidden]]
    result = []
    for below, above in itertools.pairwise(degrees):
        result.append(torch.tensor([[float(a >= b) for b in below] for a in above]))
    last = [[float(i > b) for b in degrees[-1]] for i in range(1, d + 1)]
    return [m.double() for m in [*result, torch.tensor(last)]]


def autoregressive_sample(net: Function, z: Tensor) -> tuple[Tensor, Tensor]:
    """Row by row and coordinate by coordinate; log p from one Gaussian after the other."""
    points, log_ps = [], []
    for row in z.double():
        x = torch.zeros(1, len(row), dtype=torch.float64)
        log_p = 0.0
        for i, e in enumerate(row.tolist()):
            mu, a = (float(v[0, i]) for v in net(x))
            x[0, i] = mu + math.exp(a) * e
            log_p += -0.5 * e * e - 0.5 * math.log(2 * math.pi) - a
        points.append(x[0])
        log_ps.append(log_p)
    return torch.stack(points), torch.tensor(log_ps, dtype=torch.float64)


def exact_divergence(v: Function, x: Tensor) -> Tensor:
    """Trace of the Jacobian by central differences."""
    return jacobians(v, x).diagonal(dim1=1, dim2=2).sum(1)


def hutchinson(v: Function, x: Tensor, noise: Tensor) -> Tensor:
    """Mean over the probes e of eᵀ J e, J by central differences."""
    J = jacobians(v, x)
    terms = [
        torch.stack([e @ matrix @ e for e, matrix in zip(probe, J, strict=True)])
        for probe in noise.double()
    ]
    return torch.stack(terms).mean(0)


def cnf_step(
    v: Function, divergence: Function, x: Tensor, log_p: Tensor, t: float, dt: float
) -> tuple[Tensor, Tensor]:
    """Euler's step for the point and for its log density, both at (x, t)."""
    x, log_p = x.double(), log_p.double()
    return x.add(v(x, t), alpha=dt), log_p.sub(divergence(x, t), alpha=dt)
