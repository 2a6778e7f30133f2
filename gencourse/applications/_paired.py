"""Learning from pairs of images: the game that three applications share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets, objectives
from gencourse._device import device as choose_device
from gencourse._validate import at_most_one, below_one, not_negative, points, positive
from gencourse.applications._trainable import Trainable
from gencourse.training import Accelerator, History, Stateful, adam, averaged, descend

__all__ = ["PairedModel", "PairedSettings"]

BLOCK = 512  # images that the generator makes together


@dataclass(frozen=True)
class PairedSettings:
    """Hyperparameters of a network from source to target images.

    Attributes
    ----------
    objective : str or None
        Entry of :data:`gencourse.objectives.OBJECTIVES` that the generator and the critic of
        patches play; ``None`` leaves the pixel loss alone.
    pixel : "l1" or "l2"
        Mean absolute or squared difference of pixels from the target. Alone, the one is least
        at the median of all targets that fit the source, the other at their mean.
    pixel_weight : float
        λ, of the pixel loss against the adversarial one; 0 leaves the game alone.
    noise : int
        Dimension of z, of which each draw gives another answer to the same source; 0 for one
        answer.
    width, depth : int
        Features and residual blocks of the generator.
    critic_width : int
        Features of the critic's first layer.
    batch : int
        Pairs in each step.
    lr_generator, lr_discriminator : float
        Learning rates of Adam, decayed to 0 along a cosine.
    beta1, beta2 : float
        Adam's decay rates.
    averaging : float
        Rate of the moving average of the generator's weights that is used; 1 means none.
    steps : int
        Training steps.
    """

    objective: str | None = "gan"
    pixel: str = "l1"
    pixel_weight: float = 10.0
    noise: int = 0
    width: int = 32
    depth: int = 2
    critic_width: int = 32
    batch: int = 32
    lr_generator: float = 1e-3
    lr_discriminator: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.99
    averaging: float = 0.01
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.objective is not None:
            objectives.get(self.objective)
        if self.pixel not in ("l1", "l2"):
            raise ValueError(f"pixel must be 'l1' or 'l2', not {self.pixel!r}")
        for name in ("width", "depth", "critic_width", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("lr_generator", "lr_discriminator", "averaging"):
            positive(getattr(self, name), name)
        not_negative(self.pixel_weight, "pixel_weight")
        if isinstance(self.noise, bool) or not isinstance(self.noise, int) or self.noise < 0:
            raise ValueError(f"noise must be a whole number from 0, not {self.noise!r}")
        for name in ("beta1", "beta2"):
            below_one(getattr(self, name), name)
        if self.objective is None and self.pixel_weight == 0:
            raise ValueError("without an objective and with pixel_weight 0 there is no loss")
        at_most_one(self.averaging, "averaging")


class PairedModel(Trainable):
    r"""A generator y ≈ G(x, z), and a critic D(x, y) that tells true pairs from made ones.

    With a pixel loss of weight λ they play, as in pix2pix (Isola, Zhu, Zhou & Efros 2017,
    equation 4),

        D minimises  L_D(D(x, y), D(x, G(x, z))),
        G minimises  L_G(D(x, G(x, z))) + λ mean abs (y - G(x, z)),

    with the losses L_D and L_G of ``settings.objective``.

    Attributes
    ----------
    generator : nn.Module
        G, of the source with z beside it as channels of one value each.
    discriminator : nn.Sequential or None
        D, a logit for each patch; see :func:`gencourse.nets.patch_discriminator`.
    average : AveragedModel
        The generator with averaged weights, which is used after training.
    """

    Settings = PairedSettings
    settings: PairedSettings

    def __init__(
        self,
        source_shape: tuple[int, ...],
        target_shape: tuple[int, ...],
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        **hyperparameters: Any,
    ) -> None:
        super().__init__(hyperparameters)
        for name, shape in {"source": source_shape, "target": target_shape}.items():
            if len(shape) != 3:
                raise ValueError(
                    f"{name} images must have shape (channels, height, width), not {tuple(shape)}"
                )
        self.source_shape, self.target_shape = tuple(source_shape), tuple(target_shape)
        s = self.settings
        with nets.weights_from(seed):
            self.generator = self._generator()
            self.discriminator = None
            if s.objective is not None:
                channels = source_shape[0] + target_shape[0]
                self.discriminator = nets.patch_discriminator(channels, width=s.critic_width)
        self.average = averaged(self.generator, s.averaging)
        self.to(choose_device(device)).eval()

    def _generator(self) -> nn.Module:
        """Make G: by default a U-Net, for source and target of the same size."""
        s = self.settings
        channels, *size = self.source_shape
        if tuple(size) != self.target_shape[1:]:
            raise ValueError(
                f"source and target must have the same size, not {self.source_shape} and "
                f"{self.target_shape}"
            )
        shape = (channels + s.noise, *size)
        return nets.UNet(shape, self.target_shape[0], width=s.width, depth=s.depth)

    def _made(self, generator: nn.Module, x: Tensor, z: Tensor) -> Tensor:
        """G(x, z): what the generator makes of a source, on which subclasses may impose facts."""
        return generator(torch.cat([x, z[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1))

    def _judged(self, x: Tensor, y: Tensor) -> Tensor:
        """D(x, y): the logits of patches of source and target together."""
        assert self.discriminator is not None
        if x.shape[2:] != y.shape[2:]:
            x = F.interpolate(x, size=y.shape[2:], mode="nearest")
        return self.discriminator(torch.cat([x, y], dim=1))

    def _fit(
        self,
        x: Tensor,
        y: Tensor,
        *,
        steps: int | None,
        seed: int,
        precision: str | None = None,
        compile: bool | str = False,
        **loop: Any,
    ) -> History:
        """Train on sources ``x`` and their targets ``y``, on the device that trains."""
        s = self.settings
        if steps is not None:
            positive(steps, "steps", integer=True)
        steps = steps or s.steps
        accelerator = Accelerator.of(self.device, precision=precision, compile=compile)
        own_seed = accelerator.processes.seed(seed)
        generator = torch.Generator(self.device).manual_seed(own_seed)
        betas = (s.beta1, s.beta2)
        players = [self.generator]
        optimiser_g = adam(self.generator, s.lr_generator, betas=betas)
        state: dict[str, Stateful] = {"optimiser_g": optimiser_g}
        schedules = [CosineAnnealingLR(optimiser_g, steps)]
        if self.discriminator is not None:
            players.append(self.discriminator)
            optimiser_d = adam(self.discriminator, s.lr_discriminator, betas=betas)
            state["optimiser_d"] = optimiser_d
            schedules.append(CosineAnnealingLR(optimiser_d, steps))
        state |= {f"schedule {i}": schedule for i, schedule in enumerate(schedules)}
        difference = F.l1_loss if s.pixel == "l1" else F.mse_loss
        objective = None if s.objective is None else objectives.get(s.objective)

        def step(i: int) -> dict[str, Tensor]:
            index = torch.randint(len(x), (s.batch,), generator=generator, device=x.device)
            source, target = x[index], y[index]
            made = self._made(
                self.generator, source, self.noise(s.batch, s.noise, generator=generator)
            )
            measured: dict[str, Tensor] = {}
            loss = made.new_zeros(())
            if self.discriminator is not None and objective is not None:
                # Both players look at the same fakes, so that the generator runs once.
                both = torch.cat([target, made.detach()])
                real, fake = self._judged(source.repeat(2, 1, 1, 1), both).split(s.batch)
                loss_d = objective.critic_loss(real, fake)
                descend(loss_d, optimiser_d)
                measured["discriminator"] = loss_d.detach()
                with nets.frozen(self.discriminator):
                    loss = objective.generator_loss(self._judged(source, made))
                measured["generator"] = loss.detach()
            if s.pixel_weight:
                pixel = difference(made, target)
                loss = loss + s.pixel_weight * pixel
                measured["pixel"] = pixel.detach()
            descend(loss, optimiser_g)
            for schedule in schedules:
                schedule.step()
            self.average.update_parameters(self.generator)
            return measured

        return self._train(
            step,
            players=players,
            accelerator=accelerator,
            data=(x, y),
            seed=seed,
            steps=steps,
            state=state,
            generator=generator,
            **loop,
        )

    @torch.no_grad()
    def generate(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        r"""Return G(x, z) of each source, with the averaged weights and a z for each.

        Parameters
        ----------
        x : Tensor of shape (n, \*source_shape)
            In [-1, 1].
        generator : torch.Generator, optional
            Source of z, on any device; the default is torch's global one.

        Returns
        -------
        Tensor of shape (n, \*target_shape)
            In [-1, 1], of the dtype and on the device of ``x``.

        Raises
        ------
        ValueError
            If the images are empty, not finite, or of another shape.
        """
        points(x, "the images", self.source_shape)
        weights = next(self.generator.parameters())
        z = self.noise(len(x), self.settings.noise, generator=generator)
        blocks = zip(x.to(weights).split(BLOCK), z.to(weights).split(BLOCK), strict=True)
        made = [self._made(self.average, source, noise).clamp(-1, 1) for source, noise in blocks]
        return torch.cat(made).to(x)
