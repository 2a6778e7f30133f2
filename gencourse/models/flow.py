"""Normalising flows: the density of an invertible network, by maximum likelihood."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gencourse._validate import points, positive, unknown_name
from gencourse.data.augmentation import jitter
from gencourse.data.quantisation import FINEST, dequantise, grey_level, quantise
from gencourse.flows import Compose, Gaussianise, Standardise, architectures, log_density
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["FlowModel", "FlowSettings"]

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
        for name in ("layers", "width", "depth", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("bound", "lr", "clip", "averaging", "temperature"):
            positive(getattr(self, name), name)
        if self.jitter:
            positive(self.jitter, "jitter")
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")


class FlowModel(GenerativeModel):
    """x = f⁻¹(z) with z ~ N(0, I) and an invertible f whose volume change is known.

    Training maximises log p(x) = log N(f(x); 0, I) + log|det ∂f/∂x| on the data (deck D).

    Points are brought to mean 0 and standard deviation 1 first. Images are dequantised: noise
    spreads each pixel over its grey level, as a density of whole numbers could grow
    without limit. Then :class:`gencourse.flows.Gaussianise` takes each pixel to the whole
    line. These first steps belong to f and their Jacobian is counted, so ``log_prob`` is a
    density of dequantised images, in nats. ``sample`` rounds images to their grey levels.

    The inverse autoregressive flow, ``iaf``, takes points only: its density costs d passes for
    d coordinates, so each training step on an image would take as many passes as it has
    pixels. The paper uses it where only samples' densities are needed, inside a VAE.

    Attributes
    ----------
    flow : Compose
        f.
    average : AveragedModel
        f with averaged weights, which is sampled and evaluated.
    """

    Settings = FlowSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "layers": 4,
        "width": 32,
        "batch": 64,
        "lr": 1e-3,
        "clip": 100.0,
        "steps": 3000,
    }
    #: What each architecture does differently, on points and on images.
    POINT_DEFAULTS_OF: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "nice": {"layers": 20, "width": 48, "lr": 7e-3},
    }
    IMAGE_DEFAULTS_OF: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    settings: FlowSettings

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
        first: Gaussianise | Standardise = Standardise(event_shape)
        if self.images:
            first = Gaussianise(event_shape, _levels(FINEST))
        self.flow = Compose(first, *layers)
        self.average = averaged(self.flow, s.averaging)
        self.eval()

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> FlowSettings:
        """Return the settings for this architecture and kind of data, ``given`` ones replaced."""
        images = len(event_shape) == 3
        table = cls.IMAGE_DEFAULTS_OF if images else cls.POINT_DEFAULTS_OF
        own = table.get(given.get("architecture", cls.Settings.architecture), {})
        return super().default_settings(event_shape, **{**own, **given})

    def _begin_with(self, first: Gaussianise) -> None:
        """Put another first step in the place of the present one, for other grey levels."""
        average: Any = self.average.module
        self.flow.transforms[0] = first.to(self._anchor)
        average.transforms[0] = copy.deepcopy(first)

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        level = grey_level(x) if self.images else 0.0
        if self.images:
            self._begin_with(Gaussianise(self.event_shape, _levels(level)))
        first = self.flow[0]
        assert isinstance(first, Gaussianise | Standardise)
        first.measure(x)

        def loss(batch: Tensor) -> Tensor:
            if self.images:
                if s.jitter:
                    batch = quantise(jitter(batch, s.jitter, generator=generator), level)
                batch = dequantise(batch, level, generator=generator)
            return -log_density(self.flow, batch).mean()

        self.train()
        try:
            return minimise(
                loss,
                self.flow,
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

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved tensors, whatever their number of grey levels."""
        counted = state.get("flow.transforms.0.probability")
        if self.images and isinstance(counted, Tensor) and counted.ndim == 2:
            self._begin_with(Gaussianise(self.event_shape, counted.shape[1]))
        super().restore(state)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = f⁻¹(z); images are rounded to their grey levels."""
        positive(n, "n", integer=True)
        flow: Any = self.average.module
        z = self.noise(n, *self.event_shape, generator=generator).to(self._anchor)
        x, _ = flow.inverse(self.settings.temperature * z)
        return quantise(x, flow[0].level) if self.images else x

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the precision of the weights.

        Minus infinity for images with a pixel more than half a grey level outside [-1, 1].
        """
        x = points(x, "x", self.event_shape)
        flow: Any = self.average.module
        log_p = log_density(flow, x.to(self._anchor))
        if self.images:
            log_p = log_p.masked_fill(~flow[0].contains(x.to(self._anchor)), -math.inf)
        return log_p.to(x)


def _levels(level: float) -> int:
    """How many grey levels of this width there are from -1 to 1, ends included."""
    return round(2 / level) + 1
