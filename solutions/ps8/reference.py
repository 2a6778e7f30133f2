"""Reference answers of problem set 8, which the hidden checks compare with.

Each is written in another way than the solution in the notebook: gradients by autograd, loops,
eigenvalues of products. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def _gradient(f: Function, x: Tensor) -> Tensor:
    """Gradient of f, one number for each point."""
    leaf = x.double().clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(leaf).sum(), leaf)
    return slope


def first_drift(
    x: Tensor, t: float, weights: Tensor, means: Tensor, v: float, tau: float
) -> Tensor:
    """Gradient of τ log h, where h is one Gaussian integral for each mode."""
    V = t * v + (1 - t) * tau

    def log_h(y: Tensor) -> Tensor:
        # ∫ exp(-‖z‖²/2 + ‖u‖²/2τ - ‖u - c‖²/2v) dz with u = y + √(τ(1-t)) z, up to constants.
        return torch.stack(
            [
                w.log() + (y @ c - t * (c @ c) / 2 - (tau - v) * (y * y).sum(1) / (2 * tau)) / V
                for w, c in zip(weights, means, strict=True)
            ]
        ).logsumexp(0)

    return tau * _gradient(log_h, x)


def drawn_drift(
    x: Tensor, t: float, z: Tensor, log_ratio: Function, score: Function, tau: float
) -> Tensor:
    """Point by point, with the largest weight set to 1."""
    rows = []
    for i in range(len(x)):
        y = x[i] + math.sqrt(tau * (1 - t)) * z[:, i]
        log_f = log_ratio(y)
        f = (log_f - log_f.max()).exp()
        rows.append(tau * (f @ (score(y) + y / tau)) / f.sum())
    return torch.stack(rows)


def second_drift(
    x: Tensor, t: float, weights: Tensor, means: Tensor, s: float, sigma: float
) -> Tensor:
    """Gradient of the log density, by autograd."""
    V = s * s + sigma * sigma - t * sigma * sigma

    def log_q(y: Tensor) -> Tensor:
        logs = [
            w.log() - ((y - c) ** 2).sum(1) / (2 * V) for w, c in zip(weights, means, strict=True)
        ]
        return torch.stack(logs).logsumexp(0)

    return sigma * sigma * _gradient(log_q, x)


def solve(
    x: Tensor, drift: Callable[[Tensor, float], Tensor], c: float, times: Tensor, z: Tensor
) -> Tensor:
    """With Brownian motion built first."""
    moments = times.tolist()
    for before, after, noise in zip(moments[:-1], moments[1:], z, strict=True):
        brownian = math.sqrt(after - before) * noise
        x = x + (after - before) * drift(x, before) + c * brownian
    return x


def keep_known(
    x: Tensor, t: float, truth: Tensor, known: Tensor, sigma: float, eps: Tensor
) -> Tensor:
    """Coordinate by coordinate."""
    left = sigma * math.sqrt(1 - t)
    columns = [
        truth[:, i] + left * eps[:, i] if bool(known[i]) else x[:, i] for i in range(x.shape[1])
    ]
    return torch.stack(columns, dim=1)


def bridge_plan(log_R: Tensor, a: Tensor, b: Tensor, rounds: int) -> Tensor:
    """By scaling the plan itself."""
    P = (log_R - log_R.max()).exp()
    for _ in range(rounds):
        P = P * (a / P.sum(1))[:, None]
        P = P * (b / P.sum(0))
    return P


def frechet(x: Tensor, y: Tensor, correction: int = 1) -> Tensor:
    """The trace of the root from the eigenvalues of the product, which is not symmetric."""
    x, y = x.double(), y.double()
    S1, S2 = (torch.cov(u.T, correction=correction) for u in (x, y))
    root = torch.linalg.eigvals(S1 @ S2).real.clamp(min=0).sqrt().sum()
    shift = (x.mean(0) - y.mean(0)).square().sum()
    return shift + torch.trace(S1) + torch.trace(S2) - 2 * root


def kid(x: Tensor, y: Tensor) -> Tensor:
    """Pair by pair."""

    def mean_of_pairs(a: Tensor, b: Tensor, same: bool) -> float:
        values = [
            (float(p @ q) / len(p) + 1) ** 3
            for i, p in enumerate(a.double())
            for j, q in enumerate(b.double())
            if not (same and i == j)
        ]
        return sum(values) / len(values)

    total = mean_of_pairs(x, x, True) + mean_of_pairs(y, y, True) - 2 * mean_of_pairs(x, y, False)
    return torch.tensor(total, dtype=torch.float64)


def precision_recall(real: Tensor, fake: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Precision and recall from all squared differences, sorted."""

    def squares(a: Tensor, b: Tensor) -> Tensor:
        return (a.double()[:, None] - b.double()).square().sum(2)

    def covered(points: Tensor, centres: Tensor) -> Tensor:
        radii = squares(centres, centres).sort(0).values[k]
        return (squares(points, centres) - radii).amin(1).le(0).double().mean()

    return covered(fake, real), covered(real, fake)


def parzen(samples: Tensor, test: Tensor, h: float) -> Tensor:
    """From a mixture of torch.distributions."""
    normal = torch.distributions.Normal(samples.double(), h)
    each = [normal.log_prob(x.double()).sum(1).logsumexp(0) - math.log(len(samples)) for x in test]
    return torch.stack(each).mean()


def copied_share(fake: Tensor, train: Tensor, test: Tensor) -> Tensor:
    """Sample by sample."""
    copies = [
        bool((train - y).square().sum(1).min() < (test - y).square().sum(1).min()) for y in fake
    ]
    return torch.tensor(copies).double().mean()
