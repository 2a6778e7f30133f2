"""What is known exactly: least squares, total variation, energies, kernels, Sobolev, Stein."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gencourse
from gencourse import nets
from gencourse.metrics import energy_distance, mmd
from gencourse.metrics.kernels import rbf
from gencourse.objectives import OBJECTIVES, Turn, cramer, energy, kernels, least_squares, stein
from gencourse.objectives.sobolev import SobolevConstraint

P = torch.tensor([1, 7, 4, 6, 2], dtype=torch.float64) / 20
Q = torch.tensor([5, 2, 6, 3, 4], dtype=torch.float64) / 20


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def at_samples(v: Tensor, p: Tensor) -> Tensor:
    """A critic's values at 20 samples with the frequencies of the law."""
    return v.repeat_interleave((20 * p).round().long())[:, None]


# ----------------------------------------------------------------- least squares


def test_least_squares_is_pearson_between_the_mean_and_the_fakes() -> None:
    """With labels -1, 1, 0: D* = (p - q)/(p + q), and twice the cost at c is χ²(p + q ‖ 2q)."""
    D = (P - Q) / (P + Q)
    v = D.clone().requires_grad_()
    loss = least_squares.critic_loss(at_samples(v, P), at_samples(v, Q), a=-1, b=1)
    (gradient,) = torch.autograd.grad(loss, v)
    assert gradient.abs().max() < 1e-15
    cost = least_squares.generator_loss(at_samples(D, P), c=0) + least_squares.generator_loss(
        at_samples(D, Q), c=0
    )
    pearson = ((P + Q - 2 * Q).square() / (P + Q)).sum()
    assert 2 * cost.item() == pytest.approx(pearson.item(), rel=1e-12)


