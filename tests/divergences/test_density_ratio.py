"""The ratio of two densities from samples, against ratios that are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, Normal

from gencourse.divergences import density_ratio, logistic_loss

P, Q = Normal(0.0, 1.0), Normal(0.7, 1.4)
MIXTURE = MixtureSameFamily(
    Categorical(torch.tensor([0.3, 0.7])),
    Normal(torch.tensor([-1.5, 1.0]), torch.tensor([0.5, 0.8])),
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(law: Distribution, n: int, d: int, seed: int) -> Tensor:
    """Rows with independent coordinates of this law."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return law.sample(torch.Size([n, d]))


def error(n: int, d: int, seed: int, p: Distribution = P, q: Distribution = Q) -> float:
    """Root mean square error of log p/q over the mixture of the two."""
    x, y = drawn(p, n, d, seed), drawn(q, n, d, seed + 100)
    found = density_ratio(x, y, steps=500, generator=generator(seed))
    at = torch.cat([drawn(p, 2000, d, 200), drawn(q, 2000, d, 201)])
    exact = (p.log_prob(at) - q.log_prob(at)).sum(1)
    torch.testing.assert_close(found.ratio(at).log(), -found.log_ratio(at))
    with torch.no_grad():
        return (found.log_ratio(at) - exact).square().mean().sqrt().item()


@pytest.mark.parametrize(("d", "q", "bar"), [(1, Q, 0.2), (2, Q, 0.3), (1, MIXTURE, 0.2)])
def test_the_error_falls_with_the_number_of_samples(d: int, q: Distribution, bar: float) -> None:
    """The log ratio itself is of size 1 to 1.5. Means of two seeds, for n = 200 and 10,000."""
    few, many = (sum(error(n, d, seed, q=q) for seed in range(2)) / 2 for n in (200, 10_000))
    print(d, few, many)
    assert many < bar
    assert many < 0.6 * few


def test_equal_laws_have_ratio_one() -> None:
    found = [error(10_000, 2, seed, q=P) for seed in range(2)]
    print(found)
    assert max(found) < 0.1


def test_numbers_of_samples_are_not_part_of_the_ratio() -> None:
    """Ten times as many of p: a plain classifier would be off by log 10 = 2.3."""
    x, y = drawn(P, 10_000, 1, 0), drawn(P, 1000, 1, 1)
    found = density_ratio(x, y, steps=300, generator=generator())
    with torch.no_grad():
        assert found.log_ratio(x).mean().abs() < 0.2


def test_scales_and_places_do_not_matter() -> None:
    """The ratio of the same clouds a thousand times larger, and far away."""
    x, y = drawn(P, 2000, 2, 0), drawn(Q, 2000, 2, 1)
    near = density_ratio(x, y, steps=100, generator=generator())
    far = density_ratio(1000 * x + 5000, 1000 * y + 5000, steps=100, generator=generator())
    with torch.no_grad():
        # Standardised again they agree to a few roundings of 5000 in float32; a hundred steps
        # of training enlarge them.
        difference = near.log_ratio(x) - far.log_ratio(1000 * x + 5000)
    assert difference.abs().max() < 0.05


def test_the_loss_at_its_optimum() -> None:
    """2 log 2 - 2 JS for the exact ratio, here JS = log 2 and JS = 0; and its derivative is 0."""
    assert logistic_loss(torch.full((4,), 50.0), torch.full((3,), -50.0)).item() < 1e-20
    assert logistic_loss(torch.zeros(4), torch.zeros(3)).item() == pytest.approx(2 * math.log(2))
    # Two cells with masses p and q: at D = log p/q no direction improves the expectation.
    p, q = torch.tensor([0.3, 0.7]), torch.tensor([0.6, 0.4])
    D = (p / q).log().requires_grad_()
    expected = sum(
        p_i * logistic_loss(D[i], torch.tensor(-torch.inf))
        + q_i * logistic_loss(torch.tensor(torch.inf), D[i])
        for i, (p_i, q_i) in enumerate(zip(p, q, strict=True))
    )
    (slope,) = torch.autograd.grad(expected, D)
    assert slope.abs().max() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_images_and_gradients(dtype: torch.dtype) -> None:
    x = drawn(P, 50, 4, 0).reshape(50, 1, 2, 2).to(dtype)
    y = drawn(Q, 60, 4, 1).reshape(60, 1, 2, 2).to(dtype)
    found = density_ratio(x, y, steps=5)
    at = x[:7].clone().requires_grad_()
    D = found.log_ratio(at)
    assert D.shape == (7,)
    assert D.dtype == dtype
    (slope,) = torch.autograd.grad(D.sum(), at)
    assert slope.shape == at.shape
    assert slope.dtype == dtype
    assert found.history.metrics.keys() == {"loss", "held out"}


@pytest.mark.gpu
def test_on_the_gpu(accelerator: str) -> None:
    x, y = drawn(P, 1000, 2, 0).to(accelerator), drawn(Q, 1000, 2, 1).to(accelerator)
    found = density_ratio(x, y, steps=50, generator=generator())
    on_cpu = density_ratio(x.cpu(), y.cpu(), steps=50, generator=generator())
    D = found.log_ratio(x)
    assert D.device.type == accelerator
    torch.testing.assert_close(D.cpu(), on_cpu.log_ratio(x.cpu()), rtol=0, atol=0.02)


def test_the_generator_decides_everything() -> None:
    x, y = drawn(P, 100, 2, 0), drawn(Q, 100, 2, 1)

    def log_ratio(seed: int) -> Tensor:
        return density_ratio(x, y, steps=5, batch=20, generator=generator(seed)).log_ratio(x)

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = log_ratio(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(log_ratio(0), first)
    assert not torch.equal(log_ratio(1), first)


CLOUD = torch.zeros(5, 2)


@pytest.mark.parametrize(
    ("x", "y", "settings", "complaint"),
    [
        (torch.zeros(5, 3), CLOUD, {}, r"same shape, not \(3,\) and \(2,\)"),
        (torch.zeros(1, 2), CLOUD, {}, "at least 2 points each"),
        (CLOUD, torch.zeros(0, 2), {}, "y is empty"),
        (CLOUD / 0, CLOUD, {}, "x holds 10 NaN"),
        (CLOUD.long(), CLOUD, {}, "floating dtype"),
        (CLOUD, CLOUD, {"steps": 0}, "steps must be above 0"),
        (CLOUD, CLOUD, {"batch": 1.5}, "batch must be a whole number"),
        (CLOUD, CLOUD, {"width": 0}, "width must be above 0"),
        (CLOUD, CLOUD, {"depth": -1}, "depth must be above 0"),
        (CLOUD, CLOUD, {"lr": 0.0}, "lr must be above 0"),
    ],
)
def test_bad_input(x: Any, y: Any, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        density_ratio(x, y, **settings)


def test_points_that_are_none() -> None:
    found = density_ratio(CLOUD + 1, CLOUD, steps=2)  # clouds without extent have a ratio too
    assert found.log_ratio(CLOUD).isfinite().all()
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\)"):
        found.log_ratio(torch.zeros(5, 3))
    with pytest.raises(ValueError, match="NaN"):
        found.ratio(CLOUD / 0)
