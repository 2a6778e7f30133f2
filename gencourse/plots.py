"""The pictures of the course: one palette, and every plot takes ``ax=`` and returns it.

Blue is always the data, vermilion the model, green the discriminator or critic, black the
theory. The colours are those of Okabe and Ito (*Color Universal Design*, 2008), which differ
for colour-blind readers and, by their brightness, in print. Tensors may live on any device.

Functions are evaluated on a grid of points; a network, or a bound method of one, is called
with points on its own device.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gencourse._validate import positive
from gencourse.data.base import Dataset

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = [
    "ACCENT",
    "CYCLE",
    "DATA",
    "DISCRIMINATOR",
    "MODEL",
    "THEORY",
    "density",
    "field",
    "filmstrip",
    "history",
    "image_grid",
    "scatter",
    "style",
    "surface",
    "use_style",
]

DATA = "#0072B2"  # blue
MODEL = "#D55E00"  # vermilion
DISCRIMINATOR = "#009E73"  # bluish green
THEORY = "#000000"
ACCENT = "#CC79A7"  # reddish purple
#: The order in which further curves are coloured.
CYCLE = (DATA, MODEL, DISCRIMINATOR, ACCENT, "#E69F00", "#56B4E9", THEORY)
#: A line style for each colour, so that curves also differ without colour.
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), "-")

# Text stays legible when a figure of this size is shown 350 pixels wide, as on a phone.
STYLE: dict[Any, Any] = {
    "figure.figsize": (5.0, 4.0),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "image.cmap": "cividis",
}

Limits = float | tuple[float, float, float, float]
Function = Callable[[Tensor], Tensor]


def use_style() -> None:
    """Set the course's look for every figure from here on; for a notebook's first cell."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=CYCLE)


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Set the course's look within a ``with`` block only."""
    import matplotlib

    with matplotlib.rc_context():
        use_style()
        yield


def scatter(
    samples: Tensor | None,
    data: Tensor | None = None,
    *,
    ax: Axes | None = None,
    limits: Limits | None = None,
    size: float = 5.0,
    color: str = MODEL,
    label: str = "model",
    legend: bool | None = None,
) -> Axes:
    """Draw points in the plane, over the data if given.

    Parameters
    ----------
    samples : Tensor of shape (n, 2), or None
        Points in the colour of the model. Points that are not finite cannot be drawn; a
        note in the corner says how many there were.
    data : Tensor of shape (m, 2), optional
        Points beneath them in the colour of the data.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    limits : float, or (left, right, bottom, top), optional
        A number r stands for [-r, r]²; by default what holds the data, or else the samples.
    size : float
        Area of a point in square typographic points.
    color, label : str
        Of the samples, where they are not a model's: ``scatter(x, color=DATA, label="data")``.
    legend : bool, optional
        By default only where there are two things to tell apart.

    Returns
    -------
    Axes
    """
    ax = ax or _axes()
    shown = []
    lost = 0
    if data is not None:
        x, _ = _finite_points(data, "data")
        ax.scatter(
            x[:, 0],
            x[:, 1],
            s=size,
            c=DATA,
            alpha=0.35,
            linewidths=0,
            label="data",
            rasterized=True,
        )
        shown.append(x)
    if samples is not None:
        x, lost = _finite_points(samples, "samples")
        ax.scatter(
            x[:, 0], x[:, 1], s=size, c=color, alpha=0.6, linewidths=0, label=label, rasterized=True
        )
        shown.append(x)
    if not shown:
        raise ValueError("nothing to draw: give samples, data or both")
    _frame(ax, _limits(limits, shown[0]))
    if legend or (legend is None and len(shown) > 1):
        box = ax.legend(loc="upper right", markerscale=2.5, handletextpad=0.1, borderaxespad=0)
        for handle in box.legend_handles:
            if handle is not None:
                handle.set_alpha(1)
    if lost:
        note = f"{lost} of {len(x) + lost} not finite"
        ax.text(0.02, 0.02, note, transform=ax.transAxes, color=color)
    return ax


def density(
    log_density: Function | Dataset | nn.Module,
    *,
    ax: Axes | None = None,
    limits: Limits = 3.0,
    resolution: int = 200,
    colorbar: bool = False,
) -> Axes:
    """Draw a density in the plane, given its logarithm.

    Parameters
    ----------
    log_density : callable, Dataset or GenerativeModel
        Maps points ``(n, 2)`` to log densities ``(n,)``; of a data set or a model, its
        ``log_prob``.
    ax, limits : see :func:`scatter`
    resolution : int
        Points along each side of the grid.
    colorbar : bool
        Whether to show what the shades mean.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the density is not known, or the function returns NaN or another shape.
    """
    function = _log_prob_of(log_density)
    ax = ax or _axes()
    extent = _limits(limits, None)
    values = _on_grid(function, extent, resolution).exp()
    picture = ax.imshow(
        values.numpy(), origin="lower", extent=extent, cmap=_shades(DATA), vmin=0, aspect="equal"
    )
    _frame(ax, extent)
    if colorbar:
        ax.figure.colorbar(picture, ax=ax, label="density", shrink=0.85)
    return ax


