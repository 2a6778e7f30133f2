"""Noise-conditional score network: learn the score of noised data, sample by Langevin steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gencourse import samplers
from gencourse._validate import points, positive
from gencourse.models._noising import time_network
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["ScoreNetwork", "ScoreSettings"]


@dataclass(frozen=True)
class ScoreSettings:
    """Hyperparameters of a noise-conditional score network.

    Attributes
    ----------
    sigma_max, sigma_min : float
        σ_1 and σ_L, the highest and the lowest standard deviation of the noise, in units of
        the standard deviation of the data.
    levels : int
        L; the levels between are spaced geometrically.
    width, depth : int
        Units and layers of the network; for images, channels of a U-Net (``depth`` follows
        from the images' size).
    batch : int
        Samples in each step, each at a noise level of its own.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    clip : float
        Greatest norm of the gradient.
    averaging : float
        Rate of the moving average of the weights that samples are drawn with; 1 means none.
    langevin_step : float
        α_i / σ_i², the Langevin step relative to the noise; stable below 4.
    langevin_steps : int
        Langevin steps at each level.
    steps : int
        Training steps.
    """

    sigma_max: float = 1.0
    sigma_min: float = 0.01
    levels: int = 10
    width: int = 128
    depth: int = 3
    batch: int = 512
    lr: float = 2e-3
    clip: float = 1.0
    averaging: float = 0.005
    langevin_step: float = 0.2
    langevin_steps: int = 30
    steps: int = 6000

    def __post_init__(self) -> None:
        for name in ("levels", "width", "depth", "batch", "langevin_steps", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("sigma_max", "sigma_min", "lr", "clip", "averaging", "langevin_step"):
            positive(getattr(self, name), name)
        if self.levels < 2:
            raise ValueError(f"levels must be at least 2, not {self.levels}")
        if not self.sigma_max > self.sigma_min:
            raise ValueError(
                f"sigma_max must be above sigma_min, not {self.sigma_max!r} and {self.sigma_min!r}"
            )
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")
        if self.langevin_step >= 4:
            raise ValueError(
                f"langevin_step must be below 4, where the chain explodes, not {self.langevin_step}"
            )


class ScoreNetwork(GenerativeModel):
    r"""Learns s_θ(x, σ) ≈ ∇log q_σ(x), the score of the data with noise N(0, σ² I) added.

    Denoising score matching (Vincent 2011), over the levels σ_1 > … > σ_L with weight σ²:

        E ‖σ s_θ(x + σε, σ) + ε‖²,   ε ~ N(0, I),

    whose minimum is the score at every level. The weight makes all levels matter alike, and lets
    the network predict -ε, which is of size 1: s_θ = f_θ / σ. Samples are drawn by
    :func:`gencourse.samplers.annealed_langevin`, from the highest noise to the lowest.

    Song & Ermon 2019, *Generative modeling by estimating gradients of the data
    distribution*; deck A.

    Attributes
    ----------
    network : nn.Module
        f_θ in standardised coordinates.
    average : AveragedModel
        The network with averaged weights; ``score`` and ``sample`` use it.
    sigmas : Tensor of shape (levels,)
        σ_1 > … > σ_L in units of the data.
    centre, scale : Tensor
        Mean and standard deviation by which the data are standardised.
    """

    Settings = ScoreSettings
    # The paper's σ from 1 to 0.01 for pixels in [0, 1] is 2 to 0.02 for pixels in [-1, 1], and
    # 2.5 to 0.025 in standard deviations of the digits and glyphs. Larger Langevin steps make
    # up for fewer of them.
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "sigma_max": 2.5,
        "sigma_min": 0.025,
        "width": 32,
        "batch": 64,
        "langevin_step": 0.5,
        "langevin_steps": 20,
    }
    settings: ScoreSettings
    sigmas: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: ScoreSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        self.network = time_network(event_shape, s.width, s.depth)
        self.average = averaged(self.network, s.averaging)
        levels = samplers.geometric_sigmas(s.sigma_max, s.sigma_min, s.levels)
        self.register_buffer("sigmas", levels)
        self.register_buffer("centre", torch.zeros(event_shape if len(event_shape) == 1 else ()))
        self.register_buffer("scale", torch.tensor(1.0))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        levels = samplers.geometric_sigmas(s.sigma_max, s.sigma_min, s.levels).to(x)
        self.centre, self.scale = centre_and_scale(x)
        self.sigmas = levels * self.scale

        def loss(x: Tensor) -> Tensor:
            level = torch.randint(s.levels, (len(x),), generator=generator, device=x.device)
            sigma = self.sigmas[level].reshape(-1, *[1] * (x.ndim - 1))
            noise = self.noise(*x.shape, generator=generator)
            predicted = self._times_sigma(self.network, x + sigma * noise, self.sigmas[level])
            return (predicted + noise).square().mean()

        self.train()
        try:
            return minimise(
                loss,
                self.network,
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

    def _times_sigma(self, network: nn.Module, x: Tensor, sigma: Tensor) -> Tensor:
        """σ s_θ(x, σ) = f_θ, from inputs of about unit variance and log σ mapped to [0, 1]."""
        highest, lowest = self.sigmas[0].log(), self.sigmas[-1].log()
        time = (sigma.log() - lowest) / (highest - lowest)
        spread = (self.scale.square() + sigma.square()).sqrt()
        inputs = (x - self.centre) / spread.reshape(-1, *[1] * (x.ndim - 1))
        return network(inputs, time)

    def score(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Estimate ∇log q_σ(x), of the shape of x.

        Parameters
        ----------
        x : Tensor of shape (n, *event_shape)
        sigma : float, or Tensor of shape () or (n,)
            In units of the data, between the least and the greatest of ``sigmas``.

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite, or sigma is out of range.
        """
        x = points(x, "x", self.event_shape)
        sigma = torch.as_tensor(sigma).to(self.sigmas)
        if sigma.shape not in (torch.Size([]), x.shape[:1]):
            raise ValueError(f"sigma must be one number, or one for each of {len(x)} rows")
        lowest, highest = float(self.sigmas[-1]), float(self.sigmas[0])
        slack = 1 + 1e-5
        if not bool(((sigma >= lowest / slack) & (sigma <= highest * slack)).all()):
            raise ValueError(
                f"sigma must lie in [{lowest:.4g}, {highest:.4g}], where the network has learned"
            )
        return self._score(x.to(self.sigmas), sigma).to(x)

    def _score(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self._times_sigma(self.average, x, sigma) / sigma.reshape(-1, *[1] * (x.ndim - 1))

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, steps: int | None = None
    ) -> Tensor:
        """Draw ``n`` samples by annealed Langevin steps, and remove the last noise.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness, on any device.
        steps : int, optional
            Langevin steps at each level, by default ``settings.langevin_steps``.
        """
        positive(n, "n", integer=True)
        # A Gaussian with the moments of the most noisy data.
        spread = (self.scale.square() + self.sigmas[0].square()).sqrt()
        x = self.centre + spread * self.noise(n, *self.event_shape, generator=generator)
        x = samplers.annealed_langevin(
            self._score,
            x,
            self.sigmas,
            step_size=float(self.settings.langevin_step * self.sigmas[-1].square()),
            steps=self.settings.langevin_steps if steps is None else steps,
            denoise=True,
            generator=generator,
        )
        return x.clamp(-1, 1) if len(self.event_shape) == 3 else x
