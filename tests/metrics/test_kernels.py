"""Kernels against their formulas, positive definiteness and the gradients models train on."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gencourse.metrics import kernels


def draw(n: int, d: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = draw(20), 1.5 * draw(30, seed=1) + 0.5
SQUARES = (X[:, None] - Y).square().sum(-1)

CASES = {
    "rbf": (lambda x, y: kernels.rbf(x, y, 0.7), (SQUARES / -0.98).exp()),
    "rbf, two": (
        lambda x, y: kernels.rbf(x, y, [1.0, 2.0]),
        (-SQUARES / 2).exp() + (-SQUARES / 8).exp(),
    ),
    "imq": (lambda x, y: kernels.imq(x, y, 6.0), 6 / (6 + SQUARES)),
    "imq, two": (lambda x, y: kernels.imq(x, y, (1, 4)), 1 / (1 + SQUARES) + 4 / (4 + SQUARES)),
    "rational": (
        kernels.rational_quadratic,
        sum((1 + SQUARES / (2 * a)) ** -a for a in (0.1, 1.0, 10.0)),
    ),
    "polynomial": (kernels.polynomial, (X @ Y.T / 3 + 1) ** 3),
    "line": (lambda x, y: kernels.polynomial(x, y, 1, 2.0, 0.0), 2 * X @ Y.T),
    "energy": (kernels.negative_distance, -SQUARES.sqrt()),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name: str) -> None:
    kernel, expected = CASES[name]
    # Float64, up to what |x|² - 2xy + |y|² loses.
    torch.testing.assert_close(kernel(X, Y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gram_matrices_are_symmetric_and_positive(name: str) -> None:
    """Positive semi-definite; the energy kernel only for weights that sum to zero."""
    gram = CASES[name][0](X, X)
    torch.testing.assert_close(gram, gram.T)
    if name == "energy":
        centre = torch.eye(len(X), dtype=torch.float64) - 1 / len(X)
        gram = centre @ gram @ centre
    assert torch.linalg.eigvalsh(gram).min() > -1e-9 * torch.linalg.eigvalsh(gram).max()


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_both_orders(name: str) -> None:
    """Autograd against differences: MMD-GAN's penalty needs the second derivative, too."""
    kernel = CASES[name][0]
    x, y = X[:3].clone().requires_grad_(), Y[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(kernel, (x, y))
    assert torch.autograd.gradgradcheck(kernel, (x, y))


def test_the_gradient_of_a_distance_of_zero_is_zero() -> None:
    x = torch.ones(4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(kernels.negative_distance(x, x.detach()).sum(), x)
    assert torch.equal(gradient, torch.zeros(4, 2))


def test_an_offset_costs_no_digits() -> None:
    far = kernels.rbf(X + 1e6, Y + 1e6, 0.7)
    # 1e6 + x has itself lost digits: 1e-10 absolute, times 2|x - y| / 2h².
    torch.testing.assert_close(far, CASES["rbf"][1], rtol=0, atol=1e-8)
    near = kernels.squared_distances(X.float() + 1000, Y.float() + 1000)
    # Float32 carries 6e-5 at 1000; squares of up to 60 change by 2 · 8 · 6e-5.
    torch.testing.assert_close(near, SQUARES.float(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_precision_and_images(dtype: torch.dtype) -> None:
    x = X.to(dtype)
    for kernel in (kernels.rbf, kernels.imq, kernels.polynomial, kernels.negative_distance):
        assert kernel(x, x).dtype == dtype
    images = X.reshape(20, 3, 1, 1)
    assert torch.equal(kernels.rbf(images, images), kernels.rbf(X, X))


def test_median_distance() -> None:
    both = torch.cat([X, Y])
    distances = torch.pdist(both)
    assert kernels.median_distance(X, Y).item() == pytest.approx(distances.median().item())
    # Standard Gaussians: ‖x - y‖² is twice a χ² with d degrees of freedom, median 2 · 1.386.
    median = kernels.median_distance(draw(3000, 2), draw(3000, 2, 1)).item()
    # A median of 2000 points is known to about 1/√2000 = 2 %.
    assert median == pytest.approx(math.sqrt(2 * 1.386), rel=0.05)
    assert not kernels.median_distance(X.clone().requires_grad_(), Y).requires_grad


@given(
    values=st.one_of(
        st.just([]), st.just(0.0), st.just([1.0, -2.0]), st.just([math.nan]), st.just(math.inf)
    )
)
def test_bad_constants(values: object) -> None:
    for kernel in (kernels.rbf, kernels.imq, kernels.rational_quadratic):
        with pytest.raises(ValueError, match="bandwidth, constant or exponent"):
            kernel(X, Y, values)


def test_bad_degree() -> None:
    with pytest.raises(ValueError, match="degree"):
        kernels.polynomial(X, Y, degree=0)
