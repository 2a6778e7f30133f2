"""Reference answers of problem set 7, which the hidden checks compare with.

Each is written in another way than the solution in the notebook: derivatives by autograd, loops,
Bayes' rule. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]

GENERATORS: dict[str, Function] = {
    "js": lambda r: r * r.log() - (r + 1) * ((r + 1) / 2).log(),
    "logd": lambda r: (r + 1) * (r + 1).log() - 2 * math.log(2),
    "jeffreys": lambda r: (r - 1) * r.log(),
}


def speed(name: str, D: Tensor) -> Tensor:
    """f''(r) r at r = e^-D, with both derivatives of f by autograd."""
    r = (-D.double()).exp().requires_grad_()
    (first,) = torch.autograd.grad(GENERATORS[name](r).sum(), r, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), r)
    return second * r.detach()


def ratio_loss(D_p: Tensor, D_q: Tensor) -> Tensor:
    """Cross entropies of a classifier that says data, and particles, one logit after the other."""

    def softplus(v: float) -> float:
        return max(v, 0.0) + math.log1p(math.exp(-abs(v)))

    real = sum(softplus(-v) for v in D_p.tolist()) / len(D_p)
    fake = sum(softplus(v) for v in D_q.tolist()) / len(D_q)
    return torch.tensor(real + fake, dtype=torch.float64)


def particle_step(x: Tensor, D: Function, speed: Function, eta: float) -> Tensor:
    """Move along central differences of D."""
    x, h = x.double(), 1e-5
    slopes = []
    for k in range(x.shape[1]):
        e = torch.zeros(x.shape[1], dtype=torch.float64)
        e[k] = h
        slopes.append((D(x + e) - D(x - e)) / (2 * h))
    return x + eta * speed(D(x)).reshape(-1, 1) * torch.stack(slopes, 1)


def flow_step(m: float, v: float, tau: float, eta: float) -> tuple[float, float]:
    """Follow m and a point one standard deviation above it."""

    def move(x: float) -> float:
        return x + eta * ((x - m) / v - x / tau)

    above = m + math.sqrt(v)
    return move(m), (move(above) - move(m)) ** 2


def gaussian_kl(m: float, v: float, tau: float) -> float:
    """From torch.distributions."""
    q = torch.distributions.Normal(torch.tensor(m).double(), torch.tensor(v).double().sqrt())
    p = torch.distributions.Normal(torch.zeros(()).double(), torch.tensor(tau).double().sqrt())
    return float(torch.distributions.kl_divergence(q, p))


def mixture_score(x: Tensor, weights: Tensor, means: Tensor, v: float) -> Tensor:
    """Gradient of the log density, by autograd."""
    x = x.double().clone().requires_grad_()
    logs = [w.log() - ((x - m) ** 2).sum(1) / (2 * v) for w, m in zip(weights, means, strict=True)]
    (score,) = torch.autograd.grad(torch.stack(logs).logsumexp(0).sum(), x)
    return score


def dsm_loss(
    s: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor, eps: Tensor
) -> Tensor:
    """Half the squared distance of the score to its target -ε/σ, times σ²; sample by sample."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(x)):
        score = s((x[i] + sigma[i] * eps[i])[None], sigma[i : i + 1])[0]
        total += sigma[i] ** 2 * (score + eps[i] / sigma[i]).square().sum() / 2
    return total / len(x)


def noise_levels(first: float, last: float, L: int) -> Tensor:
    """Equal steps of the logarithm."""
    return torch.linspace(math.log(first), math.log(last), L, dtype=torch.float64).exp()


def langevin_move(
    x: Tensor, score: Tensor, sigma: float, last: float, c: float, z: Tensor
) -> Tensor:
    """With the standard deviation of the noise first; its square is the step."""
    spread = math.sqrt(c) * sigma / last
    return x + spread * (z + spread * score / 2)


def alpha_bars(beta: Tensor) -> Tensor:
    """One factor after the other."""
    kept = [1.0]
    for b in beta.tolist():
        kept.append(kept[-1] * (1 - b))
    return torch.tensor(kept, dtype=torch.float64)


def noised(x0: Tensor, t: Tensor, abar: Tensor, eps: Tensor) -> Tensor:
    """Row by row, with the angle whose cosine is √ᾱ."""
    rows = []
    for i, time in enumerate(t.tolist()):
        angle = math.acos(math.sqrt(float(abar[time])))
        rows.append(math.cos(angle) * x0[i].double() + math.sin(angle) * eps[i].double())
    return torch.stack(rows)


def posterior(x0: Tensor, xt: Tensor, t: int, beta: Tensor) -> tuple[Tensor, float]:
    """By Bayes: precisions add up, and so do means times precisions."""
    kept = math.prod(1 - float(b) for b in beta[1:t])
    b = float(beta[t])
    if t == 1:
        return x0.double(), 0.0
    prior, seen = 1 / (1 - kept), (1 - b) / b
    mean = (math.sqrt(kept) * x0 * prior + xt / math.sqrt(1 - b) * seen) / (prior + seen)
    return mean, 1 / (prior + seen)


def loss_weight(t: int, beta: Tensor) -> float:
    """How far the mean of the step moves with the noise, squared, over twice the variance."""
    kept = math.prod(1 - float(b) for b in beta[1 : t + 1])
    b = float(beta[t])
    move = b / math.sqrt(1 - kept) / math.sqrt(1 - b)
    return move**2 / (2 * b)


def ddpm_step(x: Tensor, eps: Tensor, t: int, beta: Tensor, z: Tensor) -> Tensor:
    """The step given both ends, with the estimate of the data for the data."""
    kept = math.prod(1 - float(b) for b in beta[1 : t + 1])
    guess = (x - math.sqrt(1 - kept) * eps) / math.sqrt(kept)
    mean, variance = posterior(guess, x, t, beta)
    return mean + math.sqrt(variance) * z


def ddim_step(x: Tensor, eps: Tensor, t: int, u: int, abar: Tensor) -> Tensor:
    """In y = x/√ᾱ and the noise-to-signal ratio: a straight line with slope ε."""
    ratio = ((1 - abar.double()) / abar.double()).sqrt()
    return abar[u].double().sqrt() * (x / abar[t].double().sqrt() + (ratio[u] - ratio[t]) * eps)
