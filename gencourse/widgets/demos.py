"""The demonstrations: what each shows, and what it needs from a trained model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gencourse.divergences import F_DIVERGENCES
from gencourse.widgets.demo import Demo
from gencourse.widgets.exported import array, network

__all__ = [
    "bandwidth",
    "conjugates",
    "distances",
    "em_steps",
    "frames",
    "langevin",
    "manifold",
    "push_forward",
    "temperature",
    "transport_plan",
]


def _in_plane(x: Tensor, name: str) -> Tensor:
    if x.ndim != 2 or x.shape[1] != 2 or len(x) == 0:
        raise ValueError(f"{name} must be points in the plane, (n, 2), not {tuple(x.shape)}")
    return x.detach().cpu().float()


def push_forward(generator: nn.Module, data: Tensor, *, reach: float = 3.0, n: int = 600) -> Demo:
    """A generator of points: drag a point of noise and watch its image.

    Parameters
    ----------
    generator : nn.Module
        From noise of two dimensions to the plane.
    data : Tensor of shape (n, 2)
        Drawn behind the samples.
    reach : float
        The picture shows [-reach, reach]².
    n : int
        Samples that are drawn.
    """
    return Demo(
        "pushforward",
        "Where does the generator send a point of noise?",
        "Drag the point on the left, or give it the focus and use the arrow keys. Neighbours go to "
        "neighbours: find the thin strips of noise that are stretched from one cloud to the next.",
        {
            "network": network(generator, (2,)),
            "data": array(_in_plane(data, "data"), exact=False),
            "reach": reach,
            "count": n,
        },
    )


def manifold(
    decoder: nn.Module, codes: Tensor, labels: Tensor, *, size: int, reach: float = 3.0
) -> Demo:
    """Codes of two dimensions: move through the plane and see what it decodes to.

    Parameters
    ----------
    decoder : nn.Module
        From codes, (n, 2), to grey images with pixels in [-1, 1].
    codes : Tensor of shape (n, 2)
        Of real images.
    labels : Tensor of shape (n,)
        Their classes, as integers.
    size : int
        Height and width of an image.
    reach : float
        The plane is shown for [-reach, reach]².
    """
    if len(labels) != len(codes):
        raise ValueError(f"there are {len(codes)} codes and {len(labels)} labels")
    return Demo(
        "manifold",
        "A walk through the plane of codes",
        "Drag the point. Within a class pictures change slowly; on the border between two classes "
        "the decoder has to pass through pictures that are neither.",
        {
            "network": network(decoder, (2,)),
            "codes": array(_in_plane(codes, "codes"), exact=False),
            "labels": [int(v) for v in labels],
            "size": size,
            "reach": reach,
        },
    )


def frames(
    positions: Sequence[Tensor],
    moments: Sequence[str],
    *,
    title: str,
    text: str,
    slider: str,
    particles: str,
    behind: Tensor | None = None,
    behind_is: str = "data",
    net: int = 0,
    start: int = 0,
    reach: float = 3.0,
    size: float = 1.8,
) -> Demo:
    """Particles on their way, by a slider or as a film.

    Parameters
    ----------
    positions : sequence of Tensor of shape (n, 2)
        The same particles at each moment.
    moments : sequence of str
        What to call the moments, such as "t = 0.5".
    title, text : str
        Heading, and a sentence that says what to look for.
    slider, particles, behind_is : str
        Names of the slider, of the particles and of what is drawn behind them.
    behind : Tensor of shape (m, 2), optional
        Points that stay.
    net : int
        The first net² positions are knots of a square net, whose lines are drawn too.
    start : int
        Moment that is shown first.
    reach : float
        The picture shows [-reach, reach]².
    size : float
        Radius of a particle in pixels.
    """
    if len(positions) != len(moments) or len(moments) < 2:
        raise ValueError(
            f"as many moments as positions are needed, two at least: {len(moments)} and "
            f"{len(positions)} were given"
        )
    given = [_in_plane(x, "positions") for x in positions]
    if len({len(x) for x in given}) != 1:
        raise ValueError("the same particles are needed at each moment")
    if len(given[0]) < net**2:
        raise ValueError(f"a net of {net}² knots needs as many positions, not {len(given[0])}")
    label = f"{particles} in the plane, at the chosen moment"
    return Demo(
        "frames",
        title,
        text,
        {
            "frames": [array(x.clamp(-2 * reach, 2 * reach), exact=False) for x in given],
            "moments": list(moments),
            "grid": net,
            "size": size,
            "reach": reach,
            "behind": None if behind is None else array(_in_plane(behind, "behind"), exact=False),
            "words": {
                "title": particles,
                "label": label,
                "slider": slider,
                "particles": particles,
                "behind": behind_is,
                "start": start,
            },
        },
        height=620,
    )


def distances() -> Demo:
    """Two laws on the line that move apart, and what TV, JS, KL and W1 say of it."""
    return Demo(
        "distances",
        "Four distances, two laws that move apart",
        "Drag q away from p. Which of the four still tells you the way back? Try narrow laws, and "
        "uniform ones, whose supports can be disjoint.",
        {},
    )


def conjugates() -> Demo:
    """The functions of the f-divergences, with a tangent that shows the conjugate."""
    table = {}
    u = torch.linspace(0.02, 4.2, 240, dtype=torch.float64)
    for name, divergence in F_DIVERGENCES.items():
        low, high = divergence.conjugate_domain
        t = torch.linspace(max(low, -3.0), min(high, 3.0), 240, dtype=torch.float64)
        # Conjugates are infinite, or have a pole, at an end of their domain that is finite.
        t = t[(t > low) & (t < high)]
        table[name] = {
            "title": divergence.title,
            "u": _numbers(u),
            "f": _numbers(divergence.f(u)),
            "slope": _numbers(divergence.optimal_critic(u)),
            "t": _numbers(t),
            "conjugate": _numbers(divergence.conjugate(t)),
            "domain": _interval(low, high),
        }
    return Demo(
        "conjugate",
        "A convex function and its conjugate",
        "The tangent of f with slope t cuts the vertical axis at −f*(t). Move u and watch the "
        "conjugate being drawn.",
        {"table": table},
    )


def _interval(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "anywhere"
    if math.isinf(low):
        return f"below {high:.2g}"
    return f"between {low:.2g} and {high:.2g}"


def _numbers(x: Tensor) -> list[float]:
    """Four digits are more than a picture shows."""
    return [float(f"{v:.5g}") for v in x.tolist()]


def transport_plan(sources: Tensor | None = None, targets: Tensor | None = None) -> Demo:
    """Places that can be dragged, and the cheapest way to match them.

    Parameters
    ----------
    sources, targets : Tensor of shape (n, 2), optional
        As many of one as of the other, in [-3, 3]².
    """
    if (sources is None) != (targets is None):
        raise ValueError("give both sources and targets, or neither")
    if sources is None or targets is None:
        generator = torch.Generator().manual_seed(4)
        sources, targets = (4.4 * torch.rand(2, 6, 2, generator=generator) - 2.2).unbind()
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources cannot be matched with {len(targets)} targets")
    return Demo(
        "plan",
        "The cheapest plan, while you move the places",
        "Drag bakeries and cafés. With p = 1 the lines of a cheapest plan never cross. With p < 1 "
        "a long and a short trip cost less than two of middle length, with p > 1 more: then lines "
        "may cross.",
        {
            "sources": _in_plane(sources, "sources").tolist(),
            "targets": _in_plane(targets, "targets").tolist(),
        },
        height=640,
    )


def langevin(modes: Tensor, std: float, *, reach: float = 3.0) -> Demo:
    """Langevin dynamics in an even mixture of round Gaussians, with its exact score.

    Parameters
    ----------
    modes : Tensor of shape (k, 2)
    std : float
        Standard deviation of each component.
    reach : float
        The picture shows [-reach, reach]².
    """
    if not std > 0:
        raise ValueError(f"std must be positive, not {std}")
    return Demo(
        "langevin",
        "Particles that follow the score",
        "Play, then change the temperature: at 0 particles climb and stay; at 1 they should keep "
        "the density; hotter, they change modes. Steps near 2σ² and above are too long.",
        {"modes": _in_plane(modes, "modes").tolist(), "std": float(std), "reach": reach},
        height=620,
    )


def temperature(energy: Callable[[Tensor], Tensor], *, reach: float = 3.0, n: int = 80) -> Demo:
    """A density in the plane, made hotter or colder.

    Parameters
    ----------
    energy : callable
        From points of shape (n, 2) to -log of the density, up to a constant, shape (n,).
    reach : float
        The picture shows [-reach, reach]².
    n : int
        Points of the grid along each side.
    """
    at = (torch.arange(n) + 0.5) / n * 2 * reach - reach
    points = torch.cartesian_prod(at, at).flip(1)  # row by row, from below
    with torch.no_grad():
        values = energy(points).detach().cpu().float()
    if values.shape != (n * n,):
        raise ValueError(f"the energy of (n, 2) points must have shape (n,), not {values.shape}")
    return Demo(
        "temperature",
        "The same energy at other temperatures",
        "Cool it, and only the deepest wells are left; heat it, and everywhere is as likely as "
        "anywhere else.",
        {
            # So far above the least, even at the hottest a point is as good as never reached.
            "energy": array(values.clamp_max(values.min().item() + 2000.0)),
            "n": n,
            "reach": reach,
        },
        height=600,
    )


def bandwidth(train: Tensor, test: Tensor, density: Callable[[Tensor], Tensor]) -> Demo:
    """A kernel density estimate on the line, with its bandwidth on a slider.

    Parameters
    ----------
    train, test : Tensor of shape (n,)
        Points it is made from, and held-out ones.
    density : callable
        The true density of points of shape (n,).
    """
    everything = torch.cat([train, test])
    low, high = everything.min().item() - 1, everything.max().item() + 1
    grid = torch.linspace(low, high, 201, dtype=torch.float64)
    return Demo(
        "bandwidth",
        "How wide should a kernel be?",
        "Narrow kernels put a spike on each point; wide ones blur everything. Held-out points "
        "tell which is best.",
        {
            "train": array(train),
            "test": array(test),
            "grid": _numbers(grid),
            "truth": _numbers(density(grid)),
            "low": low,
            "high": high,
        },
    )


def em_steps(points: Tensor, *, reach: float = 3.0) -> Demo:
    """Expectation-maximisation for a Gaussian mixture, a step for each press of a button.

    Parameters
    ----------
    points : Tensor of shape (n, 2)
    reach : float
        The picture shows [-reach, reach]².
    """
    return Demo(
        "em",
        "EM, one step at a time",
        "The likelihood never falls, but where it ends depends on the start. Find a start that "
        "misses a cluster.",
        {"points": array(_in_plane(points, "points"), exact=False), "reach": reach},
        height=640,
    )
