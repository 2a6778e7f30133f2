"""The gradient flow of an f-divergence: which way, and how fast, particles move."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gencourse.divergences.base import FDivergence

__all__ = ["flow_velocity", "step_weight"]


def step_weight(divergence: FDivergence, log_ratio: Tensor) -> Tensor:
    r"""Return s = f″(r) r at r = e^{-D}: the speed of a particle for each unit of \|∇D\|.

    From the f″ of deck A follow

    ========  =====================
    kl        1
    js        1/(1 + r) = σ(D)
    logd      r/(1 + r) = σ(-D)
    jeffreys  1 + 1/r = 1 + e^D
    ========  =====================

    Parameters
    ----------
    divergence : FDivergence
        Any entry of the table; its f″ is evaluated.
    log_ratio : Tensor of any shape
        D = log p/q = -log r.

    Returns
    -------
    Tensor of the same shape and dtype
        Finite for every D: beyond \|D\| = 44 (354 in float64) r stays where it is, as r²
        would leave the range of the numbers.
    """
    D = log_ratio.to(torch.promote_types(log_ratio.dtype, torch.float32))
    furthest = torch.finfo(D.dtype).max ** 0.5 / 2
    r = (-D).exp().clamp(1 / furthest, furthest)
    return (divergence.f_second(r) * r).to(log_ratio.dtype)


def flow_velocity(
    divergence: FDivergence, log_ratio: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Return where the gradient flow of D_f(q ‖ p) carries the particles x of q.

    In the Wasserstein metric the divergence D_f(q ‖ p) = E_p f(r), r = q/p, falls steepest when
    mass at x moves with the velocity

    .. math:: h(x) = -\nabla \frac{\delta D_f}{\delta q} = -\nabla f'(r(x))
              = -f''(r) \nabla r = s \nabla D, \qquad D = \log \frac pq, \quad s = f''(r)\, r,

    and then at the rate :math:`\frac{d}{dt} D_f(q_t \| p) = -\mathbb{E}_q \|h\|^2`. For KL,
    h = ∇log p - ∇log q, and q_t has the marginals of Langevin dynamics. In this course's
    D_f(p ‖ q) = E_q f(p/q) the target is the second argument here: the flow of ``kl`` is that
    of KL(q ‖ p).

    Parameters
    ----------
    divergence : FDivergence
        With its f″, such as ``F_DIVERGENCES["kl"]``.
    log_ratio : callable (n, …) -> (n,)
        D = log p/q, differentiable by autograd; exact, or a
        :meth:`gencourse.divergences.DensityRatio.log_ratio`.
    x : Tensor of shape (n, …)

    Returns
    -------
    h : Tensor of shape (n, …)
        Detached.
    D : Tensor of shape (n,)
        The log ratio at x, detached.

    Raises
    ------
    ValueError
        If the log ratio is not one number for each row, or autograd cannot follow it.

    References
    ----------
    Y. Gao et al. 2019, *Deep generative learning via variational gradient flow*, theorem 2.1;
    L. Ambrosio, N. Gigli & G. Savaré 2008, *Gradient flows*; deck A.
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        D = log_ratio(at)
        if not isinstance(D, Tensor) or D.shape != x.shape[:1]:
            got = tuple(D.shape) if isinstance(D, Tensor) else type(D).__name__
            raise ValueError(f"log_ratio must return a tensor of shape {(len(x),)}, not {got}")
        if not D.requires_grad:
            raise ValueError("log_ratio must be differentiable by autograd, without .detach()")
        (slope,) = torch.autograd.grad(D.sum(), at)
    D = D.detach()
    s = step_weight(divergence, D).reshape(-1, *[1] * (x.ndim - 1))
    return s * slope, D
