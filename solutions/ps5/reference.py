"""Reference answers of problem set 5, which the hidden checks compare with.

Each is written in another way than the solution in the notebook wherever there is another
way: a slip would have to be made twice to go unnoticed. Everything is computed in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def value_function(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """V = mean log D(x) + mean log(1 - D(G(z))), with log D = -log(1 + e^-s)."""
    real, fake = real_logits.double(), fake_logits.double()
    zero = torch.zeros(1, dtype=torch.float64)
    return -torch.logaddexp(zero, -real).mean() - torch.logaddexp(zero, fake).mean()


def optimal_discriminator(log_p: Tensor, log_q: Tensor) -> Tensor:
    """D* = p / (p + q), as exp(log p - log(p + q))."""
    p, q = log_p.double(), log_q.double()
    return torch.exp(p - torch.logaddexp(p, q))


def jensen_shannon(log_p: Tensor, log_q: Tensor, dx: float) -> Tensor:
    """JS = H((p + q) / 2) - H(p) / 2 - H(q) / 2, with entropies by the trapezoidal rule."""
    p, q = log_p.double(), log_q.double()
    mixture = torch.logaddexp(p, q) - math.log(2)

    def entropy(log_density: Tensor) -> Tensor:
        return -torch.trapezoid(log_density.exp() * log_density, dx=dx)

    return entropy(mixture) - (entropy(p) + entropy(q)) / 2


def criterion(log_p: Tensor, log_q: Tensor, dx: float) -> Tensor:
    """C(G) = -log 4 + 2 JS (Goodfellow et al. 2014, theorem 1)."""
    return -math.log(4) + 2 * jensen_shannon(log_p, log_q, dx)


def discriminator_step(
    D: nn.Module, G: nn.Module, optimiser: torch.optim.Optimizer, real: Tensor, z: Tensor
) -> float:
    """One step of descent on -V in the parameters of D."""
    with torch.no_grad():
        fake = G(z)
    optimiser.zero_grad()
    real_logits, fake_logits = D(real), D(fake)
    cross_entropy = nn.functional.binary_cross_entropy_with_logits
    loss = cross_entropy(real_logits, torch.ones_like(real_logits)) + cross_entropy(
        fake_logits, torch.zeros_like(fake_logits)
    )
    loss.backward()
    optimiser.step()
    return loss.item()


def generator_step(
    D: nn.Module, G: nn.Module, optimiser: torch.optim.Optimizer, z: Tensor
) -> float:
    """One step of descent on -mean log D(G(z)) in the parameters of G."""
    parameters = list(G.parameters())
    logits = D(G(z))
    loss = nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = gradient
    optimiser.step()
    return loss.item()


def saturating_gradient(logits: Tensor) -> Tensor:
    """d/ds log(1 - sigma(s)) = -sigma(s) = -1 / (1 + e^-s)."""
    return -torch.exp(-torch.logaddexp(torch.zeros(1, dtype=torch.float64), -logits.double()))


def non_saturating_gradient(logits: Tensor) -> Tensor:
    """d/ds [-log sigma(s)] = -sigma(-s) = -1 / (1 + e^s)."""
    return saturating_gradient(-logits)


def mode_coverage(samples: Tensor, modes: Tensor, std: float) -> tuple[int, float]:
    """Modes that hold at least 10 % of their fair share, and the share within 3 sigma."""
    x, centres = samples.double(), modes.double()
    n, k = len(x), len(centres)
    counts, good = [0] * k, 0
    for point in x:
        distances = ((centres - point) ** 2).sum(1).sqrt()
        nearest = int(distances.argmin())
        if distances[nearest] <= 3 * std:
            counts[nearest] += 1
            good += 1
    # Whole numbers, so that exactly 10 % counts whatever the rounding: c / n >= 1 / (10 k).
    return sum(10 * k * c >= n for c in counts), good / n
