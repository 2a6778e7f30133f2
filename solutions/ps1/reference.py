"""Reference answers of problem set 1, which the hidden checks compare with.

Each is written in another way than the solution in the notebook: loops over points and
coordinates, other factorisations, other formulas. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.distributions import MultivariateNormal


def histogram_density(x: Tensor, samples: Tensor, low: Tensor, high: Tensor, bins: int) -> Tensor:
    """n_c / (n v), by counting the samples between the faces of each point's cell."""
    x, samples, low, high = x.double(), samples.double(), low.double(), high.double()
    faces = [
        a + (b - a) * torch.arange(bins + 1).double() / bins for a, b in zip(low, high, strict=True)
    ]
    volume = math.prod(float(f[1] - f[0]) for f in faces)
    densities = []
    for point in x:
        together = torch.ones(len(samples), dtype=torch.bool)
        for k, f in enumerate(faces):
            if not f[0] <= point[k] <= f[-1]:
                together[:] = False
                break
            i = min(int((f[1:] <= point[k]).sum()), bins - 1)
            column = samples[:, k]
            below = column <= f[i + 1] if i == bins - 1 else column < f[i + 1]
            together &= (column >= f[i]) & below
        densities.append(int(together.sum()) / (len(samples) * volume))
    return torch.tensor(densities, dtype=torch.float64)


def kde_log_density(x: Tensor, samples: Tensor, h: float) -> Tensor:
    """Log of the mean of n Gaussians, each with covariance h² I, from torch.distributions."""
    d = samples.shape[1]
    windows = MultivariateNormal(samples.double(), h**2 * torch.eye(d, dtype=torch.float64))
    values = [windows.log_prob(point) for point in x.double()]
    top = [v.max() for v in values]
    return torch.stack([t + (v - t).exp().mean().log() for v, t in zip(values, top, strict=True)])


def leave_one_out(samples: Tensor, h: float) -> Tensor:
    """Mean over i of the log density at x_i made of the samples before and after it."""
    parts = [
        kde_log_density(samples[i : i + 1], torch.cat([samples[:i], samples[i + 1 :]]), h)
        for i in range(len(samples))
    ]
    return torch.cat(parts).mean()


def gaussian_log_density(x: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Log N(x; m, Σ) by the eigenvectors of Σ: a sum over independent coordinates."""
    values, vectors = torch.linalg.eigh(covariance.double())
    along = (x.double() - mean.double()) @ vectors
    terms = along**2 / values + (2 * math.pi * values).log()
    return -terms.sum(1) / 2


def fit_gaussian(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Sample mean, and second moment minus the square of the mean."""
    x = samples.double()
    mean = sum(x, torch.zeros_like(x[0])) / len(x)
    second = sum((torch.outer(row, row) for row in x), torch.zeros(len(mean), len(mean)).double())
    return mean, second / len(x) - torch.outer(mean, mean)


def e_step(log_normal: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Bayes' rule for each sample, relative to its likeliest component."""
    rows, log_p = [], []
    for row in log_normal.double():
        joint = row + weights.double().log()
        top = joint.max()
        share = (joint - top).exp()
        rows.append((share / share.sum()).log())
        log_p.append(top + share.sum().log())
    return torch.stack(rows), torch.stack(log_p)


def m_step(x: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted mean and second moment of each component, one sample after the other."""
    x, r = x.double(), r.double()
    weights, means, covariances = [], [], []
    for shares in r.T:
        first, second = torch.zeros_like(x[0]), torch.zeros(x.shape[1], x.shape[1]).double()
        for share, point in zip(shares / shares.sum(), x, strict=True):
            first += share * point
            second += share * torch.outer(point, point)
        weights.append(shares.mean())
        means.append(first)
        covariances.append(second - torch.outer(first, first))
    return torch.stack(weights), torch.stack(means), torch.stack(covariances)


def lower_bound(log_joint: Tensor, r: Tensor) -> Tensor:
    """F = mean log p(x) minus the gap."""
    return torch.logsumexp(log_joint.double(), 1).mean() - gap(log_joint, r)


def gap(log_joint: Tensor, r: Tensor) -> Tensor:
    """KL(r || posterior) in plain Python, over the shares that are not 0."""
    total = 0.0
    for joint, shares in zip(log_joint.double().tolist(), r.double().tolist(), strict=True):
        top = max(joint)
        log_p = top + math.log(sum(math.exp(a - top) for a in joint))
        total += sum(
            s * (math.log(s) - a + log_p) for a, s in zip(joint, shares, strict=True) if s > 0
        )
    return torch.tensor(total / len(r), dtype=torch.float64)


def linear_push(z: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky's factor by his recursion; the log density from that of N(m, Σ) at x."""
    S, d = covariance.double(), len(mean)
    T = torch.zeros(d, d, dtype=torch.float64)
    for i in range(d):
        for j in range(i + 1):
            rest = S[i, j] - sum(float(T[i, k] * T[j, k]) for k in range(j))
            T[i, j] = rest.sqrt() if i == j else rest / T[j, j]
    x = torch.stack([mean.double() + T.mv(point) for point in z.double()])
    return x, gaussian_log_density(x, mean, covariance)


def push(z: Tensor, c: Tensor, A: Tensor) -> tuple[Tensor, Tensor]:
    """T in a loop over rows and coordinates; log det with 1 - tanh² = 1 / cosh²."""
    points, log_dets = [], []
    for row in z.double().tolist():
        points.append(
            [
                u
                + float(c[k]) * math.tanh(3 * u)
                + sum(float(A[k, j]) * row[j] ** 2 for j in range(k))
                for k, u in enumerate(row)
            ]
        )
        log_dets.append(
            sum(math.log1p(3 * float(c[k]) / math.cosh(3 * u) ** 2) for k, u in enumerate(row))
        )
    return torch.tensor(points, dtype=torch.float64), torch.tensor(log_dets, dtype=torch.float64)


def pull(x: Tensor, c: Tensor, A: Tensor) -> Tensor:
    """Solve for each coordinate of each row by Brent's method."""
    rows = []
    for row in x.double().tolist():
        z: list[float] = []
        for k, value in enumerate(row):
            y = value - sum(float(A[k, j]) * z[j] ** 2 for j in range(k))
            reach, s = abs(float(c[k])) + 1, float(c[k])

            def excess(u: float, s: float = s, y: float = y) -> float:
                return u + s * math.tanh(3 * u) - y

            z.append(brentq(excess, y - reach, y + reach, xtol=1e-12))
        rows.append(z)
    return torch.tensor(rows, dtype=torch.float64)


def jacobians(T: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """∂T/∂z at each point by central differences, shape (n, d, d)."""
    z, step = z.double(), 1e-5
    columns = [
        (T(z + e) - T(z - e)) / (2 * step)
        for e in step * torch.eye(z.shape[1], dtype=torch.float64)
    ]
    return torch.stack(columns, 2)


def pushed_log_density(T: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Log q(z) - ½ log det JᵀJ, with J by central differences."""
    J = jacobians(T, z)
    z = z.double()
    standard = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)
    return standard - 0.5 * torch.logdet(J.mT @ J)
