"""Parzen windows: the density of a sample, and the log-likelihood it gives to test data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double, log_sum_exp
from gencourse._validate import points, positive

__all__ = ["NoBandwidth", "ParzenEstimate", "parzen_log_density", "parzen_log_likelihood"]

LOG_2PI = math.log(2 * math.pi)
GRID = 9  # bandwidths compared at once
WIDENINGS = 6  # times the first grid moves, tenfold each, before there is no optimum


class NoBandwidth(ValueError):
    """No bandwidth is best, because points to evaluate are themselves samples."""


@dataclass(frozen=True)
class ParzenEstimate:
    """What :func:`parzen_log_likelihood` found.

    Attributes
    ----------
    mean : float
        Mean log density of the test points, in nats per sample.
    standard_error : float
        Of that mean over the test points, as the papers report after "±".
    bandwidth : float
        Standard deviation of the window that was used.
    """

    mean: float
    standard_error: float
    bandwidth: float


def parzen_log_density(
    centres: Tensor, x: Tensor, bandwidth: float, *, block: int = BLOCK
) -> Tensor:
    r"""Log density of a Gaussian kernel density estimate.

    .. math:: \log p(x) = \log \frac1n \sum_{i=1}^n N(x; c_i, h^2 I),

    as a log-sum-exp in float64, so that no point is too far away to have a density.

    Parameters
    ----------
    centres : Tensor of shape (n, \*event_shape)
        The sample that carries the windows.
    x : Tensor of shape (m, \*event_shape)
        Where the density is wanted. Images count as vectors of their pixels.
    bandwidth : float
        h, the standard deviation of the window.
    block : int
        Most distances to hold in memory at once.

    Returns
    -------
    Tensor of shape (m,)
        In nats, of the dtype and on the device of ``x``, differentiable.

    Raises
    ------
    ValueError
        If a tensor is empty, not finite, or of the wrong shape, or a number not positive.
    """
    _same_space(centres, x, "centres", "x")
    positive(bandwidth, "bandwidth")
    positive(block, "block", integer=True)
    result = _log_densities(
        centres, x, torch.tensor([float(bandwidth)], dtype=torch.float64), block
    )[0]
    return result.to(device=x.device, dtype=x.dtype)


def parzen_log_likelihood(
    samples: Tensor,
    test: Tensor,
    bandwidth: float | None = None,
    *,
    validation: Tensor | None = None,
    block: int = BLOCK,
) -> ParzenEstimate:
    r"""Log-likelihood of test data under Parzen windows around a model's samples.

    The protocol of Goodfellow et al. 2014 (*Generative adversarial nets*, table 1) and of
    Nowozin, Cseke & Tomioka 2016 (*f-GAN*, table 4). It has a large variance and a poor
    record in high dimension (Theis, van den Oord & Bethge 2016, *A note on the evaluation
    of generative models*): use it to compare with those tables, not to choose a model.

    Parameters
    ----------
    samples : Tensor of shape (n, \*event_shape)
        What the model drew; more samples give a better, and higher, estimate.
    test : Tensor of shape (m, \*event_shape)
        Held-out data.
    bandwidth : float, optional
        Standard deviation of the windows. By default the one that gives the validation
        data the greatest likelihood, to within 1 %.
    validation : Tensor of shape (k, \*event_shape), optional
        Data to choose the bandwidth with. By default every second test point serves for
        that, and the others alone are evaluated: no point does both.
    block : int
        Most distances to hold in memory at once.

    Returns
    -------
    ParzenEstimate

    Raises
    ------
    ValueError
        If a tensor is empty, not finite, or of the wrong shape, or if fewer than two points
        are left to evaluate.
    NoBandwidth
        A ``ValueError``: if the validation points are themselves samples, so that the
        likelihood grows without bound as the bandwidth shrinks.
    """
    _same_space(samples, test, "samples", "test")
    positive(block, "block", integer=True)
    if bandwidth is not None:
        positive(bandwidth, "bandwidth")
        if validation is not None:
            raise ValueError("give a bandwidth, or validation data to choose it with, not both")
        h = float(bandwidth)
    else:
        if validation is None:
            if len(test) < 4:
                raise ValueError(
                    f"choosing the bandwidth needs at least 4 test points, not {len(test)}"
                )
            validation, test = test[::2], test[1::2]
        _same_space(samples, validation, "samples", "validation")
        h = _likeliest_bandwidth(samples, validation, block)
    if len(test) < 2:
        raise ValueError("a standard error needs at least 2 test points")
    log_density = _log_densities(samples, test, torch.tensor([h], dtype=torch.float64), block)[
        0
    ].detach()
    standard_error = log_density.std() / math.sqrt(len(log_density))
    return ParzenEstimate(log_density.mean().item(), standard_error.item(), h)


def _likeliest_bandwidth(samples: Tensor, validation: Tensor, block: int) -> float:
    """Maximise the validation likelihood over log h: a wide grid, a fine one, a parabola."""
    flat = double(samples.detach()).flatten(1)
    n, d = flat.shape
    spread = flat.std(dim=0, correction=0).square().mean().sqrt().item()
    other = double(validation.detach()).flatten(1).to(flat.device)
    away = (other - flat.mean(0)).square().mean().sqrt().item()
    scale = max(spread, away)  # a collapsed sample must still bridge the gap to the data
    if scale == 0:
        raise NoBandwidth(
            "samples and validation data are all the same point: no bandwidth is best"
        )

    def scores(log_h: Tensor) -> Tensor:
        with torch.no_grad():
            return _log_densities(samples, validation, log_h.exp(), block).mean(dim=1)

    middle = math.log(scale * n ** (-1 / (d + 4)))  # Scott's rule
    half = math.log(10.0)
    for _ in range(WIDENINGS):
        grid = torch.linspace(middle - half, middle + half, GRID, dtype=torch.float64)
        best = int(scores(grid).argmax())
        middle = grid[best].item()
        if 0 < best < GRID - 1:
            break
    else:
        raise NoBandwidth(
            "no bandwidth is best: the likelihood of the validation data keeps growing as the "
            "bandwidth shrinks. Are the validation points among the samples?"
        )
    step = 2 * half / (GRID - 1)  # the optimum lies within a step of the middle
    grid = torch.linspace(middle - step, middle + step, GRID, dtype=torch.float64)
    values = scores(grid)
    # The vertex of the parabola through the best point and its neighbours.
    best = min(max(int(values.argmax()), 1), GRID - 2)
    low, top, high = values[best - 1 : best + 2].tolist()
    curvature = low - 2 * top + high
    offset = 0.5 * (low - high) / curvature if curvature < 0 else 0.0
    return math.exp(grid[best].item() + min(max(offset, -1.0), 1.0) * 2 * step / (GRID - 1))


def _log_densities(centres: Tensor, x: Tensor, bandwidths: Tensor, block: int) -> Tensor:
    """Log density at ``x`` for each of several bandwidths, ``(len(bandwidths), m)``, float64.

    Distances are computed once for all bandwidths, by a matrix product around the common
    mean: of the squared distances' size, the rounding is 1e-16 times the squared radius.
    """
    flat = double(centres).flatten(1)
    origin = flat.mean(dim=0)
    flat = flat - origin
    at = double(x).to(flat.device).flatten(1) - origin
    n, d = flat.shape
    norms, h = flat.square().sum(1), bandwidths.to(flat)
    columns = min(n, max(1, math.isqrt(block)))  # nearly square tiles, which products do best
    parts = []
    for rows in at.split(max(1, block // columns)):
        tiles = []
        for some, of_some in zip(flat.split(columns), norms.split(columns), strict=True):
            of_both = rows.square().sum(1)[:, None] + of_some
            distances = torch.addmm(of_both, rows, some.T, alpha=-2).clamp_min(0)
            tiles.append(torch.stack([log_sum_exp(distances / (-2 * s**2)) for s in h]))
        parts.append(torch.stack(tiles).logsumexp(dim=0))
    constant = math.log(n) + d * (h.log() + LOG_2PI / 2)
    return torch.cat(parts, dim=1) - constant[:, None]


def _same_space(a: Tensor, b: Tensor, a_name: str, b_name: str) -> None:
    points(a, a_name)
    points(b, b_name)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"{a_name} and {b_name} must hold points of the same shape, not "
            f"{tuple(a.shape[1:])} and {tuple(b.shape[1:])}"
        )
