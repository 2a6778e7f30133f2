"""Algorithm 1, one update at a time: what moves, in which direction, and how far."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gencourse
from gencourse import data
from gencourse.models.gan import AdversarialModel

PLAIN = {"optimiser": "momentum", "beta1": 0.0}  # gradient descent as written in the algorithm


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(slug: str = "gan", **settings: Any) -> AdversarialModel:
    settings = {"width": 6, "depth": 1, "batch": 16, **settings}
    model = gencourse.build(slug, torch.zeros(1, 2), **settings)
    assert isinstance(model, AdversarialModel)
    return model


def parameters(network: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in network.parameters()]


def descend(loss: Tensor, network: nn.Module, lr: float) -> list[Tensor]:
    """Return w - lr ∂loss/∂w for each parameter."""
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    return [(p - lr * g).detach() for p, g in zip(network.parameters(), gradients, strict=True)]


def test_the_discriminator_ascends_the_value() -> None:
    """θ_D ← θ_D + lr ∇ [mean log D(x) + mean log(1 - D(G(z)))], and G stays."""
    model = small(**PLAIN).double()
    x = torch.randn(16, 2, generator=generator()).double()
    z = torch.randn(16, 2, generator=generator(1)).double()
    D = copy.deepcopy(model.discriminator)
    d_real, d_fake = torch.sigmoid(D(x)), torch.sigmoid(D(model.generator(z).detach()))
    loss = -(d_real.log().mean() + (1 - d_fake).log().mean())
    expected = descend(loss, D, 0.3)

    before = parameters(model.generator)
    optimiser = torch.optim.SGD(model.discriminator.parameters(), lr=0.3)
    returned = model.discriminator_step(x, z, optimiser)
    assert returned.item() == pytest.approx(loss.item(), rel=1e-12)
    assert not returned.requires_grad
    for p, q in zip(model.discriminator.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), q, rtol=1e-10, atol=1e-13)
    for p, q in zip(model.generator.parameters(), before, strict=True):
        assert torch.equal(p, q)
        assert p.grad is None


@pytest.mark.parametrize("slug", ["gan-minimax", "gan"])
def test_the_generator_descends_its_own_loss(slug: str) -> None:
    """θ_G ← θ_G - lr ∇ of log(1 - D(G(z))), or of -log D(G(z)); D stays, and is thawed again."""
    model = small(slug, **PLAIN).double()
    z = torch.randn(16, 2, generator=generator(1)).double()
    G = copy.deepcopy(model.generator)
    d = torch.sigmoid(model.discriminator(G(z)))
    loss = {"gan-minimax": (1 - d).log().mean(), "gan": -d.log().mean()}[slug]
    expected = descend(loss, G, 0.3)

    before = parameters(model.discriminator)
    optimiser = torch.optim.SGD(model.generator.parameters(), lr=0.3)
    returned = model.generator_step(z, optimiser)
    assert returned.item() == pytest.approx(loss.item(), rel=1e-12)
    for p, q in zip(model.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), q, rtol=1e-10, atol=1e-13)
    for p, q in zip(model.discriminator.parameters(), before, strict=True):
        assert torch.equal(p, q)
        assert p.grad is None
        assert p.requires_grad


def test_gradients_do_not_add_up_from_step_to_step() -> None:
    """A step after another is the same as the step alone: gradients were cleared."""
    x, z = torch.randn(16, 2, generator=generator()), torch.randn(16, 2, generator=generator(1))
    once, twice = small(), small()
    still = torch.optim.SGD(twice.discriminator.parameters(), lr=0.0)
    twice.discriminator_step(x, z, still)
    still = torch.optim.SGD(twice.generator.parameters(), lr=0.0)
    twice.generator_step(z, still)
    for model in (once, twice):
        model.discriminator_step(x, z, torch.optim.SGD(model.discriminator.parameters(), lr=0.1))
        model.generator_step(z, torch.optim.SGD(model.generator.parameters(), lr=0.1))
    for p, q in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(("k", "head_start"), [(1, 0), (3, 0), (2, 5)])
def test_k_steps_of_the_discriminator_for_each_of_the_generator(
    monkeypatch: pytest.MonkeyPatch, k: int, head_start: int
) -> None:
    model = small(discriminator_steps=k, head_start=head_start)
    events: list[str] = []
    noises: list[Tensor] = []
    batches: list[Tensor] = []
    step_d, step_g = model.discriminator_step, model.generator_step

    def d(real: Tensor, z: Tensor, *rest: Any) -> Tensor:
        events.append("D")
        noises.append(z.clone())
        batches.append(real.clone())
        return step_d(real, z, *rest)

    def g(z: Tensor, *rest: Any, **more: Any) -> Tensor:
        events.append("G")
        noises.append(z.clone())
        return step_g(z, *rest, **more)

    monkeypatch.setattr(model, "discriminator_step", d)
    monkeypatch.setattr(model, "generator_step", g)
    x = torch.randn(100, 2, generator=generator())
    model.fit(x, steps=4, progress=False)
    first = ["D"] * (k + head_start) + ["G"]
    assert events == first + 3 * (["D"] * k + ["G"])
    # Each step has noise of its own, and real samples that are rows of the data.
    assert len({tuple(z.flatten().tolist()) for z in noises}) == len(noises)
    assert all(z.shape == (16, 2) for z in noises)
    assert len({tuple(b.flatten().tolist()) for b in batches}) == len(batches)
    rows = {tuple(row) for row in x.tolist()}
    assert rows >= {tuple(row) for row in torch.cat(batches).tolist()}


def test_the_learning_rates_fall_along_a_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(lr_discriminator=0.2, lr_generator=0.1)
    rates: list[tuple[str, float]] = []
    step_d, step_g = model.discriminator_step, model.generator_step

    def d(real: Tensor, z: Tensor, optimiser: torch.optim.Optimizer, *rest: Any) -> Tensor:
        rates.append(("d", optimiser.param_groups[0]["lr"]))
        return step_d(real, z, optimiser, *rest)

    def g(z: Tensor, optimiser: torch.optim.Optimizer, *rest: Any, **more: Any) -> Tensor:
        rates.append(("g", optimiser.param_groups[0]["lr"]))
        return step_g(z, optimiser, *rest, **more)

    monkeypatch.setattr(model, "discriminator_step", d)
    monkeypatch.setattr(model, "generator_step", g)
    steps = 10
    model.fit(torch.randn(50, 2, generator=generator()), steps=steps, progress=False)
    for player, top in (("d", 0.2), ("g", 0.1)):
        seen = [rate for name, rate in rates if name == player]
        wanted = [top * (1 + math.cos(math.pi * t / steps)) / 2 for t in range(steps)]
        assert seen == pytest.approx(wanted, rel=1e-9)


def test_samples_come_from_the_averaged_generator() -> None:
    model = small(averaging=0.5, lr_generator=0.1)
    model.fit(torch.randn(50, 2, generator=generator()), steps=5, progress=False)
    z = torch.randn(9, 2, generator=generator(3))
    samples = model.sample(9, generator=generator(3))
    with torch.no_grad():
        assert torch.equal(samples, model.average.module(z))
        assert not torch.allclose(samples, model.generator(z))


def test_without_averaging_they_come_from_the_last_one() -> None:
    model = small(averaging=1.0)
    model.fit(torch.randn(50, 2, generator=generator()), steps=5, progress=False)
    z = torch.randn(9, 2, generator=generator(3))
    with torch.no_grad():
        assert torch.equal(model.sample(9, generator=generator(3)), model.generator(z))


def test_batch_normalisation_never_looks_at_the_other_samples() -> None:
    """Whatever the mode, an image depends on its own noise alone: also within a callback."""
    digits = data.load("digits")
    model = gencourse.build("gan", digits, width=4, batch=16)

    def check(step: int = -1) -> None:
        together = model.sample(8, generator=generator())
        z = model.draw_noise(8, generator=generator())
        for i in range(8):
            with torch.no_grad():
                alone = model.average(z[i : i + 1])
            torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)

    check()
    model.fit(digits, steps=6, progress=False, callback=check, every=2)
    check()
    model.train()
    check()


def test_clustered_noise() -> None:
    """z ~ N(c, I) around each of the centres equally often; the centres are kept with the model."""
    model = small(components=3, latent=4)
    again = small(components=3, latent=4)
    assert torch.equal(model.centres, again.centres)
    assert "centres" in model.state_dict()
    z = model.draw_noise(6000, generator=generator())
    nearest = torch.cdist(z, model.centres).argmin(1)
    for k, centre in enumerate(model.centres):
        cluster = z[nearest == k]
        # A share of 1/3, within four standard errors; the clusters hardly overlap.
        assert abs(len(cluster) / 6000 - 1 / 3) < 4 * (2 / 9 / 6000) ** 0.5
        assert (cluster.mean(0) - centre).abs().max() < 0.1
        assert (cluster.var(0) - 1).abs().max() < 0.15
    assert small().draw_noise(5, 7).shape == (5, 7, 2)
    assert "centres" not in small().state_dict()


def test_what_is_recorded_are_the_two_losses() -> None:
    """At the first step of a net whose D is 1/2 everywhere: log 4, and log 2 for log-D."""
    for slug, sign in (("gan", 1), ("gan-minimax", -1)):
        model = small(slug, lr_discriminator=1e-12)
        with torch.no_grad():
            for p in model.discriminator.parameters():
                p.zero_()
        history = model.fit(torch.randn(50, 2, generator=generator()), steps=1, progress=False)
        assert history.metrics["discriminator"] == pytest.approx([math.log(4)], rel=1e-6)
        assert history.metrics["generator"] == pytest.approx([sign * math.log(2)], rel=1e-6)


def test_after_a_head_start_only_log_d_has_a_gradient() -> None:
    """100 discriminator steps on a ring with the fakes at its centre: D(G(z)) is small.

    The gradient of the minimax loss carries a factor D, that of log-D a factor 1 - D.
    """
    ring = data.load("ring8")
    z = torch.randn(500, 2, generator=generator(5))
    sizes: dict[str, float] = {}
    for slug in ("gan-minimax", "gan"):
        model = gencourse.build(slug, ring, seed=0, head_start=400, lr_generator=1e-9)

        def gradient(step: int, model: Any = model, slug: str = slug) -> None:
            if step == 1:
                loss = model.objective.generator_loss(model.discriminator(model.generator(z)))
                parts = torch.autograd.grad(loss, list(model.generator.parameters()))
                sizes[slug] = torch.cat([p.flatten() for p in parts]).norm().item()

        model.fit(ring, steps=1, progress=False, callback=gradient, every=1)
    assert sizes["gan"] > 0.1
    assert sizes["gan-minimax"] < 1e-2 * sizes["gan"]
