"""The f-table: every entry against the definitions, by autograd, quadrature and brute force."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special
from torch import Tensor

from gencourse.divergences import (
    F_DIVERGENCES,
    divergence_on_a_line,
    get,
    kl_between_samples,
    monte_carlo,
    variational_bound,
)
from gencourse.divergences.table import lambert_exp

NAMES = list(F_DIVERGENCES)
EVERY = pytest.mark.parametrize("name", NAMES)
RATIOS = torch.logspace(-3, 3, 61, dtype=torch.float64)
V = torch.linspace(-8, 8, 65, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_p(x: Tensor) -> Tensor:
    return -0.5 * x.square() - 0.5 * math.log(2 * math.pi)


def log_q(x: Tensor) -> Tensor:
    return -0.5 * ((x - 1) / 1.3).square() - math.log(1.3) - 0.5 * math.log(2 * math.pi)


def interior(name: str) -> Tensor:
    """Return points of the domain of f*, away from its ends."""
    low, high = F_DIVERGENCES[name].conjugate_domain
    low, high = max(low, -6.0), min(high, 4.0)
    width = high - low
    return torch.linspace(low + 0.02 * width, high - 0.02 * width, 25, dtype=torch.float64)


def read(latex: str, variable: str, at: Tensor) -> Tensor:
    """Evaluate a formula of the table as it is printed, where it has one case."""
    text = latex
    for tex, python in (
        (r"\tfrac12", "0.5*"), (r"\tfrac{u+1}{2}", "((u+1)/2)"), (r"\sqrt{1 - t}", "sqrt(1-t)"),
        (r"\sqrt u", "sqrt(u)"), (r"\log u", "log(u)"), (r"\log 2", "log(2)"),
        (r"\tanh v", "tanh(v)"), (r"\operatorname{sign}", "sign"), (r"\log", "log"),
        ("{", "("), ("}", ")"), (r"\;", ""), ("^", "**"), ("|u - 1|", "abs(u-1)"),
        ("e**", "e**"), ("t/4", "t/4"), (r"\ ", ""), (r"\,", ""),
    ):  # fmt: skip
        text = text.replace(tex, python)
    text = re.sub(r"(?<=[\d)])\s*(?=log|sqrt)|(?<=[\du)])(?=\()|(?<=u) (?=log)", "*", text)
    names = {
        variable: at,
        "e": math.e,
        "log": lambda x: torch.as_tensor(x, dtype=torch.float64).log(),
        "sqrt": torch.sqrt,
        "tanh": torch.tanh,
        "sign": torch.sign,
        "abs": abs,
    }
    result = eval(re.sub(r"\*+\s*$", "", text), {"__builtins__": {}}, names)
    return torch.as_tensor(result, dtype=torch.float64).expand(at.shape)


@EVERY
def test_formulas_say_what_the_functions_compute(name: str) -> None:
    D = F_DIVERGENCES[name]
    u = RATIOS[RATIOS != 1]
    torch.testing.assert_close(read(D.formula, "u", u), D.f(u))
    second = D.f_second_formula.split(r"\;")[0]  # of total variation: everywhere but at 1
    torch.testing.assert_close(read(second, "u", u), D.f_second(u))
    torch.testing.assert_close(read(D.critic_formula, "u", u), D.optimal_critic(u))
    torch.testing.assert_close(read(D.activation_formula, "v", V), D.activation(V))
    if name not in ("pearson", "logd", "tv", "jeffreys"):  # by cases, or an equation
        t = interior(name)
        torch.testing.assert_close(read(D.conjugate_formula, "t", t), D.conjugate(t))


def test_the_names_of_the_course() -> None:
    assert NAMES == [
        "kl", "reverse-kl", "pearson", "neyman", "squared-hellinger", "jeffreys", "js", "gan",
        "logd", "tv",
    ]  # fmt: skip
    for name, divergence in F_DIVERGENCES.items():
        assert divergence.name == name
        assert get(name) is divergence
        for text in (divergence.title, divergence.formula, divergence.conjugate_formula):
            assert text
    with pytest.raises(TypeError):
        F_DIVERGENCES["new"] = F_DIVERGENCES["kl"]  # type: ignore[index]
    with pytest.raises(KeyError, match="did you mean 'jeffreys'"):
        get("jeffrey")
    with pytest.raises(KeyError, match="unknown f-divergence"):
        get([])  # type: ignore[arg-type]


# ----------------------------------------------------------------- the generator


@EVERY
def test_f_is_convex_and_nothing_at_one(name: str) -> None:
    divergence = F_DIVERGENCES[name]
    least = {"gan": -math.log(4)}.get(name, 0.0)
    at_one = divergence.f(torch.ones((), dtype=torch.float64))
    assert at_one.item() == pytest.approx(least, abs=1e-12)
    u = torch.rand(200, 2, dtype=torch.float64, generator=generator()) * 5
    λ = torch.rand(200, dtype=torch.float64, generator=generator(1))
    between = λ * u[:, 0] + (1 - λ) * u[:, 1]
    chord = λ * divergence.f(u[:, 0]) + (1 - λ) * divergence.f(u[:, 1])
    assert (divergence.f(between) <= chord + 1e-12).all()


@EVERY
def test_derivatives_are_those_of_autograd(name: str) -> None:
    """f′ is the optimal critic and f″ the rate of variational gradient flow."""
    divergence = F_DIVERGENCES[name]
    u = RATIOS.clone().requires_grad_()
    (first,) = torch.autograd.grad(divergence.f(u).sum(), u, create_graph=True)
    torch.testing.assert_close(
        divergence.optimal_critic(RATIOS), first.detach(), rtol=1e-9, atol=1e-9
    )
    second = torch.zeros_like(u)
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), u, allow_unused=True)
    torch.testing.assert_close(divergence.f_second(RATIOS), second.detach(), rtol=1e-9, atol=1e-12)
    assert (divergence.f_second(RATIOS) > 0).all() or name == "tv"


@pytest.mark.parametrize("name", ["kl", "js", "logd", "jeffreys"])
def test_the_table_of_deck_a(name: str) -> None:
    """f″(r) r: KL 1, JS 1/(1+r), LOGD r/(1+r), Jeffreys 1 + 1/r."""
    wanted = {
        "kl": torch.ones_like(RATIOS),
        "js": 1 / (1 + RATIOS),
        "logd": RATIOS / (1 + RATIOS),
        "jeffreys": 1 + 1 / RATIOS,
    }[name]
    torch.testing.assert_close(F_DIVERGENCES[name].f_second(RATIOS) * RATIOS, wanted)


@EVERY
def test_slope_at_infinity(name: str) -> None:
    """f(u)/u at u = 1e12: the slope itself, or beyond 10 and still growing."""
    divergence = F_DIVERGENCES[name]
    far = [(divergence.f(torch.tensor(u, dtype=torch.float64)) / u).item() for u in (1e6, 1e12)]
    if math.isinf(divergence.slope_at_infinity):
        assert far[1] > far[0] + 10
    else:
        assert far[1] == pytest.approx(divergence.slope_at_infinity, abs=1e-4)


# ----------------------------------------------------------------- the conjugate


@EVERY
def test_the_conjugate_is_the_supremum(name: str) -> None:
    """sup over u ≥ 0 of ut - f(u), found by a bounded search and not by the formula."""
    divergence = F_DIVERGENCES[name]

    def f(u: float) -> float:
        return divergence.f(torch.tensor(u, dtype=torch.float64)).item()

    for t in interior(name).tolist():
        # In s = log u, so that both ends of the half-line are within reach.
        found = optimize.minimize_scalar(
            lambda s, t=t: f(math.exp(s)) - t * math.exp(s), bounds=(-30, 12), method="bounded",
            options={"xatol": 1e-10},
        )  # fmt: skip
        at_zero = f(0.0)
        best = max(-found.fun, -at_zero if math.isfinite(at_zero) else -math.inf)
        got = divergence.conjugate(torch.tensor(t, dtype=torch.float64)).item()
        assert got == pytest.approx(best, rel=1e-6, abs=1e-6)


@EVERY
def test_above_its_domain_the_conjugate_is_infinite(name: str) -> None:
    divergence = F_DIVERGENCES[name]
    high = divergence.conjugate_domain[1]
    if math.isinf(high):
        assert divergence.conjugate(torch.tensor(3.0)).isfinite()
    else:
        t = torch.tensor([high + 1e-3, high + 5.0], dtype=torch.float64)
        assert (divergence.conjugate(t) == math.inf).all()


@EVERY
def test_young_is_an_equality_at_the_optimal_critic(name: str) -> None:
    """f(u) + f*(t) ≥ ut for all u and t, with equality at t = f′(u)."""
    divergence = F_DIVERGENCES[name]
    u = torch.logspace(-1.5, 1.5, 31, dtype=torch.float64)
    t = divergence.optimal_critic(u)
    torch.testing.assert_close(
        divergence.f(u) + divergence.conjugate(t), u * t, rtol=1e-9, atol=1e-9
    )
    gap = (
        divergence.f(u)[:, None]
        + divergence.conjugate(interior(name))
        - u[:, None] * interior(name)
    )
    assert gap.min() > -1e-9


@EVERY
def test_the_biconjugate_is_f(name: str) -> None:
    """sup over t of ut - f*(t) gives f back, as it must for a convex function."""
    divergence = F_DIVERGENCES[name]
    u = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64)
    low, high = divergence.conjugate_domain
    grid = torch.linspace(max(low, -12.0), min(high, 6.0), 400_001, dtype=torch.float64)
    conjugate = divergence.conjugate(grid)
    best = torch.stack([(ui * grid - conjugate)[conjugate.isfinite()].max() for ui in u])
    torch.testing.assert_close(best, divergence.f(u), rtol=0, atol=2e-5)


# ----------------------------------------------------------------- the activation


@EVERY
def test_the_activation_maps_into_the_domain_and_increases(name: str) -> None:
    divergence = F_DIVERGENCES[name]
    low, high = divergence.conjugate_domain
    t = divergence.activation(V)
    assert ((t >= low) & (t <= high)).all()
    assert (t.diff() > 0).all() or name == "neyman"
    assert (t.diff() < 0).all() or name != "neyman"  # 1 - e^v, as in the paper


@EVERY
def test_conjugate_of_activation_is_their_composition(name: str) -> None:
    divergence = F_DIVERGENCES[name]
    composed = divergence.conjugate(divergence.activation(V))
    torch.testing.assert_close(divergence.conjugate_activation(V), composed, rtol=1e-8, atol=1e-8)


@EVERY
def test_the_activation_reaches_the_optimal_critic(name: str) -> None:
    """For ratios from 1/100 to 100 some v gives T* = f′(u); else a bound could not be tight."""
    divergence = F_DIVERGENCES[name]
    v = torch.linspace(-30, 30, 6001, dtype=torch.float64)
    reached = divergence.activation(v)
    wanted = divergence.optimal_critic(torch.logspace(-2, 2, 9, dtype=torch.float64))
    if name == "tv":
        wanted = wanted[wanted != 0]
    if name in ("kl", "pearson", "jeffreys"):  # g(v) = v: as far as v reaches
        wanted = wanted.clamp(-29, 29)
    assert (wanted >= reached.min() - 1e-6).all()
    assert (wanted <= reached.max() + 1e-6).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@EVERY
def test_no_overflow_where_training_goes(name: str, dtype: torch.dtype) -> None:
    """Finite values and gradients of both terms of the bound for |v| up to 30."""
    divergence = F_DIVERGENCES[name]
    v = torch.linspace(-30, 30, 121, dtype=dtype, requires_grad=True)
    for term in (divergence.activation, divergence.conjugate_activation):
        value = term(v)
        assert value.dtype == dtype
        assert value.isfinite().all()
        (slope,) = torch.autograd.grad(value.sum(), v)
        assert slope.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lambert_of_an_exponential(dtype: torch.dtype) -> None:
    """Against scipy where e^s is in range, and against w + log w = s where it is not."""
    s = torch.linspace(-30, 30, 241, dtype=dtype)
    wanted = torch.from_numpy(special.lambertw(np.exp(s.double().numpy())).real)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(lambert_exp(s).double(), wanted, rtol=tolerance, atol=0)
    far = torch.tensor([1e3, 1e6, 1e30], dtype=dtype)
    w = lambert_exp(far)
    torch.testing.assert_close(w + w.log(), far, rtol=1e-6, atol=0)
    # And its derivative dw/ds = w / (1 + w), through the iterations.
    s = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(lambert_exp(s).sum(), s)
    w = lambert_exp(s).detach()
    torch.testing.assert_close(slope, w / (1 + w), rtol=1e-10, atol=0)


# ----------------------------------------------------------------- values


# p = N(0, 1), q = N(1, 1.3²): by quadrature in another program.
KNOWN = {
    "kl": 0.354080, "reverse-kl": 0.582636, "pearson": 0.667535, "squared-hellinger": 0.208245,
    "jeffreys": 0.936716, "js": 0.192744, "gan": 0.192744 - math.log(4), "tv": 0.349665,
}  # fmt: skip


@pytest.mark.parametrize("name", list(KNOWN))
def test_known_values_between_two_gaussians(name: str) -> None:
    value = divergence_on_a_line(F_DIVERGENCES[name], log_p, log_q, -30, 30)
    assert value.item() == pytest.approx(KNOWN[name], abs=2e-6)


def test_neyman_is_pearson_the_other_way_round() -> None:
    neyman = divergence_on_a_line(F_DIVERGENCES["neyman"], log_q, log_p, -12, 12)
    assert neyman.item() == pytest.approx(KNOWN["pearson"], abs=2e-6)


def test_identities_between_the_entries() -> None:
    """On histograms: reverse arguments, sums, and the constant of the GAN's value."""
    p, q = torch.rand(2, 9, dtype=torch.float64, generator=generator()).softmax(1)
    D = {name: d.value(p, q).item() for name, d in F_DIVERGENCES.items()}
    R = {name: d.value(q, p).item() for name, d in F_DIVERGENCES.items()}
    assert D["reverse-kl"] == pytest.approx(R["kl"])
    assert D["neyman"] == pytest.approx(R["pearson"])
    assert D["jeffreys"] == pytest.approx(D["kl"] + R["kl"])
    assert D["gan"] == pytest.approx(D["js"] - math.log(4))
    m = (p + q) / 2
    kl = F_DIVERGENCES["kl"]
    assert D["js"] == pytest.approx((kl.value(p, m) + kl.value(q, m)).item())
    assert D["tv"] == pytest.approx((p - q).abs().sum().item() / 2)
    for name in ("js", "squared-hellinger", "jeffreys", "tv", "gan"):
        assert D[name] == pytest.approx(R[name])
    # The loss of the log-D generator: KL(q ‖ p) - 2 JS, of theorem 6, has no place in the table,
    # but LOGD(p, q) = KL(2m ‖ q) up to constants does: E_q (u+1) log(u+1) = 2 KL(m ‖ q) + 2 log 2.
    assert D["logd"] == pytest.approx(2 * kl.value(m, q).item(), abs=1e-12)


