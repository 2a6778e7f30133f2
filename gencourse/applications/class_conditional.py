"""Images of a class that one asks for: a conditional adversarial net (deck D)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets, objectives
from gencourse._device import device as choose_device
from gencourse._validate import at_most_one, below_one, positive
from gencourse.applications._trainable import Trainable
from gencourse.data.base import ImageDataset
from gencourse.training import Accelerator, History, adam, averaged, descend, resident

__all__ = ["ConditionalGAN", "ProjectionDiscriminator", "class_conditional"]

BLOCK = 1024  # images that the generator makes together


class ProjectionDiscriminator(nn.Module):
    """Is x real, and does it belong to class y? D(x, y) = ψ(φ(x)) + e_yᵀ φ(x).

    For an optimal D the logit is log p(x, y) / q(x, y), which falls apart into the ratio of the
    images' densities and that of the classes given the image. If log p(y | x) is linear in
    features φ(x), so is the second ratio (Miyato & Koyama 2018, section 3).

    Parameters
    ----------
    event_shape : (channels, size, size)
        Of the images.
    classes : int
        Number of classes.
    width : int
        Features of the first layer; see :func:`gencourse.nets.dcgan_discriminator`.
    """

    def __init__(self, event_shape: tuple[int, ...], classes: int, *, width: int = 64) -> None:
        super().__init__()
        *layers, ψ = nets.dcgan_discriminator(event_shape, width=width)
        assert isinstance(ψ, nn.Linear)
        self.φ, self.ψ = nn.Sequential(*layers), ψ
        self.e = nn.Embedding(classes, ψ.in_features)
        nn.init.normal_(self.e.weight, 0.0, 0.02)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the logits of images ``(n, *event_shape)`` and classes ``(n,)``, ``(n, 1)``."""
        φ = self.φ(x)
        return self.ψ(φ) + (self.e(y) * φ).sum(1, keepdim=True)


