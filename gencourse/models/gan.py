"""Generative adversarial nets: Algorithm 1 of Goodfellow et al. (2014), for any objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets, objectives
from gencourse._validate import below_one, positive
from gencourse.models.base import GenerativeModel
from gencourse.training import History, Stateful, adam, averaged, momentum, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["AdversarialModel", "AdversarialSettings"]


@dataclass(frozen=True)
class AdversarialSettings:
    """Hyperparameters of an adversarial model.

    Attributes
    ----------
    objective : str
        Entry of :data:`gencourse.objectives.OBJECTIVES` that both players minimise.
    latent : int
        Dimension of the noise z ~ N(0, I).
    width, depth : int
        Hidden units and layers of the networks; for images, channels (``depth`` follows
        from the image's size).
    batch : int
        Real samples, and fakes, in each step.
    discriminator_steps : int
        k of Algorithm 1: steps of the discriminator for each one of the generator.
    head_start : int
        Extra discriminator steps before the generator's first, to see what a generator
        learns from a discriminator that is already right.
    optimiser : "adam" or "momentum"
        Adam rescales every gradient to about unit size; gradient descent with momentum,
        which the 2014 paper used, takes it as it comes.
    lr_discriminator, lr_generator : float
        Learning rates, decayed to 0 along a cosine.
    beta1, beta2 : float
        Adam's decay rates; momentum uses beta1.
    averaging : float
        Rate of the moving average of the generator's weights that samples are drawn from;
        1 means no averaging.
    steps : int
        Generator steps of a full training run.
    """

    objective: str = "gan"
    latent: int = 2
    width: int = 128
    depth: int = 3
    batch: int = 256
    discriminator_steps: int = 1
    head_start: int = 0
    optimiser: str = "adam"
    lr_discriminator: float = 1e-3
    lr_generator: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.9
    averaging: float = 0.005
    steps: int = 4000

    def __post_init__(self) -> None:
        objectives.get(self.objective)
        if self.optimiser not in ("adam", "momentum"):
            raise ValueError(f"optimiser must be 'adam' or 'momentum', not {self.optimiser!r}")
        for name in ("latent", "width", "depth", "batch", "discriminator_steps", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("lr_discriminator", "lr_generator", "averaging"):
            positive(getattr(self, name), name)
        if isinstance(self.head_start, bool) or not isinstance(self.head_start, int):
            raise ValueError(f"head_start must be a whole number, not {self.head_start!r}")
        if self.head_start < 0:
            raise ValueError(f"head_start must not be negative, but is {self.head_start}")
        for name in ("beta1", "beta2"):
            below_one(getattr(self, name), name)
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")


class AdversarialModel(GenerativeModel):
    """A generator and a discriminator that learn by playing against each other.

    Attributes
    ----------
    generator : nn.Sequential
        G: noise z of shape ``(n, latent)`` to samples of shape ``(n, *event_shape)``.
    discriminator : nn.Sequential
        Samples to logits of shape ``(n, 1)``; D(x) is their sigmoid.
    average : AveragedModel
        The generator with averaged weights; ``sample`` draws from it.
    """

    Settings = AdversarialSettings
    # Convolutional networks, more noise to draw from, smaller batches, no momentum.
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "latent": 32,
        "width": 64,
        "batch": 64,
        "beta1": 0.0,
        "beta2": 0.99,
    }
    settings: AdversarialSettings

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: AdversarialSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        self.objective = objectives.get(settings.objective)
        self.generator: nn.Sequential
        self.discriminator: nn.Sequential
        if len(event_shape) == 1:
            (d,) = event_shape
            width, depth = settings.width, settings.depth
            self.generator = nets.mlp(settings.latent, d, width=width, depth=depth)
            self.discriminator = nets.mlp(d, 1, width=width, depth=depth)
        else:
            self.generator = nets.dcgan_generator(
                settings.latent, event_shape, width=settings.width
            )
            self.discriminator = nets.dcgan_discriminator(event_shape, width=settings.width)
        self.average = averaged(self.generator, settings.averaging)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the two players; the average only ever samples."""
        super().train(mode)
        self.average.eval()
        return self

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        steps = steps or s.steps
        optimiser_d = self._optimiser(self.discriminator, s.lr_discriminator)
        optimiser_g = self._optimiser(self.generator, s.lr_generator)
        schedules = [CosineAnnealingLR(o, steps) for o in (optimiser_d, optimiser_g)]
        m = s.batch

        def step(i: int) -> dict[str, Tensor]:
            k = s.discriminator_steps + (s.head_start if i == 0 else 0)
            # The indices and the noise of all k + 1 player steps are drawn at once.
            index = torch.randint(len(x), (k, m), generator=generator, device=x.device)
            z = self.noise(k + 1, m, s.latent, generator=generator)
            for real, noise in zip(x[index], z, strict=False):
                loss_d = self.discriminator_step(real, noise, optimiser_d)
            loss_g = self.generator_step(z[k], optimiser_g)
            for schedule in schedules:
                schedule.step()
            self.average.update_parameters(self.generator)
            return {"discriminator": loss_d, "generator": loss_g}

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

    def _optimiser(self, network: nn.Module, lr: float) -> torch.optim.Optimizer:
        s = self.settings
        if s.optimiser == "adam":
            return adam(network, lr, betas=(s.beta1, s.beta2))
        return momentum(network, lr, beta=s.beta1)

    def discriminator_step(
        self, real: Tensor, z: Tensor, optimiser: torch.optim.Optimizer
    ) -> Tensor:
        """Improve the discriminator on a batch of real samples and of noise; return its loss."""
        with torch.no_grad():
            fake = self.generator(z)
        logits_real, logits_fake = self.discriminator(torch.cat([real, fake])).split(len(real))
        loss = self.objective.critic_loss(logits_real, logits_fake)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    def generator_step(self, z: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
        """Improve the generator on a batch of noise; return its loss."""
        with nets.frozen(self.discriminator):
            loss = self.objective.generator_loss(self.discriminator(self.generator(z)))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
        optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = G(z) from the averaged generator."""
        positive(n, "n", integer=True)
        return self.average(self.noise(n, self.settings.latent, generator=generator))
