r"""Mode mixture: a continuous map of connected noise leaves mass between the modes (deck C).

Let G be L-Lipschitz, z ~ N(0, I), and let a be the mass that G puts on a set S of modes, at
distance δ from all others. Noise within δ/L of G⁻¹(S) cannot reach another mode, and by the
Gaussian isoperimetric inequality there is much of it:

    mass between modes ≥ Φ(Φ⁻¹(a) + δ/L) - a,

with equality for a ramp between two modes. It is 0 only for a map that is infinitely steep. AE-OT
lets the map jump: transport onto the codes of the data is discontinuous, and little is left
between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas
import torch
from torch import Tensor, nn

from gencourse._validate import positive
from gencourse.data import Dataset, load
from gencourse.failures._draw import bars
from gencourse.failures.collapse import counted, modes_of
from gencourse.metrics import mode_coverage
from gencourse.metrics.coverage import RADIUS
from gencourse.models import build
from gencourse.models.gan import AdversarialModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["lipschitz_bound", "mixture_bound", "mode_mixture", "plot_mode_mixture"]


def mixture_bound(mass: float, gap: float, lipschitz: float) -> float:
    r"""Return the least mass that an L-Lipschitz map of Gaussian noise leaves between two sets.

    Φ(Φ⁻¹(a) + δ/L) - a.

    Parameters
    ----------
    mass : float
        a, the mass on the first set.
    gap : float
        δ, the distance of the sets.
    lipschitz : float
        L.

    Raises
    ------
    ValueError
        If the mass does not lie in [0, 1], or the others are not positive.

    References
    ----------
    C. Borell 1975, *The Brunn–Minkowski inequality in Gauss space*; for generators U. Tanielian
    et al. 2020, *Learning disconnected manifolds: a no GAN's land*.

    Examples
    --------
    >>> round(mixture_bound(0.5, gap=1.0, lipschitz=10.0), 4)
    0.0398
    """
    if not 0 <= mass <= 1:
        raise ValueError(f"mass must lie in [0, 1], not {mass!r}")
    positive(gap, "gap")
    positive(lipschitz, "lipschitz")
    a = torch.tensor(mass, dtype=torch.float64)
    return (torch.special.ndtr(torch.special.ndtri(a) + gap / lipschitz) - a).item()


def lipschitz_bound(network: nn.Sequential) -> float:
    """Return the product of the layers' spectral norms, at least the Lipschitz constant.

    Parameters
    ----------
    network : nn.Sequential
        Linear layers and activations of slope at most 1.

    Raises
    ------
    ValueError
        If there are other layers.
    """
    bound = 1.0
    for layer in network:
        if isinstance(layer, nn.Linear):
            bound *= torch.linalg.matrix_norm(layer.weight.detach().double(), ord=2).item()
        elif not isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.Tanh | nn.Identity):
            raise ValueError(f"the slope of {layer} is not known; give linear layers and ReLU")
    return bound


def mode_mixture(
    data: str | Dataset = "ring8", *, steps: int = 1500, n: int = 4000, seed: int = 0
) -> pandas.DataFrame:
    """Compare ``gan`` with ``ae-ot``, whose map cuts between modes, by the mass in between.

    Parameters
    ----------
    data : str or Dataset
        A mixture whose centres are known.
    steps : int
        Training steps of each.
    n : int
        Samples.
    seed : int
        Seed of weights, batches and samples.

    Returns
    -------
    pandas.DataFrame
        Rows ``gan``, ``ae-ot``, and ``data`` itself; columns ``modes``, ``quality``, ``between``
        (the share within 3σ of no centre; 0.011 of a Gaussian mixture in the plane),
        ``largest_share``; for ``gan`` ``slope``, the largest of its generator at n points of noise,
        and ``lipschitz``, the product of its layers' norms, with ``least_between`` by the
        inequality above, which is proven with the latter.

    Raises
    ------
    ValueError
        If the data have no modes.
    """
    positive(n, "n", integer=True)
    dataset = load(data) if isinstance(data, str) else data
    modes, std = modes_of(dataset)
    rows = []
    for slug in ("gan", "ae-ot"):
        model = build(slug, dataset, seed=seed, device="cpu")
        model.fit(dataset, steps=steps, seed=seed, progress=False)
        x = model.sample(n, generator=torch.Generator().manual_seed(seed + 1)).cpu()
        row: dict[str, Any] = {"system": slug, **counted(x, dataset)}
        if isinstance(model, AdversarialModel):
            G = model.average.module
            assert isinstance(G, nn.Sequential)
            z = torch.randn(n, model.settings.latent, generator=torch.Generator().manual_seed(seed))
            slopes = _slopes(G, z.to(model.device))
            row["slope"], row["lipschitz"] = slopes.max().item(), lipschitz_bound(G)
            shares = mode_coverage(x, modes, std).shares
            row["least_between"] = _least_between(shares, modes, std, row["lipschitz"])
        rows.append(row)
    real = dataset.sample(n, generator=torch.Generator().manual_seed(seed + 1))
    rows.append({"system": "data", **counted(real, dataset)})
    return pandas.DataFrame(rows).set_index("system")


def _slopes(G: nn.Module, z: Tensor) -> Tensor:
    """Return the spectral norm of the Jacobian of G at each z, shape ``(n,)``."""

    def output(one: Tensor) -> Tensor:
        return G(one[None])[0]

    with torch.no_grad():
        J = torch.func.vmap(torch.func.jacrev(output))(z)
    return torch.linalg.matrix_norm(J, ord=2)


def _least_between(shares: Tensor, modes: Tensor, std: float, lipschitz: float) -> float:
    """Return the best of the bounds for S the modes on one side of a line across an axis."""
    best = 0.0
    for axis in modes.T:
        for cut in axis.unique()[:-1]:
            low = axis <= cut
            gap = torch.cdist(modes[low], modes[~low]).min().item() - 2 * RADIUS * std
            if gap > 0:
                for side in (low, ~low):
                    mass = shares[side].sum().clamp(0, 1).item()
                    best = max(best, mixture_bound(mass, gap, lipschitz))
    return best


def plot_mode_mixture(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the mass between modes of each row of :func:`mode_mixture` as a bar."""
    return bars(frame["between"].to_dict(), ax=ax, xlabel="share between modes")
