"""Mode collapse, made and mended: the same game with its players in and out of balance (deck C)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas
import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.data import Dataset, load
from gencourse.metrics import mode_coverage
from gencourse.models import build

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLLAPSING", "ModeCollapse", "mode_collapse", "modes_of", "plot_mode_collapse"]

#: What each run changes in the default settings, which are balanced: both players learn at the
#: same rate, with little momentum, and the generator's weights are averaged.
COLLAPSING: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # The generator runs to the best point of a discriminator that is too slow to answer.
        "slow discriminator": {"lr_discriminator": 3e-4, "averaging": 1.0},
        # Momentum keeps both players going round: see the bilinear game.
        "momentum 0.9": {"beta1": 0.9, "averaging": 1.0},
        "balanced": {},
    }
)


@dataclass(frozen=True)
class ModeCollapse:
    """What :func:`mode_collapse` found.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by ``run``: ``modes`` covered, ``quality``, ``between`` (the share of samples within
        3σ of no centre: mode mixture), ``largest_share`` in fair shares, and training ``seconds``.
    samples : dict of str to Tensor of shape (n, d)
        What the generator of each run makes.
    data : Dataset
        What they were to learn.
    """

    table: pandas.DataFrame
    samples: dict[str, Tensor]
    data: Dataset


def mode_collapse(
    data: str | Dataset = "ring8",
    *,
    slug: str = "gan",
    runs: Mapping[str, Mapping[str, Any]] = COLLAPSING,
    steps: int = 1000,
    n: int = 4000,
    seed: int = 0,
) -> ModeCollapse:
    """Train an adversarial system once for each set of settings, and count modes.

    Parameters
    ----------
    data : str or Dataset
        A mixture whose centres are known, such as ``"ring8"`` or ``"grid25"``.
    slug : str
        Which system.
    runs : mapping of str to mapping
        Settings of each run.
    steps : int
        Training steps of each.
    n : int
        Samples that modes are counted on.
    seed : int
        Seed of weights, batches and samples.

    Returns
    -------
    ModeCollapse

    Raises
    ------
    KeyError
        If there is no such system.
    ValueError
        If the data have no modes, or a setting is wrong.
    """
    positive(n, "n", integer=True)
    dataset = load(data) if isinstance(data, str) else data
    modes_of(dataset)
    models = {
        run: build(slug, dataset, seed=seed, device="cpu", **settings)
        for run, settings in runs.items()
    }
    rows, samples = [], {}
    for run, model in models.items():
        history = model.fit(dataset, steps=steps, seed=seed, progress=False)
        samples[run] = model.sample(n, generator=torch.Generator().manual_seed(seed + 1))
        rows.append({"run": run, **counted(samples[run], dataset), "seconds": history.seconds})
    return ModeCollapse(pandas.DataFrame(rows).set_index("run"), samples, dataset)


def modes_of(dataset: Dataset) -> tuple[Tensor, float]:
    """Return centres and width of a data set's modes, or raise ``ValueError`` if it has none."""
    if dataset.modes is None or dataset.mode_std is None:
        raise ValueError(f"data set {dataset.name!r} has no modes that could be counted")
    return dataset.modes, dataset.mode_std


def counted(samples: Tensor, dataset: Dataset) -> dict[str, float]:
    """Return what :func:`gencourse.metrics.mode_coverage` says, and the share between modes."""
    found = mode_coverage(samples, *modes_of(dataset))
    return {
        "modes": found.modes_covered,
        "quality": found.quality,
        "between": 1 - found.quality,
        "largest_share": found.largest_share,
    }


def plot_mode_collapse(result: ModeCollapse, run: str, *, ax: Axes | None = None) -> Axes:
    """Draw the samples of one run over the data.

    Raises
    ------
    KeyError
        If there was no such run.
    """
    from gencourse import plots
    from gencourse._validate import unknown_name

    if run not in result.samples:
        raise unknown_name("run", run, result.samples)
    real = result.data.sample(1000, generator=torch.Generator().manual_seed(0))
    reach = 1.4 * float(real.abs().max())
    ax = plots.scatter(result.samples[run], real, ax=ax, limits=reach)
    row, (modes, _) = result.table.loc[run], modes_of(result.data)
    ax.set_title(f"{run}: {row['modes']:.0f} of {len(modes)} modes, {row['between']:.0%} between")
    return ax
