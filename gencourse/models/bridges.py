"""The two-stage Schrödinger bridge as equations: its drifts, and all of it for a mixture."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.data.toys import GaussianMixture
from gencourse.samplers.sde import Drift

__all__ = ["MixtureBridge", "first_drift", "noise_times", "second_drift"]


def first_drift(
    log_ratio: Callable[[Tensor], Tensor],
    score: Callable[[Tensor], Tensor],
    τ: float,
    *,
    samples: int = 16,
    generator: torch.Generator | None = None,
) -> Drift:
    r"""Drift of the first stage, from the origin at t = 0 to q_σ at t = 1, by Monte Carlo.

    With q_σ = p * N(0, σ² I), the data blurred, and φ_√τ the density of N(0, τ I),

        dX = b(X, t) dt + √τ dW,   X_0 = 0,
        b(x, t) = τ ∇log E f(x + √(τ(1 - t)) z),   f = q_σ / φ_√τ,   z ~ N(0, I).

    Of all laws of paths with these ends it is the nearest to Brownian motion √τ W, since it
    tilts Brownian motion by f at its end. As ∇f = f ∇log f and ∇log φ_√τ(y) = -y/τ,

        b(x, t) = τ E[f(y) (∇log q_σ(y) + y/τ)] / E[f(y)],   y = x + √(τ(1 - t)) z,

    and both expectations are means over the same ``samples`` draws of z. What is then averaged
    has weights f(y_j) / Σ_i f(y_i), a softmax of the log ratios that is bounded by 1. With
    different draws in numerator and denominator the quotient is not, and particles blow up.

    Wang, Jiao, Xu, Wang & Yang 2021, *Deep generative learning via Schrödinger bridge*,
    theorem 3 and equation 9; deck A.

    Parameters
    ----------
    log_ratio : callable (n, …) -> (n,)
        log f = log q_σ / φ_√τ, or that up to a constant.
    score : callable (n, …) -> (n, …)
        ∇log q_σ.
    τ : float
        Variance of the Brownian motion at t = 1.
    samples : int
        Draws of z for each point and time, N_3 in the paper.
    generator : torch.Generator, optional
        Source of z, on any device.

    Returns
    -------
    callable (x, t) -> Tensor of the shape of x
        b, with a 0-d tensor t in [0, 1], for :func:`gencourse.samplers.euler_maruyama`.
        It raises ``ValueError`` if a function returns another shape.
    """
    positive(τ, "τ")
    positive(samples, "samples", integer=True)

    def drift(x: Tensor, t: Tensor) -> Tensor:
        where = x.device if generator is None else generator.device
        z = torch.randn(samples, *x.shape, generator=generator, device=where, dtype=x.dtype)
        y = (x + (τ * (1 - t)).sqrt() * z.to(x.device)).flatten(0, 1)
        log_f, s = log_ratio(y), score(y)
        if log_f.shape != y.shape[:1] or s.shape != y.shape:
            raise ValueError(
                f"for points of shape {tuple(y.shape)} log_ratio must return {tuple(y.shape[:1])} "
                f"and score {tuple(y.shape)}, not {tuple(log_f.shape)} and {tuple(s.shape)}"
            )
        weight = log_f.reshape(samples, len(x)).softmax(0)
        weight = weight.reshape(samples, len(x), *[1] * (x.ndim - 1))
        return (weight * (τ * s + y).reshape(samples, *x.shape)).sum(0)

    return drift


def second_drift(score: Callable[[Tensor, Tensor], Tensor], σ: float) -> Drift:
    r"""Drift of the second stage, from q_σ at t = 0 to the data at t = 1.

        dX = b(X, t) dt + σ dW,   b(x, t) = σ² ∇log q_{√(1-t) σ}(x).

    X_t has the law of the data with noise of variance (1 - t) σ². It is the reverse of adding
    noise by Brownian motion, and so the bridge between the two laws that is nearest to it.

    Wang, Jiao, Xu, Wang & Yang 2021, theorem 4; deck A.

    Parameters
    ----------
    score : callable (x, σ̃) -> Tensor of the shape of x
        ∇log q_σ̃(x); σ̃ is a 0-d tensor.
    σ : float
        Standard deviation of the noise at t = 0.

    Returns
    -------
    callable (x, t) -> Tensor of the shape of x
        b, with a 0-d tensor t in [0, 1).
    """
    positive(σ, "σ")
    return lambda x, t: σ**2 * score(x, (1 - t).sqrt() * σ)


def noise_times(N: int) -> Tensor:
    """Times 0 = t_0 < … < t_N = 1 of the second stage at which its noise falls evenly.

    t_k = 1 - (1 - k/N)², so that √(1 - t_k) σ goes down to 0 in N equal steps. In even steps
    of t the noise would still be σ/√N before the last one.

    Returns
    -------
    Tensor of shape (N + 1,), float64

    Examples
    --------
    >>> noise_times(4).tolist()
    [0.0, 0.4375, 0.75, 0.9375, 1.0]
    """
    positive(N, "N", integer=True)
    return 1 - (1 - torch.arange(N + 1, dtype=torch.float64) / N).square()


class MixtureBridge:
    """The two-stage bridge to a mixture of Gaussians, every function of it in closed form.

    If p = Σ_k w_k N(c_k, s² I), then q_σ̃ = Σ_k w_k N(c_k, (s² + σ̃²) I).

    Parameters
    ----------
    mixture : gencourse.data.toys.GaussianMixture
        p, the data.
    σ : float
        Noise between the stages.
    τ : float
        Variance of the Brownian motion of the first stage.

    Examples
    --------
    From the origin, a ring looks the same in all directions:

    >>> import torch, gencourse
    >>> bridge = MixtureBridge(gencourse.data.load("ring8"), σ=1.0, τ=5.0)
    >>> bool(bridge.first_drift(torch.zeros(1, 2), 0.0).norm() < 1e-5)
    True
    """

    def __init__(self, mixture: GaussianMixture, σ: float, τ: float) -> None:
        positive(σ, "σ")
        positive(τ, "τ")
        self.mixture, self.σ, self.τ = mixture, float(σ), float(τ)

    def blurred(self, σ: float | Tensor) -> GaussianMixture:
        """q_σ̃, the mixture with noise of standard deviation σ̃ added."""
        std = math.hypot(self.mixture.mode_std, float(σ))
        return GaussianMixture(self.mixture.modes, std, self.mixture.weights.tolist())

    def log_ratio(self, x: Tensor) -> Tensor:
        """Return log q_σ(x) / φ_√τ(x), shape ``(n,)``."""
        d = x.shape[1]
        log_φ = -0.5 * x.square().sum(1) / self.τ - 0.5 * d * math.log(2 * math.pi * self.τ)
        log_q = self.blurred(self.σ).log_prob(x)
        assert log_q is not None
        return log_q - log_φ

    def score(self, x: Tensor, σ: float | Tensor | None = None) -> Tensor:
        """∇log q_σ̃(x), shape ``(n, d)``; by default at σ̃ = σ."""
        v = self.mixture.mode_std**2 + (self.σ if σ is None else σ) ** 2
        c, log_w = self.mixture.modes.to(x), self.mixture.weights.log().to(x)
        r = (log_w + (x @ c.T - 0.5 * c.square().sum(1)) / v).softmax(1)
        return (r @ c - x) / v

    def first_drift(self, x: Tensor, t: float | Tensor) -> Tensor:
        r"""τ ∇log E f(x + √(τ(1-t)) z) without Monte Carlo, shape ``(n, d)``.

        A path to x_1 is a Brownian bridge, X_t = t x_1 + √(τ t (1-t)) z, and the drift points to
        where it is expected to end: b = (E[X_1 | X_t = x] - x) / (1 - t). For a mixture, with
        v = s² + σ² and V = t v + τ (1 - t),

            b(x, t) = (τ Σ_k r_k c_k - (τ - v) x) / V,
            r_k ∝ w_k exp((x·c_k - t ‖c_k‖²/2) / V).
        """
        τ, v = self.τ, self.mixture.mode_std**2 + self.σ**2
        c, log_w = self.mixture.modes.to(x), self.mixture.weights.log().to(x)
        V = t * v + τ * (1 - t)
        r = (log_w + (x @ c.T - 0.5 * t * c.square().sum(1)) / V).softmax(1)
        return (τ * r @ c - (τ - v) * x) / V

    def second_drift(self, x: Tensor, t: float | Tensor) -> Tensor:
        """σ² ∇log q_{√(1-t) σ}(x), shape ``(n, d)``, for t < 1."""
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        return second_drift(self.score, self.σ)(x, t)
