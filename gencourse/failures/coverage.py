"""Mode coverage of every adversarial system side by side, on the grid of 25 modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas

from gencourse.data import Dataset, load
from gencourse.evaluation import evaluate
from gencourse.failures._draw import bars
from gencourse.failures.collapse import modes_of
from gencourse.models import System, build, get, systems

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FAMILY", "adversarial_coverage", "adversarial_systems", "plot_coverage"]

FAMILY = "Adversarial"
COLUMNS = ("modes", "quality", "largest_share", "w1", "w1_floor")


def adversarial_systems(kind: str = "points") -> tuple[System, ...]:
    """Return the adversarial systems that learn such data, in the order of the course."""
    return tuple(s for s in systems() if s.family == FAMILY and kind in s.kinds)


def adversarial_coverage(
    data: str | Dataset = "grid25",
    *,
    slugs: Sequence[str] | None = None,
    steps: int | None = None,
    n: int = 2000,
    seed: int = 0,
    progress: bool = False,
) -> pandas.DataFrame:
    """Train each adversarial system on the same mixture, and count what it has found.

    Parameters
    ----------
    data : str or Dataset
        A mixture whose centres are known.
    slugs : sequence of str, optional
        Which systems; by default every one of the family that learns points.
    steps : int, optional
        Training steps; by default each system's own.
    n : int
        Samples on each side of a distance.
    seed : int
        Seed of weights, batches and samples.
    progress : bool
        Show a progress bar for each system.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``system``: ``modes``, ``quality``, ``largest_share``, ``w1`` and its floor
        ``w1_floor`` as :func:`gencourse.evaluate` defines them, and training ``seconds``; NaN for a
        system that diverged.

    Raises
    ------
    KeyError
        If a slug is unknown.
    ValueError
        If the data have no modes, or a system does not learn points.
    """
    dataset = load(data) if isinstance(data, str) else data
    modes_of(dataset)
    chosen = adversarial_systems() if slugs is None else [get(slug) for slug in slugs]
    # Whatever cannot be built is told now, not after the others' training.
    models = {s.slug: build(s.slug, dataset, seed=seed, device="cpu") for s in chosen}
    rows = []
    for slug, model in models.items():
        row: dict[str, str | float] = {"system": slug}
        try:
            history = model.fit(dataset, steps=steps, seed=seed, progress=progress)
        except FloatingPointError:
            row |= dict.fromkeys((*COLUMNS, "seconds"), math.nan)
        else:
            found = evaluate(model, dataset, n=n, seed=seed)
            row |= {name: found[name] for name in COLUMNS} | {"seconds": history.seconds}
        rows.append(row)
    return pandas.DataFrame(rows, columns=["system", *COLUMNS, "seconds"]).set_index("system")


def plot_coverage(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the modes covered by each system of :func:`adversarial_coverage` as a bar."""
    modes = {
        f"{slug} (diverged)" if math.isnan(value) else str(slug): 0.0
        if math.isnan(value)
        else value
        for slug, value in frame["modes"].items()
    }
    return bars(modes, ax=ax, xlabel="modes covered")
