"""Wasserstein autoencoders (Tolstikhin, Bousquet, Gelly & Schölkopf 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets
from gencourse._validate import below_one, points, positive
from gencourse.metrics.kernels import imq
from gencourse.models.autoencoder import BLOCK, AutoencoderSettings, LatentModel
from gencourse.training import History, Stateful, adam, averaged, descend, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["WassersteinAutoencoder", "WassersteinSettings", "code_mmd"]

PAPER_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class WassersteinSettings(AutoencoderSettings):
    """Hyperparameters of a Wasserstein autoencoder.

    Attributes
    ----------
    latent, width, depth, batch, lr, steps, jitter
        As in :class:`gencourse.models.autoencoder.AutoencoderSettings`.
    penalty : "mmd" or "gan"
        How far the law of the codes is from N(0, I): by the maximum mean discrepancy, or by a
        discriminator that plays against the encoder.
    weight : float
        λ, of that penalty beside the squared reconstruction error; the paper has 10.
    encoder_noise : int
        Random numbers that the encoder of points gets beside each sample; 0 makes it
        deterministic. With some, the codes of a narrow mode spread over a wide region, and
        leave no gaps between modes for noise from the prior to fall into.
    scales : sequence of float
        s of the kernel Σ_s C/(C + d²), C = 2 s latent, of the MMD. Those of the paper are
        0.1, 0.2, 0.5, 1, 2, 5, 10; smaller ones see smaller gaps between the codes.
    beta1, beta2 : float
        Adam's decay rates, for the autoencoder.
    discriminator_steps : int
        Steps of the discriminator for each one of the autoencoder.
    lr_discriminator : float
        Learning rate of the discriminator, decayed to 0 along a cosine.
    averaging : float
        Rate of the moving average of the decoder's weights that samples are drawn from; 1
        means no averaging.
    """

    width: int = 96
    depth: int = 5
    lr: float = 2e-3
    steps: int = 5000
    penalty: str = "mmd"
    weight: float = 100.0
    encoder_noise: int = 2
    scales: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    beta1: float = 0.9
    beta2: float = 0.999
    discriminator_steps: int = 2
    lr_discriminator: float = 2e-3
    averaging: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty not in ("mmd", "gan"):
            raise ValueError(f"penalty must be 'mmd' or 'gan', not {self.penalty!r}")
        for name in ("weight", "lr_discriminator", "averaging"):
            positive(getattr(self, name), name)
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")
        if self.penalty == "mmd" and self.batch < 2:
            raise ValueError("batch must be at least 2: an unbiased MMD compares pairs")
        positive(self.discriminator_steps, "discriminator_steps", integer=True)
        noise = self.encoder_noise
        if isinstance(noise, bool) or not isinstance(noise, int) or noise < 0:
            raise ValueError(f"encoder_noise must be a whole number from 0 on, not {noise!r}")
        if not isinstance(self.scales, list | tuple) or not self.scales:
            raise ValueError(f"scales must be one or more numbers, not {self.scales!r}")
        for scale in self.scales:
            positive(scale, "each of scales")
        object.__setattr__(self, "scales", tuple(self.scales))
        for name in ("beta1", "beta2"):
            below_one(getattr(self, name), name)


def code_mmd(z: Tensor, prior: Tensor, scales: Sequence[float] = PAPER_SCALES) -> Tensor:
    r"""Unbiased squared MMD between codes and draws from N(0, I), for training through it.

    The kernel is that of the paper, k(z, z') = Σ_s C/(C + ‖z - z'‖²) with C = 2 d s, and

    .. math:: \mathrm{MMD}^2 = \tfrac{1}{n(n-1)} \sum_{i \ne j} \big(k(z_i, z_j)
              + k(p_i, p_j)\big) - \tfrac{2}{n^2} \sum_{ij} k(z_i, p_j),

    in the precision of the codes and without looking at them; to measure, use
    :func:`gencourse.metrics.mmd`.

    Parameters
    ----------
    z, prior : Tensor of shape (n, d)
        At least two of each.
    scales : sequence of float
        s.

    Returns
    -------
    Tensor
        A scalar, which can be negative.
    """
    n, d = z.shape
    constants = [2 * d * s for s in scales]
    same = imq(z, z, constants) + imq(prior, prior, constants)
    # On the diagonals every kernel is 1: they are no pairs.
    within = (same.sum() - 2 * n * len(constants)) / (n * (n - 1))
    return within - 2 * imq(z, prior, constants).mean()


class WassersteinAutoencoder(LatentModel):
    r"""Encoder and decoder whose codes together have the law of the prior, Q(z) = N(0, I).

    .. math:: \min_{E, G}\; \mathbb{E}\, \|x - G(E(x))\|^2
              + \lambda\, D\big(Q, N(0, I)\big), \qquad Q \text{ the law of } E(x).

    If Q is the prior, the first term bounds W₂² between data and model from above (theorem 1
    of the paper). The VAE pulls the posterior of each sample towards the prior; here only
    their mixture has to match it.

    D is an MMD, or is played by a discriminator of codes. A random encoder, E(x, ε), lets
    narrow modes fill wide regions (P. Rubenstein, B. Schölkopf & I. Tolstikhin 2018, *On the
    latent space of Wasserstein auto-encoders*).

    Attributes
    ----------
    encoder, decoder : nn.Sequential
        Of points, the encoder takes ``encoder_noise`` random numbers beside each.
    discriminator : nn.Sequential
        For the penalty ``"gan"``: codes to logits of shape ``(n, 1)``, high for the prior's.
    average : AveragedModel
        The decoder with averaged weights; ``sample`` draws from it.

    References
    ----------
    I. Tolstikhin, O. Bousquet, S. Gelly & B. Schölkopf 2018, *Wasserstein auto-encoders*;
    deck C.
    """

    Settings = WassersteinSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "latent": 4,
        "width": 32,
        "depth": 4,
        "weight": 10.0,
        "encoder_noise": 0,
        "jitter": 0.1,
        "steps": 9000,
    }
    #: What differs for the penalty "gan", whose players do better without momentum.
    GAME_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-3,
        "weight": 3.0,
        "beta1": 0.0,
        "beta2": 0.9,
    }
    #: And of points.
    POINT_GAME_DEFAULTS: ClassVar[Mapping[str, Any]] = {"steps": 3500}
    settings: WassersteinSettings

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: WassersteinSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        if s.encoder_noise:
            if len(event_shape) == 3:
                raise ValueError("encoder_noise is for points; images have a deterministic encoder")
            inputs = (event_shape[0] + s.encoder_noise,)
            self.encoder = nets.encoder(inputs, s.latent, width=s.width, depth=s.depth)
        self.average = averaged(self.decoder, s.averaging)
        if s.penalty == "gan":
            self.discriminator = nets.mlp(s.latent, 1)

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> Any:
        """Return the settings for this kind of data and penalty, with ``given`` ones replaced."""
        game: dict[str, Any] = {}
        if given.get("penalty") == "gan":
            game = {**cls.GAME_DEFAULTS}
            if len(event_shape) == 1:
                game |= cls.POINT_GAME_DEFAULTS
        return super().default_settings(event_shape, **{**game, **given})

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the networks; the average only ever samples."""
        super().train(mode)
        self.average.eval()
        return self

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        r"""Return a code of each sample, shape ``(n, latent)``, in the dtype of ``x``.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
        generator : torch.Generator, optional
            Source of the encoder's noise, if it has any; the default is torch's global one.

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, or of another shape.
        """
        x = points(x, "x", self.event_shape)
        return self._encode(self._as_weights(x), generator).to(x)

    def _encode(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.settings.encoder_noise:
            noise = self.noise(len(x), self.settings.encoder_noise, generator=generator)
            x = torch.cat([x, noise.to(x)], dim=1)
        return self.encoder(x)

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        steps = steps or s.steps
        game = s.penalty == "gan"
        pair = nn.ModuleList([self.encoder, self.decoder])
        optimisers = [adam(pair, s.lr, betas=(s.beta1, s.beta2))]
        if game:
            optimisers.append(adam(self.discriminator, s.lr_discriminator, betas=(0.5, 0.9)))
        schedules = [CosineAnnealingLR(optimiser, steps) for optimiser in optimisers]
        rounds = s.discriminator_steps if game else 0

        def step(i: int) -> dict[str, Tensor]:
            index = torch.randint(
                len(x), (rounds + 1, s.batch), generator=generator, device=x.device
            )
            prior = self.noise(rounds + 1, s.batch, s.latent, generator=generator)
            batches = [self._jittered(x[rows], generator) for rows in index]
            for k in range(rounds):
                self._discriminator_step(batches[k], prior[k], optimisers[1], generator)
            measured = self._autoencoder_step(batches[-1], prior[-1], optimisers[0], generator)
            for schedule in schedules:
                schedule.step()
            self.average.update_parameters(self.decoder)
            return measured

        self.train()
        state: dict[str, Stateful] = {"model": self}
        for i, (optimiser, schedule) in enumerate(zip(optimisers, schedules, strict=True)):
            state |= {f"optimiser {i}": optimiser, f"schedule {i}": schedule}
        return train(
            step,
            steps=steps,
            state=state,
            generator=generator,
            description=self.system.slug,
            **loop,
        )

    def _autoencoder_step(
        self,
        x: Tensor,
        prior: Tensor,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Improve encoder and decoder on a batch; return what it cost."""
        s = self.settings
        game = s.penalty == "gan"
        with nets.frozen(self.discriminator) if game else nullcontext():
            z = self._encode(x, generator)
            reconstruction = (x - self.decoder(z)).square().flatten(1).sum(1).mean()
            if game:
                penalty = F.softplus(-self.discriminator(z)).mean()
            else:
                penalty = code_mmd(z, prior, s.scales)
            descend(reconstruction + s.weight * penalty, optimiser)
        return {"reconstruction": reconstruction.detach(), "penalty": penalty.detach()}

    def _discriminator_step(
        self,
        x: Tensor,
        prior: Tensor,
        optimiser: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        """Improve the discriminator at telling draws from the prior and codes apart."""
        with torch.no_grad():
            z = self._encode(x, generator)
        of_prior, of_codes = self.discriminator(torch.cat([prior, z])).split(len(prior))
        loss = F.softplus(-of_prior).mean() + F.softplus(of_codes).mean()
        descend(loss, optimiser)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: z ~ N(0, I), decoded with the averaged weights."""
        positive(n, "n", integer=True)
        z = self.noise(n, self.settings.latent, generator=generator)
        z = self._as_weights(z)
        return torch.cat([self.average(block) for block in z.split(BLOCK)])