def surface(
    function: Function,
    *,
    ax: Axes | None = None,
    limits: Limits = 3.0,
    resolution: int = 200,
    center: float | None = None,
    levels: int | Sequence[float] = 11,
    colorbar: bool = True,
    label: str = "",
) -> Axes:
    """Draw the values of a discriminator, a critic or an energy as filled contours.

    Parameters
    ----------
    function : callable
        Maps points ``(n, 2)`` to values ``(n,)`` or ``(n, 1)``.
    ax, limits, resolution : see :func:`density`
    center : float, optional
        The value drawn white, with high values towards the data's blue and low ones
        towards the model's vermilion: 0.5 for a discriminator's probability, 0 for its
        logit. That level is also drawn as a line. By default a single scale of shades.
    levels : int or sequence of float
        How many contours, or which.
    colorbar : bool
        Whether to show what the shades mean.
    label : str
        Written beside the colour bar.

    Returns
    -------
    Axes
    """
    from matplotlib.colors import CenteredNorm

    ax = ax or _axes()
    extent = _limits(limits, None)
    values = _on_grid(function, extent, resolution)
    if not torch.isfinite(values).all():
        raise ValueError("the function is not finite everywhere within the limits")
    x, y = (axis.numpy() for axis in _ticks(extent, resolution))
    grid = values.numpy()
    colours: dict[str, Any]
    if center is None:
        colours = {"cmap": _shades(DISCRIMINATOR)}
    else:
        reach = float((values - center).abs().max()) or 1.0
        colours = {"cmap": _diverging(), "norm": CenteredNorm(center, reach)}
    picture = ax.contourf(x, y, grid, levels=levels, **colours)
    if center is not None and grid.min() < center < grid.max():
        ax.contour(x, y, grid, levels=[center], colors=THEORY, linewidths=1.2)
    _frame(ax, extent)
    if colorbar:
        ax.figure.colorbar(picture, ax=ax, label=label, shrink=0.85)
    return ax


def field(
    function: Function,
    *,
    ax: Axes | None = None,
    limits: Limits = 3.0,
    resolution: int = 20,
    color: str = THEORY,
    normalize: bool = False,
) -> Axes:
    """Draw a vector field as arrows: a score, a drift, a gradient of a critic.

    Parameters
    ----------
    function : callable
        Maps points ``(n, 2)`` to vectors ``(n, 2)``.
    ax, limits : see :func:`density`
    resolution : int
        Arrows along each side.
    color : str
        Of the arrows.
    normalize : bool
        Whether to show directions only, where lengths differ by orders of magnitude.

    Returns
    -------
    Axes
    """
    ax = ax or _axes()
    extent = _limits(limits, None)
    positive(resolution, "resolution", integer=True)
    x, y = _ticks(extent, resolution)
    at = torch.cartesian_prod(x, y)
    vectors = _call(function, at)
    if vectors.shape != at.shape:
        raise ValueError(
            f"the function must map points of shape {tuple(at.shape)} to vectors of the same "
            f"shape, not {tuple(vectors.shape)}"
        )
    if normalize:
        vectors = nn.functional.normalize(vectors, dim=1)
    ax.quiver(*at.T.numpy(), *vectors.T.numpy(), color=color, width=0.004, pivot="mid")
    _frame(ax, extent)
    return ax


