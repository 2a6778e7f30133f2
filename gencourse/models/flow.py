"""Normalising flows: the density of an invertible network, by maximum likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gencourse._validate import points, positive, unknown_name
from gencourse.data.augmentation import jitter
from gencourse.data.quantisation import FINEST, dequantise, grey_level, quantise
from gencourse.flows import Compose, Logit, Standardise, architectures, log_density
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["FlowModel", "FlowSettings"]

ARCHITECTURES = ("nice", "realnvp", "maf", "iaf")
MARGIN = 0.05  # of the range of the pixels, kept free on either side of the logit


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
    without limit. Then a logit takes pixels to the whole line. Both steps are part of f, and
    their Jacobian is counted, so ``log_prob`` is a density of dequantised images in [-1, 1],
    in nats. ``sample`` rounds images to their grey levels.

    The inverse autoregressive flow, ``iaf``, takes points only: its density costs d passes for
    d coordinates, so each training step on an image would take as many passes as it has
    pixels. The paper uses it where only samples' densities are needed, inside a VAE.

    Attributes
    ----------
    flow : Compose
        f.
    average : AveragedModel
        f with averaged weights, which is sampled and evaluated.
    level : Tensor
        Width of a grey level of images; measured when the model is fitted.
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
        "nice": {"layers": 20, "width": 48, "lr": 8e-3},
    }
    IMAGE_DEFAULTS_OF: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
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
        first = [Logit(-1.0, 1.0)] if self.images else []
        self.flow = Compose(*first, Standardise(event_shape), *layers)
        self.average = averaged(self.flow, s.averaging)
        self.register_buffer("level", torch.tensor(FINEST))
        self._set_range()
        self.eval()

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> FlowSettings:
        """Return the settings for this architecture and kind of data, ``given`` ones replaced."""
        images = len(event_shape) == 3
        table = cls.IMAGE_DEFAULTS_OF if images else cls.POINT_DEFAULTS_OF
        own = table.get(given.get("architecture", cls.Settings.architecture), {})
        return super().default_settings(event_shape, **{**own, **given})

    def _set_range(self) -> None:
        """Let the logit reach a little beyond the darkest and the brightest level."""
        end = (1 + 0.5 * self.level) * (1 + MARGIN)
        average: Any = self.average.module
        for logit in (self.flow[0], average[0]):
            if isinstance(logit, Logit):
                logit.low.copy_(-end)
                logit.high.copy_(end)

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        if self.images:
            self.level.fill_(grey_level(x))
            self._set_range()
        self._standardise(x, generator)

        def loss(batch: Tensor) -> Tensor:
            if self.images:
                if s.jitter:
                    batch = quantise(jitter(batch, s.jitter, generator=generator), level)
                batch = dequantise(batch, level, generator=generator)
            return -log_density(self.flow, batch).mean()

        level = float(self.level)
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

    @torch.no_grad()
    def _standardise(self, x: Tensor, generator: torch.Generator) -> None:
        """Measure mean and standard deviation of what reaches the learned layers."""
        if self.images:
            x = self.flow[0](dequantise(x, float(self.level), generator=generator))[0]
        standardise = self.flow[1 if self.images else 0]
        assert isinstance(standardise, Standardise)
        standardise.measure(x)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = f⁻¹(z); images are rounded to their grey levels."""
        positive(n, "n", integer=True)
        flow: Any = self.average.module
        z = self.noise(n, *self.event_shape, generator=generator).to(self.level.dtype)
        x, _ = flow.inverse(self.settings.temperature * z)
        return quantise(x, self.level) if self.images else x

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the precision of the weights.

        Minus infinity for images with a pixel outside the range of the logit, [-1, 1] and a
        little more.
        """
        x = points(x, "x", self.event_shape)
        flow: Any = self.average.module
        at = x.to(self.level)  # the precision of the weights
        logit = flow[0]
        if not isinstance(logit, Logit):
            return log_density(flow, at).to(x)
        inside = logit.contains(at)
        safe = torch.where(inside[:, None, None, None], at, torch.zeros_like(at))
        return log_density(flow, safe).masked_fill(~inside, -math.inf).to(x)