@EVERY
def test_histograms_with_empty_cells(name: str) -> None:
    """The limit of ever smaller masses there, which is finite or grows without bound."""
    divergence = F_DIVERGENCES[name]
    p = torch.tensor([0.5, 0.5, 0.0, 0.0], dtype=torch.float64)
    q = torch.tensor([0.0, 0.6, 0.4, 0.0], dtype=torch.float64)
    exact = divergence.value(p, q).item()

    def nearly(ε: float) -> float:
        a, b = ((1 - 4 * ε) * m + ε for m in (p, q))
        return divergence.value(a, b).item()

    if math.isinf(exact):
        # Like -log ε at the slowest.
        assert nearly(1e-12) > nearly(1e-6) + 1
    else:
        assert nearly(1e-13) == pytest.approx(exact, abs=1e-5)
    assert math.isinf(exact) == (
        name in ("kl", "reverse-kl", "pearson", "neyman", "jeffreys", "logd")
    )


@EVERY
def test_equal_laws_are_at_distance_zero(name: str) -> None:
    p = torch.tensor([0.25, 0.75, 0.0])
    least = -math.log(4) if name == "gan" else 0.0
    assert F_DIVERGENCES[name].value(p, p).item() == pytest.approx(least, abs=1e-7)


@EVERY
@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.integers(0, 2**31))
def test_coarser_cells_never_tell_more(name: str, weights: list[float], seed: int) -> None:
    """The data-processing inequality: merging cells cannot raise an f-divergence."""
    p = torch.tensor(weights, dtype=torch.float64) + 1e-3
    q = torch.rand(6, dtype=torch.float64, generator=generator(seed)) + 1e-3
    p, q = p / p.sum(), q / q.sum()
    fine = F_DIVERGENCES[name].value(p, q)
    coarse = F_DIVERGENCES[name].value(p.view(3, 2).sum(1), q.view(3, 2).sum(1))
    assert coarse <= fine + 1e-9


