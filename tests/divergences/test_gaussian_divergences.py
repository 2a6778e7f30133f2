"""Closed forms between Gaussians against torch.distributions and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from gencourse.divergences import (
    F_DIVERGENCES,
    divergence_on_a_line,
    gaussian_jeffreys,
    gaussian_kl,
    gaussian_renyi,
    gaussian_squared_hellinger,
    gaussian_total_variation,
)

M1, S1 = torch.zeros(1).double(), torch.eye(1).double()
M2, S2 = torch.ones(1).double(), torch.tensor([[1.69]]).double()


def gaussian(d: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(d, d + 2, dtype=torch.float64, generator=generator)
    return torch.randn(d, dtype=torch.float64, generator=generator), A @ A.T / d


@pytest.mark.parametrize("d", [1, 2, 5, 40])
def test_kl_agrees_with_torch(d: int) -> None:
    (m1, C1), (m2, C2) = gaussian(d, 1), gaussian(d, 2)
    wanted = kl_divergence(MultivariateNormal(m1, C1), MultivariateNormal(m2, C2))
    torch.testing.assert_close(gaussian_kl(m1, C1, m2, C2), wanted, rtol=1e-9, atol=1e-12)
    other = kl_divergence(MultivariateNormal(m2, C2), MultivariateNormal(m1, C1))
    torch.testing.assert_close(gaussian_jeffreys(m1, C1, m2, C2), wanted + other)


def on_the_line(name: str) -> float:
    def log_normal(x: Tensor, m: Tensor, S: Tensor) -> Tensor:
        return -0.5 * (x - m).square() / S[0, 0] - 0.5 * (2 * math.pi * S[0, 0]).log()

    return divergence_on_a_line(
        F_DIVERGENCES[name],
        lambda x: log_normal(x, M1, S1),
        lambda x: log_normal(x, M2, S2),
        -30,
        30,
    ).item()


def test_closed_forms_agree_with_quadrature() -> None:
    assert gaussian_kl(M1, S1, M2, S2).item() == pytest.approx(on_the_line("kl"), abs=1e-9)
    assert gaussian_jeffreys(M1, S1, M2, S2).item() == pytest.approx(on_the_line("jeffreys"))
    hellinger = gaussian_squared_hellinger(M1, S1, M2, S2).item()
    assert hellinger == pytest.approx(on_the_line("squared-hellinger"), abs=1e-9)
    chi_square = gaussian_renyi(M1, S1, M2, S2, 2.0).expm1().item()
    assert chi_square == pytest.approx(on_the_line("pearson"), abs=1e-9)


def test_renyi_tends_to_kl_and_grows_with_its_order() -> None:
    (m1, C1), (m2, C2) = gaussian(3, 1), gaussian(3, 2)
    kl = gaussian_kl(m1, C1, m2, C2).item()
    assert gaussian_renyi(m1, C1, m2, C2, 1 - 1e-6).item() == pytest.approx(kl, rel=1e-4)
    values = [gaussian_renyi(m1, C1, m2, C2, a).item() for a in (0.1, 0.5, 0.9, 0.99)]
    assert values == sorted(values)
    # Twice as wide: p/q grows too fast for its square to have a mean under q.
    assert gaussian_renyi(M1, 4 * S1, M1, S1, 2.0).item() == math.inf


def test_total_variation_of_shifted_gaussians() -> None:
    """δ = 2 in the Mahalanobis distance: 2 Φ(1) - 1 = 0.6827."""
    m, S = torch.tensor([2.0, 0.0]), torch.eye(2)
    assert gaussian_total_variation(torch.zeros(2), m, S).item() == pytest.approx(0.6826895)
    assert gaussian_total_variation(m, m, S).item() == 0


def test_invariant_under_linear_maps() -> None:
    """An f-divergence does not change when both laws are mapped by the same invertible map."""
    (m1, C1), (m2, C2) = gaussian(3, 1), gaussian(3, 2)
    A = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    mapped = (A @ m1, A @ C1 @ A.T, A @ m2, A @ C2 @ A.T)
    for distance in (gaussian_kl, gaussian_jeffreys, gaussian_squared_hellinger):
        torch.testing.assert_close(distance(*mapped), distance(m1, C1, m2, C2), rtol=1e-8, atol=0)


def test_gradients_and_precision() -> None:
    (m1, C1), (m2, C2) = gaussian(2, 1), gaussian(2, 2)
    m1.requires_grad_()
    (gradient,) = torch.autograd.grad(gaussian_kl(m1, C1, m2, C2), m1)
    torch.testing.assert_close(gradient, torch.linalg.solve(C2, (m1 - m2).detach()))
    half = gaussian_kl(m1.detach().float(), C1.float(), m2.float(), C2.float())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(gaussian_kl(m1, C1, m2, C2).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((torch.zeros(2), torch.eye(2), torch.zeros(3), torch.eye(3)), "one shape"),
        ((torch.zeros(2), torch.eye(3), torch.zeros(2), torch.eye(2)), r"S1 must have shape \(2"),
        ((torch.zeros(2), torch.eye(2), torch.zeros(2), -torch.eye(2)), "S2 must be positive"),
        ((torch.zeros(2), torch.ones(2, 2), torch.zeros(2), torch.eye(2)), "S1 must be positive"),
        (
            (torch.zeros(2), torch.tensor([[1.0, 0.9], [0.0, 1.0]]), torch.zeros(2), torch.eye(2)),
            "S1 must be symmetric",
        ),
        ((torch.zeros(2), torch.full((2, 2), math.nan), torch.zeros(2), torch.eye(2)), "S1 holds"),
    ],
)  # fmt: skip
def test_what_is_no_gaussian(arguments: tuple[Tensor, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        gaussian_kl(*arguments)


def test_orders_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="use gaussian_kl"):
        gaussian_renyi(M1, S1, M2, S2, 1.0)
    with pytest.raises(ValueError, match="order must be above 0"):
        gaussian_renyi(M1, S1, M2, S2, -1.0)
