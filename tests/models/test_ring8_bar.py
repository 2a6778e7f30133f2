"""The bar on the ring: that it can be missed, that `gan` meets it, and where minimax fails."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import ring8_bar
import torch
from torch import Tensor

import gencourse
from gencourse import data

RING = data.load("ring8")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ----------------------------------------------------------------- the bar can be missed


def test_real_samples_meet_the_bar() -> None:
    assert (
        ring8_bar.shortcomings(ring8_bar.measure(RING.sample(10_000, generator=generator()), 0))
        == []
    )


def counterfeit(what: str) -> Tensor:
    """Return samples with one thing wrong."""
    x = RING.sample(10_000, generator=generator())
    nearest = torch.cdist(x, RING.modes).argmin(1)
    if what == "one mode":
        return x[nearest == 3]
    if what == "seven modes":
        return x[nearest != 3]
    if what == "one mode too full":
        # Every other sample on mode 3 on top of a fair share: 4.5 fair shares of 8.
        x[::2] = x[nearest == 3].repeat(8, 1)[: len(x[::2])]
        return x
    if what == "a blur":
        return x + 0.25 * torch.randn(x.shape, generator=generator(1))
    if what == "centre of the ring":
        return 0.1 * torch.randn(x.shape, generator=generator(1))
    assert what == "modes in the wrong place"
    return 1.4 * x


@pytest.mark.parametrize(
    ("what", "missed"),
    [
        ("one mode", {"modes", "largest_share", "w1"}),
        ("seven modes", {"modes"}),
        ("one mode too full", {"largest_share", "w1"}),
        ("a blur", {"quality"}),
        ("centre of the ring", {"modes", "quality", "w1"}),
        ("modes in the wrong place", {"modes", "quality", "w1"}),
    ],
)
def test_each_part_of_the_bar_can_be_missed(what: str, missed: set[str]) -> None:
    found = set(ring8_bar.shortcomings(ring8_bar.measure(counterfeit(what), 0)))
    assert missed <= found
    assert "seconds" not in found


def test_a_broken_model_misses_the_bar() -> None:
    """A generator that hardly moves, and one whose steps are far too large."""
    idle = gencourse.build("gan", RING, lr_generator=1e-9)
    idle.fit(RING, steps=200, progress=False)
    assert {"modes", "quality", "w1"} <= set(ring8_bar.shortcomings(ring8_bar.measure(idle, 0)))
    wild = gencourse.build("gan", RING, lr_generator=0.3, lr_discriminator=0.3, averaging=1.0)
    wild.fit(RING, steps=200, progress=False)
    assert ring8_bar.shortcomings(ring8_bar.measure(wild, 0))


# ----------------------------------------------------------------- gan meets it


@pytest.mark.slow
def test_gan_meets_the_bar() -> None:
    """Default settings, median of three seeds."""
    results = ring8_bar.runs("gan")
    middle = ring8_bar.median(results)
    print(middle)
    assert ring8_bar.shortcomings(middle) == []
    # What it reaches beyond the bar: quality was 0.960 to 0.974 with seeds 0 to 4.
    assert middle["quality"] > 0.93
    # No seed loses a mode.
    assert min(r["modes"] for r in results) == 8


# ----------------------------------------------------------------- all of them do

# What these teach on the ring is that they fail; their own tests say how.
FAILURES = {"cholesky", "ae", "began", "tv-gan"}
# Critics that are smooth let a continuous map leave mass between the modes (deck C's mode mixture).
SMOOTH = {"wgan", "cramer-gan", "mmd-gan", "sn-smmd-gan", "stein-gan", "dsb"}

# Beyond the bar: the least quality, and for densities the most nats per sample between the
# likelihood and the best possible, a little worse than what the median of seeds 0 to 2 was.
QUALITIES = {
    "histogram": 0.97, "kde": 0.97, "gmm": 0.98, "gmm-mcem": 0.98, "triangular": 0.98,
    "tabak": 0.9, "nice": 0.9, "realnvp": 0.93, "maf": 0.93, "iaf": 0.93, "made": 0.97,
    "cnf": 0.95, "ncsn": 0.95, "ddpm": 0.95, "ebm": 0.95, "vae": 0.93, "ae-ot": 0.95,
    "ae-ot-gan": 0.95, "schrodinger-bridge": 0.95, "dsb": 0.87,
    "vgrow-kl": 0.95, "vgrow-js": 0.95, "vgrow-logd": 0.95, "vgrow-jeffreys": 0.95,
}  # fmt: skip
GAPS = {"gmm": 0.02, "gmm-mcem": 0.02, "triangular": 0.02, "made": 0.03, "cnf": 0.05, "nice": 0.3}
GAP = 0.15


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "slug",
    [s.slug for s in gencourse.systems() if "points" in s.kinds and s.slug not in FAILURES],
)
def test_every_system_meets_the_bar(slug: str) -> None:
    """Default settings, median of three seeds."""
    results = ring8_bar.runs(slug)
    middle = ring8_bar.median(results)
    print(slug, middle)
    assert ring8_bar.shortcomings(middle, smooth=slug in SMOOTH) == []
    assert middle["quality"] > QUALITIES.get(slug, 0)
    if "nll" in middle:
        assert middle["nll"] - middle["entropy"] < GAPS.get(slug, GAP)


# ----------------------------------------------------------------- gan-minimax is worse


def trial(slug: str, optimiser: str, seed: int, steps: int = 1000) -> dict[str, float]:
    """Train after a head start of the discriminator, the two losses from the same state.

    The generator starts as a dot at the origin, the data lie on a ring around it; after 1000
    steps the discriminator has D(G(z)) of about 1e-3 with momentum, and 1e-9 with Adam.
    """
    lr = 0.05 if optimiser == "momentum" else 1e-3
    model = gencourse.build(
        slug,
        RING,
        seed=seed,
        head_start=1000,
        optimiser=optimiser,
        lr_discriminator=lr,
        lr_generator=lr,
    )
    z = torch.randn(1000, 2, generator=generator(5))
    found: dict[str, float] = {}

    def measure_gradient(step: int) -> None:
        if step == 1:
            loss: Any = model.objective.generator_loss(model.discriminator(model.generator(z)))  # type: ignore[operator, union-attr]
            parts = torch.autograd.grad(loss, list(model.generator.parameters()))  # type: ignore[union-attr]
            found["gradient"] = torch.cat([p.flatten() for p in parts]).norm().item()

    model.fit(RING, steps=steps, seed=seed, progress=False, callback=measure_gradient, every=1)
    return {**found, **gencourse.evaluate(model, RING, n=1000, seed=seed)}


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["momentum", "adam"])
def test_minimax_is_stuck_where_log_d_escapes(optimiser: str) -> None:
    """Seeds 0 to 4 gave, after the head start and then after 1000 steps:

    ==========  ========  ================  =====  =============
    optimiser   loss      gradient          modes  W1
    ==========  ========  ================  =====  =============
    momentum    minimax   3e-4 to 8e-4      0–2    1.87 to 1.99
    momentum    log-D     5 to 19           1–8    0.34 to 1.13
    Adam        minimax   8e-11 to 3e-10    0      1.96 to 1.99
    Adam        log-D     10 to 35          8      0.37 to 0.66
    ==========  ========  ================  =====  =============

    All mass at the origin is W1 ≈ 2 from the ring, its radius.
    """
    seeds = ring8_bar.SEEDS if optimiser == "momentum" else ring8_bar.SEEDS[:2]
    minimax = [trial("gan-minimax", optimiser, seed) for seed in seeds]
    log_d = [trial("gan", optimiser, seed) for seed in seeds]
    for stuck in minimax:
        assert stuck["gradient"] < {"momentum": 5e-3, "adam": 1e-8}[optimiser]
        assert stuck["w1"] > 1.7
    for free, stuck in zip(log_d, minimax, strict=True):
        assert free["gradient"] > 1
        assert free["modes"] >= 1
        assert free["w1"] < stuck["w1"] - 0.5
    # Of the seeds: with momentum one run strays onto two modes, with 12 % of its samples.
    assert statistics.median(stuck["modes"] for stuck in minimax) == 0
    modes = statistics.median(free["modes"] for free in log_d)
    assert modes >= {"momentum": 4, "adam": 8}[optimiser]


@pytest.mark.slow
def test_without_a_head_start_minimax_is_no_worse() -> None:
    """The chapter says so: with Adam and one step each, the trick is not needed on the ring."""
    model = gencourse.build("gan-minimax", RING, seed=0)
    model.fit(RING, seed=0, progress=False)
    result = ring8_bar.measure(model, 0)
    print(result)
    assert result["modes"] == 8
    assert result["quality"] > ring8_bar.QUALITY


# ----------------------------------------------------------------- two that fail


@pytest.mark.slow
def test_one_mode_satisfies_began() -> None:
    """An autoencoder restores a single mode as well as all of them, and BEGAN's balance holds.

    Seed 0 gave a dot, W1 2. EBGAN, whose generator pays for codes that are alike, meets the bar
    above.
    """
    collapsed = gencourse.build("began", RING, seed=0)
    collapsed.fit(RING, steps=1600, seed=0, progress=False)
    result = ring8_bar.measure(collapsed, 0)
    print(result)
    assert result["modes"] <= 2
    assert result["w1"] > 1


@pytest.mark.slow
def test_a_bounded_critic_saturates_and_says_nothing() -> None:
    """TV-GAN on distant modes: σ(v) is flat at the fakes, and the generator's gradient vanishes.

    After 1600 steps seeds 0 to 2 gave gradients of 1e-10, 0 and 0, at most one mode, and W1 1.9 to
    7. What the same objective is good for, a test of ``failures.robust_location`` says.
    """
    model: Any = gencourse.build("tv-gan", RING, seed=0)
    model.fit(RING, steps=1600, seed=0, progress=False)
    result = ring8_bar.measure(model, 0)
    z = model.draw_noise(500, generator=generator(1))
    loss = model.objective.generator_loss(model.discriminator(model.generator(z)))
    parts = torch.autograd.grad(loss, list(model.generator.parameters()))
    gradient = torch.cat([part.flatten() for part in parts]).norm().item()
    print(result, gradient)
    assert gradient < 1e-6
    assert result["modes"] <= 2
    assert result["w1"] > 1