# ----------------------------------------------------------------- estimates


@pytest.mark.parametrize("name", [name for name in NAMES if name != "neyman"])
def test_monte_carlo_agrees_with_quadrature(name: str) -> None:
    """Within five of its own standard errors; from q, whose tails are the wider.

    Neyman's χ² is left out: q/p grows like exp(0.2 x²), and its square has no mean under q.
    """
    x = 1 + 1.3 * torch.randn(200_000, dtype=torch.float64, generator=generator())
    value, error = monte_carlo(F_DIVERGENCES[name], log_p(x), log_q(x))
    exact = divergence_on_a_line(F_DIVERGENCES[name], log_p, log_q, -15, 15)
    assert abs(value - exact) < 5 * error
    assert error < 0.02


@EVERY
def test_the_dual_bound_is_tight_at_the_optimal_critic_and_below_elsewhere(name: str) -> None:
    divergence = F_DIVERGENCES[name]
    x = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    p, q = log_p(x).exp(), log_q(x).exp()
    exact = divergence_on_a_line(divergence, log_p, log_q, -8, 8)

    def bound(T: Tensor) -> float:
        return torch.trapezoid(p * T - q * divergence.conjugate(T), x).item()

    best = divergence.optimal_critic((log_p(x) - log_q(x)).exp())
    assert bound(best) == pytest.approx(exact.item(), abs=1e-6)
    for seed in range(5):
        a, b, c = torch.randn(3, dtype=torch.float64, generator=generator(seed)).tolist()
        T = divergence.activation(a * x + b + c * (x / 2).sin())
        assert bound(T) <= exact + 1e-9


