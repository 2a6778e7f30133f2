"""Gaussian mixture model, fitted by expectation-maximisation, exact or by Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double
from gencourse._validate import points, positive
from gencourse.models.base import GenerativeModel
from gencourse.training import History, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["GaussianMixture", "MixtureSettings", "MonteCarloMixture", "MonteCarloSettings"]

COVARIANCE_NUMBERS = 10_000_000  # entries of all covariances together, unless asked for more


@dataclass(frozen=True)
class MixtureSettings:
    """Hyperparameters of a Gaussian mixture.

    Attributes
    ----------
    components : int
        Number K of Gaussians. 8 for points; for images up to 100, as far as the covariances
        stay below 40 MB, and at least 8.
    ridge : float
        Added to the diagonal of every covariance, in squared data units: it keeps a
        component from shrinking onto a single point, or onto the pixels of an image that
        never change, where the likelihood is infinite. 1e-6 for points, 1e-2 for images.
    steps : int
        Iterations of EM in one run.
    """

    components: int = 8
    ridge: float = 1e-6
    steps: int = 100

    def __post_init__(self) -> None:
        positive(self.components, "components", integer=True)
        positive(self.ridge, "ridge")
        positive(self.steps, "steps", integer=True)


class GaussianMixture(GenerativeModel):
    """p(x) = Σ_k π_k N(x; μ_k, Σ_k), with full covariances.

    Attributes
    ----------
    weights : Tensor of shape (K,)
        π; positive, summing to 1.
    means : Tensor of shape (K, d)
        μ; images are flattened to d numbers.
    covariances : Tensor of shape (K, d, d)
        Σ.
    """

    Settings = MixtureSettings
    # Chosen for their samples. New digits are likelier with 8 components and a ridge of 1e-3,
    # of which every second sample is no digit (Theis, van den Oord & Bethge 2016, section 3.2).
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {"components": 100, "ridge": 1e-2}
    settings: MixtureSettings
    weights: Tensor
    means: Tensor
    covariances: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: MixtureSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        K, d = settings.components, math.prod(event_shape)
        self.register_buffer("weights", torch.full((K,), 1 / K))
        self.register_buffer("means", torch.randn(K, d))
        self.register_buffer("covariances", torch.eye(d).repeat(K, 1, 1))

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> MixtureSettings:
        """Return the settings for this kind of data, with fewer components of large images."""
        settings = super().default_settings(event_shape, **given)
        if len(event_shape) == 3 and "components" not in given:
            most = max(8, COVARIANCE_NUMBERS // math.prod(event_shape) ** 2)
            settings = replace(settings, components=min(settings.components, most))
        return settings

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        x = x.flatten(1)
        if len(x) < self.settings.components:
            raise ValueError(
                f"{len(x)} samples cannot be explained by {self.settings.components} components; "
                "give more samples or ask for fewer components"
            )
        self._initialise(x, generator)

        def step(i: int) -> dict[str, Tensor]:
            log_responsibility, log_likelihood = self.e_step(x)
            self.m_step(x, self._weigh(log_responsibility.exp(), i, generator))
            return {"log_likelihood": log_likelihood}

        return train(
            step,
            steps=steps or self.settings.steps,
            state={"model": self},
            generator=generator,
            description=self.system.slug,
            record=1,
            **loop,
        )

    def _initialise(self, x: Tensor, generator: torch.Generator) -> None:
        """Place the means by greedy k-means++ (Arthur & Vassilvitskii 2007): far from each other.

        Each new mean is the best of a few candidates. With a single one, a quarter of all
        runs on `ring8` would miss a mode, and EM does not recover from that.
        """
        K = self.settings.components
        candidates = 2 + int(math.log(K))
        index = torch.randint(len(x), (1,), generator=generator, device=x.device)
        chosen = [x[index[0]]]
        nearest = (x - chosen[0]).square().sum(1)
        for _ in range(K - 1):
            # Repeated points leave no distance to choose by; any of them will do.
            chance = nearest + torch.finfo(x.dtype).tiny
            index = torch.multinomial(chance, candidates, replacement=True, generator=generator)
            distances = [torch.minimum(nearest, (x - x[i]).square().sum(1)) for i in index]
            best = torch.stack([d.sum() for d in distances]).argmin()
            chosen.append(x[index[best]])
            nearest = distances[best]
        self.means = torch.stack(chosen)
        spread = torch.cov(x.T, correction=0).reshape(x.shape[1], x.shape[1]) / K
        self.covariances = self._ridged(spread).repeat(K, 1, 1)
        self.weights = torch.full((K,), 1 / K, device=x.device)

    def _ridged(self, covariance: Tensor) -> Tensor:
        d = covariance.shape[-1]
        return covariance + self.settings.ridge * torch.eye(d, device=covariance.device)

    def e_step(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Responsibilities p(k | x) ∝ π_k N(x; μ_k, Σ_k).

        Parameters
        ----------
        x : Tensor of shape (n, d)

        Returns
        -------
        log_responsibility : Tensor of shape (n, K)
        log_likelihood : Tensor
            Mean of log p(x) over the samples, in nats.
        """
        log_joint = self._log_joint(x)
        log_p = log_joint.logsumexp(1)
        return log_joint - log_p[:, None], log_p.mean()

    def _weigh(self, responsibility: Tensor, i: int, generator: torch.Generator) -> Tensor:
        """Return the weights, ``(n, K)``, with which iteration ``i`` goes into its M-step."""
        return responsibility

    def m_step(self, x: Tensor, responsibility: Tensor) -> None:
        """Maximise Σ_i Σ_k r_ik log π_k N(x_i; μ_k, Σ_k) over all the parameters."""
        mass = responsibility.sum(0).clamp_min(torch.finfo(x.dtype).eps)
        self.weights = mass / mass.sum()
        self.means = responsibility.T @ x / mass[:, None]
        covariances = []
        for k in range(self.settings.components):
            centred = x - self.means[k]
            covariances.append((responsibility[:, k, None] * centred).T @ centred / mass[k])
        self.covariances = self._ridged(torch.stack(covariances))

    def _log_joint(self, x: Tensor) -> Tensor:
        """Log π_k + log N(x; μ_k, Σ_k), shape ``(n, K)``, through Cholesky factors Σ = L Lᵀ."""
        log_normal = []
        for mean, L in zip(self.means.to(x), self._factors(x), strict=True):
            whitened = torch.linalg.solve_triangular(L, (x - mean).T, upper=False)
            log_normal.append(-0.5 * whitened.square().sum(0) - L.diagonal().log().sum())
        constant = 0.5 * x.shape[1] * math.log(2 * math.pi)
        return torch.stack(log_normal, 1) - constant + self.weights.to(x).log()

    def _factors(self, like: Tensor) -> Tensor:
        """Cholesky factors L of the covariances, ``(K, d, d)``, in dtype and device of ``like``."""
        L, failed = torch.linalg.cholesky_ex(self.covariances.to(like))
        if failed.any():
            raise FloatingPointError(
                "a covariance of the mixture is singular to working precision; give a larger "
                f"ridge than {self.settings.ridge}, or data of about unit variance"
            )
        return L

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: a component by its weight, then x = μ_k + L_k z."""
        positive(n, "n", integer=True)
        where = self.device if generator is None else generator.device
        k = torch.multinomial(self.weights.to(where), n, replacement=True, generator=generator).to(
            self.device
        )
        z = self.noise(n, self.means.shape[1], generator=generator)
        L = self._factors(z)
        x = self.means[k] + (L[k] @ z[:, :, None]).squeeze(2)
        return x.reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the dtype of ``x``."""
        x = points(x, "x", self.event_shape)
        return self._log_joint(double(x.flatten(1))).logsumexp(1).to(x)


