"""Variational gradient flow (VGrow): a generator follows particles on their way to the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import divergences, nets
from gencourse._validate import at_most_one, below_one, not_negative, positive
from gencourse.data.augmentation import jitter
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.models.particle_flow import RatioFlow, annealed_smoothing, move
from gencourse.training import History, Stateful, adam, averaged, descend, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["VGrow", "VGrowSettings"]

BLOCK = 1000  # samples that are moved at once


@dataclass(frozen=True)
class VGrowSettings:
    """Hyperparameters of variational gradient flow.

    Attributes
    ----------
    divergence : str
        Entry of :data:`gencourse.divergences.F_DIVERGENCES` that the flow lessens; deck A has
        "kl", "js", "logd" and "jeffreys".
    latent : int
        Dimension of the noise z ~ N(0, I).
    width, depth : int
        Hidden units and layers of the networks; for images, channels (``depth`` follows
        from the image's size).
    batch : int
        Data and particles in a step of the critic, and particles in a step of the generator.
    pool : int
        Particles G(z_i) that are moved, and then learned, in each round.
    moves : int
        Moves of the particles in each round.
    critic_steps : int
        Steps of the critic before each move.
    epochs : int
        How often the generator goes through the moved particles.
    last_moves : int
        Moves of each sample after the generator has made it, along the critic as it is in the
        end. The regression lags behind the particles, and these make up for it.
    step_size : float
        η of a move; for points in units of the variance of the data.
    smoothing : float
        Standard deviation of the noise added to both laws in the first round, falling to 0; for
        points in units of the standard deviation of the data. See
        :class:`gencourse.models.particle_flow.RatioFlow`.
    smoothed_share : float
        Share of the rounds within which it falls to 0.
    jitter : float
        For images: how much those that the critic sees, of either law, are turned, stretched
        and shifted at random; see :func:`gencourse.data.augmentation.jitter`. 0 for none.
    lr_critic, lr_generator : float
        Learning rates of Adam, decayed to 0 along a cosine.
    beta1, beta2 : float
        Adam's decay rates.
    averaging : float
        Rate of the moving average of the generator's weights that samples are drawn from, for
        each step of the generator; 1 means no averaging.
    steps : int
        Rounds of a full training run.
    """

    divergence: str = "kl"
    latent: int = 4
    width: int = 128
    depth: int = 3
    batch: int = 256
    pool: int = 1024
    moves: int = 5
    critic_steps: int = 1
    epochs: int = 1
    last_moves: int = 20
    step_size: float = 0.01
    smoothing: float = 0.7
    smoothed_share: float = 0.6
    jitter: float = 0.0
    lr_critic: float = 1e-3
    lr_generator: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.9
    averaging: float = 0.02
    steps: int = 800

    def __post_init__(self) -> None:
        divergences.get(self.divergence)
        counts = ("latent", "width", "depth", "batch", "pool", "moves", "critic_steps", "epochs")
        for name in (*counts, "steps"):
            positive(getattr(self, name), name, integer=True)
        if self.last_moves != 0:
            positive(self.last_moves, "last_moves", integer=True)
        for name in ("step_size", "lr_critic", "lr_generator"):
            positive(getattr(self, name), name)
        for name in ("smoothing", "jitter"):
            not_negative(getattr(self, name), name)
        for name in ("smoothed_share", "averaging"):
            at_most_one(getattr(self, name), name)
        for name in ("beta1", "beta2"):
            below_one(getattr(self, name), name)


class VGrow(GenerativeModel):
    r"""A generator learns where a gradient flow carries its samples.

    A round of algorithm 1 of the paper, for the divergence D_f(q ‖ p) between the law q of G(z)
    and the data:

    1. Draw z_i and let x_i = G(z_i).
    2. Several times: improve the critic, D ≈ log p/q, on data and on the x_i; move all
       :math:`x_i \leftarrow x_i + \eta\, f''(r)\, r\, \nabla D(x_i)`, r = e^{-D}.
    3. Regress: improve G on the pairs, :math:`\min_G \sum_i \|G(z_i) - x_i\|^2`.

    The generator never sees the critic, and there is no game: the particles descend a
    divergence, and it follows. A sample is G(z) moved as in step 2 by the last critic: the
    functional gradient step Ḡ = G + η h of deck A, before the regression that only
    approximates it.

    Attributes
    ----------
    generator : nn.Sequential
        G: noise z of shape ``(n, latent)`` to samples, of points in standardised coordinates.
    critic : nn.Sequential
        D: samples to logits of shape ``(n, 1)``.
    average : AveragedModel
        The generator with averaged weights; ``sample`` draws from it.
    centre, scale : Tensor
        Mean and standard deviation of points, by which they are standardised.

    References
    ----------
    Y. Gao, Y. Jiao, Y. Wang, Y. Wang, C. Yang & S. Zhang 2019, *Deep generative learning via
    variational gradient flow*; deck A.
    """

    Settings = VGrowSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "latent": 32,
        "width": 64,
        "batch": 64,
        "pool": 256,
        "moves": 4,
        "last_moves": 40,
        "step_size": 0.5,
        "smoothing": 0.5,
        "smoothed_share": 0.5,
        "jitter": 0.1,
        "beta1": 0.0,
        "beta2": 0.99,
        "steps": 1500,
    }
    settings: VGrowSettings
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: VGrowSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        self.divergence = divergences.get(s.divergence)
        self.generator: nn.Sequential
        self.critic: nn.Sequential
        if len(event_shape) == 1:
            (d,) = event_shape
            self.generator = nets.mlp(s.latent, d, width=s.width, depth=s.depth)
            self.critic = nets.mlp(d, 1, width=s.width, depth=s.depth)
        else:
            self.generator = nets.dcgan_generator(s.latent, event_shape, width=s.width)
            self.critic = nets.dcgan_discriminator(event_shape, width=s.width)
        self.average = averaged(self.generator, s.averaging)
        self.register_buffer("centre", torch.zeros(event_shape if len(event_shape) == 1 else ()))
        self.register_buffer("scale", torch.tensor(1.0))
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the networks; the average only ever samples."""
        super().train(mode)
        self.average.eval()
        return self

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        steps = steps or s.steps
        if x.ndim == 2:
            self.centre, self.scale = centre_and_scale(x)
            x = (x - self.centre) / self.scale
        betas = (s.beta1, s.beta2)
        optimiser_d = adam(self.critic, s.lr_critic, betas=betas)
        optimiser_g = adam(self.generator, s.lr_generator, betas=betas)
        schedules = [CosineAnnealingLR(o, steps) for o in (optimiser_d, optimiser_g)]
        flow = RatioFlow(self.divergence, self.critic, optimiser_d, generator)

        def step(i: int) -> dict[str, Tensor]:
            sigma = annealed_smoothing(i, steps, s.smoothing, s.smoothed_share)
            z = self.noise(s.pool, s.latent, generator=generator)
            moved, loss_d = self.moved(z, x, flow, sigma)
            loss_g = self.regress(z, moved, optimiser_g, generator)
            for schedule in schedules:
                schedule.step()
            return {"critic": loss_d, "regression": loss_g}

        self.train()
        state: dict[str, Stateful] = {
            "model": self,
            "optimiser_d": optimiser_d,
            "optimiser_g": optimiser_g,
            "schedule_d": schedules[0],
            "schedule_g": schedules[1],
        }
        try:
            return train(
                step,
                steps=steps,
                state=state,
                generator=generator,
                description=self.system.slug,
                **loop,
            )
        finally:
            self.eval()

    def moved(
        self, z: Tensor, data: Tensor, flow: RatioFlow, sigma: float
    ) -> tuple[Tensor, Tensor]:
        """Return where the flow carries the particles G(z), and the last loss of the critic."""
        s = self.settings
        with torch.no_grad():
            x = self.generator(z).clone()  # CUDA graphs, if any, write over what they return
        for _ in range(s.moves):
            for _ in range(s.critic_steps):
                real, fake = self._batch(data, flow.generator), self._batch(x, flow.generator)
                loss = flow.learn(real, fake, sigma)
            x = self._inside(flow.move(x, s.step_size, sigma))
        return x, loss

    def regress(
        self,
        z: Tensor,
        moved: Tensor,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> Tensor:
        """Improve the generator at hitting the moved particles; return the last squared error."""
        s = self.settings
        for _ in range(s.epochs):
            order = torch.randperm(len(z), generator=generator, device=z.device)
            for index in order.split(s.batch):
                error = self.generator(z[index]) - moved[index]
                loss = error.square().flatten(1).sum(1).mean()
                descend(loss, optimiser)
                self.average.update_parameters(self.generator)
        return loss.detach()

    def _batch(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rows; of images as they are changed a little."""
        s = self.settings
        rows = x[torch.randint(len(x), (s.batch,), generator=generator, device=x.device)]
        return jitter(rows, s.jitter, generator=generator) if x.ndim == 4 else rows

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, moves: int | None = None
    ) -> Tensor:
        """Draw ``n`` samples G(z) from the averaged generator, and move them.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness, on any device.
        moves : int, optional
            By default ``settings.last_moves``; 0 for what the generator makes alone.
        """
        positive(n, "n", integer=True)
        moves = self.settings.last_moves if moves is None else moves
        if moves != 0:
            positive(moves, "moves", integer=True)
        z = self.noise(n, self.settings.latent, generator=generator)
        return torch.cat([self._drawn(block, moves) for block in z.split(BLOCK)])

    def _drawn(self, z: Tensor, moves: int) -> Tensor:
        x = self.average(z)
        for _ in range(moves):
            x = self._inside(move(self.divergence, self.critic, x, self.settings.step_size))
        return self.centre + self.scale * x

    @staticmethod
    def _inside(x: Tensor) -> Tensor:
        """Return images with pixels in [-1, 1], where they end, and points as they are."""
        return x.clamp(-1, 1) if x.ndim == 4 else x