@EVERY
def test_variational_bound_from_samples(name: str) -> None:
    """The mean of the two terms at v, as the integral above; nothing learned says at most 0."""
    divergence = F_DIVERGENCES[name]
    v = torch.randn(50, 2, dtype=torch.float64, generator=generator())
    by_hand = (
        divergence.activation(v[:, 0]).mean()
        - divergence.conjugate(divergence.activation(v[:, 1])).mean()
    )
    assert variational_bound(divergence, v[:, 0], v[:, 1]).item() == pytest.approx(by_hand.item())
    constant = torch.full((7,), 0.3, dtype=torch.float64)
    least = -math.log(4) if name == "gan" else 0.0
    assert variational_bound(divergence, constant, constant).item() <= least + 1e-9


def test_kl_from_samples_alone() -> None:
    """0.354 between the two Gaussians; 20 runs of 2000 samples scatter by about 0.04."""
    estimates = []
    for seed in range(5):
        noise = torch.randn(2, 2000, 1, dtype=torch.float64, generator=generator(seed))
        estimates.append(kl_between_samples(noise[0], 1 + 1.3 * noise[1]).item())
    assert sum(estimates) / 5 == pytest.approx(KNOWN["kl"], abs=0.08)
    same = torch.randn(2, 2000, 3, generator=generator())
    assert abs(kl_between_samples(same[0], same[1]).item()) < 0.1
    assert kl_between_samples(same[0], same[1]).dtype == torch.float32


