"""Reference answers of problem set 5, which the hidden checks compare with.

Each is written in another way than the solution in the notebook wherever there is another
way: a slip would have to be made twice to go unnoticed. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import torch
from torch import Tensor, nn

Law = Callable[[Tensor], Tensor]


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


def _noise_law(x: Tensor, theta: Tensor) -> Tensor:
    """Log density of the generator theta_0 + exp(theta_1) z, from torch's own normal law."""
    return torch.distributions.Normal(theta[0], theta[1].exp(), validate_args=False).log_prob(x)


def _differences(value: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """Gradient by central differences, whose error is of the order of step² = 1e-8."""
    step = 1e-4 * torch.eye(len(theta), dtype=torch.float64)
    return torch.stack([(value(theta + e) - value(theta - e)) / 2e-4 for e in step])


def log_d_gradient(log_p: Law, theta: Tensor, z: Tensor, dz: float) -> Tensor:
    """E_z of -∇ log D*(g(z)): the slope of -log D* at g(z) times the derivative of g."""
    fakes = theta[0] + theta[1].exp() * z

    def cost(x: Tensor) -> Tensor:
        p, q = log_p(x), _noise_law(x, theta)
        return torch.logaddexp(p, q) - p

    slope = (cost(fakes + 1e-4) - cost(fakes - 1e-4)) / 2e-4
    weight = torch.exp(-(z**2) / 2 - math.log(2 * math.pi) / 2)
    parts = torch.stack([slope, slope * theta[1].exp() * z])
    return torch.trapezoid(weight * parts, dx=dz, dim=1)


_LINE = torch.arange(-20, 20, 0.01, dtype=torch.float64)


def _kl(a: Tensor, b: Tensor) -> Tensor:
    return torch.trapezoid(a.exp() * (a - b), dx=0.01)


def kl_gradient(log_p: Law, theta: Tensor) -> Tensor:
    """∇ KL(q ‖ p) in theta."""
    return _differences(lambda t: _kl(_noise_law(_LINE, t), log_p(_LINE)), theta)


def forward_kl_gradient(log_p: Law, theta: Tensor) -> Tensor:
    """∇ KL(p ‖ q) in theta."""
    return _differences(lambda t: _kl(log_p(_LINE), _noise_law(_LINE, t)), theta)


def js_gradient(log_p: Law, theta: Tensor) -> Tensor:
    """∇ JS(p, q) in theta."""
    return _differences(lambda t: jensen_shannon(log_p(_LINE), _noise_law(_LINE, t), 0.01), theta)


def kl_minus_2_js(log_p: Law, theta: Tensor) -> Tensor:
    """KL(q ‖ p) - 2 JS(p, q), the value itself."""
    p, q = log_p(_LINE), _noise_law(_LINE, theta)
    return _kl(q, p) - 2 * jensen_shannon(p, q, 0.01)


def accuracy(real_logits: Tensor, fake_logits: Tensor) -> float:
    """Share of all samples on the right side of D = 1/2, counted one by one."""
    right = sum(s > 0 for s in real_logits.flatten().tolist())
    right += sum(s < 0 for s in fake_logits.flatten().tolist())
    return right / (real_logits.numel() + fake_logits.numel())


def log_blurred(x: Tensor, samples: Tensor, sigma: float) -> Tensor:
    """Log density of the mixture of normal laws around the samples, from torch's own."""
    centres = samples.double()
    around = torch.distributions.Independent(
        torch.distributions.Normal(centres, torch.full_like(centres, sigma)), 1
    )
    weights = torch.distributions.Categorical(torch.ones(len(centres), dtype=torch.float64))
    mixture = torch.distributions.MixtureSameFamily(weights, around)
    return mixture.log_prob(x.double())


def blurred_loss(D: Law, real: Tensor, fake: Tensor) -> Tensor:
    """-V on samples that are blurred already."""
    return -value_function(D(real), D(fake))


def least_between(a: float, delta: float, L: float) -> float:
    """Φ(Φ⁻¹(a) + δ/L) - a, from the standard library."""
    normal = NormalDist()
    return normal.cdf(normal.inv_cdf(a) + delta / L) - a


def one_way(samples: Tensor, modes: Tensor, std: float) -> Tensor:
    """Share of samples beyond 3 sigma whose nearest mode is i and second nearest is j."""
    centres = modes.double()
    table = torch.zeros(len(modes), len(modes), dtype=torch.float64)
    for point in samples.double():
        distances = ((centres - point) ** 2).sum(1).sqrt().tolist()
        i, j = sorted(range(len(centres)), key=distances.__getitem__)[:2]
        if distances[i] > 3 * std:
            table[i, j] += 1 / len(samples)
    return table


def bridges(samples: Tensor, modes: Tensor, std: float) -> Tensor:
    """The same in either order."""
    table = one_way(samples, modes, std)
    return table + table.T
