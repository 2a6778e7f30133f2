"""Penalties and constraints: what they are zero for, what they bound, how they differentiate."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse.objectives import Turn
from gencourse.objectives.constraints import Clip, SpectralNorm
from gencourse.objectives.penalties import (
    GradientPenalty,
    between,
    gradient_in,
    one_sided,
    two_sided,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def turn(critic: Any, seed: int = 0) -> Turn:
    real, fake = normal(20, 3, seed=1), 2 + normal(20, 3, seed=2)
    return Turn(critic, real, fake, critic(real), critic(fake), generator(seed))


def linear(slope: float) -> nn.Linear:
    layer = nn.Linear(3, 1).double()
    with torch.no_grad():
        layer.weight.copy_(slope * torch.tensor([[2.0, -1.0, 2.0]], dtype=torch.float64) / 3)
    return layer


ZERO = torch.zeros((), dtype=torch.float64)


@pytest.mark.parametrize("side", [two_sided, one_sided])
def test_no_penalty_on_a_linear_critic_of_slope_one(side: Any) -> None:
    assert GradientPenalty(10.0, side)(ZERO, turn(linear(1.0))).item() < 1e-25


def test_the_two_sides_differ_below_one() -> None:
    """Slope ½ costs λ(½)² on two sides and nothing on one; slope 3 costs 4λ on both."""
    flat, steep = turn(linear(0.5)), turn(linear(3.0))
    assert GradientPenalty(10.0, two_sided)(ZERO, flat).item() == pytest.approx(2.5, rel=1e-12)
    assert GradientPenalty(10.0, one_sided)(ZERO, flat).item() == 0
    for side in (two_sided, one_sided):
        assert GradientPenalty(10.0, side)(ZERO, steep).item() == pytest.approx(40, rel=1e-12)


def test_points_lie_between_each_pair() -> None:
    real, fake = normal(500, 2, 3, 3), normal(500, 2, 3, 3, seed=1)
    x = between(real, fake, generator())
    t = ((x - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(t, t[:, :1].expand_as(t), rtol=1e-6, atol=1e-6)
    t = t[:, 0]
    assert t.min() >= 0
    assert t.max() <= 1
    # Mean and variance of the uniform law, within four standard errors.
    assert abs(t.mean().item() - 0.5) < 4 * (1 / 12 / 500) ** 0.5
    assert abs(t.var().item() - 1 / 12) < 4 * (1 / 180 / 500) ** 0.5


def test_the_gradient_of_a_known_function() -> None:
    """∇(½ xᵀAx) = Ax, and differentiating it once more gives A."""
    A = normal(3, 3)
    A = (A + A.T).requires_grad_()
    x = normal(7, 3, seed=1)
    gradient = gradient_in(x, lambda x: 0.5 * ((x @ A) * x).sum(1))
    torch.testing.assert_close(gradient, x @ A)
    (once_more,) = torch.autograd.grad(gradient.sum(), A)
    # Through the symmetric A: of Σ (xA) the derivative is half of each of the two sums.
    expected = 0.5 * (x.sum(0)[:, None] + x.sum(0))
    torch.testing.assert_close(once_more, expected.expand(3, 3))


@pytest.mark.parametrize("side", [two_sided, one_sided])
def test_the_penalty_differentiates_twice(side: Any) -> None:
    """Autograd against finite differences, for the weights of a smooth network."""
    with nets.weights_from(0):
        network = nets.mlp(3, 1, width=5, depth=2, activation=nn.Softplus).double()
    names = [name for name, _ in network.named_parameters()]
    values = [3 * p.detach().clone() for p in network.parameters()]

    def penalty(*weights: Tensor) -> Tensor:
        def critic(x: Tensor) -> Tensor:
            parameters = dict(zip(names, weights, strict=True))
            return torch.func.functional_call(network, parameters, (x,))

        return GradientPenalty(1.0, side)(ZERO, turn(critic))

    inputs = tuple(v.requires_grad_() for v in values)
    assert penalty(*inputs).item() > 1e-3
    assert torch.autograd.gradcheck(penalty, inputs, eps=1e-6, atol=1e-6)


# ----------------------------------------------------------------- constraints


def test_clipping_clips_every_weight() -> None:
    network = nets.mlp(3, 1, width=20)
    before = [p.detach().clone() for p in network.parameters()]
    Clip(0.05).enforce(network)
    for p, q in zip(network.parameters(), before, strict=True):
        assert torch.equal(p, q.clamp(-0.05, 0.05))
    assert any((q.abs() > 0.05).any() for q in before)


@pytest.mark.parametrize(("bound", "layers"), [(1.0, 3), (10.0, 3)])
def test_spectral_norms_multiply_to_the_bound(bound: float, layers: int) -> None:
    """∏ σ(W_l) = K after a few passes in training, and no pair of points is steeper."""
    with nets.weights_from(0):  # how fast σ is found depends on the gap to the next singular value
        network = nets.mlp(3, 1, width=20, depth=layers - 1).double()
        SpectralNorm(bound).prepare(network)
    x, y = normal(300, 3), normal(300, 3, seed=1)
    for _ in range(5):
        network(x)
    network.eval()
    weights = [m.weight for m in network if isinstance(m, nn.Linear)]
    product = torch.stack([torch.linalg.matrix_norm(W, 2) for W in weights]).prod().item()
    assert product == pytest.approx(bound, rel=1e-3)
    slopes = (network(x) - network(y)).abs()[:, 0] / (x - y).norm(dim=1)
    assert slopes.max() <= product


@pytest.mark.parametrize("shape", [(1, 7), (40, 30), (8, 3, 4, 4)])
def test_the_spectral_norm_is_the_largest_singular_value(shape: tuple[int, ...]) -> None:
    """To 1e-3 where the second singular value is at most 0.8 of the first.

    The error falls by (σ₂/σ₁)⁴ = 0.41 with each iteration; 5 are made after those of the start.
    """
    U, S, V = torch.linalg.svd(normal(*shape).flatten(1), full_matrices=False)
    S[1:] = S[1:].clamp_max(0.8 * S[0])
    weight = (U * S @ V).reshape(shape)
    normalise = nets.SpectralNormalisation(weight)
    for _ in range(5):
        normalise(weight)
    normalise.eval()
    sigma = normalise.sigma(weight.flatten(1))
    assert sigma.item() == pytest.approx(S[0].item(), rel=1e-3)
    assert sigma <= S[0] * (1 + 1e-12)  # power iteration comes from below
    torch.testing.assert_close(normalise(weight), weight / sigma)
    assert torch.equal(normalise(weight), normalise(weight))


def test_it_follows_a_weight_that_moves() -> None:
    """One iteration a step keeps up with a weight that changes by a percent a step."""
    weight, direction = normal(30, 20), normal(30, 20, seed=1)
    normalise = nets.SpectralNormalisation(weight)
    for _ in range(100):
        weight = weight + 0.01 * direction
        out = normalise(weight)
    assert torch.linalg.matrix_norm(out, 2).item() == pytest.approx(1, abs=0.05)


def test_the_same_as_torch_in_value_and_gradient() -> None:
    # Seeded: how fast power iteration converges depends on how far apart the two largest singular
    # values are, and of these they are far enough.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.Linear(6, 4).double()
        reference = nn.utils.parametrizations.spectral_norm(
            nn.Linear(6, 4).double(), n_power_iterations=50
        )
    with torch.no_grad():
        reference.parametrizations.weight.original.copy_(layer.weight)
        reference.bias.copy_(layer.bias)
    ours = nets.spectral_norm(layer)
    x = normal(9, 6)
    for _ in range(60):
        ours(x)
        reference(x)
    torch.testing.assert_close(ours(x), reference(x), rtol=1e-6, atol=1e-6)
    ours(x).square().sum().backward()
    reference(x).square().sum().backward()
    torch.testing.assert_close(
        ours.parametrizations.weight.original.grad,  # type: ignore[union-attr]
        reference.parametrizations.weight.original.grad,  # type: ignore[union-attr]
        rtol=1e-5,
        atol=1e-6,
    )