def image_grid(
    images: Tensor,
    columns: int | None = None,
    *,
    ax: Axes | None = None,
    padding: int = 1,
) -> Axes:
    """Draw images side by side, row by row.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        In [-1, 1], with 1 or 3 channels; values outside are clipped.
    columns : int, optional
        Images in a row; by default about as many as rows.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    padding : int
        Pixels between images.

    Returns
    -------
    Axes
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] not in (1, 3):
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images must have shape (n, 1 or 3, height, width), not {shape}")
    n, channels, height, width = images.shape
    if n == 0:
        raise ValueError("there are no images to draw")
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    positive(columns, "columns", integer=True)
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise ValueError(f"padding must be a whole number from 0, not {padding!r}")
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    bright = _numbers(images).clamp(-1, 1).add(1).div(2).nan_to_num(0.5)
    # Grey between the images, which may be black or white at the edge; white after the last.
    sheet = torch.ones(rows * columns, channels, height + padding, width + padding)
    sheet[:n] = 0.6
    sheet[:n, :, :height, :width] = bright
    sheet = sheet.reshape(rows, columns, channels, height + padding, width + padding)
    sheet = sheet.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)
    sheet = sheet[: sheet.shape[0] - padding, : sheet.shape[1] - padding]
    ax = ax or _axes((5.0, max(0.6, 5.0 * sheet.shape[0] / sheet.shape[1])))
    picture = sheet[..., 0] if channels == 1 else sheet
    ax.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return ax


def history(
    metrics: Mapping[str, Sequence[float]],
    *,
    steps: Sequence[int] | None = None,
    ax: Axes | None = None,
    xlabel: str = "step",
) -> Axes:
    """Draw measured quantities against the step, each with its own colour and dashes.

    Parameters
    ----------
    metrics : mapping of str to sequence of float
        For each quantity its values; NaN leaves a gap.
    steps : sequence of int, optional
        Where they were measured; by default 1, 2, 3, …
    ax : Axes, optional
        Where to draw; by default in a new figure.
    xlabel : str
        Written below.

    Returns
    -------
    Axes
    """
    if not metrics:
        raise ValueError("there is nothing to draw: no quantity was recorded")
    ax = ax or _axes()
    for i, (name, values) in enumerate(metrics.items()):
        at = range(1, len(values) + 1) if steps is None else steps
        if len(at) != len(values):
            raise ValueError(f"{name!r} has {len(values)} values for {len(at)} steps")
        marker = "o" if len(values) == 1 else ""
        colour, dashes = CYCLE[i % len(CYCLE)], DASHES[i % len(DASHES)]
        ax.plot(at, values, color=colour, linestyle=dashes, marker=marker, label=name)
    ax.set_xlabel(xlabel)
    ax.margins(x=0.02)
    ax.legend()
    return ax


def filmstrip(
    frames: Sequence[Tensor],
    titles: Sequence[str] | None = None,
    *,
    data: Tensor | None = None,
    limits: Limits | None = None,
    columns: int = 3,
    axes: Sequence[Axes] | np.ndarray | None = None,
    size: float = 3.0,
) -> np.ndarray:
    """Draw samples at successive moments, points or images, in panels of the same scale.

    Parameters
    ----------
    frames : sequence of Tensor
        Each of shape ``(n, 2)``, points, or ``(n, channels, height, width)``, images.
    titles : sequence of str, optional
        One for each frame, such as the step.
    data : Tensor of shape (m, 2), optional
        Data beneath each frame of points.
    limits : see :func:`scatter`
        By default what holds the data, or else the last frame.
    columns : int
        Panels in a row; more frames wrap, which keeps them readable on a phone.
    axes : sequence of Axes, optional
        Where to draw; by default in a new figure.
    size : float
        Area of a point in square typographic points.

    Returns
    -------
    ndarray of Axes, one for each frame
    """
    import matplotlib.pyplot as plt
    import numpy as np

    if not len(frames):
        raise ValueError("there are no frames to draw")
    if titles is not None and len(titles) != len(frames):
        raise ValueError(f"{len(titles)} titles for {len(frames)} frames")
    positive(columns, "columns", integer=True)
    if axes is None:
        across = min(columns, len(frames))
        down = math.ceil(len(frames) / across)
        _, grid = plt.subplots(
            down, across, figsize=(2.0 * across, 2.25 * down), squeeze=False, layout="constrained"
        )
        axes = grid.ravel()
        for unused in axes[len(frames) :]:
            unused.set_axis_off()
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) < len(frames):
        raise ValueError(f"{len(flat)} axes for {len(frames)} frames")
    if frames[-1].ndim == 2 and limits is None:
        shown, _ = _finite_points(data if data is not None else frames[-1], "frames")
        limits = _limits(None, shown)
    for i, (frame, ax) in enumerate(zip(frames, flat, strict=False)):
        if frame.ndim == 2:
            scatter(frame, data, ax=ax, limits=limits, size=size, legend=False)
            ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
            for side in ax.spines.values():
                side.set_visible(True)
        else:
            image_grid(frame, ax=ax)
        if titles is not None:
            ax.set_title(titles[i])
    return flat[: len(frames)]


# --- shared by the plots ----------------------------------------------------------------


def _axes(size: tuple[float, float] | None = None) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def _frame(ax: Axes, extent: tuple[float, float, float, float]) -> None:
    """Give the plane equal scales on both axes, and names."""
    ax.set_aspect("equal")
    ax.set(xlim=extent[:2], ylim=extent[2:], xlabel="$x_1$", ylabel="$x_2$")


def _numbers(x: Tensor) -> Tensor:
    """Return what matplotlib can draw, wherever the tensor lives: CPU, float32, no gradient."""
    return x.detach().cpu().float()


def _finite_points(x: Tensor, name: str) -> tuple[np.ndarray, int]:
    """Return the finite rows of points in the plane, and how many were not."""
    if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != 2:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} must be points in the plane, of shape (n, 2), not {shape}")
    x = _numbers(x)
    keep = torch.isfinite(x).all(dim=1)
    return x[keep].numpy(), int((~keep).sum())


def _limits(limits: Limits | None, shown: np.ndarray | None) -> tuple[float, float, float, float]:
    """Return (left, right, bottom, top) from a radius, four numbers, or what is to be seen."""
    if limits is None:
        if shown is None or len(shown) == 0:
            return (-1.0, 1.0, -1.0, 1.0)
        (left, bottom), (right, top) = shown.min(axis=0), shown.max(axis=0)
        margin = 0.06 * max(right - left, top - bottom) or 1.0
        extent = (left - margin, right + margin, bottom - margin, top + margin)
        return tuple(float(edge) for edge in extent)  # type: ignore[return-value]
    if isinstance(limits, int | float):
        positive(limits, "limits")
        return (-limits, limits, -limits, limits)
    if len(limits) != 4 or not (limits[0] < limits[1] and limits[2] < limits[3]):
        raise ValueError(
            f"limits must be a radius or (left, right, bottom, top) in that order, not {limits!r}"
        )
    left, right, bottom, top = (float(edge) for edge in limits)
    return (left, right, bottom, top)


def _ticks(extent: tuple[float, float, float, float], n: int) -> tuple[Tensor, Tensor]:
    """Return the middles of n cells along each side: a picture's pixels cover its extent."""
    middles = (torch.arange(n) + 0.5) / n
    left, right, bottom, top = extent
    return left + (right - left) * middles, bottom + (top - bottom) * middles


