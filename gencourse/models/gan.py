"""Generative adversarial nets: Algorithm 1 of Goodfellow et al. (2014), for any objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets, objectives
from gencourse._validate import at_most_one, below_one, not_negative, positive
from gencourse.data.augmentation import jitter
from gencourse.models.base import GenerativeModel
from gencourse.objectives import Turn
from gencourse.training import History, Stateful, adam, averaged, descend, momentum, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["AdversarialModel", "AdversarialSettings", "critic_network"]

SPREAD = 3.0  # of the centres of clustered noise, in standard deviations of a cluster


@dataclass(frozen=True)
class AdversarialSettings:
    """Hyperparameters of an adversarial model.

    Attributes
    ----------
    objective : str
        Entry of :data:`gencourse.objectives.OBJECTIVES` that both players minimise.
    latent : int
        Dimension of the noise z ~ N(0, I).
    components : int
        With more than one, z ~ N(c, I) around one of so many centres, drawn once from N(0, 9 I). A
        continuous map of connected noise leaves mass between the modes of the data; noise in
        clusters need not (Ben-Yosef & Weinshall 2018, *Gaussian mixture GANs*).
    width, depth : int
        Hidden units and layers of the networks; for images, channels (``depth`` follows
        from the image's size).
    batch : int
        Real samples, and fakes, in each step.
    features : int
        Numbers that a critic of features returns for a sample, or length of the code of a critic
        that is an autoencoder; other critics return one number.
    normalised : bool
        Whether the critic of images normalises its feature maps over the batch, as that of DCGAN
        does. Critics of points never do.
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
    weight : float
        λ of the objective's regulariser, where it has one.
    bound : float
        Of the objective's constraint, where it has one: greatest weight when clipping, Lipschitz
        constant of the critic with spectral normalisation.
    clip_gradient : float, optional
        Greatest norm of each player's gradient; longer ones are scaled down to it.
    jitter : float
        By how much images, real and fake, are moved about before the critic sees them; see
        :func:`gencourse.data.augmentation.jitter`. With few images the critic would otherwise
        know them by heart (Zhao et al. 2020).
    averaging : float
        Rate of the moving average of the generator's weights that samples are drawn from;
        1 means no averaging.
    steps : int
        Generator steps of a full training run.
    """

    objective: str = "gan"
    latent: int = 2
    components: int = 1
    width: int = 128
    depth: int = 3
    batch: int = 256
    features: int = 16
    normalised: bool = False
    discriminator_steps: int = 1
    head_start: int = 0
    optimiser: str = "adam"
    lr_discriminator: float = 1e-3
    lr_generator: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.9
    weight: float = 1.0
    bound: float = 1.0
    clip_gradient: float | None = None
    jitter: float = 0.0
    averaging: float = 0.005
    steps: int = 4000

    def __post_init__(self) -> None:
        objectives.get(self.objective)
        if self.optimiser not in ("adam", "momentum"):
            raise ValueError(f"optimiser must be 'adam' or 'momentum', not {self.optimiser!r}")
        for name in ("latent", "components", "width", "depth", "batch", "features", "steps"):
            positive(getattr(self, name), name, integer=True)
        positive(self.discriminator_steps, "discriminator_steps", integer=True)
        for name in ("lr_discriminator", "lr_generator", "averaging", "weight", "bound"):
            positive(getattr(self, name), name)
        if self.clip_gradient is not None:
            positive(self.clip_gradient, "clip_gradient")
        not_negative(self.jitter, "jitter")
        if isinstance(self.head_start, bool) or not isinstance(self.head_start, int):
            raise ValueError(f"head_start must be a whole number, not {self.head_start!r}")
        if self.head_start < 0:
            raise ValueError(f"head_start must not be negative, but is {self.head_start}")
        for name in ("beta1", "beta2"):
            below_one(getattr(self, name), name)
        at_most_one(self.averaging, "averaging")


def critic_network(
    kind: str, event_shape: tuple[int, ...], settings: AdversarialSettings
) -> nn.Module:
    """Build the critic that an objective asks for: fully connected or, for images, convolutional.

    See :class:`gencourse.objectives.Objective` for the kinds.
    """
    width, depth = settings.width, settings.depth
    if kind == "autoencoder":
        return nets.AutoencoderCritic(event_shape, settings.features, width=width, depth=depth)
    if kind == "energy":
        return nets.energy_network(event_shape, width=width, depth=depth)
    outputs = settings.features if kind == "features" else 1
    if len(event_shape) == 1:
        return nets.mlp(event_shape[0], outputs, width=width, depth=depth)
    return nets.dcgan_discriminator(
        event_shape, outputs, width=width, normalised=settings.normalised
    )


class AdversarialModel(GenerativeModel):
    """A generator and a discriminator that learn by playing against each other.

    Attributes
    ----------
    generator : nn.Sequential
        G: noise z of shape ``(n, latent)`` to samples of shape ``(n, *event_shape)``.
    discriminator : nn.Module
        Samples to the critic's outputs, such as logits of shape ``(n, 1)``; :meth:`critic` turns
        them into what the paper calls D(x).
    average : AveragedModel
        The generator with averaged weights; ``sample`` draws from it.
    """

    Settings = AdversarialSettings
    # Convolutional networks, noise in clusters and more of it, images that are moved about,
    # smaller batches, no momentum.
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "latent": 32,
        "components": 100,
        "jitter": 0.1,
        "width": 64,
        "batch": 64,
        "beta1": 0.0,
        "beta2": 0.99,
        "steps": 6000,
    }
    settings: AdversarialSettings
    centres: Tensor

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> AdversarialSettings:
        """Return the settings for this kind of data and this objective."""
        objective = objectives.get(given.get("objective", AdversarialSettings.objective))
        if len(event_shape) == 1:
            return AdversarialSettings(**{**objective.settings, **given})
        defaults = {**cls.IMAGE_DEFAULTS, **objective.settings, **objective.image_settings}
        return AdversarialSettings(**{**defaults, **given})

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: AdversarialSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        self.objective = objective = objectives.get(settings.objective)
        width, depth = settings.width, settings.depth
        self.generator: nn.Sequential
        if len(event_shape) == 1:
            self.generator = nets.mlp(settings.latent, event_shape[0], width=width, depth=depth)
        else:
            self.generator = nets.dcgan_generator(settings.latent, event_shape, width=width)
        self.discriminator = critic_network(objective.critic, event_shape, settings)
        self.regulariser = objective.regulariser and objective.regulariser(settings.weight)
        self.constraint = objective.constraint and objective.constraint(settings.bound)
        if self.constraint is not None:
            self.constraint.prepare(self.discriminator)
        self.average = averaged(self.generator, settings.averaging)
        if settings.components > 1:
            centres = SPREAD * torch.randn(settings.components, settings.latent)
            self.register_buffer("centres", centres)
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
        follow = self.average.following(self.generator)
        m = s.batch

        def step(i: int) -> dict[str, Tensor]:
            k = s.discriminator_steps + (s.head_start if i == 0 else 0)
            # The indices and the noise of all k + 1 player steps are drawn at once.
            batches = k + ("real" in self.objective.generator_needs)
            index = torch.randint(len(x), (batches, m), generator=generator, device=x.device)
            z = self.draw_noise(k + 1, m, generator=generator)
            for j in range(k):
                loss_d = self.discriminator_step(x[index[j]], z[j], optimiser_d, generator)
            real = x[index[k]] if batches > k else None
            loss_g = self.generator_step(z[k], optimiser_g, generator, real=real)
            for schedule in schedules:
                schedule.step()
            follow()
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

    def compilable(self) -> list[nn.Module]:
        """Return the players, without a critic whose slope is regularised."""
        if self.regulariser is not None and self.regulariser.twice_differentiable:
            return [self.generator]
        return [self.generator, self.discriminator]

    def seen(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Samples as the critic sees them: images are moved about a little."""
        return jitter(x, self.settings.jitter, generator=generator) if x.ndim > 2 else x

    def turn(self, real: Tensor, fake: Tensor, generator: torch.Generator | None = None) -> Turn:
        """Show the critic real and fake samples, and collect what it says of them."""
        with torch.no_grad():
            real, fake = self.seen(torch.cat([real, fake]), generator).split(len(real))
        if self.settings.normalised:  # over a batch: neither may see the other's statistics
            at_real, at_fake = self.discriminator(real), self.discriminator(fake)
        else:
            at_real, at_fake = self.discriminator(torch.cat([real, fake])).split(len(real))
        return Turn(self.discriminator, real, fake, at_real, at_fake, generator)

    def discriminator_step(
        self,
        real: Tensor,
        z: Tensor,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Improve the discriminator on a batch of real samples and of noise; return its loss."""
        with torch.no_grad():
            fake = self.generator(z)
        turn = self.turn(real, fake, generator)
        loss = self.objective.critic_loss(turn.at_real, turn.at_fake)
        if self.regulariser is not None:
            loss = self.regulariser(loss, turn)
        descend(loss, optimiser, clip=self.settings.clip_gradient)
        if self.constraint is not None:
            self.constraint.enforce(self.discriminator)
        return loss.detach()

    def generator_step(
        self,
        z: Tensor,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator | None = None,
        *,
        real: Tensor | None = None,
    ) -> Tensor:
        """Improve the generator on a batch of noise; return its loss.

        Objectives that compare with real samples need some of those too.
        """
        with nets.frozen(self.discriminator):
            fake = self.seen(self.generator(z), generator)
            more = self.needed(fake, real, generator)
            loss = self.objective.generator_loss(self.discriminator(fake), *more)
            descend(loss, optimiser, clip=self.settings.clip_gradient)
        return loss.detach()

    def needed(
        self, fake: Tensor, real: Tensor | None, generator: torch.Generator | None
    ) -> list[Tensor]:
        """What the generator's loss needs besides the critic's outputs on the fakes."""
        found = {"samples": fake}
        if real is not None:
            found["real"] = self.discriminator(self.seen(real, generator))
        return [found[name] for name in self.objective.generator_needs]

    def critic(self, x: Tensor) -> Tensor:
        r"""What the critic says of samples: D(x), T(x) or f(x), as its paper calls it.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)

        Returns
        -------
        Tensor of shape (n, outputs), or (n,) for the energy of an autoencoder
        """
        return self.objective.activation(self.discriminator(x))

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = G(z) from the averaged generator."""
        positive(n, "n", integer=True)
        return self.average(self.draw_noise(n, generator=generator))

    def draw_noise(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw z for the generator, of shape ``(*shape, latent)``."""
        z = self.noise(*shape, self.settings.latent, generator=generator)
        if self.settings.components == 1:
            return z
        u = self.uniform(*shape, generator=generator)
        return z + self.centres[(u * self.settings.components).long()]
