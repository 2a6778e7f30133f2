"""Columns of a frame as curves or bars, which is how most of these experiments are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas

from gencourse import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bars", "curves", "new_axes"]


def curves(
    frame: pandas.DataFrame,
    labels: Mapping[str, str],
    *,
    ax: Axes | None,
    xlabel: str,
    ylabel: str,
    xscale: str = "linear",
    yscale: str = "linear",
) -> Axes:
    """Draw columns against the index, each under its label; missing values leave gaps."""
    columns = {label: frame[column].tolist() for column, label in labels.items()}
    ax = plots.history(columns, steps=frame.index.tolist(), ax=ax, xlabel=xlabel)
    ax.set(ylabel=ylabel, xscale=xscale, yscale=yscale)
    return ax


def bars(values: Mapping[str, float], *, ax: Axes | None, xlabel: str) -> Axes:
    """Draw one horizontal bar for each entry, from top to bottom, with its value beside it."""
    names = list(values)
    ax = ax or new_axes((5.0, 1.0 + 0.3 * len(names)))  # so that no name touches the next
    drawn = ax.barh(names, [values[name] for name in names], color=plots.MODEL)
    ax.bar_label(drawn, fmt="%.3g", padding=3)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlabel=xlabel)
    return ax


def new_axes(size: tuple[float, float] | None = None) -> Axes:
    """Return axes of a figure of their own, by default of the usual size."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]
