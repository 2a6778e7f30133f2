"""Autoencoders: an encoder, a decoder, and what all models built on such a pair share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gencourse import nets
from gencourse._validate import not_negative, points, positive
from gencourse.data.augmentation import jitter
from gencourse.models.base import GenerativeModel
from gencourse.training import History, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["Autoencoder", "AutoencoderSettings", "LatentModel"]

BLOCK = 2048  # samples that a network makes together
TRACKING = 0.02  # rate of the running mean and variance of the codes


@dataclass(frozen=True)
class AutoencoderSettings:
    """Hyperparameters of an encoder, a decoder, and their training.

    Attributes
    ----------
    latent : int
        Dimension of the codes.
    width, depth : int
        Hidden units and layers of both networks; for images, channels of the finest feature
        map and fully connected layers, see :func:`gencourse.nets.encoder`.
    batch : int
        Samples in each step.
    lr : float
        Learning rate of the first step; it follows a cosine down to 0 at the last.
    steps : int
        Steps of a full training run.
    jitter : float
        How far half of the images of a batch are turned, stretched and shifted at random, see
        :func:`gencourse.data.augmentation.jitter`; 0 leaves them alone. Points always are.
    """

    latent: int = 2
    width: int = 128
    depth: int = 3
    batch: int = 256
    lr: float = 1e-3
    steps: int = 3000
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("latent", "width", "depth", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        positive(self.lr, "lr")
        not_negative(self.jitter, "jitter")


class LatentModel(GenerativeModel):
    """A model with an encoder, from samples to codes, and a decoder, from codes to samples.

    Attributes
    ----------
    encoder, decoder : nn.Sequential
        The two networks; see :func:`gencourse.nets.encoder` and
        :func:`gencourse.nets.decoder`.
    """

    Settings = AutoencoderSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {"latent": 16, "width": 32, "batch": 128}
    settings: AutoencoderSettings

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: AutoencoderSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        sizes = {"width": settings.width, "depth": settings.depth}
        self.encoder = nets.encoder(event_shape, self.encoder_outputs(), **sizes)
        self.decoder = nets.decoder(
            settings.latent, event_shape, **sizes, bounded=self.decoder_is_bounded()
        )

    def encoder_outputs(self) -> int:
        """Return how many numbers the encoder gives for each sample: by default one code."""
        return self.settings.latent

    def decoder_is_bounded(self) -> bool:
        """Return whether the pixels that the decoder gives lie in [-1, 1]."""
        return True

    def encode(self, x: Tensor) -> Tensor:
        r"""Return the code of each sample.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
            Any floating dtype.

        Returns
        -------
        Tensor of shape (n, latent)
            Computed in the precision of the weights, in the dtype of ``x``, differentiable.

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, or of another shape.
        """
        x = points(x, "x", self.event_shape)
        return self.encoder(self._as_weights(x)).to(x)

    def decode(self, z: Tensor) -> Tensor:
        r"""Return the sample of each code, shape ``(n, *event_shape)``, in the dtype of ``z``.

        Parameters
        ----------
        z : Tensor of shape (n, latent)

        Raises
        ------
        ValueError
            If ``z`` is empty, not finite, or of another shape.
        """
        z = points(z, "z", (self.settings.latent,))
        return self.decoder(self._as_weights(z)).to(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return what is left of each sample after encoding and decoding, in its own shape."""
        return self.decode(self.encode(x))

    def _jittered(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a batch as training sees it: ``settings.jitter`` moves the images in it."""
        if len(self.event_shape) == 1:
            return x
        return jitter(x, self.settings.jitter, generator=generator)

    def _as_weights(self, x: Tensor) -> Tensor:
        """Bring a tensor to the device and the precision of the networks."""
        return x.to(next(self.decoder.parameters()))

    def _generate(self, z: Tensor) -> Tensor:
        """Decode any number of codes, a block at a time."""
        return torch.cat([self.decode(block) for block in z.split(BLOCK)])


class Autoencoder(LatentModel):
    r"""Encoder E and decoder G with the least reconstruction error E‖x - G(E(x))‖² (deck C).

    It reconstructs, and does not generate. Nothing says which codes the data use: ``sample``
    decodes Gaussian noise of the codes' mean and variance, the best guess that two moments
    allow, and most of it lands where the decoder has never been. The other systems of this
    family each mend that: ``vae`` and ``wae-mmd`` shape the law of the codes in training,
    ``ae-ot`` transports noise onto it afterwards.

    Attributes
    ----------
    code_mean, code_variance : Tensor of shape (latent,)
        Running moments of the codes.

    References
    ----------
    G. E. Hinton & R. R. Salakhutdinov 2006, *Reducing the dimensionality of data with neural
    networks*.
    """

    code_mean: Tensor
    code_variance: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: AutoencoderSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        self.register_buffer("code_mean", torch.zeros(settings.latent))
        self.register_buffer("code_variance", torch.ones(settings.latent))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings

        def loss(batch: Tensor) -> Tensor:
            batch = self._jittered(batch, generator)
            z = self.encoder(batch)
            self._track(z.detach())
            return (batch - self.decoder(z)).square().flatten(1).sum(1).mean()

        return minimise(
            loss,
            self,
            x,
            steps=steps or s.steps,
            batch=s.batch,
            lr=s.lr,
            generator=generator,
            state={"model": self},
            description=self.system.slug,
            **loop,
        )

    def _track(self, z: Tensor) -> None:
        """Move the running moments a little towards those of a batch of codes."""
        offset = z.mean(0) - self.code_mean
        spread = (z - self.code_mean).square().mean(0)  # about the old mean
        self.code_mean += TRACKING * offset
        self.code_variance += TRACKING * (spread - self.code_variance - TRACKING * offset.square())

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples G(z), with z Gaussian of the mean and variance of the codes."""
        positive(n, "n", integer=True)
        noise = self.noise(n, self.settings.latent, generator=generator)
        return self._generate(self.code_mean + self.code_variance.clamp_min(0).sqrt() * noise)
