"""Normalising flows: the density of an invertible network, by maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gencourse._validate import at_most_one, not_negative, points, positive, unknown_name
from gencourse.data.augmentation import jitter
from gencourse.data.quantisation import FINEST, dequantise, grey_level, quantise
from gencourse.flows import (
    Base,
    Compose,
    DiagonalMixture,
    FlowDensity,
    Standardise,
    StandardNormal,
    architectures,
)
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["FlowModel", "FlowSettings"]

ENOUGH = 10_000  # samples that show where the noise has its modes
ARCHITECTURES = ("nice", "realnvp", "maf", "iaf")


@dataclass(frozen=True)
class FlowSettings:
    """Hyperparameters of a flow.

    Attributes
    ----------
    architecture : "nice", "realnvp", "maf" or "iaf"
        Function of :mod:`gencourse.flows.architectures` that puts the flow together.
    layers : int
        Couplings, or autoregressive layers; of images' couplings, at each size.
    width, depth : int
        Hidden units and layers of the network in each layer; for images, channels and
        residual blocks.
    bound : float
        Bound on the log-scale of one layer; NICE has none.
    components : int
        1 for noise z ~ N(0, I); with more the noise is a learned mixture of so many Gaussians,
        see :class:`gencourse.flows.DiagonalMixture`.
    batch : int
        Samples in each step.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    clip : float
        Greatest norm of a gradient, in nats.
    jitter : float
        How far half of the images of a batch are turned, stretched and shifted at random, see
        :func:`gencourse.data.augmentation.jitter`; 0 leaves them alone. Points always are.
    averaging : float
        Rate of the moving average of the weights that is sampled and evaluated; 1 means no
        averaging.
    temperature : float
        Standard deviation of the noise that ``sample`` starts from. Below 1 samples are more
        typical and less varied (Kingma & Dhariwal 2018, section 5), and no longer follow the
        density of ``log_prob``.
    steps : int
        Iterations of a full training run.
    """

    architecture: str = "realnvp"
    layers: int = 14
    width: int = 40
    depth: int = 2
    bound: float = 2.0
    components: int = 1
    batch: int = 256
    lr: float = 4e-3
    clip: float = 5.0
    jitter: float = 0.0
    averaging: float = 0.005
    temperature: float = 1.0
    steps: int = 5000

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise unknown_name("architecture", self.architecture, ARCHITECTURES)
        for name in ("layers", "width", "depth", "components", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("bound", "lr", "clip", "averaging", "temperature"):
            positive(getattr(self, name), name)
        not_negative(self.jitter, "jitter")
        at_most_one(self.averaging, "averaging")


class FlowModel(GenerativeModel):
    """x = f⁻¹(z) with z ~ q, often N(0, I), and an invertible f whose volume change is known.

    Training maximises log p(x) = log q(f(x)) + log|det ∂f/∂x| on the data (deck D).

    Data are brought to mean 0 and standard deviation 1 first; that belongs to f, and its Jacobian
    is counted. Images are dequantised: noise spreads each pixel over its grey level, as a
    density of whole numbers could grow without limit. So ``log_prob`` is a density of
    dequantised images, in nats, and ``sample`` rounds images to their grey levels.

    Images have many modes, and with q = N(0, I) a good part of the samples lies on the bridges
    between them. Unless told otherwise their noise is a mixture, learned along with f.

    The inverse autoregressive flow, ``iaf``, takes points only: its density costs d passes for
    d coordinates, so each training step on an image would take as many passes as it has
    pixels. The paper uses it where only samples' densities are needed, inside a VAE.

    Attributes
    ----------
    density : FlowDensity
        f and q.
    average : AveragedModel
        The same with averaged weights, which is sampled and evaluated.
    level : Tensor
        Width of a grey level of images; measured when the model is fitted.
    """

    Settings = FlowSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "layers": 8,
        "width": 32,
        "components": 150,
        "batch": 64,
        "lr": 1e-3,
        "clip": 100.0,
        "jitter": 0.1,
        "steps": 3000,
    }
    #: What each architecture does differently, on points and on images.
    POINT_DEFAULTS_OF: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "nice": {"layers": 20, "width": 48, "lr": 7e-3},
    }
    IMAGE_DEFAULTS_OF: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "maf": {"layers": 2, "steps": 4500},
    }
    settings: FlowSettings
    level: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: FlowSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        sizes: dict[str, Any] = {"layers": s.layers, "width": s.width, "depth": s.depth}
        if s.architecture != "nice":
            sizes["bound"] = s.bound
        layers = getattr(architectures, s.architecture)(event_shape, **sizes)
        self.images = len(event_shape) == 3
        base: Base = StandardNormal()
        if s.components > 1:
            base = DiagonalMixture(event_shape, s.components)
        self.density = FlowDensity(Compose(Standardise(event_shape), *layers), base)
        self.average = averaged(self.density, s.averaging)
        self.register_buffer("level", torch.tensor(FINEST))
        self.eval()

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> FlowSettings:
        """Return the settings for this architecture and kind of data, ``given`` ones replaced."""
        images = len(event_shape) == 3
        table = cls.IMAGE_DEFAULTS_OF if images else cls.POINT_DEFAULTS_OF
        own = table.get(given.get("architecture", cls.Settings.architecture), {})
        return super().default_settings(event_shape, **{**own, **given})

    def networks(self) -> list[nn.Module]:
        """Return the networks of the layers; volumes and the noise's density stay in float32."""
        parts = (getattr(m, "network", None) for m in self.density.flow.modules())
        return [part for part in parts if isinstance(part, nn.Module)]

    def compilable(self) -> list[nn.Module]:
        """Return the whole flow, whose many small layers are compiled together."""
        return [self.density.flow]

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self._begin(x, generator)

        def loss(batch: Tensor) -> Tensor:
            return -self.density.log_prob(self._augmented(batch, generator)).mean()

        self.train()
        try:
            return minimise(
                loss,
                self.density,
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
            self.eval()

    @torch.no_grad()
    def _begin(self, x: Tensor, generator: torch.Generator) -> None:
        """Measure what training starts from: the data's scale, and the clusters of the noise."""
        if self.images:
            self.level.fill_(grey_level(x))
        flow, base = self.density.flow, self.density.base
        assert isinstance(flow, Compose)
        first = flow[0]
        assert isinstance(first, Standardise)
        if self.images:
            # One scale for all pixels: one that is hardly ever lit has none of its own.
            mean, std = centre_and_scale(x)
            first.mean.fill_(mean)
            first.std.fill_(std)
        else:
            first.measure(x)
        if isinstance(base, DiagonalMixture):
            some = torch.randperm(len(x), generator=generator, device=x.device)[:ENOUGH]
            z, _ = flow(self._augmented(x[some], generator))
            base.measure(z, generator=generator)

    def _augmented(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Images as training sees them: jittered, on their grey levels, and dequantised."""
        if not self.images:
            return x
        x = quantise(jitter(x, self.settings.jitter, generator=generator), self.level)
        return dequantise(x, self.level, generator=generator)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = f⁻¹(z); images are rounded to their grey levels."""
        positive(n, "n", integer=True)
        noise = self.noise(n, *self.event_shape, generator=generator).to(self._anchor)
        u = self.uniform(n, generator=generator).to(self._anchor)
        average: Any = self.average.module
        z = average.base.draw(self.settings.temperature * noise, u)
        x, _ = average.flow.inverse(z)
        return quantise(x, self.level) if self.images else x

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the precision of the weights."""
        x = points(x, "x", self.event_shape)
        average: Any = self.average.module
        return average.log_prob(x.to(self._anchor)).to(x)
