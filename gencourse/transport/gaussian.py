"""Transport between Gaussians, where everything is known."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite

__all__ = ["gaussian_w2"]

# Relative to the largest entry: what sums and products of the input's precision leave behind.
ROUNDING = 64


def gaussian_w2(m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor) -> Tensor:
    r"""Wasserstein distance of order 2 between N(m₁, S₁) and N(m₂, S₂): not its square.

    .. math::
        W_2^2 = \|m_1 - m_2\|^2 + \mathrm{tr}\big(S_1 + S_2 - 2 (S_1^{1/2} S_2 S_1^{1/2})^{1/2}\big)

    The trace is the squared Bures distance of the covariances. It is computed as
    :math:`\min_U \|A - B U\|_F^2` over orthogonal U, with :math:`S_1 = A A^\top` and
    :math:`S_2 = B B^\top`: in the formula above nearly equal covariances cancel, and half of
    the digits are lost.

    Parameters
    ----------
    m1, m2 : Tensor of shape (d,)
        Means; any floating dtype and device.
    S1, S2 : Tensor of shape (d, d)
        Covariances; they may be singular.

    Returns
    -------
    Tensor
        A scalar like ``m1``, differentiable where it is above zero.

    Raises
    ------
    ValueError
        If a shape is wrong, a number not finite, or a covariance not symmetric or not positive
        semi-definite.

    References
    ----------
    D. C. Dowson & B. V. Landau 1982, *The Fréchet distance between multivariate normal
    distributions*.

    Examples
    --------
    >>> import torch
    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> gaussian_w2(zero, torch.eye(1), 3 * one, 25 * torch.eye(1))  # √(3² + (5 - 1)²)
    tensor(5.)
    """
    like = m1
    m1, S1, m2, S2 = _checked(m1, S1, m2, S2)
    with torch.no_grad():
        A, B = _factor(S1), _factor(S2)
        W, _, Vh = torch.linalg.svd(B.T @ A)
        U = W @ Vh  # orthogonal Procrustes problem: the polar factor of BᵀA
        bures = (A - B @ U).square().sum()
        # The optimal maps between the two, T S₁ T = S₂, and back.
        there, back = B @ U @ torch.linalg.pinv(A), A @ U.T @ torch.linalg.pinv(B)
        eye = torch.eye(len(A)).to(A)
    # ∂bures/∂S₁ = I - T, and it has no gradient of higher order here; the value is the one above.
    envelope = ((eye - there) * S1).sum() + ((eye - back) * S2).sum()
    squared = (m1 - m2).square().sum() + bures + (envelope - envelope.detach())
    return squared.sqrt().to(device=like.device, dtype=like.dtype)


def _factor(S: Tensor) -> Tensor:
    """Return A with S = A Aᵀ, for a covariance that may be singular."""
    variances, axes = torch.linalg.eigh(S)
    return axes * variances.clamp_min(0).sqrt()


def _checked(*given: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Check the parameters m₁, S₁, m₂, S₂; return them in float64 on one device."""
    names = ("m1", "S1", "m2", "S2")
    for name, value in zip(names, given, strict=True):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            what = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} must be a tensor of a floating dtype, not {what}")
    if given[0].ndim != 1 or len(given[0]) == 0:
        raise ValueError(f"m1 must have shape (d,), not {tuple(given[0].shape)}")
    d = len(given[0])
    for name, value, wanted in zip(names, given, ((d,), (d, d)) * 2, strict=True):
        if value.shape != wanted:
            raise ValueError(f"{name} must have shape {wanted}, as m1, not {tuple(value.shape)}")
        finite(value, name)
    doubled = [double(value) for value in given]
    m1, S1, m2, S2 = (value.to(doubled[0].device) for value in doubled)
    _covariance(S1.detach(), "S1", torch.finfo(given[1].dtype).eps)
    _covariance(S2.detach(), "S2", torch.finfo(given[3].dtype).eps)
    return m1, (S1 + S1.T) / 2, m2, (S2 + S2.T) / 2


def _covariance(S: Tensor, name: str, eps: float) -> None:
    tolerance = ROUNDING * len(S) * eps * S.abs().max()
    if bool((S - S.T).abs().max() > tolerance):
        raise ValueError(f"{name} is not symmetric, so it is no covariance matrix")
    least = torch.linalg.eigvalsh(S)[0]
    if bool(least < -tolerance):
        raise ValueError(
            f"{name} has the negative eigenvalue {least.item():.3g}, so it is no covariance matrix"
        )
