"""Maximum mean discrepancy, and the two of its kind with names: KID and energy distance."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import generator_on, points, positive, unknown_name
from gencourse.metrics import kernels
from gencourse.metrics.frechet import same_space

__all__ = ["energy_distance", "kernel_distance", "mmd"]

BLOCK = 1_000_000  # entries of a Gram matrix at once, 8 MB
SMALL = 128  # points among which all pairs are computed, though half would do

Kernel = Callable[[Tensor, Tensor], Tensor]

#: Kernels that have a name here, and what their bandwidth makes of them.
NAMED: dict[str, Callable[[Tensor], Kernel]] = {
    "rbf": lambda h: partial(kernels.rbf, bandwidth=h),
    "imq": lambda h: partial(kernels.imq, constant=h**2),
    "polynomial": lambda h: kernels.polynomial,
    "energy": lambda h: kernels.negative_distance,
}


def mmd(
    x: Tensor,
    y: Tensor,
    kernel: str | Kernel = "rbf",
    *,
    bandwidth: float | None = None,
    unbiased: bool = True,
    block: int = BLOCK,
) -> Tensor:
    r"""Squared maximum mean discrepancy between two sets of points.

    .. math:: \operatorname{MMD}^2 = E\,k(x, x') + E\,k(y, y') - 2\,E\,k(x, y),

    the squared distance of the mean embeddings of both distributions: the largest
    difference of means over functions of norm 1 in the space of the kernel (Gretton et al.
    2012, *A kernel two-sample test*, lemmas 4 and 6; deck E).

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Images count as vectors of their pixels.
    kernel : str or callable
        ``"rbf"``, ``"imq"``, ``"polynomial"``, ``"energy"``, or a symmetric function of two
        sets of points that returns their Gram matrix, such as
        ``partial(gencourse.metrics.kernels.rbf, bandwidth=[1, 2, 4])``.
    bandwidth : float, optional
        h of ``"rbf"``, and √C of ``"imq"``. By default the median distance between points.
    unbiased : bool
        Leave out k(x_i, x_i) and k(y_j, y_j), whose mean is then exactly the squared
        distance, and which can be negative; else keep them, which is at least 0.
    block : int
        Most entries of a Gram matrix to hold in memory at once.

    Returns
    -------
    Tensor of shape ()
        Of the dtype and on the device of ``x``; summed in float64; differentiable.

    Raises
    ------
    KeyError
        If there is no kernel of that name.
    ValueError
        If a set is empty, not finite, or of another dimension than the other; if
        ``unbiased`` and a set has fewer than two points; if the median distance is 0.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> mmd(x, x + 2, "energy", unbiased=False)  # 2·2 - 1/2 - 1/2
    tensor(3.)
    """
    _check(x, y, 2 if unbiased else 1)
    positive(block, "block", integer=True)
    a, b = double(x).flatten(1), double(y).flatten(1)
    b = b.to(a.device)
    k = _kernel(kernel, bandwidth, a, b)
    value = _mmd2(a, b, k, unbiased, block)
    return value.to(device=x.device, dtype=x.dtype)


def kernel_distance(
    x: Tensor,
    y: Tensor,
    *,
    subsets: int | None = None,
    subset_size: int = 1000,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Kernel (inception) distance between two sets of features: KID, if they are Inception's.

    The unbiased squared MMD with the kernel k(x, y) = (x·y / d + 1)³ (Bińkowski et al. 2018,
    *Demystifying MMD GANs*). Unlike FID it has no bias in n, so values at different n can be
    compared; it can be slightly negative.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Features of one set; see :func:`gencourse.metrics.features`.
    y : Tensor of shape (m, d)
        Features of the other.
    subsets : int, optional
        With a number, the mean over so many random subsets of ``subset_size`` of each set,
        the protocol of the paper and of most published values. By default all pairs of
        points are used: no randomness, and less variance.
    subset_size : int
        Points in a subset, drawn without replacement.
    generator : torch.Generator, optional
        Source of the subsets, on any device; by default a fresh one, so that the same call
        gives the same number.

    Returns
    -------
    Tensor of shape ()
        Of the dtype and on the device of ``x``; differentiable.

    Raises
    ------
    ValueError
        If a set has fewer than two points, or fewer than a subset, they differ in d, or are
        not finite.
    """
    same_space(x, y, "x", "y", at_least=2)
    a, b = double(x), double(y)
    b = b.to(a.device)
    if subsets is None:
        value = _mmd2(a, b, kernels.polynomial, True, BLOCK)
    else:
        positive(subsets, "subsets", integer=True)
        positive(subset_size, "subset_size", integer=True)
        if not 2 <= subset_size <= min(len(x), len(y)):
            raise ValueError(
                f"subset_size must lie between 2 and the {min(len(x), len(y))} points that "
                f"each set has, not {subset_size}"
            )
        generator = generator_on(generator)

        def chosen(z: Tensor) -> Tensor:
            order = torch.randperm(len(z), generator=generator, device=generator.device)
            return z[order[:subset_size].to(z.device)]

        total = a.new_zeros(())
        for _ in range(subsets):
            total = total + _mmd2(chosen(a), chosen(b), kernels.polynomial, True, BLOCK)
        value = total / subsets
    return value.to(device=x.device, dtype=x.dtype)


