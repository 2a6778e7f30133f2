"""The histogram: a density that is constant on each cell of a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points, positive
from gencourse.models.base import GenerativeModel
from gencourse.training import History, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["Histogram", "HistogramSettings"]


@dataclass(frozen=True)
class HistogramSettings:
    """Hyperparameters of a histogram.

    Attributes
    ----------
    bins : int or None
        Bins b along each axis; by default the one of ``steps`` candidates under which each
        sample is likeliest when it is left out and the others are counted.
    smoothing : float
        Laplace's pseudo-count α: so many samples are taken to lie in each cell beforehand,
        which keeps empty cells possible.
    margin : float
        How far the box reaches beyond the extreme samples, as a share of their range.
    cells : int
        The most cells b^d that may be counted in.
    steps : int
        How many numbers of bins are tried, evenly spaced in log b.
    """

    bins: int | None = None
    smoothing: float = 0.01
    margin: float = 0.1
    cells: int = 1_000_000
    steps: int = 30

    def __post_init__(self) -> None:
        if self.bins is not None:
            positive(self.bins, "bins", integer=True)
        for name in ("smoothing", "margin"):
            positive(getattr(self, name), name)
        for name in ("cells", "steps"):
            positive(getattr(self, name), name, integer=True)


class Histogram(GenerativeModel):
    """p(x) = (n_c + α) / (n + α C) / V for x in cell c of a box cut into C = b^d equal cells.

    n_c of the n samples lie in cell c, and V is its volume. Outside the box p is 0 and its
    logarithm -∞: a floor under it would reach to infinity, and then p would not integrate
    to 1. The number of cells grows as b^d (deck D's curse of dimension), which
    :func:`gencourse.models.curse.curse_of_dimension` measures.

    Attributes
    ----------
    low, high : Tensor of shape (d,)
        Opposite corners of the box.
    counts : Tensor of shape (b, ..., b)
        n_c, with one axis for each dimension.
    """

    Settings = HistogramSettings
    settings: HistogramSettings
    low: Tensor
    high: Tensor
    counts: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: HistogramSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        (d,) = event_shape
        b = settings.bins or 2
        if b**d > settings.cells:
            raise ValueError(
                f"{b} bins along each of {d} axes make {b}^{d} = {float(b) ** d:.3g} cells, and "
                f"at most {settings.cells:,} may be used. This is the curse of dimension: to be "
                "filled, so many cells want at least as many samples. Keep fewer coordinates "
                "(a projection), or take a model that does not count cells, such as 'gmm'"
            )
        # Until it is fitted, the histogram is uniform on the box of side 2 around the origin.
        self.register_buffer("low", torch.full((d,), -1.0))
        self.register_buffer("high", torch.full((d,), 1.0))
        self.register_buffer("counts", torch.zeros((1,) * d))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        n, d = x.shape
        if n < 2:
            raise ValueError("a single sample has no range to cut into bins; give at least 2")
        span = x.amax(0) - x.amin(0)
        if (span == 0).any():
            constant = (span == 0).nonzero().flatten().tolist()
            raise ValueError(
                f"coordinates {constant} are the same in all samples, and a range of 0 cannot be "
                "cut into bins; leave them out"
            )
        self.low = x.amin(0) - s.margin * span
        self.high = x.amax(0) + s.margin * span
        x = double(x)
        steps = steps or s.steps
        if s.bins is None:
            most = round(s.cells ** (1 / d))
            most -= most**d > s.cells
            # Rounded, small numbers come up more than once, which does no harm.
            tried = [round(most ** (i / max(1, steps - 1))) for i in range(steps)]
        else:
            tried = [s.bins] * steps

        def step(i: int) -> dict[str, Tensor]:
            self.counts = self.count(x, tried[i])
            score = self.left_out_log_likelihood()
            return {"bins": torch.full_like(score, tried[i]), "log_likelihood": score}

        history = train(
            step,
            steps=steps,
            generator=generator,
            description=self.system.slug,
            record=1,
            **loop,
        )
        scores = history.metrics["log_likelihood"]
        self.counts = self.count(x, tried[scores.index(max(scores))])
        return history

    def count(self, x: Tensor, bins: int) -> Tensor:
        """Count the samples in each cell of the box: shape ``(bins, ..., bins)``, d axes."""
        d = len(self.low)
        cell, _ = self._locate(x, bins)
        # Not by bincount, which asks a GPU for the greatest index and waits for the answer.
        counts = cell.new_zeros(bins**d).index_add_(0, cell, torch.ones_like(cell))
        return counts.reshape((bins,) * d).to(self.counts)

    def left_out_log_likelihood(self) -> Tensor:
        """Mean log density, 0-d, of each training sample under the histogram of all others.

        Without it there is one sample less in its cell: (n_c - 1 + α) / (n - 1 + α C) / V.
        """
        count, a = double(self.counts.flatten()), self.settings.smoothing
        n = count.sum()
        # An empty cell leaves nothing out.
        log_mass = (count - 1 + a).clamp_min(a).log() - (n - 1 + a * len(count)).log()
        return (count * log_mass).sum() / n - self._log_volume()

    def _log_volume(self) -> Tensor:
        """Log of the volume V of a cell."""
        return ((double(self.high) - double(self.low)) / self.counts.shape[0]).log().sum()

    def _locate(self, x: Tensor, bins: int) -> tuple[Tensor, Tensor]:
        """Return the number of each row's cell, and whether the row lies in the box at all."""
        low, high = self.low.to(x), self.high.to(x)
        inside = ((x >= low) & (x <= high)).all(1)
        along = ((x - low) / (high - low) * bins).floor().clamp(0, bins - 1).long()
        # Axis 0 varies slowest, as in a tensor of shape (bins, ..., bins).
        place = bins ** torch.arange(x.shape[1] - 1, -1, -1, device=x.device)
        return (along * place).sum(1), inside

    def _masses(self) -> Tensor:
        """Probability of each cell, ``(b^d,)``."""
        count = double(self.counts.flatten()) + self.settings.smoothing
        return count / count.sum()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved tensors, whatever their number of bins."""
        counts = state.get("counts")
        if isinstance(counts, Tensor) and counts.ndim == self.counts.ndim:
            self.counts = self.counts.new_zeros(counts.shape)
        super().restore(state)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: a cell by its probability, then a point uniformly in it."""
        positive(n, "n", integer=True)
        where = self.device if generator is None else generator.device
        b, d = self.counts.shape[0], len(self.low)
        mass = self._masses().to(device=where, dtype=torch.float32)
        cell = torch.multinomial(mass, n, replacement=True, generator=generator)
        along = torch.stack(torch.unravel_index(cell, (b,) * d), 1)
        u = torch.rand(n, d, generator=generator, device=where)
        low, high = self.low.to(where), self.high.to(where)
        return (low + (along + u) / b * (high - low)).to(self.device)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape ``(n,)``, in the dtype of ``x``; -∞ outside the box."""
        x = points(x, "x", self.event_shape)
        b = self.counts.shape[0]
        cell, inside = self._locate(double(x), b)
        log_p = (self._masses().log() - self._log_volume()).to(cell.device)[cell]
        return torch.where(inside, log_p, -math.inf).to(x)
