"""AE-OT-GAN: a generator that is trained from transported codes (An et al. 2020b)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets
from gencourse._validate import at_most_one, positive
from gencourse.models.ae_ot import (
    LateSolver,
    Measurements,
    TransportAutoencoder,
    TransportSettings,
)
from gencourse.models.autoencoder import BLOCK
from gencourse.training import History, Stateful, adam, averaged, descend, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["TransportGAN", "TransportGANSettings"]


@dataclass(frozen=True)
class TransportGANSettings(TransportSettings):
    """Hyperparameters of an adversarial generator of transported codes.

    Attributes
    ----------
    latent, width, depth, batch, lr, targets, angle
        As in :class:`gencourse.models.ae_ot.TransportSettings`.
    steps : int
        Steps of a full training run, all three phases together.
    transport_share, adversarial_share : float
        Which shares of the steps the transport and the game get; their sum is below 1, and
        the autoencoder gets the rest.
    lr_discriminator, lr_generator : float
        Learning rates of the game, decayed to 0 along a cosine.
    pixel_weight, feature_weight : float
        Weights, beside the adversarial loss, of the squared error of the generator on pairs
        (E(x), x): in the samples themselves, and in what the encoder sees in them.
    averaging : float
        Rate of the moving average of the generator's weights that samples are drawn from; 1
        means no averaging.
    """

    steps: int = 4000
    transport_share: float = 0.3
    adversarial_share: float = 0.4
    lr_discriminator: float = 1e-3
    lr_generator: float = 2e-4
    pixel_weight: float = 10.0
    feature_weight: float = 1.0
    averaging: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "adversarial_share",
            "lr_discriminator",
            "lr_generator",
            "pixel_weight",
            "feature_weight",
            "averaging",
        ):
            positive(getattr(self, name), name)
        if self.transport_share + self.adversarial_share >= 1:
            raise ValueError(
                "transport_share + adversarial_share must be below 1, not "
                f"{self.transport_share!r} + {self.adversarial_share!r}: the autoencoder needs "
                "some steps too"
            )
        at_most_one(self.averaging, "averaging")


class TransportGAN(TransportAutoencoder):
    r"""AE-OT whose decoder goes on to learn as the generator of a game.

    After the two phases of :class:`gencourse.models.ae_ot.TransportAutoencoder` the encoder E
    and the extended transport T stay as they are. The generator G starts as the decoder, and
    minimises

    .. math:: -\mathbb{E}_w \log D(G(T(w)))
              + \alpha\, \mathbb{E}_x \|x - G(E(x))\|^2
              + \beta\, \mathbb{E}_x \|E(x) - E(G(E(x)))\|^2,

    while D learns to tell G(T(w)) from data. Its noise T(w) already has the law of the codes,
    mode by mode, and pairs (E(x), x) tie each mode to its codes: what makes other GANs lose
    modes, or mix them, has been dealt with before the game begins. The third term stands for
    the features of a network trained on photographs that the paper compares.

    Attributes
    ----------
    decoder : nn.Sequential
        G.
    discriminator : nn.Sequential
        Samples to logits of shape ``(n, 1)``.
    average : AveragedModel
        G with averaged weights; ``sample`` draws from it.

    References
    ----------
    D. An, Y. Guo, M. Zhang, X. Qi, N. Lei & X. Gu 2020, *AE-OT-GAN: training GANs from data
    specific latent distribution*; deck C.
    """

    Settings = TransportGANSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **TransportAutoencoder.IMAGE_DEFAULTS,
        "pixel_weight": 1.0,
    }
    settings: TransportGANSettings

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: TransportGANSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        if len(event_shape) == 1:
            self.discriminator = nets.mlp(
                event_shape[0], 1, width=settings.width, depth=settings.depth
            )
        else:
            self.discriminator = nets.dcgan_discriminator(event_shape, width=settings.width)
        self.average = averaged(self.decoder, settings.averaging)

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the networks; the average only ever samples."""
        super().train(mode)
        self.average.eval()
        return self

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self._check_data(x)
        steps = steps or s.steps
        # Where the second and the third phase begin.
        second = max(1, round(steps * (1 - s.transport_share - s.adversarial_share)))
        third = max(second + 1, round(steps * (1 - s.adversarial_share)))
        pair = nn.ModuleList([self.encoder, self.decoder])
        optimiser = adam(pair, s.lr)
        optimiser_d = adam(self.discriminator, s.lr_discriminator, betas=(0.5, 0.9))
        optimiser_g = adam(self.decoder, s.lr_generator, betas=(0.5, 0.9))
        schedule = CosineAnnealingLR(optimiser, second)
        games = [CosineAnnealingLR(o, max(1, steps - third)) for o in (optimiser_d, optimiser_g)]
        solver = LateSolver(self)
        measurements = Measurements(
            reconstruction=x.new_zeros(()),
            residual=x.new_ones(()),
            # An undecided game: D = 1/2 everywhere.
            discriminator=x.new_tensor(4.0).log(),
            generator=x.new_tensor(2.0).log(),
        )

        def step(i: int) -> dict[str, Tensor]:
            if i < second:
                measured = self._autoencoder_step(self._batch(x, generator), optimiser)
                schedule.step()
            elif i < third:
                if i == second:
                    self._collect_codes(x, generator)
                    solver.begin()
                measured = solver.step(generator)
            else:
                z, _ = self.transported(s.batch, generator=generator)
                batch = self._batch(x, generator)
                loss_d = self._discriminator_step(batch, z, optimiser_d)
                measured = {"discriminator": loss_d, **self._generator_step(batch, z, optimiser_g)}
                for game in games:
                    game.step()
            if i < third:
                self.average.module.load_state_dict(self.decoder.state_dict())
            else:
                self.average.update_parameters(self.decoder)
            return measurements.update(measured)

        self.train()
        state: dict[str, Stateful] = {
            "model": self,
            "optimiser": optimiser,
            "optimiser_d": optimiser_d,
            "optimiser_g": optimiser_g,
            "schedule": schedule,
            "schedule_d": games[0],
            "schedule_g": games[1],
            "solver": solver,
            "measurements": measurements,
        }
        return train(
            step,
            steps=steps,
            state=state,
            generator=generator,
            description=self.system.slug,
            **loop,
        )

    def _discriminator_step(self, x: Tensor, z: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
        """Improve D on data and on what G makes of codes; return its loss."""
        with torch.no_grad():
            fake = self.decoder(z)
        real, fake = self.discriminator(torch.cat([x, fake])).split(len(x))
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        descend(loss, optimiser)
        return loss.detach()

    def _generator_step(
        self, x: Tensor, z: Tensor, optimiser: torch.optim.Optimizer
    ) -> dict[str, Tensor]:
        """Improve G on codes that were transported and on codes of data; return what it cost."""
        s = self.settings
        with nets.frozen(self.discriminator), nets.frozen(self.encoder):
            codes = self.encoder(x)
            fake, again = self.decoder(torch.cat([z, codes])).split([len(z), len(x)])
            adversarial = F.softplus(-self.discriminator(fake)).mean()
            pixels = (x - again).square().flatten(1).sum(1).mean()
            features = (codes - self.encoder(again)).square().sum(1).mean()
            loss = adversarial + s.pixel_weight * pixels + s.feature_weight * features
            descend(loss, optimiser)
        return {"generator": adversarial.detach(), "reconstruction": pixels.detach()}

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples G(T(w)) with the averaged generator."""
        positive(n, "n", integer=True)
        z = self._as_weights(self._sample_codes(n, generator))
        return torch.cat([self.average(block) for block in z.split(BLOCK)])
