"""Wasserstein autoencoders (Tolstikhin, Bousquet, Gelly & Schölkopf 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import nets
from gencourse._validate import positive
from gencourse.models.autoencoder import AutoencoderSettings, LatentModel
from gencourse.training import History, Stateful, adam, averaged, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["WassersteinAutoencoder", "WassersteinSettings"]

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # s of the paper's kernel


@dataclass(frozen=True)
class WassersteinSettings(AutoencoderSettings):
    """Hyperparameters of a Wasserstein autoencoder.

    Attributes
    ----------
    latent, width, depth, batch, lr, steps
        As in :class:`gencourse.models.autoencoder.AutoencoderSettings`.
    penalty : "mmd" or "gan"
        How far the law of the codes is from N(0, I): by the maximum mean discrepancy, or by a
        discriminator that plays against the encoder.
    weight : float
        λ, of that penalty beside the squared reconstruction error.
    lr_discriminator : float
        Learning rate of the discriminator, for the penalty ``"gan"``.
    averaging : float
        Rate of the moving average of the decoder's weights that samples are drawn from; 1
        means no averaging.
    """

    depth: int = 4
    steps: int = 6000
    penalty: str = "mmd"
    weight: float = 10.0
    lr_discriminator: float = 1e-3
    averaging: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.penalty not in ("mmd", "gan"):
            raise ValueError(f"penalty must be 'mmd' or 'gan', not {self.penalty!r}")
        for name in ("weight", "lr_discriminator", "averaging"):
            positive(getattr(self, name), name)
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")


def imq_mmd(x,y):
    d=x.shape[1]
    n=len(x)
    dxx=(torch.cdist(x,x).square()); dyy=torch.cdist(y,y).square(); dxy=torch.cdist(x,y).square()
    a=0
    for s in SCALES:
        C=2*d*s
        kx=C/(C+dxx); ky=C/(C+dyy); kxy=C/(C+dxy)
        a=a+((kx.sum()-n)+(ky.sum()-n))/(n*(n-1))-2*kxy.mean()
    return a


class WassersteinAutoencoder(LatentModel):
    Settings = WassersteinSettings
    settings: WassersteinSettings

    def __init__(self, system, event_shape, settings) -> None:
        super().__init__(system, event_shape, settings)
        self.average = averaged(self.decoder, settings.averaging)
        if settings.penalty == "gan":
            self.discriminator = nets.mlp(settings.latent, 1, width=settings.width, depth=3)

    def _fit(self, x, *, steps, generator, **loop):
        s = self.settings
        steps = steps or s.steps
        pair = nn.ModuleList([self.encoder, self.decoder])
        opt = adam(pair, s.lr)
        opts = [opt]
        if s.penalty == "gan":
            optd = adam(self.discriminator, s.lr_discriminator, betas=(0.5, 0.9))
            opts.append(optd)
        sch = [CosineAnnealingLR(o, steps) for o in opts]

        def step(i):
            index = torch.randint(len(x), (s.batch,), generator=generator, device=x.device)
            batch = x[index]
            prior = self.noise(s.batch, s.latent, generator=generator)
            if s.penalty == "gan":
                with torch.no_grad():
                    z = self.encoder(batch)
                a, b = self.discriminator(torch.cat([prior, z])).split(s.batch)
                ld = F.softplus(-a).mean() + F.softplus(b).mean()
                optd.zero_grad(); ld.backward(); optd.step()
            z = self.encoder(batch)
            rec = (batch - self.decoder(z)).square().flatten(1).sum(1).mean()
            if s.penalty == "gan":
                with nets.frozen(self.discriminator):
                    pen = F.softplus(-self.discriminator(z)).mean()
            else:
                pen = imq_mmd(z, prior)
            loss = rec + s.weight * pen
            opt.zero_grad(); loss.backward()
            opt.step()
            for c in sch: c.step()
            self.average.update_parameters(self.decoder)
            return {"reconstruction": rec.detach(), "penalty": pen.detach()}
        return train(step, steps=steps, state={"m": self}, generator=generator, **loop)

    @torch.no_grad()
    def sample(self, n, *, generator=None):
        return self.average(self.noise(n, self.settings.latent, generator=generator))
