"""Autoregressive models: one coordinate after the other, by masked networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from gencourse._validate import at_most_one, below_one, not_negative, points, positive
from gencourse.data.augmentation import jitter
from gencourse.data.quantisation import FINEST, grey_level
from gencourse.flows import Standardise
from gencourse.models.base import GenerativeModel
from gencourse.nets import (
    DiscretisedLogistics,
    Dropout,
    MaskedConvolutions,
    MaskedMLP,
    MixtureOfGaussians,
    cooled,
    spread_out,
)
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["AutoregressiveModel", "AutoregressiveSettings"]


@dataclass(frozen=True)
class AutoregressiveSettings:
    """Hyperparameters of an autoregressive model.

    Attributes
    ----------
    components : int
        Components K of the mixture that is the law of one coordinate.
    width, depth : int
        Hidden units and layers of the masked network; for images, channels and residual
        blocks.
    dropout : float
        Share of hidden channels' values dropped in training, for images only.
    jitter : float
        How far half of the images of a batch are turned, stretched and shifted at random, see
        :func:`gencourse.data.augmentation.jitter`; 0 leaves them alone.
    batch : int
        Samples in each step.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    clip : float
        Greatest norm of a gradient, in nats.
    averaging : float
        Rate of the moving average of the weights that is sampled and evaluated; 1 means no
        averaging.
    temperature : float
        At which ``sample`` draws each coordinate, see :func:`gencourse.nets.cooled`. Below 1
        samples are more typical and less varied, and no longer follow the density of
        ``log_prob``. An image is many draws, whose small errors add up.
    steps : int
        Iterations of a full training run.
    """

    components: int = 16
    width: int = 64
    depth: int = 2
    dropout: float = 0.0
    jitter: float = 0.0
    batch: int = 256
    lr: float = 3e-3
    clip: float = 10.0
    averaging: float = 0.005
    temperature: float = 1.0
    steps: int = 3000

    def __post_init__(self) -> None:
        for name in ("components", "width", "depth", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("lr", "clip", "averaging", "temperature"):
            positive(getattr(self, name), name)
        below_one(self.dropout, "dropout")
        not_negative(self.jitter, "jitter")
        at_most_one(self.averaging, "averaging")


class AutoregressiveModel(GenerativeModel):
    """p(x) = Π_k p(x_k | x_1, …, x_{k-1}), all factors from one masked network.

    For points the network is MADE (Germain et al. 2015), and each factor a mixture of Gaussians.
    For images it is a PixelCNN (van den Oord et al. 2016), and each factor gives the grey
    levels their probabilities by a mixture of logistics (Salimans et al. 2017). An image is a
    list of levels, not of real numbers: ``log_prob`` spreads the probability of a level evenly
    over the level's width δ, so that

        log p(x) = Σ_k log P(level of x_k | levels before) - D log δ,

    and minus infinity outside [-1 - ½δ, 1 + ½δ]. That is a density of the dequantised
    images, in nats, as the flows have.

    ``log_prob`` takes one pass through the network, ``sample`` one step for each coordinate.

    Attributes
    ----------
    network : MaskedMLP or MaskedConvolutions
        From x to 3K numbers for each coordinate.
    average : AveragedModel
        The network with averaged weights, which is sampled and evaluated.
    standardise : Standardise
        What points go through before the network sees them; images need none.
    level : Tensor
        δ, of images; measured when the model is fitted.
    """

    Settings = AutoregressiveSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "components": 5,
        "width": 64,
        "depth": 4,
        "dropout": 0.05,
        "jitter": 0.1,
        "batch": 64,
        "lr": 4e-3,
        "clip": 100.0,
        "temperature": 0.8,
        "steps": 6000,
    }
    settings: AutoregressiveSettings
    level: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: AutoregressiveSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        outputs = 3 * s.components
        self.images = len(event_shape) == 3
        self.standardise = Standardise((1,) if self.images else event_shape)
        self.network: MaskedMLP | MaskedConvolutions
        if self.images:
            self.network = MaskedConvolutions(
                event_shape, outputs, width=s.width, depth=s.depth, dropout=s.dropout
            )
        else:
            (d,) = event_shape
            self.network = MaskedMLP(d, outputs, width=s.width, depth=s.depth)
        spread_out(self.network.bias_of_outputs(), s.components, reach=0.8 if self.images else 2.0)
        self.average = averaged(self.network, s.averaging)
        self.register_buffer("level", torch.tensor(FINEST))
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of the network; the average never drops anything."""
        super().train(mode)
        self.average.eval()
        return self

    @property
    def conditional(self) -> MixtureOfGaussians | DiscretisedLogistics:
        """The law of one coordinate given the earlier ones, from the network's outputs."""
        return DiscretisedLogistics(self.level) if self.images else MixtureOfGaussians()

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        if self.images:
            self.level.fill_(grey_level(x))
        else:
            self.standardise.measure(x)

        def loss(batch: Tensor) -> Tensor:
            if self.images:
                batch = jitter(batch, s.jitter, generator=generator)
            return -self._log_density(self.network, batch).mean()

        self.train()
        dropouts = [m for m in self.network.modules() if isinstance(m, Dropout)]
        for dropout in dropouts:
            dropout.generator = generator
        try:
            return minimise(
                loss,
                self.network,
                x,
                steps=steps or s.steps,
                batch=s.batch,
                lr=s.lr,
                clip=s.clip,
                average=self.average,
                generator=generator,
                state={"model": self},
                description=self.system.slug,
                **loop,
            )
        finally:
            for dropout in dropouts:
                dropout.generator = None
            self.eval()

    def _log_density(self, network: torch.nn.Module, x: Tensor) -> Tensor:
        conditional = self.conditional
        if isinstance(conditional, DiscretisedLogistics):
            q = conditional.nearest(x)
            log_p = conditional.log_prob(network(q), q).flatten(1).sum(1)
            return log_p - math.prod(self.event_shape) * self.level.log()
        z, log_det = self.standardise(x)
        return conditional.log_prob(network(z), z).sum(1) + log_det

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples, each coordinate from its law given the earlier ones."""
        positive(n, "n", integer=True)
        d = math.prod(self.event_shape)
        # Two uniform numbers for each coordinate, kept off 0 and 1, where tails have no end.
        u, v = self.uniform(2, n, d, generator=generator).clamp(1e-7, 1 - 1e-7)
        conditional, temperature = self.conditional, self.settings.temperature

        def choose(k: int, parameters: Tensor) -> Tensor:
            return conditional.draw(cooled(parameters, temperature), u[:, k], v[:, k])

        network: Any = self.average.module
        x, _ = network.ancestral(n, choose)
        return x if self.images else self.standardise.inverse(x)[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the precision of the weights."""
        x = points(x, "x", self.event_shape)
        inside = x.to(self.standardise.mean)
        log_p = self._log_density(self.average, inside)
        if self.images:
            # The ends of the interval are open to rounding.
            within = (inside.abs() <= 1 + 0.5 * self.level + 1e-6).flatten(1).all(1)
            log_p = log_p.masked_fill(~within, -math.inf)
        return log_p.to(x)