def test_a_far_fake_is_pulled_back_in_proportion() -> None:
    """Where the sigmoid is flat the parabola is steep: ∂/∂v = (v - 1)/n."""
    v = torch.tensor([[-50.0], [0.0], [1.0], [30.0]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(OBJECTIVES["lsgan"].generator_loss(v), v)
    torch.testing.assert_close(gradient, (v.detach() - 1) / 4)


# ----------------------------------------------------------------- total variation


def test_bounded_critics_find_the_total_variation() -> None:
    """sup over 0 ≤ f ≤ 1 of E_p f - E_q f is ½ ‖p - q‖₁, at the indicator of p > q."""
    tv = (P - Q).abs().sum().item() / 2
    loss = OBJECTIVES["tv-gan"].critic_loss
    sure = torch.where(P > Q, 50.0, -50.0).double()
    assert -loss(at_samples(sure, P), at_samples(sure, Q)).item() == pytest.approx(tv, abs=1e-12)
    for seed in range(20):
        v = 5 * normal(5, seed=seed)
        assert -loss(at_samples(v, P), at_samples(v, Q)) <= tv


# ----------------------------------------------------------------- energies


def test_the_margin_leaves_high_energies_alone() -> None:
    real = torch.tensor([[0.2, 9.0], [0.4, 9.0]])
    fake = torch.tensor([[0.5, 9.0], [3.0, 9.0]], requires_grad=True)
    loss = OBJECTIVES["ebgan"].critic_loss(real, fake)
    loss = energy.Margin(1.0)(loss, Turn(nn.Identity(), real, fake, real, fake))
    assert loss.item() == pytest.approx(0.3 + 0.25)
    (gradient,) = torch.autograd.grad(loss, fake)
    assert gradient.tolist() == [[-0.5, 0.0], [0.0, 0.0]]


def test_pull_away_between_its_extremes() -> None:
    assert energy.pull_away(torch.eye(4)).item() == pytest.approx(0, abs=1e-7)
    assert energy.pull_away(torch.ones(5, 3)).item() == pytest.approx(1, rel=1e-6)
    codes = normal(6, 3)
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    cosines = [torch.cosine_similarity(codes[i], codes[j], dim=0).item() ** 2 for i, j in pairs]
    assert energy.pull_away(codes).item() == pytest.approx(np.mean(cosines), rel=1e-9)
    # A longer code says nothing new; it is the direction that counts.
    assert torch.allclose(
        energy.pull_away(codes * torch.arange(1.0, 7)[:, None]), energy.pull_away(codes)
    )


def test_the_energy_is_the_error_of_the_autoencoder() -> None:
    for shape in ((2,), (1, 8, 8)):
        network = nets.AutoencoderCritic(shape, 3, width=4, depth=2).double()
        x = normal(5, *shape)
        out = network(x)
        restored = network.decoder(network.encoder(x))
        assert out.shape == (5, 4)
        error = (x - restored).flatten(1).square().mean(1).sqrt()
        torch.testing.assert_close(out[:, 0], error, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(out[:, 1:], network.encoder(x))


def test_the_balance_moves_as_it_should() -> None:
    """k ← k + λ(γ E L(x) - E L(G)), within [0, 1]; the loss has the k from before."""
    balance = energy.Equilibrium(0.5)
    at_real, at_fake = torch.tensor([[2.0], [4.0]]), torch.tensor([[1.0], [1.5]])
    turn = Turn(nn.Identity(), at_real, at_fake, at_real, at_fake)
    loss = OBJECTIVES["began"].critic_loss(at_real, at_fake)
    assert balance(loss, turn).item() == pytest.approx(3.0)  # k = 0
    assert balance.k.item() == pytest.approx(0.5 * (energy.GAMMA * 3 - 1.25))
    k = balance.k.item()
    assert balance(loss, turn).item() == pytest.approx(3.0 - k * 1.25)
    for _ in range(10):
        balance(loss, turn)
    assert balance.k == 1
    turn = Turn(nn.Identity(), at_real, 9 * at_fake, at_real, 9 * at_fake)
    for _ in range(10):
        balance(loss, turn)
    assert balance.k == 0


# ----------------------------------------------------------------- kernels


def test_mmd_against_the_metric_and_a_loop() -> None:
    x, y = normal(7, 3), 1 + normal(9, 3, seed=1)
    ours = kernels.unbiased_mmd2(rbf(x, x), rbf(y, y), rbf(x, y))
    metric = mmd(x, y, kernel="rbf", bandwidth=1.0)
    assert ours.item() == pytest.approx(metric.item(), rel=1e-10)

    def k(a: Tensor, b: Tensor) -> float:
        square = (a - b).square().sum().item()
        return sum((1 + square / (2 * c)) ** -c for c in kernels.ALPHAS) + 0.1 * (a @ b).item()

    within_x = np.mean([k(x[i], x[j]) for i in range(7) for j in range(7) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(9) for j in range(9) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    expected = within_x + within_y - 2 * across
    assert kernels.generator_loss(y, x).item() == pytest.approx(expected, rel=1e-9)
    assert kernels.critic_loss(x, y).item() == pytest.approx(-expected, rel=1e-9)


def test_the_witness_is_how_mmd_changes() -> None:
    """Moving one fake changes the (biased) MMD² by -2/n times the slope of the witness."""
    x, y = normal(8, 2), 1 + normal(6, 2, seed=1)
    turn = Turn(nn.Identity(), x, y, x, y)
    moving = y.clone().requires_grad_()
    k = kernels.kernel
    biased = k(x, x).mean() + k(moving, moving).mean() - 2 * k(x, moving).mean()
    (slope,) = torch.autograd.grad(biased, moving)
    points = y.clone().requires_grad_()
    (witness_slope,) = torch.autograd.grad(kernels.witness(points, turn).sum(), points)
    torch.testing.assert_close(slope, -2 / 6 * witness_slope, rtol=1e-7, atol=1e-9)


def test_features_are_drawn_to_the_middle() -> None:
    """Where all features shift by c, of everything only λ(E‖h(x) + c‖² + E‖h(y) + c‖²) changes.

    It is least where the means of both lie opposite each other.
    """
    x, y = 3 + normal(20, 2), 1 + normal(20, 2, seed=1)

    def loss(c: Tensor, weight: float) -> Tensor:
        h_x, h_y = x + c, y + c
        turn = Turn(lambda x: x + c, x, y, h_x, h_y, torch.Generator().manual_seed(0))
        return kernels.WitnessPenalty(weight)(kernels.critic_loss(h_x, h_y), turn)

    still, far = torch.zeros(2).double(), torch.tensor([5.0, -2.0]).double()
    both = torch.cat([x, y])
    added = 2 * ((both + far).square().sum(1) - both.square().sum(1)).mean()
    for weight in (0.1, 1.0):
        torch.testing.assert_close(loss(far, weight) - loss(still, weight), weight * added)
    middle = (-both.mean(0)).requires_grad_()
    (slope,) = torch.autograd.grad(loss(middle, 1.0), middle)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-10)


def test_the_bounded_kernel_is_one_and_as_steep_as_its_scale_says() -> None:
    """k(x, x) = 1 and ∂ᵢ∂′ᵢk(x, x) = 1: what the denominator 1 + E‖∇h‖² takes for granted.

    As k depends on r = ‖x - y‖ alone, the latter says k = 1 - r²/2 + O(r⁴).
    """
    x, step = normal(1, 3), 1e-3 * normal(50, 3, seed=1)
    r2 = step.square().sum(1)
    k = kernels.bounded_kernel(x, x + step)[0]
    torch.testing.assert_close((1 - k) / (r2 / 2), torch.ones_like(k), rtol=1e-4, atol=0)
    assert kernels.bounded_kernel(x, x).item() == 1


def test_the_scale_is_the_jacobian_of_the_features() -> None:
    """λ + 1 + E‖∇h‖²_F, against torch.func: exact for one feature, on average for several."""
    x, y = normal(10, 3), normal(10, 3, seed=1)
    loss = torch.tensor(-2.0, dtype=torch.float64)
    for features, draws in ((1, 1), (4, 2000)):
        h = nets.mlp(3, features, width=6, depth=1, activation=nn.Tanh).double()
        source = generator()
        turn = Turn(h, x, y, h(x).detach(), h(y).detach(), source)
        jacobian = torch.func.vmap(torch.func.jacrev(h))(x)
        exact = 0.5 + 1 + jacobian.square().sum((1, 2)).mean().item()
        scale = kernels.ScaledKernel(0.5)
        found = [-2.0 / scale(loss, turn).item() for _ in range(draws)]
        error = np.std(found) / math.sqrt(draws)
        assert np.mean(found) == pytest.approx(exact, rel=1e-9, abs=4 * error)
        assert error < 0.02


# ----------------------------------------------------------------- Cramér


def test_cramer_is_the_energy_distance_on_average() -> None:
    """Over many batches E[generator loss] - E‖x - x′‖ is D_E², as gencourse.metrics has it."""
    x, y = normal(400, 2), torch.tensor([1.0, 0.5]) + 0.7 * normal(400, 2, seed=1)
    losses = []
    for seed in range(400):
        i = torch.randint(400, (2, 400), generator=generator(seed))
        losses.append(cramer.generator_loss(y[i[0]], x[i[1]]).item())
    spread = -mmd_of_distance(x, x)
    ours = np.mean(losses) - spread
    error = np.std(losses) / 20
    assert ours == pytest.approx(energy_distance(x, y).item(), abs=4 * error)
    assert error < 0.02 * ours


def mmd_of_distance(x: Tensor, y: Tensor) -> float:
    """-E‖x - y‖ over all pairs, the same point twice among them."""
    return -torch.cdist(x, y).mean().item()


def test_the_surrogate_can_vanish_between_unequal_laws() -> None:
    """h on the unit circle: every ‖h‖ is 1, and only the distance between two fakes is left."""
    angle = torch.rand(4000, generator=generator()) * 2 * math.pi
    h = torch.stack([angle.cos(), angle.sin()], 1)
    fake = torch.stack([(angle / 2).cos(), (angle / 2).sin()], 1)  # upper half only
    assert energy_distance(h, fake) > 0.1
    # A fake at the centre of a symmetric law is as far from it as 0 is.
    centre = torch.zeros(100, 2)
    critic = cramer.critic_loss(h[:100], centre)
    assert abs(critic.item()) < 1e-5


# ----------------------------------------------------------------- Sobolev


def test_the_multiplier_ascends_the_dual() -> None:
    constraint = SobolevConstraint(0.1)
    layer = nn.Linear(2, 1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))
    x, y = normal(10, 2), normal(10, 2, seed=1)
    turn = Turn(layer, x, y, layer(x), layer(y))
    zero = torch.zeros((), dtype=torch.float64)
    slack = 1 - 25.0
    assert constraint(zero, turn).item() == pytest.approx(0.05 * slack**2)
    assert constraint.multiplier.item() == pytest.approx(-0.1 * slack, rel=1e-6)
    multiplier = constraint.multiplier.item()
    expected = -multiplier * slack + 0.05 * slack**2
    assert constraint(zero, turn).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_a_sobolev_critic_finds_the_known_value() -> None:
    """S = (∫ (F_p - F_q)² / ½(p + q))^½ = 1.047 for N(0, 1) and N(1, 1.3²).

    The critic is a smooth network trained on fresh samples; the value is read off on 20,000 of
    each, divided by √Ω, so that it is a lower bound up to the sampling error of 0.02.
    """
    torch.manual_seed(0)
    critic = nets.mlp(1, 1, width=32, depth=2, activation=nn.SiLU)
    constraint = SobolevConstraint(0.1)
    optimiser = torch.optim.Adam(critic.parameters(), lr=3e-3, betas=(0.5, 0.9))
    source = generator()

    def draw(n: int) -> tuple[Tensor, Tensor]:
        z = torch.randn(2, n, 1, generator=source)
        return z[0], 1 + 1.3 * z[1]

    for _ in range(1500):
        x, y = draw(256)
        turn = Turn(critic, x, y, critic(x), critic(y))
        loss = constraint(OBJECTIVES["sobolev-gan"].critic_loss(turn.at_real, turn.at_fake), turn)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, y = draw(20_000)
    points = torch.cat([x, y]).requires_grad_()
    (slope,) = torch.autograd.grad(critic(points).sum(), points)
    omega = slope.square().sum(1).mean()
    value = (critic(x).mean() - critic(y).mean()) / omega.sqrt()
    assert omega.item() == pytest.approx(1, abs=0.15)
    assert value.item() == pytest.approx(1.047, abs=0.05)


# ----------------------------------------------------------------- Stein


def test_the_stein_direction_against_its_definition() -> None:
    """Σ_j [k(x_j, x_i) s(x_j) + ∇ k(x_j, x_i)] / Σ_j k(x_j, x_i), ∇ in x_j by autograd."""
    x, h = normal(6, 3), 0.8
    score = normal(6, 3, seed=1)
    phi = stein.stein_direction(x, score, bandwidth=h)
    for i in range(6):
        y = x.clone().requires_grad_()
        k = torch.exp(-(y - x[i]).square().sum(1) / (2 * h**2))
        (repulsion,) = torch.autograd.grad(k.sum(), y)
        expected = (k.detach()[:, None] * score + repulsion).sum(0) / k.sum()
        torch.testing.assert_close(phi[i], expected.detach(), rtol=1e-8, atol=1e-10)


def test_the_discrepancy_is_zero_for_the_true_score_only() -> None:
    """Kernelised Stein discrepancy of N(0, I): U-statistics around 0, within four errors."""
    true, wrong = [], []
    for seed in range(40):
        x = normal(300, 2, seed=seed)
        true.append(stein.stein_discrepancy(x, -x).item())
        wrong.append(stein.stein_discrepancy(x, -(x - 0.5)).item())
    error = np.std(true) / math.sqrt(len(true))
    assert abs(np.mean(true)) < 4 * error
    assert error < 1e-2
    # A shift by m of the score of a Gaussian: E k(x, y) ‖m‖², with k of bandwidth 1 in the
    # plane E k = 1/3.
    assert np.mean(wrong) == pytest.approx(0.5 / 3, rel=0.1)


def test_fakes_move_along_the_stein_direction() -> None:
    """The generator's loss has the gradient -φ/n in the samples."""
    network = nets.mlp(2, 1, width=8, depth=1, activation=nn.Tanh).double()
    samples = normal(9, 2).requires_grad_()
    loss = stein.generator_loss(network(samples), samples)
    (gradient,) = torch.autograd.grad(loss, samples)
    (slope,) = torch.autograd.grad(network(samples).sum(), samples)
    phi = stein.stein_direction(samples.detach(), -slope)
    torch.testing.assert_close(gradient, -phi / 9)


# ----------------------------------------------------------------- Wasserstein critics


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wgan-gp", "wgan-lp", "sngan"])
def test_critics_approach_the_exact_distance_from_below(name: str) -> None:
    """Between 16 data points and 16 fakes that stand still; POT has the exact W₁.

    The value divided by the steepest slope between the points is a lower bound for certain.
    """
    x = torch.randn(16, 2, generator=generator())
    model: Any = gencourse.build(
        name, x, batch=16, bound=1.0, weight=10.0 if name != "sngan" else 1.0, width=64
    )
    z = torch.randn(16, 2, generator=generator(1))
    with torch.no_grad():
        model.generator[-1].bias.copy_(torch.tensor([3.0, 0.0]))
        fake = model.generator(z)
    exact = gencourse.transport.wasserstein(x, fake, p=1).item()
    optimiser = torch.optim.Adam(model.discriminator.parameters(), lr=4e-3, betas=(0.5, 0.9))
    if name == "sngan":  # the hinge stops at its margins; the means do not
        means = OBJECTIVES["wgan"].critic_loss
        model.objective = dataclasses.replace(model.objective, critic_loss=means)
    for _ in range(600):
        model.discriminator_step(x, z, optimiser, generator(2))
    with torch.no_grad():
        at_x, at_y = model.discriminator(x), model.discriminator(fake)
        slope = ((at_x - at_y.T).abs() / torch.cdist(x, fake)).max()
        estimate = ((at_x.mean() - at_y.mean()) / slope).item()
    assert estimate <= exact * (1 + 1e-5)
    assert estimate > 0.75 * exact