@dataclass(frozen=True)
class MonteCarloSettings(MixtureSettings):
    """Hyperparameters of Monte Carlo EM, besides those of :class:`MixtureSettings`.

    Attributes
    ----------
    draws : int
        Number M of components drawn for each sample in the first iteration.
    growth : float
        Factor, at least 1, by which M grows in each iteration: far from the answer few draws
        show the way, near it their noise is what remains (Wei & Tanner 1990, section 3).
    steps : int
        Iterations in one run.
    """

    draws: int = 4
    growth: float = 1.05
    steps: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.draws, "draws", integer=True)
        positive(self.growth, "growth")
        if self.growth < 1:
            raise ValueError(f"growth must be at least 1, not {self.growth!r}")


class MonteCarloMixture(GaussianMixture):
    """The same mixture, with an E-step that samples components (Wei & Tanner 1990; deck B).

    Where the expectation over p(k | x) has no closed form, it is replaced by the mean over
    M draws k_1, ..., k_M from p(k | x). Here it has one, so that the two can be compared:
    the responsibilities are off by about 1/√M, and the M-step is the same as ever.
    """

    Settings = MonteCarloSettings
    settings: MonteCarloSettings

    def _weigh(self, responsibility: Tensor, i: int, generator: torch.Generator) -> Tensor:
        M = math.ceil(self.settings.draws * self.settings.growth**i)
        return self.sampled_responsibility(responsibility, M, generator=generator)

    def sampled_responsibility(
        self, responsibility: Tensor, M: int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Share of each component among M draws from p(k | x_i), for every sample x_i.

        Parameters
        ----------
        responsibility : Tensor of shape (n, K)
            p(k | x_i); rows sum to 1.
        M : int
            Draws for each sample. No more than a block of them is held at once, whatever M.
        generator : torch.Generator, optional
            Source of the draws, on the device of ``responsibility``.

        Returns
        -------
        Tensor of shape (n, K)
            Unbiased: its expectation is ``responsibility``.
        """
        positive(M, "M", integer=True)
        share = torch.zeros_like(responsibility)
        rows, columns = max(1, BLOCK // M), min(M, BLOCK)
        for r, s in zip(responsibility.split(rows), share.split(rows), strict=True):
            for done in range(0, M, columns):
                m = min(columns, M - done)
                k = torch.multinomial(r, m, replacement=True, generator=generator)
                s.scatter_add_(1, k, torch.ones_like(k, dtype=s.dtype))
        return share / M
