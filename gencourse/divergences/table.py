"""The f-divergences of the course, one entry each, to be read beside the tables of the decks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gencourse._validate import unknown_name
from gencourse.divergences.base import FDivergence

__all__ = ["F_DIVERGENCES", "get"]

INF = math.inf
LOG_2 = math.log(2)
NEWTON_STEPS = 8  # at most 6 are needed in float64, from t = -1e30 to 1e30


def below(t: Tensor, high: float, value: Tensor) -> Tensor:
    """Return ``value`` where t < high, and +∞ elsewhere."""
    return torch.where(t < high, value, INF)


def inside(t: Tensor, high: float, safe: float) -> Tensor:
    """Return t where t < high, and ``safe`` elsewhere, so that gradients stay finite."""
    return torch.where(t < high, t, safe)


def lambert_exp(s: Tensor) -> Tensor:
    """Return W(eˢ), the solution of w + log w = s, without computing eˢ, which overflows.

    Newton's method on w + log w, for large s in w and for small s in log w, where each is
    nearly linear.
    """
    # For s ≤ 1: y = log w solves e^y + y = s. For s > 1: w + log w = s.
    large = s > 1
    s_small, s_large = torch.where(large, 1.0, s), torch.where(large, s, 2.0)
    y = s_small.clamp_max(0)
    w = s_large - s_large.log()
    for _ in range(NEWTON_STEPS):
        y = y - (y.exp() + y - s_small) / (y.exp() + 1)
        w = w / (1 + w) * (1 + s_large - w.log())
    return torch.where(large, w, y.exp())


def jeffreys_conjugate(t: Tensor) -> Tensor:
    """f*(t) = w + 1/w + t - 2 with w = W(e^{1-t}), since f′(1/w) = t where w + log w = 1 - t."""
    w = lambert_exp(1 - t)
    return w + 1 / w + t - 2


_TABLE = (
    FDivergence(
        name="kl",
        title="Kullback–Leibler",
        formula=r"u \log u",
        conjugate_formula=r"e^{t-1}",
        f_second_formula=r"1/u",
        activation_formula=r"v",
        critic_formula=r"1 + \log u",
        generator=lambda u: torch.xlogy(u, u),
        f_second=lambda u: 1 / u,
        conjugate=lambda t: (t - 1).exp(),
        conjugate_domain=(-INF, INF),
        activation=lambda v: v,
        conjugate_activation=lambda v: (v - 1).exp(),
        optimal_critic=lambda u: 1 + u.log(),
        slope_at_infinity=INF,
    ),
    FDivergence(
        name="reverse-kl",
        title="Reverse Kullback–Leibler",
        formula=r"-\log u",
        conjugate_formula=r"-1 - \log(-t)",
        f_second_formula=r"1/u^2",
        activation_formula=r"-e^{-v}",
        critic_formula=r"-1/u",
        generator=lambda u: -u.log(),
        f_second=lambda u: u**-2,
        conjugate=lambda t: below(t, 0, -1 - (-inside(t, 0, -1.0)).log()),
        conjugate_domain=(-INF, 0.0),
        activation=lambda v: -(-v).exp(),
        conjugate_activation=lambda v: v - 1,
        optimal_critic=lambda u: -1 / u,
        slope_at_infinity=0.0,
        note="KL(q ‖ p).",
    ),
    FDivergence(
        name="pearson",
        title="Pearson χ²",
        formula=r"(u - 1)^2",
        conjugate_formula=r"t^2/4 + t \;\; (t \ge -2), \quad -1 \;\; (t < -2)",
        f_second_formula=r"2",
        activation_formula=r"v",
        critic_formula=r"2(u - 1)",
        generator=lambda u: (u - 1).square(),
        f_second=lambda u: torch.full_like(u, 2.0),
        # The parabola's vertex is at t = -2, u = 0; for smaller t the best u ≥ 0 stays 0.
        conjugate=lambda t: t.clamp_min(-2).square() / 4 + t.clamp_min(-2),
        conjugate_domain=(-INF, INF),
        activation=lambda v: v,
        conjugate_activation=lambda v: v.clamp_min(-2).square() / 4 + v.clamp_min(-2),
        optimal_critic=lambda u: 2 * (u - 1),
        slope_at_infinity=INF,
        note="∫ (p - q)²/q. Tables that write ∫ (q - p)²/p beside this f mean its mirror image, "
        "Neyman's; and those that give t²/4 + t for all t forget that u ≥ 0.",
    ),
    FDivergence(
        name="neyman",
        title="Neyman χ²",
        formula=r"(1 - u)^2 / u",
        conjugate_formula=r"2 - 2\sqrt{1 - t}",
        f_second_formula=r"2/u^3",
        activation_formula=r"1 - e^v",
        critic_formula=r"1 - 1/u^2",
        generator=lambda u: (1 - u).square() / u,
        f_second=lambda u: 2 / u**3,
        conjugate=lambda t: torch.where(t <= 1, 2 - 2 * (1 - t).clamp_min(0).sqrt(), INF),
        conjugate_domain=(-INF, 1.0),
        activation=lambda v: 1 - v.exp(),
        conjugate_activation=lambda v: 2 - 2 * (v / 2).exp(),
        optimal_critic=lambda u: 1 - u**-2,
        slope_at_infinity=1.0,
        note="∫ (p - q)²/p.",
    ),
    FDivergence(
        name="squared-hellinger",
        title="Squared Hellinger",
        formula=r"(\sqrt u - 1)^2",
        conjugate_formula=r"t / (1 - t)",
        f_second_formula=r"\tfrac12 u^{-3/2}",
        activation_formula=r"1 - e^{-v}",
        critic_formula=r"1 - 1/\sqrt u",
        generator=lambda u: (u.sqrt() - 1).square(),
        f_second=lambda u: u**-1.5 / 2,
        conjugate=lambda t: below(t, 1, inside(t, 1, 0.0) / (1 - inside(t, 1, 0.0))),
        conjugate_domain=(-INF, 1.0),
        activation=lambda v: 1 - (-v).exp(),
        conjugate_activation=lambda v: torch.expm1(v),
        optimal_critic=lambda u: 1 - u**-0.5,
        slope_at_infinity=1.0,
        note="∫ (√p - √q)², between 0 and 2; often defined with a factor ½.",
    ),
    FDivergence(
        name="jeffreys",
        title="Jeffreys",
        formula=r"(u - 1) \log u",
        conjugate_formula=r"w + 1/w + t - 2, \quad w + \log w = 1 - t",
        f_second_formula=r"(u + 1)/u^2",
        activation_formula=r"v",
        critic_formula=r"\log u + 1 - 1/u",
        generator=lambda u: (u - 1) * u.log(),
        f_second=lambda u: (u + 1) / u**2,
        conjugate=jeffreys_conjugate,
        conjugate_domain=(-INF, INF),
        activation=lambda v: v,
        conjugate_activation=jeffreys_conjugate,
        optimal_critic=lambda u: u.log() + 1 - 1 / u,
        slope_at_infinity=INF,
        note="KL(p ‖ q) + KL(q ‖ p).",
    ),
    FDivergence(
        name="js",
        title="Jensen–Shannon",
        formula=r"u \log u - (u + 1) \log \tfrac{u+1}{2}",
        conjugate_formula=r"-\log(2 - e^t)",
        f_second_formula=r"1/(u(u + 1))",
        activation_formula=r"\log 2 - \log(1 + e^{-v})",
        critic_formula=r"\log 2 - \log(1 + 1/u)",
        generator=lambda u: torch.xlogy(u, u) - (u + 1) * ((u + 1) / 2).log(),
        f_second=lambda u: 1 / (u * (u + 1)),
        conjugate=lambda t: below(t, LOG_2, -(2 - inside(t, LOG_2, 0.0).exp()).log()),
        conjugate_domain=(-INF, LOG_2),
        activation=lambda v: LOG_2 - softplus(-v),
        conjugate_activation=lambda v: softplus(v) - LOG_2,
        optimal_critic=lambda u: LOG_2 - (1 / u).log1p(),
        slope_at_infinity=LOG_2,
        note="Twice JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m), m = ½ (p + q), which is at most log 2.",
    ),
    FDivergence(
        name="gan",
        title="GAN",
        formula=r"u \log u - (u + 1) \log(u + 1)",
        conjugate_formula=r"-\log(1 - e^t)",
        f_second_formula=r"1/(u(u + 1))",
        activation_formula=r"-\log(1 + e^{-v})",
        critic_formula=r"-\log(1 + 1/u)",
        generator=lambda u: torch.xlogy(u, u) - (u + 1) * u.log1p(),
        f_second=lambda u: 1 / (u * (u + 1)),
        conjugate=lambda t: below(t, 0, -(-torch.expm1(inside(t, 0, -1.0))).log()),
        conjugate_domain=(-INF, 0.0),
        activation=lambda v: -softplus(-v),
        conjugate_activation=lambda v: softplus(v),
        optimal_critic=lambda u: -(1 / u).log1p(),
        slope_at_infinity=0.0,
        note="2 JS(p, q) - log 4: f(1) is not 0, and the least value is -log 4. T = log D.",
    ),
    FDivergence(
        name="logd",
        title="log-D",
        formula=r"(u + 1) \log(u + 1) - 2 \log 2",
        conjugate_formula=r"e^{t-1} - t + 2 \log 2 \;\; (t \ge 1), \quad 2 \log 2 \;\; (t < 1)",
        f_second_formula=r"1/(u + 1)",
        activation_formula=r"1 + \log(1 + e^v)",
        critic_formula=r"1 + \log(u + 1)",
        generator=lambda u: (u + 1) * u.log1p() - 2 * LOG_2,
        f_second=lambda u: 1 / (u + 1),
        # f′(0) = 1: for smaller t the best u ≥ 0 is 0.
        conjugate=lambda t: (t.clamp_min(1) - 1).exp() - t.clamp_min(1) + 2 * LOG_2,
        conjugate_domain=(-INF, INF),
        activation=lambda v: 1 + softplus(v),
        conjugate_activation=lambda v: v.exp() - softplus(v) + 2 * LOG_2,
        optimal_critic=lambda u: 1 + u.log1p(),
        slope_at_infinity=INF,
        note="Its gradient flow takes the log-D step of a generator at the optimal discriminator.",
    ),
    FDivergence(
        name="tv",
        title="Total variation",
        formula=r"\tfrac12 |u - 1|",
        conjugate_formula=r"\max(t, -\tfrac12)",
        f_second_formula=r"0 \;\; (u \ne 1)",
        activation_formula=r"\tfrac12 \tanh v",
        critic_formula=r"\tfrac12 \operatorname{sign}(u - 1)",
        generator=lambda u: (u - 1).abs() / 2,
        # Everywhere but at u = 1, where f has a kink.
        f_second=lambda u: torch.zeros_like(u),
        conjugate=lambda t: torch.where(t <= 0.5, t.clamp_min(-0.5), INF),
        conjugate_domain=(-0.5, 0.5),
        activation=lambda v: v.tanh() / 2,
        conjugate_activation=lambda v: v.tanh() / 2,
        optimal_critic=lambda u: (u - 1).sign() / 2,
        slope_at_infinity=0.5,
        note="½ ∫ |p - q|, at most 1. With test functions bounded by 1 instead of ½ it doubles.",
    ),
)

#: Every f-divergence of the course by name.
F_DIVERGENCES: Mapping[str, FDivergence] = MappingProxyType({d.name: d for d in _TABLE})


def get(name: str) -> FDivergence:
    """Return the f-divergence of this name.

    Raises
    ------
    KeyError
        If there is none; the message suggests the nearest names.
    """
    try:
        return F_DIVERGENCES[name]
    except (KeyError, TypeError):
        raise unknown_name("f-divergence", name, F_DIVERGENCES) from None
