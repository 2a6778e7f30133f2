"""The Fréchet (inception) distance: how far apart two sets of features are as Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points

__all__ = ["frechet_distance", "frechet_distance_gaussian", "same_space"]

SYMMETRY = 1e-6  # relative asymmetry up to which a covariance counts as symmetric


def frechet_distance(x: Tensor, y: Tensor) -> Tensor:
    r"""Fréchet distance between two sets of features: FID, if they are Inception's.

    .. math::
        \|\mu_x - \mu_y\|^2
        + \operatorname{tr}\bigl(\Sigma_x + \Sigma_y - 2 (\Sigma_x \Sigma_y)^{1/2}\bigr),

    the square of the 2-Wasserstein distance between the Gaussians with these means and
    covariances (Dowson & Landau 1982; Heusel et al. 2017, *GANs trained by a two time-scale
    update rule*). Covariances divide by n - 1, as in the code of that paper.

    No matrix square root is taken. With the centred rows X and Y, and L Lᵀ = Σ_x, the trace
    of (Σ_x Σ_y)^½ is the nuclear norm of LᵀM for any M Mᵀ = Σ_y. Few samples, n < d, give the
    small n × n matrix X Yᵀ/√((n_x-1)(n_y-1)); many give √eig(Lᵀ Σ_y L).

    The estimate is biased upwards by an amount that falls as 1/n and depends on the model
    (Chong & Forsyth 2020), so compare only values at the same n, and state it.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Features of one set; see :func:`gencourse.metrics.features`.
    y : Tensor of shape (m, d)
        Features of the other.

    Returns
    -------
    Tensor of shape ()
        At least 0; of the dtype and on the device of ``x``.

    Raises
    ------
    ValueError
        If a set has fewer than two samples, they differ in d, or are not finite.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> frechet_distance(x, x + torch.tensor([3.0, 4.0])).item()
    25.0
    """
    same_space(x, y, "x", "y", at_least=2)
    where, precision = x.device, x.dtype
    x, y = double(x.detach()), double(y.detach())
    y = y.to(x.device)
    (n, d), m = x.shape, len(y)
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    shift = (mean_x - mean_y).square().sum()
    x, y = x - mean_x, y - mean_y
    if min(n, m) < d:
        spread = x.square().sum() / (n - 1) + y.square().sum() / (m - 1)
        # tr(XᵀX YᵀY)^½ = ‖X Yᵀ‖ in the nuclear norm.
        root = torch.linalg.svdvals(x @ y.T).sum() / ((n - 1) * (m - 1)) ** 0.5
    else:
        S1, S2 = _gram(x) / (n - 1), _gram(y) / (m - 1)
        spread, root = S1.trace() + S2.trace(), _trace_of_root(S1, S2)
    return (shift + spread - 2 * root).clamp_min(0).to(device=where, dtype=precision)


def frechet_distance_gaussian(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor) -> Tensor:
    r"""Fréchet distance of two Gaussians, from their means and covariances.

    Parameters
    ----------
    m1, m2 : Tensor of shape (d,)
        Means.
    S1, S2 : Tensor of shape (d, d)
        Covariances: symmetric and positive semi-definite.

    Returns
    -------
    Tensor of shape ()
        At least 0: the *square* of :func:`gencourse.transport.gaussian_w2`, of the dtype
        and on the device of ``m1``.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, or a covariance is not symmetric.
    """
    for m, S, i in ((m1, S1, 1), (m2, S2, 2)):
        points(S, f"S{i}")
        d = len(S)
        if tuple(S.shape) != (d, d) or tuple(getattr(m, "shape", ())) != (d,):
            raise ValueError(
                f"m{i} and S{i} must have shapes (d,) and (d, d), not "
                f"{tuple(getattr(m, 'shape', ()))} and {tuple(S.shape)}"
            )
        points(m[None], f"m{i}")
        if (S - S.T).abs().max() > SYMMETRY * S.abs().max():
            raise ValueError(f"S{i} must be symmetric: a covariance is")
    if len(m1) != len(m2):
        raise ValueError(
            f"both Gaussians must have the same dimension, not {len(m1)} and {len(m2)}"
        )
    where, precision = m1.device, m1.dtype
    device = double(m1).device
    m1, S1, m2, S2 = (double(t.detach()).to(device) for t in (m1, S1, m2, S2))
    shift = (m1 - m2).square().sum()
    value = (shift + S1.trace() + S2.trace() - 2 * _trace_of_root(S1, S2)).clamp_min(0)
    return value.to(device=where, dtype=precision)


def same_space(x: object, y: object, x_name: str, y_name: str, *, at_least: int = 1) -> None:
    """Raise ``ValueError`` unless both are sets of at least so many points of one dimension."""
    x, y = points(x, x_name), points(y, y_name)
    for z, name in ((x, x_name), (y, y_name)):
        if z.ndim != 2:
            raise ValueError(f"{name} must have shape (n, d), not {tuple(z.shape)}")
        if len(z) < at_least:
            raise ValueError(f"{name} must hold at least {at_least} points, not {len(z)}")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"{x_name} and {y_name} must have the same dimension, not {x.shape[1]} and {y.shape[1]}"
        )


def _gram(x: Tensor) -> Tensor:
    """XᵀX; on a CPU by NumPy, which knows that half of a symmetric product is enough."""
    if x.device.type == "cpu":
        return torch.from_numpy(x.numpy().T @ x.numpy())
    return x.T @ x


def _between_roots(L: Tensor, S: Tensor) -> Tensor:
    """LᵀSL, or its lower triangle, for triangular L and symmetric S.

    On a CPU by LAPACK, which makes use of both, in a third of the time of two products.
    """
    if L.device.type == "cpu":
        from scipy.linalg.lapack import dsygst

        return torch.from_numpy(dsygst(S.numpy().T, L.numpy(), itype=2, lower=1)[0])
    middle = L.T @ S @ L
    return (middle + middle.T) / 2


def _trace_of_root(S1: Tensor, S2: Tensor) -> Tensor:
    """tr(S₁S₂)^½ = Σ √λ(Lᵀ S₂ L) for L Lᵀ = S₁; covariances may be singular."""
    L, failed = torch.linalg.cholesky_ex(S1)
    if failed != 0:  # singular: another root of S₁ will do
        values, vectors = torch.linalg.eigh(S1)
        root = vectors * values.clamp_min(0).sqrt()
        middle = root.T @ S2 @ root
        middle = (middle + middle.T) / 2
    else:
        middle = _between_roots(L, S2)
    return torch.linalg.eigvalsh(middle, UPLO="L").clamp_min(0).sqrt().sum()
