"""Two-stage Schrödinger bridge: from one point to blurred data, and from there to the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse import nets, samplers
from gencourse._validate import at_most_one, points, positive
from gencourse.models._noising import time_network
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.models.bridges import first_drift, noise_times, second_drift
from gencourse.samplers.sde import Drift
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["BridgeSettings", "SchrodingerBridge"]

BLOCK = 8192  # points that the networks see at once in the first stage


@dataclass(frozen=True)
class BridgeSettings:
    """Hyperparameters of the two-stage Schrödinger bridge.

    Attributes
    ----------
    sigma : float
        σ, standard deviation of the noise between the stages, in units of the standard
        deviation of the data.
    tau : float
        τ, variance of the Brownian motion of the first stage at its end, in units of the
        variance of the data. Below about σ² the density ratio is unbounded; at 1 + σ²
        its logarithm is smallest.
    N1, N2 : int
        Euler–Maruyama steps of the first and of the second stage.
    N3 : int
        Draws by which each drift of the first stage is estimated.
    width, depth : int
        Units and layers of both networks; for images, channels (``depth`` follows from the
        images' size).
    batch : int
        Samples in each step.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    clip : float
        Greatest norm of the gradient.
    averaging : float
        Rate of the moving average of the weights that samples are drawn with; 1 means none.
    steps : int
        Training steps.
    """

    sigma: float = 0.7
    tau: float = 2.5
    N1: int = 50
    N2: int = 100
    N3: int = 8
    width: int = 128
    depth: int = 3
    batch: int = 512
    lr: float = 2e-3
    clip: float = 1.0
    averaging: float = 0.005
    steps: int = 3500

    def __post_init__(self) -> None:
        for name in ("N1", "N2", "N3", "width", "depth", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("sigma", "tau", "lr", "clip", "averaging"):
            positive(getattr(self, name), name)
        if self.N2 < 2:
            raise ValueError(f"N2 must be at least 2, not {self.N2}")
        at_most_one(self.averaging, "averaging")


class SchrodingerBridge(GenerativeModel):
    r"""Two stochastic differential equations in a row, from a point m to the data.

    With q_σ the law of the data with noise N(0, σ² I) added:

    1. dX = τ ∇log E f(X + √(τ(1-t)) z) dt + √τ dW from X_0 = m to X_1 ~ q_σ, where
       f = q_σ / φ_√τ and φ_√τ is the density of N(m, τ I);
    2. dX = σ² ∇log q_{√(1-t) σ}(X) dt + σ dW from X_0 ~ q_σ to X_1 ~ data.

    Each is the law of paths between its ends that is nearest to Brownian motion, see
    :mod:`gencourse.models.bridges`. Two networks are learned:

    - log f by logistic regression between x + σε and m + √τ ε′, whose minimum
      is the log ratio of their densities: E softplus(-r(x + σε)) + E softplus(r(m + √τ ε′));
    - the score, by denoising at all noise levels σ̃ of the second stage:
      E ‖σ̃ s(x + σ̃ε, σ̃) + ε‖².

    Wang, Jiao, Xu, Wang & Yang 2021, *Deep generative learning via Schrödinger bridge*;
    deck A.

    Attributes
    ----------
    ratio : nn.Sequential
        r ≈ log f, of shape ``(n, 1)``, of standardised points.
    denoiser : nn.Module
        σ̃ s, which predicts -ε, of standardised points and a time that grows with log σ̃.
    average : AveragedModel
        Both networks with averaged weights; everything but training uses it.
    start : Tensor of shape event_shape
        m, the mean of the data.
    sigma, tau : Tensor of shape ()
        σ and τ in units of the data and of their square.
    """

    Settings = BridgeSettings
    # In standard deviations of the digits' pixels; see ScoreNetwork.
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "sigma": 2.5,
        "tau": 7.25,
        "N1": 20,
        "width": 32,
        "batch": 64,
        "steps": 7000,
    }
    settings: BridgeSettings
    ratio: nn.Sequential
    denoiser: nn.Module
    start: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: BridgeSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        self.ratio = nets.energy_network(event_shape, width=s.width, depth=s.depth)
        self.denoiser = time_network(event_shape, s.width, s.depth)
        self.average = averaged(nn.ModuleList([self.ratio, self.denoiser]), s.averaging)
        self.register_buffer("start", torch.zeros(event_shape))
        self.register_buffer("centre", torch.zeros(event_shape if len(event_shape) == 1 else ()))
        self.register_buffer("scale", torch.tensor(1.0))

    @property
    def sigma(self) -> Tensor:
        """σ in units of the data."""
        return self.settings.sigma * self.scale

    @property
    def tau(self) -> Tensor:
        """τ in squared units of the data."""
        return self.settings.tau * self.scale.square()

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self.centre, self.scale = centre_and_scale(x)
        self.start = x.mean(0)
        σ, τ = self.sigma, self.tau

        def loss(x: Tensor) -> dict[str, Tensor]:
            blurred = x + σ * self.noise(*x.shape, generator=generator)
            brownian = self.start + τ.sqrt() * self.noise(*x.shape, generator=generator)
            of_data, of_noise = self._ratio(self.ratio, torch.cat([blurred, brownian])).chunk(2)
            ratio = F.softplus(-of_data).mean() + F.softplus(of_noise).mean()

            # σ̃ between σ/N2 and σ, evenly in log σ̃; but one in five is σ, as all of the first
            # stage needs the score there.
            level = (1.25 * self.uniform(len(x), generator=generator) - 0.25).clamp_min(0)
            σ_ = σ * s.N2**-level
            ε = self.noise(*x.shape, generator=generator)
            noised = x + _rows(σ_, x) * ε
            score = (self._times_sigma(self.denoiser, noised, σ_) + ε).square().mean()
            return {"loss": ratio + score, "ratio": ratio, "score": score}

        self.train()
        try:
            return minimise(
                loss,
                nn.ModuleList([self.ratio, self.denoiser]),
                x,
                steps=steps or s.steps,
                batch=s.batch,
                lr=s.lr,
                clip=s.clip,
                generator=generator,
                state={"model": self},
                average=self.average,
                description=self.system.slug,
                **loop,
            )
        finally:
            self.eval()

    # ------------------------------------------------------------- what was learned

    def _ratio(self, network: nn.Module, x: Tensor) -> Tensor:
        """Return log f, from inputs of about unit variance."""
        spread = (self.scale.square() + self.sigma.square()).sqrt()
        return network((x - self.centre) / spread)[:, 0]

    def _times_sigma(self, network: nn.Module, x: Tensor, σ: Tensor) -> Tensor:
        """σ̃ s(x, σ̃), from inputs of about unit variance and log σ̃ mapped to [0, 1]."""
        time = 1 + (σ / self.sigma).log() / math.log(self.settings.N2)
        spread = (self.scale.square() + σ.square()).sqrt()
        return network((x - self.centre) / _rows(spread, x), time)

    def _log_ratio(self, x: Tensor) -> Tensor:
        return self._ratio(self.average.module[0], x)  # type: ignore[index]

    def _score(self, x: Tensor, σ: Tensor) -> Tensor:
        denoiser = self.average.module[1]  # type: ignore[index]
        return self._times_sigma(denoiser, x, σ) / _rows(σ, x)

    def log_ratio(self, x: Tensor) -> Tensor:
        r"""Estimate log f(x) = log q_σ(x) / φ_√τ(x), shape ``(n,)``.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite.
        """
        x = points(x, "x", self.event_shape)
        return self._log_ratio(x.to(self.scale)).to(x)

    def score(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        r"""Estimate ∇log q_σ̃(x), of the shape of x.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
        sigma : float, or Tensor of shape () or (n,), optional
            σ̃ in units of the data, from σ/N2 to σ; by default σ.

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite, or sigma is out of range.
        """
        x = points(x, "x", self.event_shape)
        σ = torch.as_tensor(self.sigma if sigma is None else sigma).to(self.scale)
        if σ.shape not in (torch.Size([]), x.shape[:1]):
            raise ValueError(f"sigma must be one number, or one for each of {len(x)} rows")
        lowest, highest = float(self.sigma / self.settings.N2), float(self.sigma)
        slack = 1 + 1e-5
        if not bool(((σ >= lowest / slack) & (σ <= highest * slack)).all()):
            raise ValueError(
                f"sigma must lie in [{lowest:.4g}, {highest:.4g}], where the network has learned"
            )
        return self._score(x.to(self.scale), σ).to(x)

    def first_drift(
        self, x: Tensor, t: float | Tensor, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Drift of the first stage at one time t in [0, 1], by Monte Carlo; the shape of x."""
        x = points(x, "x", self.event_shape)
        y, time = x.to(self.scale) - self.start, torch.as_tensor(t).to(self.scale)
        return self._first_drift(generator)(y, time).to(x)

    def second_drift(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Drift σ² s(x, √(1-t) σ) of the second stage at one time t < 1; the shape of x."""
        t = torch.as_tensor(t).to(self.scale)
        σ = self.sigma
        return σ.square().to(x) * self.score(x, (1 - t).sqrt() * σ)

    def _first_drift(self, generator: torch.Generator | None) -> Drift:
        """Drift of the first stage in coordinates whose origin is its start."""
        return first_drift(
            lambda y: self._log_ratio(y + self.start),
            lambda y: self._score(y + self.start, self.sigma),
            float(self.tau),
            samples=self.settings.N3,
            generator=generator,
        )

    # ------------------------------------------------------------- sampling

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples through both stages; images are clipped to [-1, 1]."""
        positive(n, "n", integer=True)
        most = max(1, BLOCK // self.settings.N3)
        sizes = [min(most, n - i) for i in range(0, n, most)]
        blurred = torch.cat([self._blurred(size, generator) for size in sizes])
        return self.denoise(blurred, generator=generator)

    def _blurred(self, n: int, generator: torch.Generator | None) -> Tensor:
        """The first stage: draw from q_σ."""
        y = samplers.euler_maruyama(
            self._first_drift(generator),
            lambda x, t: self.tau.sqrt(),
            torch.zeros(n, *self.event_shape, device=self.device),
            torch.linspace(0, 1, self.settings.N1 + 1),
            generator=generator,
        )
        return y + self.start

    @torch.no_grad()
    def denoise(
        self,
        x: Tensor,
        *,
        variance: float | None = None,
        known: Tensor | None = None,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        r"""Run the second stage from data with noise of a given variance to data.

        A small variance repairs what is nearly right, such as a mixture of two images. With
        ``known`` pixels the others are filled in: before each step the known ones are set to
        their value plus always the same noise, as small as the process has it at that time.
        That is approximate: what is decided early, while the noise hides the known pixels,
        may not suit them in the end.

        The step size is that of sampling, so a smaller variance takes fewer steps. The last
        step adds no noise: it ends in the mean of the data given where it comes from.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
            Samples of data + √variance ε; where the mask is true they are not looked at.
        variance : float, optional
            In squared units of the data, at most σ², the default.
        known : Tensor of the shape of x, or one that broadcasts to it, optional
            Values to keep.
        mask : bool Tensor that broadcasts to the shape of x, optional
            Where ``known`` is known; given with it.
        generator : torch.Generator, optional
            Source of randomness, on any device.

        Returns
        -------
        Tensor
            Of the shape of x; images are clipped to [-1, 1].

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite, the variance is not in (0, σ²],
            or only one of ``known`` and ``mask`` is given or does not fit.

        References
        ----------
        Wang et al. 2021, algorithm 1 and section 5.4.
        """
        x = points(x, "x", self.event_shape)
        σ = float(self.sigma)
        if variance is not None:
            positive(variance, "variance")
            if variance > σ**2 * (1 + 1e-5):
                raise ValueError(
                    f"variance must be at most σ² = {σ**2:.4g}, from which the second stage "
                    f"starts, not {variance!r}"
                )
            σ = min(math.sqrt(variance), σ)
        N = max(2, math.ceil(self.settings.N2 * σ / float(self.sigma) * (1 - 1e-6)))
        if (known is None) != (mask is None):
            raise ValueError("known and mask belong together: give both or neither")
        y = x.to(self.scale)
        if known is not None and mask is not None:
            known, where = _fitted(known, mask, y)
            ε = self.noise(*x.shape, generator=generator)

        def kept(y: Tensor, σ: Tensor | float) -> Tensor:
            return y if known is None else torch.where(where, known + σ * ε, y)

        drift = second_drift(self._score, σ)
        times = noise_times(N).to(y)
        for t, dt in zip(times[:-2], times[:-1].diff(), strict=True):
            y = kept(y, σ * (1 - t).sqrt())
            y = samplers.euler_maruyama_step(drift, lambda x, t: σ, y, t, dt, generator=generator)
        t, dt = times[-2], times[-1] - times[-2]
        y = kept(y, σ * (1 - t).sqrt())
        y = kept(y + drift(y, t) * dt, 0.0)
        return (y.clamp(-1, 1) if len(self.event_shape) == 3 else y).to(x.dtype)


def _rows(a: Tensor, x: Tensor) -> Tensor:
    """Shape numbers ``()`` or ``(n,)`` so that they multiply the rows of ``x``."""
    return a.reshape(-1, *[1] * (x.ndim - 1))


def _fitted(known: Tensor, mask: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``known`` and ``mask`` in the shape of ``x``, or raise ``ValueError``."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise ValueError("mask must be a tensor of dtype bool, true where known holds")
    try:
        mask = mask.to(x.device).expand_as(x)
        known = known.to(x).expand_as(x)
    except (AttributeError, RuntimeError) as error:
        raise ValueError(
            f"known and mask must be tensors that broadcast to {tuple(x.shape)}, the shape of x"
        ) from error
    if not bool(known[mask].isfinite().all()):
        raise ValueError("known holds NaN or infinite values where mask is true")
    return torch.where(mask, known, 0.0), mask
