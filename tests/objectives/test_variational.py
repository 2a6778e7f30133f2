"""f-GAN: the bound never exceeds the divergence, and touches it at the optimal critic."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gencourse.divergences import F_DIVERGENCES
from gencourse.objectives import OBJECTIVES, variational_bound

F_GANS = [name.removeprefix("fgan-") for name in OBJECTIVES if name.startswith("fgan-")]
# Two laws on five points, as samples with the right multiplicities: p = counts / 20.
P, Q = torch.tensor([1, 7, 4, 6, 2]), torch.tensor([5, 2, 6, 3, 4])


def at_samples(v: Tensor, counts: Tensor) -> Tensor:
    """The network's outputs at the samples of a law, ``(20, 1)``."""
    return v.repeat_interleave(counts)[:, None]


def exact(name: str) -> float:
    p, q = P.double() / P.sum(), Q.double() / Q.sum()
    return F_DIVERGENCES[name].value(p, q).item()


def preimage(name: str, T: Tensor) -> Tensor:
    """v with g(v) = T, by bisection: every activation of the table is monotone."""
    g = F_DIVERGENCES[name].activation
    low, high = torch.full_like(T, -60.0), torch.full_like(T, 60.0)
    rising = bool((g(high) > g(low)).all())
    for _ in range(200):
        middle = (low + high) / 2
        below = (g(middle) < T) == rising
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def test_the_table_has_the_eight_of_the_lectures() -> None:
    assert F_GANS == [
        "kl", "reverse-kl", "pearson", "neyman", "squared-hellinger", "jeffreys", "js", "gan",
    ]  # fmt: skip


@pytest.mark.parametrize("name", F_GANS)
@given(st.lists(st.floats(-4, 4), min_size=5, max_size=5))
def test_no_network_exceeds_the_divergence(name: str, values: list[float]) -> None:
    v = torch.tensor(values, dtype=torch.float64)
    bound = variational_bound(F_DIVERGENCES[name], at_samples(v, P), at_samples(v, Q))
    assert bound.item() <= exact(name) + 1e-12


@pytest.mark.parametrize("name", F_GANS)
def test_the_optimal_critic_attains_it(name: str) -> None:
    divergence = F_DIVERGENCES[name]
    v = preimage(name, divergence.optimal_critic(P.double() / Q.double()))
    bound = variational_bound(divergence, at_samples(v, P), at_samples(v, Q))
    assert bound.item() == pytest.approx(exact(name), rel=1e-9)
    # And it is a maximum: any change of the critic costs.
    shift = 1e-3 * torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other = variational_bound(divergence, at_samples(v + shift, P), at_samples(v + shift, Q))
    assert other < bound


@pytest.mark.parametrize("name", F_GANS)
def test_losses_are_the_bound_written_out(name: str) -> None:
    """E_p T - E_q f*(T), T = g(v), from the two columns that the table has apart."""
    divergence, objective = F_DIVERGENCES[name], OBJECTIVES[f"fgan-{name}"]
    source = torch.Generator().manual_seed(0)
    real, fake = 2 * torch.randn(2, 50, 1, generator=source, dtype=torch.float64)
    T_real, T_fake = divergence.activation(real), divergence.activation(fake)
    written_out = T_real.mean() - divergence.conjugate(T_fake).mean()
    assert objective.critic_loss(real, fake).item() == pytest.approx(-written_out.item(), rel=1e-9)
    alone = -divergence.conjugate(T_fake).mean()
    assert objective.generator_loss(fake).item() == pytest.approx(alone.item(), rel=1e-9)


def test_the_gan_divergence_is_the_minimax_game() -> None:
    source = torch.Generator().manual_seed(0)
    real, fake = 3 * torch.randn(2, 40, 1, generator=source, dtype=torch.float64)
    f_gan, game = OBJECTIVES["fgan-gan"], OBJECTIVES["gan-minimax"]
    torch.testing.assert_close(f_gan.critic_loss(real, fake), game.critic_loss(real, fake))
    torch.testing.assert_close(f_gan.generator_loss(fake), game.generator_loss(fake))
