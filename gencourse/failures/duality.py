r"""Weak and strong duality of the minimax game: who moves first, and what mixing changes.

For any V it is true that min_G max_D V ≥ max_D min_G V: to move second is never worse (*weak*
duality). Equality (*strong* duality) needs a saddle point. A game with finitely many pure
strategies may have none, and always has one in mixed strategies (von Neumann 1928). With networks
neither need hold, and decks B and D, which write both orders, mean different games.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite
from gencourse.divergences.base import masses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["GameValues", "discrete_gan_game", "game_values", "plot_game_values"]

MOST_COLUMNS = 100_000  # discriminators in a game


@dataclass(frozen=True)
class GameValues:
    """What a matrix game is worth, in either order and with either kind of strategy.

    Attributes
    ----------
    min_max, max_min : float
        In pure strategies; ``min_max`` is never the smaller.
    mixed_min_max, mixed_max_min : float
        In mixed strategies, by two linear programmes; equal up to rounding.
    row : Tensor of shape (n,)
        An optimal mixed strategy of the player who minimises; there may be others.
    column : Tensor of shape (m,)
        One of the player who maximises.
    """

    min_max: float
    max_min: float
    mixed_min_max: float
    mixed_max_min: float
    row: Tensor
    column: Tensor

    @property
    def gap(self) -> float:
        """Return the duality gap in pure strategies, at least 0."""
        return self.min_max - self.max_min


def game_values(V: Tensor) -> GameValues:
    r"""Solve a zero-sum game, in pure strategies by looking and in mixed ones by a programme.

    .. math:: \min_{x \in \Delta} \max_{y \in \Delta} x^\top V y
        = \min_x \{ v : V^\top x \le v \mathbf{1},\ x \ge 0,\ \mathbf{1}^\top x = 1 \},

    and its dual for the other order.

    Parameters
    ----------
    V : Tensor of shape (n, m)
        What the player of the rows pays to the player of the columns.

    Returns
    -------
    GameValues

    Raises
    ------
    ValueError
        If V is not a finite matrix.

    Examples
    --------
    Matching pennies: whoever shows first loses; with fair coins it does not matter.

    >>> import torch
    >>> pennies = game_values(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    >>> pennies.min_max, pennies.max_min, abs(pennies.mixed_min_max) < 1e-12
    (1.0, -1.0, True)
    >>> pennies.row
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    if not isinstance(V, Tensor) or V.ndim != 2:
        raise ValueError("V must be a matrix: a tensor of shape (n, m)")
    payoff = double(finite(V, "V")).cpu().numpy()
    mixed_min_max, row = _solve(payoff)
    negative, column = _solve(-payoff.T)
    return GameValues(
        min_max=float(payoff.max(axis=1).min()),
        max_min=float(payoff.min(axis=0).max()),
        mixed_min_max=mixed_min_max,
        mixed_max_min=-negative,
        row=torch.from_numpy(row),
        column=torch.from_numpy(column),
    )


def _solve(payoff: np.ndarray) -> tuple[float, np.ndarray]:
    """Return min_x max_j (xᵀ V)_j over the simplex, and its x."""
    from scipy.optimize import linprog

    n, m = payoff.shape
    # Unknowns x_1 … x_n and v.
    result = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.c_[payoff.T, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    if result.status != 0:  # impossible for a finite matrix, short of a failure of the solver
        raise ArithmeticError(f"the linear programme was not solved: {result.message}")
    return float(result.fun), np.asarray(result.x[:n])


def discrete_gan_game(data: Tensor, *, levels: Sequence[float] | None = None) -> Tensor:
    r"""Return the payoffs of the GAN game on finitely many points.

    .. math:: V(D, k) = \sum_i p_i \log D_i + \log(1 - D_k).

    A pure generator puts all of its mass on one point k, as a network without noise would. A mixed
    one is a law on the points: noise is what lets a generator mix. Mixed, the game is worth
    -log 4 if ½ is a level, at D = ½ and the law of the data (Goodfellow et al. 2014, theorem 1).

    Parameters
    ----------
    data : Tensor of shape (K,)
        p, the masses of the data.
    levels : sequence of float, optional
        Values that D may take at each point, strictly between 0 and 1; by default 1/40, 2/40, …,
        39/40.

    Returns
    -------
    Tensor of shape (K, len(levels)**K)
        A row for each generator, a column for each discriminator, in float64.

    Raises
    ------
    ValueError
        If the masses are none, or a level does not lie strictly between 0 and 1.

    Examples
    --------
    >>> import torch
    >>> values = game_values(discrete_gan_game(torch.tensor([0.5, 0.5])))
    >>> f"{values.min_max:.3f} {values.max_min:.3f} {values.mixed_min_max:.3f}"
    '-0.968 -1.386 -1.386'
    """
    if data.ndim != 1:
        raise ValueError(f"data must have shape (K,), not {tuple(data.shape)}")
    p = masses(data, "data")
    levels = [i / 40 for i in range(1, 40)] if levels is None else levels
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels must lie strictly between 0 and 1, not {levels!r}")
    if len(levels) ** len(p) > MOST_COLUMNS:
        raise ValueError(
            f"{len(levels)} levels at {len(p)} points make {len(levels) ** len(p)} discriminators; "
            f"take fewer levels, for at most {MOST_COLUMNS}"
        )
    D = torch.tensor(list(product(levels, repeat=len(p))), dtype=torch.float64, device=p.device)
    return (D.log() @ p + torch.log1p(-D).T).contiguous()


def plot_game_values(V: Tensor, *, ax: Axes | None = None) -> Axes:
    """Draw max_D V for each mixture of the first two rows: its least is what mixing is worth.

    At both ends the generator is pure.

    Parameters
    ----------
    V : Tensor of shape (n, m)
        A game, of which the first two rows are used.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Raises
    ------
    ValueError
        If V has fewer than two rows.
    """
    import pandas

    from gencourse.failures._draw import curves
    from gencourse.plots import DISCRIMINATOR, THEORY

    if V.ndim != 2 or len(V) < 2:
        raise ValueError(f"V must have at least two rows to mix, not shape {tuple(V.shape)}")
    values = game_values(V[:2])
    share = torch.linspace(0, 1, 201, dtype=torch.float64)
    rows = double(V[:2]).cpu()
    best = (torch.stack([1 - share, share], dim=1) @ rows).amax(dim=1)
    frame = pandas.DataFrame({"best": best.numpy()}, index=share.numpy())
    ax = curves(
        frame,
        {"best": r"$\max_D V$ against this mixture"},
        ax=ax,
        xlabel="share of the second pure generator",
        ylabel="value",
    )
    for height, label, colour, dashes in (
        (values.min_max, r"pure $\min_G\max_D$", THEORY, "--"),
        (values.max_min, r"pure $\max_D\min_G$", DISCRIMINATOR, ":"),
    ):
        ax.axhline(height, color=colour, linestyle=dashes, linewidth=1.4, label=label)
    ax.plot(float(values.row[1]), values.mixed_min_max, "o", color=THEORY, label="saddle point")
    ax.legend()
    return ax