# ----------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("p", "q", "complaint"),
    [
        ([0.5, 0.5], [1.0], "same cells"),
        ([0.5, 0.6], [0.5, 0.5], "masses of p must have sum 1, not 1.1"),
        ([1.5, -0.5], [0.5, 0.5], "p holds a negative mass"),
        ([0.5, 0.5], [math.nan, 1.0], "q holds 1 NaN"),
        ([], [], "p is empty"),
    ],
)
def test_histograms_that_are_none(p: list[float], q: list[float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        F_DIVERGENCES["kl"].value(torch.tensor(p), torch.tensor(q))


def test_negative_ratios() -> None:
    with pytest.raises(ValueError, match="u is a ratio"):
        F_DIVERGENCES["kl"].f(torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize(
    ("x", "y", "k", "complaint"),
    [
        (torch.zeros(9, 1), torch.rand(9, 1), 2, "points repeat"),
        (torch.rand(3, 1), torch.rand(9, 1), 5, "at least 6 rows"),
        (torch.rand(9, 1), torch.rand(9, 2), 1, "must have shapes"),
        (torch.rand(9, 1), torch.rand(9, 1), 0, "k must be above 0"),
    ],
)
def test_samples_that_say_nothing(x: Tensor, y: Tensor, k: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        kl_between_samples(x, y, k=k)


def test_estimates_refuse_what_they_cannot_use() -> None:
    with pytest.raises(ValueError, match="one shape"):
        monte_carlo(F_DIVERGENCES["kl"], torch.zeros(3), torch.zeros(4))
    with pytest.raises(ValueError, match="low must be below high"):
        divergence_on_a_line(F_DIVERGENCES["kl"], log_p, log_q, 1.0, 1.0)
