"""Divergences between laws that are known by densities, by samples, or through a critic."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import points, positive
from gencourse.divergences.base import FDivergence

__all__ = ["divergence_on_a_line", "kl_between_samples", "monte_carlo", "variational_bound"]


def divergence_on_a_line(
    divergence: FDivergence,
    log_p: Callable[[Tensor], Tensor],
    log_q: Callable[[Tensor], Tensor],
    low: float,
    high: float,
    *,
    nodes: int = 20_000,
) -> Tensor:
    r"""Integrate D_f(p ‖ q) = ∫ q f(p/q) dx over [low, high] by the trapezoidal rule.

    Parameters
    ----------
    divergence : FDivergence
    log_p, log_q : callable (n,) -> (n,)
        Log densities of two laws on the line.
    low, high : float
        An interval outside of which both have next to no mass.
    nodes : int
        Points of the rule. For smooth densities that vanish at the ends its error falls
        faster than any power of them.

    Returns
    -------
    Tensor
        A scalar in float64.

    Raises
    ------
    ValueError
        If the interval is empty.
    """
    positive(nodes, "nodes", integer=True)
    if not low < high:
        raise ValueError(f"low must be below high, not {low!r} and {high!r}")
    x = torch.linspace(low, high, nodes, dtype=torch.float64)
    a, b = log_p(x), log_q(x)
    return torch.trapezoid(b.exp() * divergence.generator((a - b).exp()), x)


def monte_carlo(divergence: FDivergence, log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    r"""Estimate D_f(p ‖ q) = E_q f(p/q) from the log densities of both at samples of q.

    Unbiased, but only as good as q covers p: where p/q is large and no sample falls, nothing
    is seen.

    Parameters
    ----------
    divergence : FDivergence
    log_p, log_q : Tensor of shape (n,)
        log p(x_i) and log q(x_i) in nats, at n ≥ 2 samples x_i of q.

    Returns
    -------
    (Tensor, Tensor)
        The estimate and its standard error, scalars like ``log_p``.

    Raises
    ------
    ValueError
        If the shapes differ, or there are fewer than two samples.
    """
    if log_p.ndim != 1 or log_p.shape != log_q.shape or len(log_p) < 2:
        raise ValueError(
            "log_p and log_q must have one shape (n,) with n ≥ 2, not "
            f"{tuple(log_p.shape)} and {tuple(log_q.shape)}"
        )
    f = divergence.generator((double(log_p) - double(log_q)).exp())
    return f.mean().to(log_p), (f.std() / len(f) ** 0.5).to(log_p)


def variational_bound(divergence: FDivergence, v_p: Tensor, v_q: Tensor) -> Tensor:
    r"""Return the lower bound E_p g(v) - E_q f*(g(v)) of D_f(p ‖ q) that a network v gives.

    In expectation it is never above D_f, and equal at g(v) = f′(p/q); this is what the
    critic of an f-GAN maximises (Nowozin, Cseke & Tomioka 2016, equation 6; decks A, B, E).

    Parameters
    ----------
    divergence : FDivergence
    v_p, v_q : Tensor
        Outputs of the network at samples of p and of q, of any shapes.

    Returns
    -------
    Tensor
        A scalar in nats, differentiable.

    Examples
    --------
    >>> import torch
    >>> from gencourse.divergences import F_DIVERGENCES
    >>> nothing_learned = torch.zeros(4)  # D = 1/2 everywhere
    >>> variational_bound(F_DIVERGENCES["gan"], nothing_learned, nothing_learned)
    tensor(-1.3863)
    """
    return divergence.activation(v_p).mean() - divergence.conjugate_activation(v_q).mean()


def kl_between_samples(x: Tensor, y: Tensor, *, k: int = 5) -> Tensor:
    r"""Estimate KL(p ‖ q) in nats from samples alone, by distances to nearest neighbours.

    .. math:: \frac dn \sum_i \log\frac{\nu_k(x_i)}{\rho_k(x_i)} + \log\frac{m}{n-1},

    where :math:`\rho_k(x_i)` is the distance of :math:`x_i` to its k-th neighbour among the other
    x, and :math:`\nu_k(x_i)` that among the y (Wang, Kulkarni & Verdú 2009; Pérez-Cruz 2008).
    It is consistent in n and m for any fixed k; its bias grows with the dimension.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples of p, all different.
    y : Tensor of shape (m, d)
        Samples of q.
    k : int
        Which neighbour; a larger one varies less and is biased more.

    Returns
    -------
    Tensor
        A scalar like ``x``; it can be negative.

    Raises
    ------
    ValueError
        If there are too few samples, shapes do not fit, or a point repeats so often that a
        distance is 0.
    """
    from scipy.spatial import KDTree

    points(x, "x")
    points(y, "y")
    positive(k, "k", integer=True)
    if x.ndim != 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"x and y must have shapes (n, d) and (m, d), not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    n, d = x.shape
    if n <= k or len(y) < k:
        raise ValueError(f"with k = {k} at least {k + 1} rows of x and {k} of y are needed")
    a, b = double(x.detach()).cpu().numpy(), double(y.detach()).cpu().numpy()
    # The nearest point of a sample to one of its own points is that point itself.
    rho = torch.from_numpy(KDTree(a).query(a, [k + 1])[0][:, 0])
    nu = torch.from_numpy(KDTree(b).query(a, [k])[0][:, 0])
    if bool((rho == 0).any()) or bool((nu == 0).any()):
        raise ValueError("points repeat, and their distance 0 has no logarithm; remove copies")
    kl = d * (nu / rho).log().mean() + torch.tensor(len(y) / (n - 1)).double().log()
    return kl.to(x)
