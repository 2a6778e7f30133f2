"""Reference answers of problem set 6, which the hidden checks compare with.

Each is written in another way than the solution in the notebook wherever there is another
way: a slip would have to be made twice to go unnoticed. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
Terms = Callable[[Tensor], tuple[Tensor, Tensor]]


def terms(name: str, v: Tensor) -> tuple[Tensor, Tensor]:
    """Activation as f' at the ratio u that v stands for, and Young's equality f* = u f' - f."""
    v = v.double()
    u = (v - 1).exp() if name == "kl" else v.exp()
    f, slope = {
        "kl": (u * u.log(), 1 + u.log()),
        "reverse-kl": (-u.log(), -1 / u),
        "js": (u * u.log() - (u + 1) * ((u + 1) / 2).log(), (2 * u / (u + 1)).log()),
        "gan": (u * u.log() - (u + 1) * (u + 1).log(), (u / (u + 1)).log()),
    }[name]
    return slope, u * slope - f


def fgan_critic_loss(pair: Terms, real: Tensor, fake: Tensor) -> Tensor:
    """Minus the bound, one sample after the other."""
    gain = sum(pair(v.double())[0].item() for v in real.flatten()) / len(real)
    paid = sum(pair(v.double())[1].item() for v in fake.flatten()) / len(fake)
    return torch.tensor(paid - gain, dtype=torch.float64)


def fgan_generator_loss(pair: Terms, fake: Tensor) -> Tensor:
    """Minus what the critic pays on the fakes, one after the other."""
    paid = sum(pair(v.double())[1].item() for v in fake.flatten()) / len(fake)
    return torch.tensor(-paid, dtype=torch.float64)


def derivative(f: Function, t: Tensor) -> Tensor:
    """Differentiate f by central differences of fourth order."""
    t, h = t.double(), 1e-3
    return (8 * (f(t + h) - f(t - h)) - (f(t + 2 * h) - f(t - 2 * h))) / (12 * h)


def best_output(name: str, u: Tensor) -> Tensor:
    """Solve g(v) = f'(u) by bisection, with g from :func:`terms`: it increases."""
    low, high = torch.full_like(u, -20.0).double(), torch.full_like(u, 20.0).double()
    grow = {"kl": 1 + u.log(), "reverse-kl": -1 / u, "js": (2 * u / (1 + u)).log()}
    target = grow.get(name, (u / (1 + u)).log())
    for _ in range(100):
        middle = (low + high) / 2
        g = {
            "kl": middle,
            "reverse-kl": -(-middle).exp(),
            "js": math.log(2) + torch.sigmoid(middle).log(),
            "gan": torch.sigmoid(middle).log(),
        }[name]
        low, high = torch.where(g < target, middle, low), torch.where(g < target, high, middle)
    return low


def clipped_lipschitz(sizes: list[int], c: float) -> float:
    """Slope of the network whose weights are all c: c^L √(n_0 n_L) times the hidden widths."""
    return c ** (len(sizes) - 1) * math.prod(sizes[1:-1]) * math.sqrt(sizes[0] * sizes[-1])


def clip_for(sizes: list[int], K: float) -> float:
    """Solve K(c) = K by logarithms."""
    return math.exp((math.log(K) - math.log(clipped_lipschitz(sizes, 1.0))) / (len(sizes) - 1))


def right_vector(W: Tensor, u: Tensor, steps: int) -> Tensor:
    """Last v of the power iteration: (WᵀW)^(steps - 1) Wᵀ u, scaled to length 1."""
    v = torch.linalg.matrix_power(W.double().T @ W.double(), steps - 1) @ (W.double().T @ u)
    return v / torch.linalg.vector_norm(v)


def power_iteration(W: Tensor, u: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Since u is W v scaled to length 1, sigma is ‖W v‖."""
    Wv = W.double() @ right_vector(W, u, steps)
    return torch.linalg.vector_norm(Wv), Wv / torch.linalg.vector_norm(Wv)


def gaussian_kernel(x: Tensor, y: Tensor, h: float) -> Tensor:
    """Product over the axes of one-dimensional kernels."""
    K = torch.ones(len(x), len(y), dtype=torch.float64)
    for a, b in zip(x.double().T, y.double().T, strict=True):
        K *= torch.exp(-0.5 * ((a[:, None] - b) / h) ** 2)
    return K


def mmd2(kernel: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Pair by pair."""

    def mean(a: Tensor, b: Tensor, itself: bool) -> float:
        values = [
            kernel(a[i : i + 1], b[j : j + 1]).item()
            for i in range(len(a))
            for j in range(len(b))
            if itself or i != j
        ]
        return sum(values) / len(values)

    return torch.tensor(
        mean(x, x, False) + mean(y, y, False) - 2 * mean(x, y, True), dtype=torch.float64
    )


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """MMD² of minus the Euclidean distance."""
    return mmd2(lambda a, b: -(a[:, None] - b).double().square().sum(2).sqrt(), x, y)


def cramer_1d(x: Tensor, y: Tensor) -> Tensor:
    """Half of the energy distance of the two sets of samples, pairs with themselves included."""

    def mean(a: Tensor, b: Tensor) -> Tensor:
        return (a.double()[:, None] - b.double()).abs().mean()

    return mean(x, y) - (mean(x, x) + mean(y, y)) / 2


def expected_w1_gradient(theta: float, theta_star: float, m: int) -> float:
    """By the distribution function of the binomial law."""
    from scipy.stats import binom

    below = binom.cdf(math.ceil(theta * m) - 1, m, theta_star)
    above = binom.sf(math.floor(theta * m), m, theta_star)
    return float(below - above)


def expected_cramer_gradient(theta: float, theta_star: float, m: int) -> float:
    """Average 2(θ - k/m) over the binomial law."""
    from scipy.stats import binom

    return float(sum(binom.pmf(k, m, theta_star) * 2 * (theta - k / m) for k in range(m + 1)))