@dataclass(frozen=True)
class ConditionalSettings:
    """Hyperparameters of a conditional adversarial net.

    Attributes
    ----------
    objective : str
        Entry of :data:`gencourse.objectives.OBJECTIVES` that both players minimise.
    latent : int
        Dimension of the noise z ~ N(0, I).
    width : int
        Channels of the networks.
    batch : int
        Real images, and fakes, in each step.
    lr : float
        Learning rate of both players' Adam, decayed to 0 along a cosine.
    beta1, beta2 : float
        Adam's decay rates.
    averaging : float
        Rate of the moving average of the generator's weights that images are drawn from.
    steps : int
        Training steps.
    """

    objective: str = "gan"
    latent: int = 32
    width: int = 64
    batch: int = 64
    lr: float = 1e-3
    beta1: float = 0.0
    beta2: float = 0.99
    averaging: float = 0.005
    steps: int = 1500

    def __post_init__(self) -> None:
        objectives.get(self.objective)
        for name in ("latent", "width", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("lr", "averaging"):
            positive(getattr(self, name), name)
        for name in ("beta1", "beta2"):
            below_one(getattr(self, name), name)
        at_most_one(self.averaging, "averaging")


class ConditionalGAN(Trainable):
    r"""G(z, y) draws an image of class y, and D(x, y) tells labelled images from made ones.

    Both players see the class, and play the game of the unconditional net with it (Mirza &
    Osindero 2014, equation 2): at its solution G(·, y) draws from p(x | y). The generator gets
    the class as a one-hot vector beside the noise, which makes its first layer an embedding; the
    discriminator by projection.

    Parameters
    ----------
    event_shape : (channels, size, size)
        Of the images.
    classes : int
        Number of classes.
    seed : int
        Seed of the initial weights.
    device : str or torch.device, optional
        Where to compute; by default where :func:`gencourse.device` says.
    **hyperparameters
        See :class:`ConditionalSettings`.

    Attributes
    ----------
    generator : nn.Sequential
        G, of z and the one-hot class.
    discriminator : ProjectionDiscriminator
        D.
    average : AveragedModel
        The generator with averaged weights.

    Raises
    ------
    ValueError
        If a hyperparameter is unknown or out of range, or the images cannot be halved to a few
        pixels.
    """

    Settings = ConditionalSettings
    settings: ConditionalSettings

    def __init__(
        self,
        event_shape: tuple[int, ...],
        classes: int,
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        **hyperparameters: Any,
    ) -> None:
        super().__init__(hyperparameters)
        positive(classes, "classes", integer=True)
        self.event_shape, self.classes = tuple(event_shape), classes
        s = self.settings
        with nets.weights_from(seed):
            self.generator = nets.dcgan_generator(s.latent + classes, event_shape, width=s.width)
            self.discriminator = ProjectionDiscriminator(event_shape, classes, width=s.width)
        self.average = averaged(self.generator, s.averaging)
        self.to(choose_device(device)).eval()

    def conditioned(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the generator's input: noise ``(n, latent)`` with one-hot classes beside it."""
        return torch.cat([z, F.one_hot(y, self.classes).to(z)], dim=1)

    def fit(
        self,
        data: ImageDataset | tuple[Tensor, Tensor],
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: bool = True,
        precision: str | None = None,
        compile: bool | str = False,
        **loop: Any,
    ) -> History:
        r"""Train on labelled images.

        Parameters
        ----------
        data : ImageDataset, or (images, labels)
            Images of shape ``(n, \*event_shape)`` in [-1, 1] and int64 labels of shape ``(n,)``;
            of a data set, its training images.
        steps, seed, progress, precision, compile
            As in :meth:`gencourse.models.GenerativeModel.fit`.
        **loop
            Its other arguments: ``checkpoint``, ``callback``, ….

        Raises
        ------
        ValueError
            If images or labels have the wrong shape, or a label has no class.
        """
        if steps is not None:
            positive(steps, "steps", integer=True)
        if isinstance(data, ImageDataset):
            images, labels = data.images("train"), data.labels("train")
        else:
            images, labels = data
        x = resident(images, self.event_shape, self.device, seed)
        y = self._labels(labels)
        if len(x) != len(y):
            raise ValueError(f"there are {len(x)} images, but {len(y)} labels")
        s = self.settings
        steps = steps or s.steps
        accelerator = Accelerator.of(self.device, precision=precision, compile=compile)
        own_seed = accelerator.processes.seed(seed)
        generator = torch.Generator(self.device).manual_seed(own_seed)
        objective = objectives.get(s.objective)
        betas = (s.beta1, s.beta2)
        optimiser_d = adam(self.discriminator, s.lr, betas=betas)
        optimiser_g = adam(self.generator, s.lr, betas=betas)
        schedules = [CosineAnnealingLR(o, steps) for o in (optimiser_d, optimiser_g)]

        def step(i: int) -> dict[str, Tensor]:
            index = torch.randint(len(x), (s.batch,), generator=generator, device=x.device)
            real, classes = x[index], y[index]
            # Fakes are made for the classes of the batch, so that classes tell nothing alone.
            z = self.noise(s.batch, s.latent, generator=generator)
            fake = self.generator(self.conditioned(z, classes))
            both = torch.cat([real, fake.detach()])
            on_real, on_fake = self.discriminator(both, classes.repeat(2)).split(s.batch)
            loss_d = objective.critic_loss(on_real, on_fake)
            descend(loss_d, optimiser_d)
            with nets.frozen(self.discriminator):
                loss_g = objective.generator_loss(self.discriminator(fake, classes))
            descend(loss_g, optimiser_g)
            for schedule in schedules:
                schedule.step()
            self.average.update_parameters(self.generator)
            return {"discriminator": loss_d.detach(), "generator": loss_g.detach()}

        return self._train(
            step,
            players=[self.generator, self.discriminator],
            accelerator=accelerator,
            data=(x, y),
            seed=seed,
            steps=steps,
            state={
                "optimiser_d": optimiser_d,
                "optimiser_g": optimiser_g,
                "schedule_d": schedules[0],
                "schedule_g": schedules[1],
            },
            generator=generator,
            progress=progress,
            **loop,
        )

    def _labels(self, labels: Tensor) -> Tensor:
        """Check labels, and bring them to the networks."""
        if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(
                f"labels must be whole numbers of shape (n,), not {labels.dtype} of shape "
                f"{tuple(labels.shape)}"
            )
        if len(labels) == 0:
            raise ValueError("labels are empty")
        if not 0 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ValueError(f"labels must be classes from 0 to {self.classes - 1}")
        return labels.to(device=self.device, dtype=torch.int64)

    @torch.no_grad()
    def generate(self, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw an image of each class in ``labels``; see :func:`class_conditional`."""
        y = self._labels(labels)
        z = self.conditioned(self.noise(len(y), self.settings.latent, generator=generator), y)
        return torch.cat([self.average(block) for block in z.split(BLOCK)])


def class_conditional(
    model: ConditionalGAN, labels: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    r"""Draw images of the classes that are asked for.

    Parameters
    ----------
    model : ConditionalGAN
        Trained.
    labels : Tensor of shape (n,), int64
        A class for each image.
    generator : torch.Generator, optional
        Source of the noise, on any device.

    Returns
    -------
    Tensor of shape (n, \*event_shape)
        In [-1, 1], on the model's device.

    Raises
    ------
    ValueError
        If the labels are no classes.
    """
    return model.generate(labels, generator=generator)