def energy_distance(x: Tensor, y: Tensor, *, unbiased: bool = False) -> Tensor:
    r"""Energy distance, 2 E‖x - y‖ - E‖x - x'‖ - E‖y - y'‖.

    In one dimension it is twice the squared L² distance of the distribution functions, the
    Cramér distance of deck E (Székely & Rizzo 2013). It is the square of a metric, and the
    squared MMD of the kernel -‖x - y‖. No parameter has to be chosen.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
    unbiased : bool
        Leave out the distances of points to themselves; can then be negative.

    Returns
    -------
    Tensor of shape ()
        Of the dtype and on the device of ``x``; differentiable.

    Raises
    ------
    ValueError
        As for :func:`mmd`.
    """
    return mmd(x, y, "energy", unbiased=unbiased)


def _check(x: Tensor, y: Tensor, at_least: int) -> None:
    x, y = points(x, "x"), points(y, "y")
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"x and y must hold points of the same shape, not {tuple(x.shape[1:])} "
            f"and {tuple(y.shape[1:])}"
        )
    if min(len(x), len(y)) < at_least:
        raise ValueError(
            f"without bias each set needs at least {at_least} points, not "
            f"{len(x)} and {len(y)}; or give unbiased=False"
        )


def _kernel(kernel: str | Kernel, bandwidth: float | None, x: Tensor, y: Tensor) -> Kernel:
    """Look a kernel up by name, and find its bandwidth."""
    if bandwidth is not None:
        positive(bandwidth, "bandwidth")
    if not isinstance(kernel, str):
        if bandwidth is not None:
            raise ValueError("bandwidth belongs to a kernel given by name, not to a function")
        return kernel
    if kernel not in NAMED:
        raise unknown_name("kernel", kernel, NAMED)
    if kernel not in ("rbf", "imq"):
        if bandwidth is not None:
            raise ValueError(f"the kernel {kernel!r} has no bandwidth")
        return NAMED[kernel](x)
    if bandwidth is None:
        h = kernels.median_distance(x, y)
        if h == 0:
            raise ValueError(
                "the median distance between points is 0, because most of them coincide: "
                "give a bandwidth"
            )
    else:
        h = torch.as_tensor(float(bandwidth), dtype=x.dtype, device=x.device)
    return NAMED[kernel](h)


def _mmd2(x: Tensor, y: Tensor, kernel: Kernel, unbiased: bool, block: int) -> Tensor:
    n, m = len(x), len(y)
    xx, yy = _among(x, kernel, unbiased, block), _among(y, kernel, unbiased, block)
    xy = _between(x, y, kernel, block)
    if unbiased:
        return xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    return xx / n**2 + yy / m**2 - 2 * xy / (n * m)


def _between(x: Tensor, y: Tensor, kernel: Kernel, block: int) -> Tensor:
    """Σ k(x_i, y_j) over all pairs, in nearly square tiles, which matrix products do best."""
    side = max(1, math.isqrt(block))
    total = x.new_zeros(())
    for rows in x.chunk(-(-len(x) // side)):
        for columns in y.chunk(-(-len(y) // side)):
            total = total + kernel(rows, columns).sum()
    return total


def _among(x: Tensor, kernel: Kernel, off_diagonal: bool, block: int) -> Tensor:
    """Σ k(x_i, x_j) over all pairs, or over those with i ≠ j; the kernel is symmetric.

    By halves: what is between them counts twice, so that half of the Gram matrix is enough.
    """
    if len(x) <= max(1, min(SMALL, math.isqrt(block))):
        gram = kernel(x, x)
        return gram.sum() - gram.diagonal().sum() if off_diagonal else gram.sum()
    left, right = x.tensor_split(2)
    return (
        _among(left, kernel, off_diagonal, block)
        + _among(right, kernel, off_diagonal, block)
        + 2 * _between(left, right, kernel, block)
    )
