"""Denoising diffusion: data dissolve into noise step by step, and a network runs it backwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gencourse import samplers
from gencourse._validate import at_most_one, points, positive
from gencourse.models._noising import time_network
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["DiffusionModel", "DiffusionSettings", "alpha_bars"]

METHODS = ("ancestral", "ode")
LEAST_SIGNAL = 4e-4  # ᾱ at which the equation starts: 50 times more noise than signal


def alpha_bars(schedule: str, T: int) -> Tensor:
    r"""Return ᾱ_0 = 1, ᾱ_1, …, ᾱ_T, shape ``(T + 1,)``, float64: how much signal is left.

    ᾱ_t = Π_{s≤t} (1 - β_s), with the variances β_t of the noise that is added in each step

    - ``"linear"``: from 10⁻⁴ to 0.02 in 1000 steps (Ho, Jain & Abbeel 2020); for another T
      scaled by 1000 / T, so that as much noise is added in all;
    - ``"cosine"``: β_t = min(1 - a(t/T) / a((t-1)/T), 0.999), a(u) = cos²(π/2 (u + s) / (1 + s))
      with s = 0.008 (Nichol & Dhariwal 2021), which adds noise more evenly.

    Raises
    ------
    ValueError
        If the schedule is unknown, or T is so small that a linear β would exceed 0.999.

    Examples
    --------
    >>> [round(a, 3) for a in alpha_bars("cosine", 4).tolist()]
    [1.0, 0.847, 0.494, 0.144, 0.0]
    """
    positive(T, "T", integer=True)
    if schedule == "linear":
        scale = 1000 / T
        if 0.02 * scale > 0.999:
            raise ValueError(f"a linear schedule needs T of at least 21, not {T}; use 'cosine'")
        β = scale * torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
    elif schedule == "cosine":
        u = torch.arange(T + 1, dtype=torch.float64) / T
        a = torch.cos(math.pi / 2 * (u + 0.008) / 1.008).square()
        β = (1 - a[1:] / a[:-1]).clamp_max(0.999)
    else:
        raise ValueError(f"schedule must be 'cosine' or 'linear', not {schedule!r}")
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - β).cumprod(0)])


@dataclass(frozen=True)
class DiffusionSettings:
    """Hyperparameters of a denoising diffusion.

    Attributes
    ----------
    T : int
        Number of noise levels, and of steps of the ancestral sampler.
    schedule : "cosine" or "linear"
        How the noise grows; see :func:`alpha_bars`.
    variance : "beta" or "posterior"
        Of the noise in the ancestral sampler's steps: β_t, which is right where the data are
        Gaussian and as wide as the noise, or that of q(x_s | x_t, x_0), right where they are a
        single point (Ho, Jain & Abbeel 2020, section 3.2). The modes come out a little too
        wide, or too narrow.
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
    ode_steps : int
        Steps of the sampler ``"ode"``, each of which evaluates the network twice.
    steps : int
        Training steps.
    """

    T: int = 100
    schedule: str = "cosine"
    variance: str = "beta"
    width: int = 128
    depth: int = 3
    batch: int = 512
    lr: float = 2e-3
    clip: float = 1.0
    averaging: float = 0.005
    ode_steps: int = 20
    steps: int = 6000

    def __post_init__(self) -> None:
        for name in ("T", "width", "depth", "batch", "ode_steps", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("lr", "clip", "averaging"):
            positive(getattr(self, name), name)
        at_most_one(self.averaging, "averaging")
        alpha_bars(self.schedule, self.T)
        if self.variance not in ("beta", "posterior"):
            raise ValueError(f"variance must be 'beta' or 'posterior', not {self.variance!r}")


class DiffusionModel(GenerativeModel):
    r"""Noise is added to x_0 in T steps, and a network learns which noise it was.

    With centre m and scale s of the data, q(x_t | x_0) is the law of

        x_t = m + √ᾱ_t (x_0 - m) + √(1 - ᾱ_t) s ε,   ε ~ N(0, I),   t = 1, …, T,

    which ends at N(m, s² I). Images keep m = 0 and s = 1, as in the paper. The network
    predicts ε from x_t and t, by least squares, which is the same as the score:
    ∇log q_t(x) = -E[ε | x_t = x] / (s √(1 - ᾱ_t)).

    Ho, Jain & Abbeel 2020, *Denoising diffusion probabilistic models*; decks A and D.

    Attributes
    ----------
    network : nn.Module
        ε_θ(x, t) in standardised coordinates, with t / T in [0, 1].
    average : AveragedModel
        The network with averaged weights; ``noise_in``, ``score`` and ``sample`` use it.
    alpha_bar : Tensor of shape (T + 1,)
        ᾱ.
    centre, scale : Tensor
        m and s.
    """

    Settings = DiffusionSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "variance": "posterior",
        "width": 32,
        "batch": 64,
    }
    settings: DiffusionSettings
    alpha_bar: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: DiffusionSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        self.network = time_network(event_shape, settings.width, settings.depth)
        self.average = averaged(self.network, settings.averaging)
        self.register_buffer("alpha_bar", alpha_bars(settings.schedule, settings.T).float())
        # Beyond this time x_t is noise alone, to 2 % of its standard deviation. The equation
        # starts there, as it divides errors of the network by √ᾱ_t.
        self.first_time = max(1, int((self.alpha_bar >= LEAST_SIGNAL).sum()) - 1)
        self.register_buffer("centre", torch.zeros(event_shape if len(event_shape) == 1 else ()))
        self.register_buffer("scale", torch.tensor(1.0))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        if x.ndim == 2:
            self.centre, self.scale = centre_and_scale(x)

        def loss(x0: Tensor) -> Tensor:
            t = torch.randint(1, s.T + 1, (len(x0),), generator=generator, device=x0.device)
            noise = self.noise(*x0.shape, generator=generator)
            return (
                (self._predict(self.network, self.noised(x0, t, noise), t) - noise).square().mean()
            )

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

    def noised(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return x_t = m + √ᾱ_t (x_0 - m) + √(1 - ᾱ_t) s ε.

        Parameters
        ----------
        x0, noise : Tensor of shape (n, *event_shape)
        t : Tensor of shape (n,), int64
            In 0, …, T.
        """
        a = self.alpha_bar[t].reshape(-1, *[1] * (x0.ndim - 1))
        signal = a.sqrt() * (x0 - self.centre)
        return self.centre + signal + (1 - a).sqrt() * self.scale * noise

    def _predict(self, network: torch.nn.Module, x: Tensor, t: Tensor) -> Tensor:
        """ε_θ(x_t, t); the network sees standardised data, and times in [0, 1]."""
        return network((x - self.centre) / self.scale, t / self.settings.T)

    def noise_in(self, x: Tensor, t: int | Tensor) -> Tensor:
        """Estimate E[ε | x_t = x], the noise in x, of the shape of x.

        Parameters
        ----------
        x : Tensor of shape (n, *event_shape)
        t : int, or int64 tensor of shape () or (n,)
            In 1, …, T.
        """
        return self._predict(self.average, x, torch.as_tensor(t, device=x.device))

    def score(self, x: Tensor, t: int | Tensor) -> Tensor:
        """Estimate ∇log q_t(x), the score of the data noised up to time t, of the shape of x.

        Parameters
        ----------
        x : Tensor of shape (n, *event_shape)
        t : int, or int64 tensor of shape () or (n,)
            In 1, …, T.

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite, or t is out of range.
        """
        x = points(x, "x", self.event_shape)
        t = torch.as_tensor(t, device=x.device)
        if t.is_floating_point() or not bool(((t >= 1) & (t <= self.settings.T)).all()):
            raise ValueError(f"t must be a whole number from 1 to {self.settings.T}")
        if t.shape not in (torch.Size([]), x.shape[:1]):
            raise ValueError(f"t must be one time, or one for each of {len(x)} rows")
        weights = self.alpha_bar.dtype
        a = self.alpha_bar[t].reshape(-1, *[1] * (x.ndim - 1))
        score = -self.noise_in(x.to(weights), t) / (self.scale * (1 - a).sqrt())
        return score.to(x)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        method: str = "ancestral",
        steps: int | None = None,
    ) -> Tensor:
        """Draw ``n`` samples, from noise back to data.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness, on any device.
        method : "ancestral" or "ode"
            The reverse chain, which draws new noise in each step; or the probability-flow
            equation, a deterministic map of the first noise that needs fewer steps.
        steps : int, optional
            By default T for the chain, and ``settings.ode_steps`` for the equation.

        Raises
        ------
        ValueError
            If the method is unknown, or steps is not in 1, …, T.
        """
        positive(n, "n", integer=True)
        T = self.settings.T
        if method not in METHODS:
            raise ValueError(f"method must be 'ancestral' or 'ode', not {method!r}")
        if steps is None:
            steps = T if method == "ancestral" else min(self.settings.ode_steps, T)
        positive(steps, "steps", integer=True)
        if steps > T:
            raise ValueError(f"steps must be at most T = {T}, not {steps}")
        first = T if method == "ancestral" else self.first_time
        steps = min(steps, first)
        left = range(steps, -1, -1)
        if method == "ancestral":
            times = [round(first * k / steps) for k in left]
        else:
            # Denser towards the data, where the score changes fastest.
            times = [max(round(first * (k / steps) ** 1.5), k) for k in left]
        x = self.centre + self.scale * self.noise(n, *self.event_shape, generator=generator)
        if method == "ancestral":
            x = samplers.ancestral(self.kernel, x, times, generator=generator)
        else:
            x = self.flow(x, times)
        return x.clamp(-1, 1) if len(self.event_shape) == 3 else x

    def kernel(self, x: Tensor, t: float, s: float) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of x_s given x_t = x, for s < t.

        The posterior q(x_s | x_t, x_0), with the estimate of x_0 in its place:

            mean = √ᾱ_s β / (1 - ᾱ_t) x̂_0 + √α (1 - ᾱ_s) / (1 - ᾱ_t) x_t,
            variance = β (1 - ᾱ_s) / (1 - ᾱ_t),

        with α = ᾱ_t / ᾱ_s and β = 1 - α (Ho, Jain & Abbeel 2020, equations 6 and 7), here
        written for centred data and in units of the scale; or with variance β, by
        ``settings.variance``. The estimate of an image is clipped to [-1, 1].
        """
        at, as_ = self.alpha_bar[int(t)], self.alpha_bar[int(s)]
        α = at / as_
        β = 1 - α
        noise = self.noise_in(x, int(t))
        x = x - self.centre
        x0 = (x - (1 - at).sqrt() * self.scale * noise) / at.sqrt()
        if len(self.event_shape) == 3:
            x0 = x0.clamp(-1, 1)
        mean = (as_.sqrt() * β * x0 + α.sqrt() * (1 - as_) * x) / (1 - at)
        posterior = β * (1 - as_) / (1 - at)
        # The last step, to s = 0, has no noise in either case.
        variance = β if self.settings.variance == "beta" and s > 0 else posterior
        return self.centre + mean, self.scale * variance.sqrt()

    def flow(self, x: Tensor, times: list[int]) -> Tensor:
        """Carry x_T to x_0 by the probability-flow equation.

        In y = (x - m) / √ᾱ_t and the noise-to-signal ratio σ = s √((1 - ᾱ_t) / ᾱ_t) it reads

            dy / dσ = ε_θ(x, t)

        (Song, Meng & Ermon 2021, equation 14). Heun's method integrates it down to the
        lowest noise of the schedule; the last step, to σ = 0, is one of Euler's, since there is
        no noise to predict at its end.

        Parameters
        ----------
        x : Tensor of shape (n, *event_shape)
            At the first of ``times``.
        times : list of int
            Decreasing, from at most T to 0.
        """
        ratio = self.scale * ((1 - self.alpha_bar) / self.alpha_bar).sqrt()
        sigmas = ratio[times]

        def velocity(y: Tensor, sigma: Tensor) -> Tensor:
            # The grid consists of ratios of the schedule: the nearest one is this one.
            t = (ratio - sigma).abs().argmin()
            return self.noise_in(self.centre + self.alpha_bar[t].sqrt() * y, t)

        y = (x - self.centre) / self.alpha_bar[times[0]].sqrt()
        if len(times) > 2:
            y = samplers.heun(velocity, y, sigmas[:-1])
        y = samplers.euler(velocity, y, sigmas[-2:])
        return self.centre + y
