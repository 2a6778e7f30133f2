"""AE-OT-GAN: its three phases, and that the generator keeps what the autoencoder knew."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import ring8_bar
import torch
from torch import Tensor
from torch.nn import functional as F

import gencourse
from gencourse import data
from gencourse.models.ae_ot_gan import TransportGAN

SMALL = {"width": 8, "depth": 1, "batch": 16, "targets": 30}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(x: Any, **settings: Any) -> TransportGAN:
    model = gencourse.build("ae-ot-gan", x, **settings)
    assert isinstance(model, TransportGAN)
    return model


def flat(network: torch.nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_the_phases() -> None:
    """Encoder and decoder; then the map; then generator and discriminator alone."""
    x = data.load("ring8").sample(500, generator=generator())
    model = build(x, **SMALL, transport_share=0.25, adversarial_share=0.5)
    seen: list[dict[str, Tensor]] = []

    def look(step: int) -> None:
        seen.append(
            {
                "encoder": flat(model.encoder),
                "generator": flat(model.decoder),
                "average": flat(model.average.module),
                "discriminator": flat(model.discriminator),
                "heights": model.transport.heights.clone(),
            }
        )

    history = model.fit(x, steps=200, progress=False, callback=look, every=50)
    start, one, two, three, end = seen  # after 0, 50 | 100 | 150, 200 steps

    def changed(a: dict[str, Tensor], b: dict[str, Tensor]) -> set[str]:
        return {name for name in a if not torch.equal(a[name], b[name])}

    assert changed(start, one) == {"encoder", "generator", "average"}
    assert changed(one, two) == {"heights"}
    assert changed(two, three) == changed(three, end) == {"generator", "average", "discriminator"}
    # The generator starts as the decoder, and so does its average.
    assert torch.equal(two["generator"], two["average"])
    assert not torch.equal(three["generator"], three["average"])
    assert history.metrics["discriminator"][0] == pytest.approx(math.log(4))
    assert history.metrics["generator"][0] == pytest.approx(math.log(2))
    assert set(history.metrics) == {"reconstruction", "residual", "discriminator", "generator"}


@pytest.mark.parametrize("broken_at", [25, 45, 75])
def test_resumed_in_any_phase(tmp_path: Path, broken_at: int) -> None:
    x = data.load("ring8").sample(200, generator=generator())

    def interrupt(step: int) -> None:
        if step == broken_at:
            raise KeyboardInterrupt

    whole, broken, resumed = (build(x, **SMALL, seed=1) for _ in range(3))
    history = whole.fit(x, steps=100, progress=False)
    run: dict[str, Any] = {"steps": 100, "progress": False, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(KeyboardInterrupt):
        broken.fit(x, **run, checkpoint_every=10, callback=interrupt, every=1)
    again = resumed.fit(x, **run)
    assert again.metrics == history.metrics
    for key, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], tensor), key


def test_one_step_of_each_player() -> None:
    """Against the formulas, with an optimiser that does not move."""
    x = torch.randn(6, 2, generator=generator())
    z = torch.randn(6, 2, generator=generator(1))
    model = build(x, **SMALL, pixel_weight=3.0, feature_weight=0.5)
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    loss_d = model._discriminator_step(x, z, still)
    found = model._generator_step(x, z, still)
    gradient = torch.cat([p.grad.flatten() for p in model.decoder.parameters()])  # type: ignore[union-attr]
    G, D, E = model.decoder, model.discriminator, model.encoder
    exact_d = -(D(x).sigmoid().log().mean() + (1 - D(G(z)).sigmoid()).log().mean())
    torch.testing.assert_close(loss_d, exact_d.detach())
    codes = E(x).detach()
    again = G(codes)
    adversarial = -F.logsigmoid(D(G(z))).mean()
    pixels = (x - again).square().sum(1).mean()
    features = (codes - E(again)).square().sum(1).mean()
    torch.testing.assert_close(found["generator"], adversarial.detach())
    torch.testing.assert_close(found["reconstruction"], pixels.detach())
    whole = torch.autograd.grad(adversarial + 3.0 * pixels + 0.5 * features, list(G.parameters()))
    torch.testing.assert_close(gradient, torch.cat([g.flatten() for g in whole]))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"adversarial_share": 0.7}, "transport_share \\+ adversarial_share must be below 1"),
        ({"adversarial_share": 0.0}, "adversarial_share must be above 0"),
        ({"pixel_weight": -1.0}, "pixel_weight must be above 0"),
        ({"lr_generator": 0.0}, "lr_generator must be above 0"),
        ({"averaging": 1.1}, "averaging must be at most 1"),
    ],
)
def test_bad_settings(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build(torch.zeros(1, 2), **settings)


def test_a_single_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 samples"):
        build(torch.zeros(1, 2)).fit(torch.zeros(1, 2), progress=False)


def test_some_training_on_the_ring() -> None:
    """A quarter of the default steps, and fewer targets."""
    ring = data.load("ring8")
    model = build(ring, seed=0, targets=400)
    model.fit(ring, steps=1000, seed=0, progress=False)
    result = ring8_bar.measure(model, 0)
    print(result)
    assert ring8_bar.shortcomings(result) == []
    assert result["quality"] > 0.95
