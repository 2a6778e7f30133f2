"""Divergences between two Gaussians, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite, positive

__all__ = [
    "gaussian_jeffreys",
    "gaussian_kl",
    "gaussian_renyi",
    "gaussian_squared_hellinger",
    "gaussian_total_variation",
]


def gaussian_kl(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor) -> Tensor:
    r"""KL(N(m₁, S₁) ‖ N(m₂, S₂)) in nats, a scalar.

    .. math::

        \tfrac12 \Big( \operatorname{tr} S_2^{-1} S_1 - d
        + (m_2 - m_1)^\top S_2^{-1} (m_2 - m_1) + \log\frac{\det S_2}{\det S_1} \Big)

    Parameters
    ----------
    m1, m2 : Tensor of shape (d,)
        Means.
    S1, S2 : Tensor of shape (d, d)
        Covariances, symmetric and positive definite.

    Returns
    -------
    Tensor
        Of the dtype and on the device of ``m1``, differentiable.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or a covariance is not symmetric and
        positive definite.

    Examples
    --------
    >>> import torch
    >>> gaussian_kl(torch.zeros(1), torch.eye(1), torch.ones(1), torch.eye(1))
    tensor(0.5000)
    """
    (mean_1, L1), (mean_2, L2) = _pair(m1, S1, m2, S2)
    # With S = L Lᵀ: tr S₂⁻¹S₁ = ‖L₂⁻¹L₁‖², and the Mahalanobis distance is ‖L₂⁻¹(m₂ - m₁)‖².
    trace = torch.linalg.solve_triangular(L2, L1, upper=False).square().sum()
    shift = torch.linalg.solve_triangular(L2, (mean_2 - mean_1)[:, None], upper=False)
    kl = 0.5 * (trace - len(mean_1) + shift.square().sum()) + _half_log_det(L2) - _half_log_det(L1)
    return kl.to(m1)


def gaussian_jeffreys(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor) -> Tensor:
    """KL in both directions, added; see :func:`gaussian_kl` for the arguments."""
    return gaussian_kl(m1, S1, m2, S2) + gaussian_kl(m2, S2, m1, S1).to(m1)


def gaussian_renyi(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor, order: float) -> Tensor:
    r"""Rényi divergence (1/(α-1)) log E_q (p/q)^α between two Gaussians, in nats.

    .. math::

        \frac\alpha2 (m_1-m_2)^\top S_\alpha^{-1} (m_1-m_2)
        - \frac{1}{2(\alpha-1)} \log\frac{\det S_\alpha}{\det S_1^{1-\alpha} \det S_2^{\alpha}},
        \qquad S_\alpha = (1-\alpha) S_1 + \alpha S_2,

    and +∞ if :math:`S_\alpha` is not positive definite, as can happen for α > 1 (Gil, Alajaji &
    Linder 2013). At α = 2 it is log(1 + χ²) with Pearson's χ².

    Parameters
    ----------
    m1, m2 : Tensor of shape (d,)
    S1, S2 : Tensor of shape (d, d)
    order : float
        α, positive and not 1; the limit at 1 is :func:`gaussian_kl`.

    Raises
    ------
    ValueError
        As :func:`gaussian_kl`, or if the order is 1 or not positive.
    """
    positive(order, "order")
    if order == 1:
        raise ValueError("at order 1 the Rényi divergence is KL: use gaussian_kl")
    (mean_1, L1), (mean_2, L2) = _pair(m1, S1, m2, S2)
    mixed = (1 - order) * L1 @ L1.T + order * L2 @ L2.T
    L, failed = torch.linalg.cholesky_ex(mixed)
    if failed:
        return torch.full_like(m1[0], math.inf)
    shift = torch.linalg.solve_triangular(L, (mean_1 - mean_2)[:, None], upper=False)
    log_dets = _half_log_det(L) - (1 - order) * _half_log_det(L1) - order * _half_log_det(L2)
    return (order / 2 * shift.square().sum() - log_dets / (order - 1)).to(m1)


def gaussian_squared_hellinger(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor) -> Tensor:
    r"""∫ (√p - √q)², between 0 and 2: two minus twice the overlap ∫ √(pq).

    The overlap is :math:`e^{-R/2}` with R the Rényi divergence of order ½; see
    :func:`gaussian_kl` for the arguments.
    """
    return -2 * torch.expm1(-gaussian_renyi(m1, S1, m2, S2, 0.5) / 2)


def gaussian_total_variation(m1: Tensor, m2: Tensor, S: Tensor) -> Tensor:
    r"""½ ∫ \|p - q\| between two Gaussians of the same covariance: 2 Φ(δ/2) - 1.

    δ is the Mahalanobis distance of the means. For different covariances there is no closed
    form; integrate, with :func:`gencourse.divergences.divergence_on_a_line`.

    Parameters
    ----------
    m1, m2 : Tensor of shape (d,)
    S : Tensor of shape (d, d)

    Raises
    ------
    ValueError
        As :func:`gaussian_kl`.
    """
    (mean_1, L), (mean_2, _) = _pair(m1, S, m2, S)
    delta = torch.linalg.solve_triangular(L, (mean_1 - mean_2)[:, None], upper=False).norm()
    return torch.erf(delta / (2 * math.sqrt(2))).to(m1)


def _pair(
    m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Check two Gaussians; return the mean and the Cholesky factor of each in float64."""
    if m1.ndim != 1 or m1.shape != m2.shape:
        raise ValueError(
            f"m1 and m2 must have one shape (d,), not {tuple(m1.shape)} and {tuple(m2.shape)}"
        )
    return _factored(m1, S1, "S1"), _factored(m2, S2, "S2")


def _factored(mean: Tensor, S: Tensor, name: str) -> tuple[Tensor, Tensor]:
    d = len(mean)
    if S.shape != (d, d):
        raise ValueError(f"{name} must have shape ({d}, {d}), not {tuple(S.shape)}")
    exact = double(finite(S, name))
    if not torch.allclose(exact, exact.T, rtol=1e-4, atol=1e-6 * exact.abs().max().item()):
        raise ValueError(f"{name} must be symmetric")
    L, failed = torch.linalg.cholesky_ex((exact + exact.T) / 2)
    if failed:
        raise ValueError(f"{name} must be positive definite; a singular law has no density")
    return double(finite(mean, "the mean")), L


def _half_log_det(L: Tensor) -> Tensor:
    """½ log det S for S = L Lᵀ."""
    return L.diagonal().log().sum()
