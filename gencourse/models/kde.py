"""Kernel density estimation: a Gaussian window on every training sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gencourse._validate import points, positive
from gencourse.metrics import parzen_log_density
from gencourse.models.base import GenerativeModel
from gencourse.training import History, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["KernelDensity", "KernelSettings"]


@dataclass(frozen=True)
class KernelSettings:
    """Hyperparameters of a kernel density estimate.

    Attributes
    ----------
    bandwidth : float or None
        Standard deviation h of the windows, in data units; by default the one of
        ``steps`` candidates under which held-out samples are likeliest.
    centres : int
        At most so many training samples carry a window; evaluation costs one kernel each.
    held_out : int
        Samples set aside to choose the bandwidth by.
    steps : int
        How many bandwidths are tried, evenly spaced in log h.
    """

    bandwidth: float | None = None
    centres: int = 10_000
    held_out: int = 1_000
    steps: int = 25

    def __post_init__(self) -> None:
        if self.bandwidth is not None:
            positive(self.bandwidth, "bandwidth")
        for name in ("centres", "held_out", "steps"):
            positive(getattr(self, name), name, integer=True)


class KernelDensity(GenerativeModel):
    """p(x) = (1/n) Σ_i N(x; x_i, h² I), Parzen's estimate with Gaussian windows.

    Attributes
    ----------
    centres : Tensor of shape (n, d)
        The training samples that carry a window; images are flattened.
    bandwidth : Tensor
        h.
    """

    Settings = KernelSettings
    settings: KernelSettings
    centres: Tensor
    bandwidth: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: KernelSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        d = math.prod(event_shape)
        # Until it is fitted, the estimate has a single window at the origin.
        self.register_buffer("centres", torch.zeros(1, d))
        self.register_buffer("bandwidth", torch.tensor(settings.bandwidth or 1.0))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        x = x.flatten(1)
        if len(x) < 2:
            raise ValueError("a bandwidth cannot be chosen with a single sample; give at least 2")
        if s.bandwidth is None and bool((x == x[0]).all()):
            raise ValueError("all samples are the same point: no bandwidth is best; give one")
        order = torch.randperm(len(x), generator=generator, device=x.device)
        held = min(s.held_out, len(x) // 5 + 1)
        validation, training = x[order[:held]], x[order[held:][: s.centres]]
        steps = steps or s.steps
        if s.bandwidth is None:
            # From far below the spacing of the samples to the spread of the whole cloud.
            spread = x.std(0, correction=0).norm()
            candidates = spread * torch.logspace(-3, 0.3, steps, device=x.device)
        else:
            candidates, steps = torch.full((1,), s.bandwidth, device=x.device), 1

        def step(i: int) -> dict[str, Tensor]:
            h = candidates[i]
            score = parzen_log_density(training, validation, float(h)).mean()
            return {"bandwidth": h, "log_likelihood": score}

        history = train(
            step,
            steps=steps,
            generator=generator,
            description=self.system.slug,
            record=1,
            **loop,
        )
        scores = history.metrics["log_likelihood"]
        self.bandwidth = candidates[scores.index(max(scores))].clone()
        # The held-out samples have done their work, and become centres like any other.
        self.centres = x[order[: s.centres]]
        return history

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved tensors, whatever their number of centres."""
        if isinstance(state.get("centres"), Tensor):
            n = state["centres"].shape[:1]
            self.centres = self.centres.new_zeros(*n, self.centres.shape[1])
        super().restore(state)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: a training sample, plus h times Gaussian noise."""
        positive(n, "n", integer=True)
        where = self.device if generator is None else generator.device
        index = torch.randint(len(self.centres), (n,), generator=generator, device=where)
        z = self.noise(n, self.centres.shape[1], generator=generator)
        x = self.centres[index.to(self.device)] + self.bandwidth * z
        return x.reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the dtype of ``x``."""
        x = points(x, "x", self.event_shape)
        return parzen_log_density(self.centres, x.flatten(1), float(self.bandwidth))
