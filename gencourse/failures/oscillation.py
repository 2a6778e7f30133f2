r"""Oscillation: a generator that runs from mode to mode, and what averages make of it (deck A).

At step t the generator may hold one mode, and soon after another. Two averages are taken along the
way. That of the *weights*, w̄ ← (1 - rate) w̄ + rate w, is what samples are drawn from in this
course. That of the *laws*, (1/t) Σ_s P_{g_s}, is the mixed strategy to which the theory of games
refers: a sample of it comes from a random earlier generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas
import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.data import Dataset, load
from gencourse.failures._draw import curves, new_axes
from gencourse.failures.collapse import modes_of
from gencourse.metrics import mode_coverage
from gencourse.models import build
from gencourse.models.gan import AdversarialModel
from gencourse.transport import wasserstein

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Oscillation", "oscillation", "plot_distances", "plot_shares"]


@dataclass(frozen=True)
class Oscillation:
    """What :func:`oscillation` found.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by ``step``, from 0: ``fullest``, the mode to which most samples are nearest; for
        the iterate the number of ``modes`` covered and ``w1``, the distance from the data; and
        the same for the averages, ``modes_weights``, ``w1_weights``, ``modes_laws``, ``w1_laws``.
    shares : Tensor of shape (times, K)
        For each mode the share of the iterate's samples that are nearest to it.
    """

    table: pandas.DataFrame
    shares: Tensor

    @property
    def changes(self) -> int:
        """Return how often the fullest mode was another than at the time before."""
        return int((self.table["fullest"].diff().iloc[1:] != 0).sum())


def oscillation(
    data: str | Dataset = "ring8",
    *,
    slug: str = "gan",
    steps: int = 1000,
    every: int = 40,
    n: int = 500,
    seed: int = 0,
    **settings: Any,
) -> Oscillation:
    r"""Follow a generator through training, and both of its averages.

    Parameters
    ----------
    data : str or Dataset
        A mixture whose centres are known.
    slug : str
        An adversarial system.
    steps : int
        Training steps.
    every : int
        Steps between two looks; the average of laws is over the looks.
    n : int
        Samples on each side of a distance.
    seed : int
        Seed of weights, batches and samples.
    **settings
        Of the system. By default the discriminator learns more slowly than the generator,
        which is then always ahead of it.

    Returns
    -------
    Oscillation

    Raises
    ------
    KeyError
        If there is no such system.
    ValueError
        If the data have no modes, or the system has no generator that plays.
    """
    for name, number in {"steps": steps, "every": every, "n": n}.items():
        positive(number, name, integer=True)
    dataset = load(data) if isinstance(data, str) else data
    modes, std = modes_of(dataset)
    settings = settings or {"lr_discriminator": 3e-4}
    model = build(slug, dataset, seed=seed, device="cpu", **settings)
    if not isinstance(model, AdversarialModel):
        raise ValueError(f"{slug!r} is no game between a generator and a discriminator")
    fresh = torch.Generator().manual_seed(seed + 1)
    z = torch.randn(n, model.settings.latent, generator=fresh).to(model.device)
    real = dataset.sample(n, generator=fresh)
    rows: list[dict[str, float]] = []
    shares: list[Tensor] = []
    seen: list[Tensor] = []

    @torch.no_grad()
    def look(step: int) -> None:
        iterate, mean_weights = model.generator(z).cpu(), model.average(z).cpu()
        seen.append(iterate)
        so_far = torch.cat(seen)
        mixed = so_far[torch.randperm(len(so_far), generator=fresh)[:n]]
        nearest = torch.cdist(iterate, modes).argmin(dim=1)
        shares.append(nearest.bincount(minlength=len(modes)) / n)
        row: dict[str, float] = {"step": step, "fullest": int(shares[-1].argmax())}
        for name, x in (("", iterate), ("_weights", mean_weights), ("_laws", mixed)):
            row[f"modes{name}"] = mode_coverage(x, modes, std).modes_covered
            row[f"w1{name}"] = wasserstein(x, real, p=1).item()
        rows.append(row)

    model.fit(dataset, steps=steps, seed=seed, progress=False, callback=look, every=every)
    return Oscillation(pandas.DataFrame(rows).set_index("step"), torch.stack(shares))


def plot_shares(result: Oscillation, *, ax: Axes | None = None) -> Axes:
    """Draw to which mode how much of the mass is nearest, over time."""
    steps = result.table.index
    ax = ax or new_axes()
    half = (steps[1] - steps[0]) / 2 if len(steps) > 1 else 0.5
    k = result.shares.shape[1]
    picture = ax.imshow(
        result.shares.T.numpy(),
        origin="lower",
        aspect="auto",
        extent=(steps[0] - half, steps[-1] + half, -0.5, k - 0.5),
        cmap="cividis",
        vmin=0,
        interpolation="nearest",
    )
    ax.set(xlabel="step", ylabel="mode")
    ax.figure.colorbar(picture, ax=ax, label="share of samples")
    return ax


def plot_distances(result: Oscillation, *, ax: Axes | None = None) -> Axes:
    """Draw the distance from the data of the iterates and of both averages."""
    labels = {"w1": "iterate", "w1_weights": "averaged weights", "w1_laws": "averaged laws"}
    return curves(result.table, labels, ax=ax, xlabel="step", ylabel="$W_1$ to the data")
