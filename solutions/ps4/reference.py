"""Reference answers of problem set 4, which the hidden checks compare with.

Each is written in another way than the solution in the notebook: loops over samples and
targets, other factorisations, other formulas. Everything is computed in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence


def reparametrise(mean: Tensor, log_var: Tensor, eps: Tensor) -> Tensor:
    """The quantiles of N(m, s²) at the levels of eps under N(0, 1), draw by draw."""
    scale = log_var.double().exp().sqrt()
    return torch.stack([torch.addcmul(mean.double(), scale, e.double()) for e in eps])


def kl_to_prior(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(m, diag v) || N(0, I)) of each row, from torch.distributions."""
    zero, one = torch.zeros_like(mean).double(), torch.ones_like(mean).double()
    q = Normal(mean.double(), log_var.double().exp().sqrt())
    return kl_divergence(q, Normal(zero, one)).sum(-1)


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """Interpolate between the log probabilities of 0 and of 1, which is what x between does."""
    law = Bernoulli(logits=logits.double())
    white = law.log_prob(torch.ones_like(logits).double())
    black = law.log_prob(torch.zeros_like(logits).double())
    return torch.lerp(black, white, x.double().expand_as(white)).sum(-1)


def gaussian_log_likelihood(x: Tensor, mean: Tensor) -> Tensor:
    """Log density of each row under the isotropic Gaussian whose scale fits all of them best."""
    scale = (x.double() - mean.double()).flatten().norm() / math.sqrt(x.numel())
    return Normal(mean.double(), scale).log_prob(x.double()).sum(-1)


def elbo(log_lik: Tensor, log_prior: Tensor, log_q: Tensor) -> Tensor:
    """Mean over the draws of log p(x, z) - log q(z|x), draw by draw."""
    weights = zip(log_lik.double(), log_prior.double(), log_q.double(), strict=True)
    return torch.stack([a + b - c for a, b, c in weights]).mean(0)


def importance_bound(log_lik: Tensor, log_prior: Tensor, log_q: Tensor) -> Tensor:
    """Log of the mean weight, relative to the largest."""
    weights = log_lik.double() + log_prior.double() - log_q.double()
    top = weights.max(0).values
    return top + (weights - top).exp().mean(0).log()


def split_elbo(log_lik: Tensor, log_prior: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three terms, with log q(z_i) relative to its largest term, row by row."""
    log_q, n = log_q.double(), len(log_lik)
    information, marginal = [], []
    for i in range(n):
        top = log_q[i].max()
        log_q_z = top + (log_q[i] - top).exp().mean().log()
        information.append(log_q[i, i] - log_q_z)
        marginal.append(log_q_z - log_prior.double()[i])
    return (
        log_lik.double().sum() / n,
        torch.stack(information).sum() / n,
        torch.stack(marginal).sum() / n,
    )


def posterior(x: Tensor, W: Tensor, b: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Condition the joint Gaussian of (z, x) on x, by its blocks."""
    x, W, b = x.double(), W.double(), b.double()
    d, k = W.shape
    C = W @ W.T + sigma**2 * torch.eye(d).double()
    gain = torch.linalg.solve(C, W).T
    return (x - b) @ gain.T, torch.eye(k).double() - gain @ W


def log_evidence(x: Tensor, W: Tensor, b: Tensor, sigma: float) -> Tensor:
    """Log N(x; b, W Wᵀ + σ² I), from torch.distributions."""
    W = W.double()
    C = W @ W.T + sigma**2 * torch.eye(len(W)).double()
    return MultivariateNormal(b.double(), C).log_prob(x.double())


def linear_elbo(x: Tensor, m: Tensor, v: Tensor, W: Tensor, b: Tensor, sigma: float) -> Tensor:
    """Log p(x) less KL(q || p(z|x))."""
    mean, covariance = posterior(x, W, b, sigma)
    q = MultivariateNormal(m.double(), v.double().diag())
    gap = kl_divergence(q, MultivariateNormal(mean, (covariance + covariance.T) / 2))
    return log_evidence(x, W, b, sigma) - gap


def imq(x: Tensor, y: Tensor, c: float) -> Tensor:
    """1 / (1 + |x - y|²/c), all pairs, from the differences themselves."""
    return 1 / (1 + (x.double()[:, None] - y.double()).square().sum(-1) / c)


def mmd(z: Tensor, y: Tensor, c: float) -> Tensor:
    """The U-statistic, by sums over all pairs i < j."""

    def among(points: Tensor) -> Tensor:
        pairs = torch.combinations(torch.arange(len(points)))
        return torch.stack([imq(points[i : i + 1], points[j : j + 1], c) for i, j in pairs]).mean()

    return among(z) + among(y) - 2 * imq(z, y, c).mean()


def planes(x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    """⟨x, y_i⟩ + h_i, from squared distances: ½(|x|² + |y_i|² - |x - y_i|²) + h_i."""
    x, y, h = x.double(), y.double(), h.double()
    squares = (x[:, None] - y).square().sum(-1)
    return (x.square().sum(1)[:, None] + y.square().sum(1) - squares) / 2 + h


def power_cells(x: Tensor, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The last plane in increasing order, one point after the other; masses by counting."""
    index = torch.tensor([int(row.argsort()[-1]) for row in planes(x, y, h)])
    mass = [float((index == i).sum()) / len(x) for i in range(len(y))]
    return index, torch.tensor(mass).double()


def transport_energy(x: Tensor, y: Tensor, h: Tensor, w: Tensor) -> Tensor:
    """Mean over x of the highest plane, read off at its cell, less Σ w h."""
    index, _ = power_cells(x, y, h)
    heights = [
        torch.dot(p, y.double()[i]) + h.double()[i] for p, i in zip(x.double(), index, strict=True)
    ]
    return torch.stack(heights).mean() - torch.dot(w.double(), h.double())


def height_step(h: Tensor, mass: Tensor, w: Tensor, rate: float) -> Tensor:
    """One step down the energy, along its gradient less the mean of h."""
    moved = [float(a) - rate * (float(m) - float(t)) for a, m, t in zip(h, mass, w, strict=True)]
    middle = math.fsum(moved) / len(moved)
    return torch.tensor([a - middle for a in moved]).double()


def angles(x: Tensor, y: Tensor, h: Tensor) -> Tensor:
    """Angle between the two highest planes over each x, by the tangent of half of it."""
    normals = torch.cat([y.double(), -torch.ones(len(y), 1).double()], 1)
    normals = normals / normals.norm(dim=1, keepdim=True)
    order = planes(x, y, h).argsort(1, descending=True)
    a, b = normals[order[:, 0]], normals[order[:, 1]]
    return 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))


def extend(x: Tensor, y: Tensor, h: Tensor, weight: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Mix the targets of the two highest planes; keep where these meet at a small angle."""
    order = planes(x, y, h).argsort(1, descending=True)
    first, second = y.double()[order[:, 0]], y.double()[order[:, 1]]
    return torch.lerp(second, first, weight.double()[:, None]), angles(x, y, h) < angle
