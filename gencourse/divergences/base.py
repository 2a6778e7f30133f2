"""What an f-divergence is: a convex function, and all that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import finite

__all__ = ["FDivergence"]

Function = Callable[[Tensor], Tensor]
TOLERANCE = 1e-4  # by how much masses given in single precision may miss their sum of 1


@dataclass(frozen=True)
class FDivergence:
    r"""D_f(p ‖ q) = E_q f(p/q), with its dual form and the activation that f-GAN gives it.

    .. math::

        D_f(p \| q) = \sup_T \; \mathbb{E}_p T(x) - \mathbb{E}_q f^*(T(x)), \qquad
        f^*(t) = \sup_{u \ge 0} \, (u t - f(u)),

    with the supremum at T* = f′(p/q), where Young's inequality is an equality. A network
    v(x) becomes a critic T = g(v) by an activation g into the domain of f*, and then the
    right-hand side is a lower bound (Nowozin, Cseke & Tomioka 2016; decks A, B and E).

    All functions work on tensors of any shape, elementwise, in their dtype and on their device.

    Attributes
    ----------
    name : str
        Its key in :data:`gencourse.divergences.F_DIVERGENCES`.
    title : str
        What it is called in words.
    formula : str
        f(u) in LaTeX.
    conjugate_formula : str
        f*(t) in LaTeX.
    f_second_formula, activation_formula, critic_formula : str
        f″(u), g(v) and T* = f′(u) in LaTeX.
    f_second : callable
        f″(u), which drives variational gradient flow (deck A).
    conjugate : callable
        f*(t); +∞ where the supremum is.
    conjugate_domain : (float, float)
        The interval of t that the activation maps into, as in the tables of the paper.
    activation : callable
        g(v), from all real numbers into ``conjugate_domain``.
    conjugate_activation : callable
        f*(g(v)), simplified by hand: composing the two would lose all digits where g saturates.
    optimal_critic : callable
        T* = f′(u) at the density ratio u = p/q.
    slope_at_infinity : float
        lim f(u)/u: what a unit of p costs where q has none.
    note : str
        Where the literature uses another factor or constant.
    """

    name: str
    title: str
    formula: str
    conjugate_formula: str
    f_second_formula: str
    activation_formula: str
    critic_formula: str
    generator: Function
    f_second: Function
    conjugate: Function
    conjugate_domain: tuple[float, float]
    activation: Function
    conjugate_activation: Function
    optimal_critic: Function
    slope_at_infinity: float
    note: str = ""

    def f(self, u: Tensor) -> Tensor:
        """Return f(u), for density ratios u ≥ 0; at 0 its limit, which may be infinite.

        Raises
        ------
        ValueError
            If a ratio is negative or NaN.
        """
        if not bool((u >= 0).all()):
            raise ValueError("u is a ratio of densities and must not be negative or NaN")
        return self.generator(u)

    def value(self, p: Tensor, q: Tensor) -> Tensor:
        """Return D_f(p ‖ q) between two histograms, a scalar; +∞ where it is infinite.

        Cells where q is 0 and p is not cost p · f′(∞), the limit; cells where both are 0
        nothing.

        Parameters
        ----------
        p, q : Tensor of one shape
            Masses of the same cells, not negative, with sum 1 each.

        Raises
        ------
        ValueError
            If the shapes differ, a mass is negative or not finite, or a sum is not 1.

        Examples
        --------
        >>> import torch
        >>> from gencourse.divergences import F_DIVERGENCES
        >>> p, q = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
        >>> F_DIVERGENCES["tv"].value(p, q), F_DIVERGENCES["kl"].value(p, q)
        (tensor(0.5000), tensor(inf))
        """
        if p.shape != q.shape:
            raise ValueError(
                f"p and q must be masses of the same cells, not of shapes {tuple(p.shape)} "
                f"and {tuple(q.shape)}"
            )
        exact_p, exact_q = masses(p, "p"), masses(q, "q").to(p.device)
        both = exact_q > 0
        ratio = torch.where(both, exact_p / torch.where(both, exact_q, 1.0), 1.0)
        cost = torch.where(both, exact_q * self.generator(ratio), 0.0)
        # 0 · ∞ is not a number, and no mass costs nothing.
        alone = torch.where(both, 0.0, exact_p)
        outside = torch.where(alone > 0, alone * self.slope_at_infinity, 0.0)
        return (cost + outside).sum().to(device=p.device, dtype=p.dtype)


def masses(p: Tensor, name: str) -> Tensor:
    """Return a histogram in float64, or raise ``ValueError`` if it is none."""
    p = double(finite(p, name))
    if bool((p < 0).any()):
        raise ValueError(f"{name} holds a negative mass, {p.min().item():g}")
    total = p.sum().item()
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"the masses of {name} must have sum 1, not {total:g}; divide by it")
    return p / total
