"""Annealed importance sampling against normalising constants that are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from known_laws import Mixture, generator, ring8
from torch import Tensor

from gencourse import samplers


def gaussian(variance: float, mean: float = 0.0, d: int = 2) -> Mixture:
    return Mixture(torch.full((1, d), mean, dtype=torch.float64), variance)


def unnormalised(law: Mixture, log_z: float) -> Any:
    return lambda x: law.log_prob(x) + log_z


@pytest.mark.parametrize(("variance", "mean", "d"), [(0.05, 0.0, 2), (4.0, 1.0, 1), (0.3, 0.5, 8)])
def test_from_gaussian_to_gaussian(variance: float, mean: float, d: int) -> None:
    """Over 12 runs the errors in units of the stated one look standard normal.

    Their mean square has mean 1 and standard error √(2/12) = 0.41; a χ² with 12 degrees of
    freedom leaves [0.2, 2.7] · 12 once in a thousand times.
    """
    base, target = gaussian(1.0, d=d), gaussian(variance, mean, d)
    scores = []
    for seed in range(12):
        found = samplers.ais(
            unnormalised(target, 3.7),
            base.log_prob,
            base.sample(300, seed),
            temperatures=40,
            step_size=0.8 * min(1.0, math.sqrt(variance)),
            leapfrog_steps=2,
            generator=generator(seed),
        )
        scores.append((found.log_z.item() - 3.7) / found.standard_error.item())
        assert 0 < found.standard_error < 0.5
        assert 20 < found.effective <= 300
    mean_square = sum(z * z for z in scores) / len(scores)
    assert 0.2 < mean_square < 2.7
    assert max(map(abs, scores)) < 4


def ring_run(n: int = 2000, temperatures: int = 150, **more: Any) -> samplers.AnnealedImportance:
    ring, base = ring8(), gaussian(4.0)
    β = (torch.arange(1, temperatures + 1, dtype=torch.float64) / temperatures) ** 3
    # Widths between 2 and 0.1, as if precisions were mixed.
    ε = 1 / (1 / 4 + β / 0.1**2).sqrt()
    return samplers.ais(
        unnormalised(ring, -2.5), base.log_prob, base.sample(n), temperatures=β, step_size=ε,
        generator=generator(1), **more,
    )  # fmt: skip


def test_the_ring() -> None:
    found = ring_run()
    assert found.standard_error < 0.05
    assert found.log_z.item() == pytest.approx(-2.5, abs=4 * found.standard_error.item())
    assert (found.acceptance > 0.3).all()
    # The weighted particles are the ring: shares with a standard error of √(1/8·7/8/n_eff).
    x = samplers.resample(found.x, found.log_weights, 4000, generator=generator())
    distance, nearest = torch.cdist(x, ring8().means).min(1)
    shares = torch.bincount(nearest, minlength=8) / len(x)
    assert (shares - 1 / 8).abs().max() < 4 * math.sqrt(7 / 64 / found.effective.item())
    assert (distance < 0.3).double().mean() > 0.97


def test_a_finer_path_is_better() -> None:
    coarse, fine = ring_run(temperatures=10), ring_run(temperatures=100)
    assert fine.standard_error < 0.5 * coarse.standard_error
    assert fine.effective > coarse.effective


def test_one_temperature_is_plain_importance_sampling() -> None:
    base, target = gaussian(1.0), gaussian(0.5)
    x = base.sample(1000)
    found = samplers.ais(
        target.log_prob, base.log_prob, x, temperatures=1, step_size=0.1, generator=generator()
    )
    log_w = target.log_prob(x) - base.log_prob(x)
    torch.testing.assert_close(found.log_weights, log_w)
    torch.testing.assert_close(found.log_z, log_w.exp().mean().log())


def test_the_estimate_is_of_the_constant_and_nothing_else() -> None:
    """f times a constant: log Z moves by its logarithm, in the same run."""
    base, target = gaussian(1.0), gaussian(0.5, 0.3)

    def run(shift: float) -> Tensor:
        return samplers.ais(
            unnormalised(target, shift), base.log_prob, base.sample(50), temperatures=20,
            step_size=0.5, generator=generator(),
        ).log_z  # fmt: skip

    torch.testing.assert_close(run(800.0) - run(0.0), torch.tensor(800.0, dtype=torch.float64))


def test_float32_particles() -> None:
    base, target = gaussian(1.0), gaussian(0.2)
    found = samplers.ais(
        target.log_prob, base.log_prob, base.sample(1000).float(), temperatures=40, step_size=0.5,
        generator=generator(),
    )  # fmt: skip
    assert found.x.dtype == torch.float32
    assert found.log_z.dtype == torch.float64
    assert found.log_z.item() == pytest.approx(0, abs=4 * found.standard_error.item())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"temperatures": 0}, "temperatures must be above 0"),
        ({"temperatures": True}, "temperatures must be a whole number"),
        ({"temperatures": [0.5, 0.9]}, "increase strictly from 0 to 1"),
        ({"temperatures": [0.0, 1.0]}, "increase strictly from 0 to 1"),
        ({"temperatures": [0.5, 0.5, 1.0]}, "increase strictly from 0 to 1"),
        ({"temperatures": [math.nan, 1.0]}, "temperatures holds 1 NaN"),
        ({"temperatures": []}, "number of them or a vector"),
        ({"step_size": 0.0}, "step_size must be above 0"),
        ({"step_size": -1.0}, "step_size must be above 0"),
        ({"step_size": [0.1, 0.1]}, "one for each of the 5 temperatures"),
        ({"steps": 0}, "steps must be above 0"),
        ({"leapfrog_steps": 1.5}, "leapfrog_steps must be a whole number"),
        ({"x": torch.zeros(1, 2)}, "at least 2 particles"),
        ({"x": torch.full((3, 2), math.inf)}, "x holds 6 NaN or infinite"),
        ({"log_f": None}, "log_f must be a function"),
        ({"log_f": lambda x: x}, r"log_prob must return a tensor of shape \(4,\)"),
        ({"log_f": lambda x: (x / 0).sum(1)}, r"log_f\(x\) holds 4 NaN"),
    ],
)
def test_what_it_refuses(change: dict[str, Any], complaint: str) -> None:
    given: dict[str, Any] = {
        "log_f": lambda x: -x.square().sum(1), "log_p0": lambda x: -x.square().sum(1),
        "x": torch.zeros(4, 2), "temperatures": 5, "step_size": 0.1,
    }  # fmt: skip
    with pytest.raises(ValueError, match=complaint):
        samplers.ais(**{**given, **change})


# ----------------------------------------------------------------- resampling


def test_resampling_keeps_every_share() -> None:
    """⌊nw⌋ or ⌈nw⌉ copies of each particle."""
    log_w = torch.randn(50, generator=generator(), dtype=torch.float64)
    n = 1000
    x = samplers.resample(torch.arange(50.0)[:, None], log_w, n, generator=generator())
    counts = torch.bincount(x[:, 0].long(), minlength=50)
    expected = n * log_w.softmax(0)
    assert (counts >= expected.floor()).all()
    assert (counts <= expected.ceil()).all()


def test_resampling_on_average() -> None:
    w = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    counts = torch.zeros(3)
    for seed in range(3000):
        x = samplers.resample(torch.arange(3.0)[:, None], w.log(), 1, generator=generator(seed))
        counts[x[0, 0].long()] += 1
    # Standard error of a share below 0.0092.
    assert (counts / 3000 - w).abs().max() < 0.037


@pytest.mark.parametrize("log_w", [[math.nan, 0.0], [-math.inf, -math.inf], [0.0, 0.0, 0.0]])
def test_weights_that_make_no_sense(log_w: list[float]) -> None:
    with pytest.raises(ValueError, match="log_weights"):
        samplers.resample(torch.zeros(2, 1), torch.tensor(log_w), 3)
