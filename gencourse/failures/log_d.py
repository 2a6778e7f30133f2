r"""What the log-D trick descends: KL - 2 JS (deck C, theorem 6; deck E).

Arjovsky & Bottou 2017, theorem 2.5. Let D* = p / (p + q_θ₀) be optimal against the generator at θ₀
and then stay as it is. With x = g_θ(z),

    E_z [-∇_θ log D*(g_θ(z))] = ∇_θ [KL(q_θ ‖ p) - 2 JS(q_θ ‖ p)]   at θ = θ₀,

with JS = ½ KL(q ‖ m) + ½ KL(p ‖ m). The JS has the wrong sign, and pushes the two laws apart; the
KL is the one that punishes made-up samples and forgives lost modes. Both sides are integrals,
and here both are computed to many digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas
import torch
from torch import Tensor
from torch.nn.functional import softplus

from gencourse._precision import double
from gencourse._validate import finite, points, positive
from gencourse.data.toys import GaussianMixture
from gencourse.failures._draw import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LogDGradient", "log_d_along", "log_d_gradient", "plot_log_d_along"]

REACH = 12.0  # standard deviations from every centre that the integrals cover
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class LogDGradient:
    """The two sides of theorem 6, as vectors over θ = (means, log standard deviations).

    Attributes
    ----------
    log_d : Tensor of shape (n_parameters,)
        E_z [-∇_θ log D*(g_θ(z))], with D* fixed.
    kl, js : Tensor of shape (n_parameters,)
        ∇_θ KL(q_θ ‖ p) and ∇_θ JS(q_θ ‖ p).
    """

    log_d: Tensor
    kl: Tensor
    js: Tensor

    @property
    def right(self) -> Tensor:
        """Return ∇_θ [KL - 2 JS]."""
        return self.kl - 2 * self.js

    @property
    def relative_error(self) -> float:
        """Return the distance of both sides, relative to their size."""
        return ((self.log_d - self.right).norm() / self.right.norm()).item()


def log_d_gradient(
    data: GaussianMixture,
    means: Tensor,
    stds: Tensor,
    weights: Tensor | None = None,
    *,
    nodes: int = 600,
) -> LogDGradient:
    r"""Compute both sides of theorem 6 for a generator whose law is a Gaussian mixture.

    The noise is (k, z) with k drawn by ``weights`` and z standard normal, and
    g_θ(k, z) = μ_k + σ_k z: the generator whose density is known for every θ = (μ, log σ).

    Parameters
    ----------
    data : GaussianMixture
        p, on the line or in the plane.
    means : Tensor of shape (K, d)
        μ at θ₀.
    stds : Tensor of shape (K,)
        σ at θ₀, positive.
    weights : Tensor of shape (K,), optional
        Of the components, with sum 1; by default equal.
    nodes : int
        Points of the trapezoidal rule in each direction. For Gaussians its error falls
        faster than any power of them, as soon as the narrowest is resolved.

    Returns
    -------
    LogDGradient
        In float64.

    Raises
    ------
    ValueError
        If shapes do not fit, the dimension is not 1 or 2, or ``nodes`` are too few for the
        narrowest Gaussian.

    Examples
    --------
    >>> import torch
    >>> line = GaussianMixture(torch.tensor([[-1.0], [1.0]]), std=0.5)
    >>> found = log_d_gradient(line, torch.tensor([[0.3]]), torch.tensor([0.8]))
    >>> found.relative_error < 1e-9
    True
    """
    mu, log_sigma, log_w = _checked(data, means, stds, weights)
    positive(nodes, "nodes", integer=True)
    z, z_cell = _grid(torch.zeros_like(mu[:1]), REACH, nodes)
    reach = REACH * max(data.mode_std, log_sigma.exp().max().item())
    x, x_cell = _grid(torch.cat([mu, double(data.modes)]).detach(), reach, nodes)
    narrowest = min(data.mode_std, log_sigma.exp().min().item())
    if x_cell ** (1 / x.shape[1]) > narrowest:
        raise ValueError(
            f"{nodes} nodes are too few: their distance exceeds the least standard deviation, "
            f"{narrowest:g}"
        )
    theta = (mu.requires_grad_(), log_sigma.requires_grad_())

    # Left: -log D* = softplus(log q_θ₀ - log p) at g_θ(k, z), for each k.
    g = mu[:, None] + log_sigma.exp()[:, None, None] * z
    flat = g.flatten(0, 1)
    cost = softplus(
        _log_density(flat, mu.detach(), log_sigma.detach(), log_w) - _data_log_density(data, flat)
    )
    of_noise = (-0.5 * z.square().sum(-1) - z.shape[1] * LOG_2PI / 2).exp() * z_cell
    left = (log_w.exp()[:, None] * of_noise * cost.reshape(len(mu), -1)).sum()

    # Right: both divergences as integrals over x, with the density at θ.
    log_p, log_q = _data_log_density(data, x), _log_density(x, mu, log_sigma, log_w)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    p, q = log_p.exp(), log_q.exp()
    kl = (q * (log_q - log_p)).sum() * x_cell
    js = 0.5 * (q * (log_q - log_m) + p * (log_p - log_m)).sum() * x_cell
    return LogDGradient(*(_gradient(value, theta) for value in (left, kl, js)))


def log_d_along(
    data: GaussianMixture, positions: Sequence[float], *, std: float = 0.5, nodes: int = 2000
) -> pandas.DataFrame:
    """Evaluate theorem 6 along a line: a Gaussian generator at each of some positions.

    Parameters
    ----------
    data : GaussianMixture
        p, on the line.
    positions : sequence of float
        Means of the generator.
    std : float
        Its standard deviation.
    nodes : see :func:`log_d_gradient`

    Returns
    -------
    pandas.DataFrame
        Indexed by ``mean``: the derivative in the mean of ``log_d``, ``kl``, ``js``, and
        ``right``, that of KL - 2 JS.
    """
    positive(std, "std")
    rows = []
    for mean in positions:
        found = log_d_gradient(
            data, torch.tensor([[mean]]).double(), torch.tensor([std]).double(), nodes=nodes
        )
        row = {name: getattr(found, name)[0].item() for name in ("log_d", "kl", "js", "right")}
        rows.append({"mean": mean, **row})
    return pandas.DataFrame(rows).set_index("mean")


def plot_log_d_along(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what :func:`log_d_along` returns: two curves that coincide, and their parts."""
    from gencourse.plots import THEORY

    shown = frame.assign(minus_js=-2 * frame["js"])
    labels = {
        "kl": r"$\nabla$ KL",
        "minus_js": r"$-2\,\nabla$ JS",
        "log_d": r"$E[-\nabla\log D^*]$",
    }
    ax = curves(
        shown, labels, ax=ax, xlabel="mean of the generator", ylabel="derivative in the mean"
    )
    some = frame.iloc[:: max(1, len(frame) // 15)]
    label = r"$\nabla$(KL $-$ 2 JS)"
    ax.plot(some.index, some["right"], "o", color=THEORY, markersize=4, label=label)
    ax.legend()
    return ax


def _checked(
    data: GaussianMixture, means: Tensor, stds: Tensor, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return μ, log σ and log weights in float64, as tensors of their own."""
    d = data.event_shape[0]
    if d not in (1, 2):
        raise ValueError(f"the data must lie on the line or in the plane, not in {d} dimensions")
    mu = double(points(means, "means", (d,))).detach().clone()
    sigma = double(finite(stds, "stds")).detach()
    if sigma.shape != (len(mu),) or not bool((sigma > 0).all()):
        raise ValueError(f"stds must be {len(mu)} positive numbers, one for each mean")
    w = torch.full((len(mu),), 1 / len(mu)).double() if weights is None else double(weights)
    if w.shape != (len(mu),) or not bool((w > 0).all()) or abs(w.sum().item() - 1) > 1e-6:
        raise ValueError(f"weights must be {len(mu)} positive numbers with sum 1")
    return mu, sigma.log(), (w / w.sum()).log()


def _grid(centres: Tensor, reach: float, nodes: int) -> tuple[Tensor, float]:
    """Return points ``(m, d)`` that cover all centres, and the volume of a cell."""
    low, high = centres.amin(dim=0) - reach, centres.amax(dim=0) + reach
    ends = zip(low.tolist(), high.tolist(), strict=True)
    sides = [torch.linspace(a, b, nodes, dtype=torch.float64) for a, b in ends]
    cell = math.prod((side[1] - side[0]).item() for side in sides)
    at = torch.cartesian_prod(*sides).reshape(-1, len(sides))
    return at, cell


def _log_density(x: Tensor, mu: Tensor, log_sigma: Tensor, log_w: Tensor) -> Tensor:
    squares = (x[:, None] - mu).square().sum(-1) * (-2 * log_sigma).exp()
    constant = x.shape[1] * (log_sigma + LOG_2PI / 2)
    return torch.logsumexp(log_w - 0.5 * squares - constant, dim=1)


def _data_log_density(data: GaussianMixture, x: Tensor) -> Tensor:
    value = data.log_prob(x)
    assert value is not None  # of a mixture it is known
    return value


def _gradient(value: Tensor, theta: tuple[Tensor, Tensor]) -> Tensor:
    parts = torch.autograd.grad(value, theta, retain_graph=True)
    return torch.cat([part.flatten() for part in parts])
