r"""The smallest game that does not settle: min over x, max over y of x y (deck A, *oscillation*).

With z = (x, y), both players step along their own gradients:

    simultaneous   x ← x - η y,   y ← y + η x    a turn that stretches: ‖z‖ grows by √(1 + η²)
    alternating    x ← x - η y,   y ← y + η x    with the new x: x² + y² - η x y never changes

so that the first spirals outwards however small η is, the second circles for ever, and neither
comes nearer to the solution (0, 0). The average of the iterates telescopes: after T steps

    ‖z̄‖ = ‖z_T - z_0‖ / (η T),

which falls as 1/T where the iterates stay bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas

from gencourse._validate import positive
from gencourse.failures._draw import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bilinear_game", "plot_bilinear_game"]


def bilinear_game(
    *,
    eta: float = 0.1,
    steps: int = 200,
    alternating: bool = False,
    start: tuple[float, float] = (1.0, 0.0),
) -> pandas.DataFrame:
    r"""Run gradient descent and ascent on x y.

    Parameters
    ----------
    eta : float
        η, the learning rate of both players.
    steps : int
        T, how many steps.
    alternating : bool
        Whether y answers to the new x.
    start : (float, float)
        x and y before the first step.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``step``, from 0: ``x``, ``y`` and their distance ``radius`` from the solution;
        ``turns`` around it so far; ``average_x``, ``average_y``, ``average_radius`` of the iterates
        from the start, which for the alternating game are y before and x after the player's
        step; and ``theory``, the radius in closed form, ‖z_0‖ (1 + η²)^(t/2), or NaN for the
        alternating game.

    Raises
    ------
    ValueError
        If η or the number of steps is not positive, or the start is the solution.

    References
    ----------
    L. Mescheder, A. Geiger & S. Nowozin 2018, *Which training methods for GANs do actually
    converge?*, on the Dirac-GAN; deck A.

    Examples
    --------
    >>> frame = bilinear_game(eta=0.5, steps=2)
    >>> frame["radius"].round(4).tolist()
    [1.0, 1.118, 1.25]
    """
    positive(eta, "eta")
    positive(steps, "steps", integer=True)
    path = np.empty((steps + 1, 2))
    path[0] = start
    if not np.isfinite(path[0]).all() or not path[0].any():
        raise ValueError(f"start must be two finite numbers, not both 0, but is {start!r}")
    for t in range(steps):
        x, y = path[t]
        new_x = x - eta * y
        path[t + 1] = new_x, y + eta * (new_x if alternating else x)
    # What each player answered to: that is what telescopes.
    x_seen = path[1:, 0] if alternating else path[:-1, 0]
    count = np.arange(1, steps + 1)
    average = np.stack([x_seen.cumsum() / count, path[:-1, 1].cumsum() / count], axis=1)
    average = np.vstack([path[:1], average])
    radius = np.hypot(*path.T)
    angle = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
    growth = (1 + eta**2) ** (np.arange(steps + 1) / 2)
    return pandas.DataFrame(
        {
            "x": path[:, 0],
            "y": path[:, 1],
            "radius": radius,
            "turns": (angle - angle[0]) / (2 * np.pi),
            "average_x": average[:, 0],
            "average_y": average[:, 1],
            "average_radius": np.hypot(*average.T),
            "theory": np.full(steps + 1, np.nan) if alternating else radius[0] * growth,
        }
    ).rename_axis("step")


def plot_bilinear_game(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the path of :func:`bilinear_game` in the plane, and that of its average."""
    from gencourse.plots import ACCENT, THEORY

    path = pandas.DataFrame({"y": frame["y"].to_numpy()}, index=frame["x"].to_numpy())
    ax = curves(path, {"y": "iterates"}, ax=ax, xlabel="$x$", ylabel="$y$")
    ax.plot(frame["average_x"], frame["average_y"], color=ACCENT, label="their average")
    ax.plot(0, 0, "x", color=THEORY, label="solution")
    ax.set_aspect("equal")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, columnspacing=1.0)
    return ax
