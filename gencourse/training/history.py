"""What a training run measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["History"]


@dataclass
class History:
    """What a training run measured.

    Attributes
    ----------
    steps : list of int
        The iterations at which values were recorded, counted from 1.
    metrics : dict of str to list of float
        For each quantity its value at those iterations.
    seconds : float
        Wall time spent training, over all resumed parts of the run.
    """

    steps: list[int] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def to_frame(self) -> pandas.DataFrame:
        """Return a table with one row per recorded step."""
        import pandas

        return pandas.DataFrame(self.metrics, index=pandas.Index(self.steps, name="step"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw every recorded quantity against the step; see :func:`gencourse.plots.history`."""
        from gencourse import plots

        return plots.history(self.metrics, steps=self.steps, ax=ax)

    def state_dict(self) -> dict[str, Any]:
        """Return the record as plain numbers, for a checkpoint."""
        return {"steps": self.steps, "metrics": self.metrics, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the record of a checkpoint."""
        self.steps, self.metrics = list(state["steps"]), dict(state["metrics"])
        self.seconds = float(state["seconds"])
