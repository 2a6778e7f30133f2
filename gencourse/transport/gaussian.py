"""Transport between Gaussians, where everything is known."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._gaussians import pair

__all__ = ["gaussian_w2"]


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
    m1, S1, m2, S2 = pair(m1, S1, m2, S2, singular=True)
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