def _on_grid(
    function: Function, extent: tuple[float, float, float, float], resolution: int
) -> Tensor:
    """Evaluate a function of the plane; rows of the result are heights, from the bottom."""
    positive(resolution, "resolution", integer=True)
    x, y = _ticks(extent, resolution)
    at = torch.cartesian_prod(y, x).flip(1)
    values = _call(function, at)
    if values.numel() != len(at):
        raise ValueError(
            f"the function must map points of shape {tuple(at.shape)} to one value each, "
            f"not to shape {tuple(values.shape)}"
        )
    if torch.isnan(values).any():
        raise ValueError("the function returns NaN within the limits")
    return values.reshape(resolution, resolution)


def _call(function: Function, at: Tensor) -> Tensor:
    """Call a function with points on the device and in the dtype of its network, if any."""
    owner = getattr(function, "__self__", function)
    if isinstance(owner, nn.Module):
        own = (t for t in chain(owner.parameters(), owner.buffers()) if t.is_floating_point())
        for tensor in own:
            at = at.to(device=tensor.device, dtype=tensor.dtype)
            break
    # A copy, which the function may mark and change; and no torch.no_grad(), for a field may
    # well be computed by autograd.
    return _numbers(function(at.clone()))


def _log_prob_of(model: Function | Dataset | nn.Module) -> Function:
    """Return the log density of a data set, a model or a function."""
    log_prob = getattr(model, "log_prob", model)
    if not callable(log_prob):
        raise ValueError(f"{model!r} is neither a function nor something with a log_prob")

    def known(x: Tensor) -> Tensor:
        value = log_prob(x)
        if value is None:
            raise ValueError(f"the density of {model!r} is not known")
        return value

    # What _call looks at to find the device of the model.
    known.__self__ = getattr(log_prob, "__self__", log_prob)  # type: ignore[attr-defined]
    return known


def _shades(colour: str) -> Colormap:
    """From white through a colour to a dark shade of it, brightness falling all the way."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#FFFFFF", colour, _mixed(colour, "#000000")]
    return LinearSegmentedColormap.from_list("shades", list(zip((0, 0.6, 1), stops, strict=True)))


def _diverging() -> Colormap:
    """Vermilion for low (the model's side), white, blue for high (the data's).

    The ends are tints, so that points in the full colours stand out on them.
    """
    from matplotlib.colors import LinearSegmentedColormap

    stops = [_mixed(MODEL, "#FFFFFF"), "#FFFFFF", _mixed(DATA, "#FFFFFF")]
    return LinearSegmentedColormap.from_list("data-or-model", stops)


def _mixed(colour: str, other: str) -> str:
    """Return the colour halfway between two."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = ((a + b) / 2 for a, b in zip(to_rgb(colour), to_rgb(other), strict=True))
    return to_hex((red, green, blue))
