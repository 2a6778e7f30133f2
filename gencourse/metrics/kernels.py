"""Kernels: similarities k(x, y) of two points, as Gram matrices of two sets of points.

They compute in the precision of their input and on its device, and can be differentiated
as often as one likes, so that models (WAE-MMD, MMD-GAN) train through them; the metrics call
them in float64. Distances come from one matrix product, around a common centre.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gencourse._validate import positive

__all__ = [
    "imq",
    "median_distance",
    "negative_distance",
    "polynomial",
    "rational_quadratic",
    "rbf",
    "squared_distances",
]

ROUNDING = 8  # in units of ε(‖x‖² + ‖y‖²), below which a squared distance is none
MEDIAN_OF = 1000  # points of each set that the median distance is taken over


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    r"""Return ‖x_i - y_j‖² = ‖x_i‖² - 2 x_i·y_j + ‖y_j‖², shape ``(n, m)``.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Images count as vectors of their pixels.
    """
    return _squares_and_norms(x, y)[0]


def rbf(x: Tensor, y: Tensor, bandwidth: float | Tensor | Sequence[float] = 1.0) -> Tensor:
    r"""Gaussian kernel, k(x, y) = Σ_h exp(-‖x - y‖² / 2h²).

    Parameters
    ----------
    x, y : Tensor of shape (n, \*event_shape) and (m, \*event_shape)
    bandwidth : float, Tensor or sequence of float
        h; with several the kernels are added, as in MMD-GAN (Li et al. 2017), whose
        bandwidths are 1, 2, 4, 8 and 16.

    Returns
    -------
    Tensor of shape (n, m)
    """
    squares = squared_distances(x, y)
    return sum((squares / (-2 * h**2)).exp() for h in _several(bandwidth))  # type: ignore[return-value]


def imq(x: Tensor, y: Tensor, constant: float | Tensor | Sequence[float] = 1.0) -> Tensor:
    r"""Inverse multiquadric kernel, k(x, y) = Σ_C C / (C + ‖x - y‖²).

    Its tails are heavy: points far from the others still feel a pull, where the Gaussian
    kernel has none. The Wasserstein autoencoder (Tolstikhin et al. 2018) takes
    C = 2 d σ² s for codes of d dimensions and standard deviation σ, with
    s = 0.1, 0.2, 0.5, 1, 2, 5, 10.

    Parameters
    ----------
    x, y : Tensor of shape (n, \*event_shape) and (m, \*event_shape)
    constant : float, Tensor or sequence of float
        C, a squared length; with several the kernels are added.

    Returns
    -------
    Tensor of shape (n, m)
    """
    squares = squared_distances(x, y)
    return sum(c / (c + squares) for c in _several(constant))  # type: ignore[return-value]


def rational_quadratic(
    x: Tensor, y: Tensor, alpha: float | Tensor | Sequence[float] = (0.1, 1.0, 10.0)
) -> Tensor:
    r"""Rational quadratic kernel, k(x, y) = Σ_α (1 + ‖x - y‖² / 2α)^-α.

    A mixture of Gaussian kernels of all bandwidths; Bińkowski et al. 2018 (*Demystifying
    MMD GANs*) train with it.

    Parameters
    ----------
    x, y : Tensor of shape (n, \*event_shape) and (m, \*event_shape)
    alpha : float, Tensor or sequence of float
        Exponents; with several the kernels are added.

    Returns
    -------
    Tensor of shape (n, m)
    """
    squares = squared_distances(x, y)
    return sum((squares / (2 * a)).log1p().mul(-a).exp() for a in _several(alpha))  # type: ignore[return-value]


def polynomial(
    x: Tensor, y: Tensor, degree: int = 3, scale: float | None = None, offset: float = 1.0
) -> Tensor:
    r"""Polynomial kernel, k(x, y) = (scale · x·y + offset)^degree, that of KID by default.

    Parameters
    ----------
    x, y : Tensor of shape (n, \*event_shape) and (m, \*event_shape)
    degree : int
    scale : float, optional
        By default 1/d.
    offset : float

    Returns
    -------
    Tensor of shape (n, m)
    """
    positive(degree, "degree", integer=True)
    x, y = x.flatten(1), y.flatten(1)
    scale = 1 / x.shape[1] if scale is None else scale
    return torch.addmm(x.new_tensor(offset), x, y.T, alpha=scale).pow(degree)


def negative_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Return -‖x - y‖, the kernel whose squared MMD is the energy distance.

    It is positive definite only for weights that sum to zero, which is all that MMD needs
    (Sejdinovic et al. 2013). Where x = y, its gradient is taken to be 0.

    Parameters
    ----------
    x, y : Tensor of shape (n, \*event_shape) and (m, \*event_shape)

    Returns
    -------
    Tensor of shape (n, m)
    """
    squares, norms = _squares_and_norms(x, y)
    # The root of a rounding error would be much more than one.
    apart = squares > ROUNDING * torch.finfo(squares.dtype).eps * norms
    return -torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)


def median_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Median distance between different points of both sets together: a bandwidth.

    The median heuristic (Gretton et al. 2012, section 8), over the first thousand points of
    each set; detached, so that models cannot train on it. 0 if half the points coincide.

    Parameters
    ----------
    x, y : Tensor of shape (n, \*event_shape) and (m, \*event_shape)

    Returns
    -------
    Tensor of shape ()
    """
    both = torch.cat([x.detach()[:MEDIAN_OF], y.detach()[:MEDIAN_OF]])
    squares = squared_distances(both, both)
    i, j = torch.triu_indices(len(both), len(both), offset=1, device=both.device)
    return squares[i, j].median().sqrt()


def _squares_and_norms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return ‖x_i - y_j‖² and, around a common centre, ‖x_i‖² + ‖y_j‖², both ``(n, m)``."""
    x, y = x.flatten(1), y.flatten(1)
    centre = y.detach().mean(dim=0)  # an offset would cost digits
    x, y = x - centre, y - centre
    norms = y.square().sum(dim=1) + x.square().sum(dim=1, keepdim=True)
    return torch.addmm(norms, x, y.T, alpha=-2).clamp_min(0), norms


def _several(values: float | Tensor | Sequence[float]) -> list[float] | list[Tensor]:
    """Return one or more positive numbers as a list."""
    if isinstance(values, Tensor):
        return list(values.flatten())  # on its device; not looked at, which would wait for it
    listed = [values] if isinstance(values, int | float) else list(values)
    if not listed:
        raise ValueError("a kernel needs at least one bandwidth, constant or exponent")
    for value in listed:
        positive(value, "each bandwidth, constant or exponent of a kernel")
    return listed
