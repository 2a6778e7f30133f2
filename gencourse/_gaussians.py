"""The parameters of two Gaussians, checked once for all the formulas that compare them."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite

__all__ = ["pair"]

# Relative to the largest entry: what sums and products of the input's precision leave behind.
ROUNDING = 64


def pair(
    m1: Tensor, S1: Tensor, m2: Tensor, S2: Tensor, *, singular: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Check means ``(d,)`` and covariances ``(d, d)``; return them in float64 beside ``m1``.

    Raises
    ------
    ValueError
        If a shape or dtype is wrong, a number not finite, or a covariance is not symmetric or
        has a negative eigenvalue; and unless ``singular``, also if one has a zero eigenvalue.
    """
    parts = {"m1": m1, "S1": S1, "m2": m2, "S2": S2}
    for name, value in parts.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            what = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name} must be a tensor of a floating dtype, not {what}")
    if m1.ndim != 1 or len(m1) == 0:
        raise ValueError(f"m1 must have shape (d,), not {tuple(m1.shape)}")
    d = len(m1)
    for name, value in parts.items():
        wanted = (d,) if name.startswith("m") else (d, d)
        if value.shape != wanted:
            raise ValueError(f"{name} must have shape {wanted}, as m1, not {tuple(value.shape)}")
        finite(value, name)
    doubled = [double(value) for value in parts.values()]
    m1, S1, m2, S2 = (value.to(doubled[0].device) for value in doubled)
    for name, S, given in (("S1", S1, parts["S1"]), ("S2", S2, parts["S2"])):
        _covariance(S.detach(), name, torch.finfo(given.dtype).eps, singular)
    return m1, (S1 + S1.T) / 2, m2, (S2 + S2.T) / 2


def _covariance(S: Tensor, name: str, eps: float, singular: bool) -> None:
    tolerance = ROUNDING * len(S) * eps * S.abs().max()
    if bool((S - S.T).abs().max() > tolerance):
        raise ValueError(f"{name} is not symmetric, so it is no covariance matrix")
    least = torch.linalg.eigvalsh(S)[0]
    if bool(least < -tolerance):
        raise ValueError(
            f"{name} has the negative eigenvalue {least.item():.3g}, so it is no covariance matrix"
        )
    if not singular and not bool(torch.linalg.cholesky_ex(S).info == 0):
        raise ValueError(
            f"{name} is singular, and this formula divides by its determinant; add a small "
            "multiple of the identity"
        )
