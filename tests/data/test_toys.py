"""The toys sample from the density they claim, and the density is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.spatial import cKDTree
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from gencourse import data

TOYS = (
    "ring8",
    "grid25",
    "two_gaussians",
    "gaussian",
    "swiss_roll",
    "moons",
    "circles",
    "pinwheel",
    "checkerboard",
)
HALF = 6.0  # a window [-6, 6]² that leaves out less than 1e-6 of every toy


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(half: float, n: int) -> tuple[torch.Tensor, float]:
    """Midpoints of n × n cells on [-half, half]², float64, and the area of a cell."""
    step = 2 * half / n
    ticks = -half + step * (torch.arange(n, dtype=torch.float64) + 0.5)
    return torch.cartesian_prod(ticks, ticks), step**2


def mixture_of_torch(modes: torch.Tensor, std: float, weights: torch.Tensor) -> MixtureSameFamily:
    components = Independent(Normal(modes.double(), std), 1)
    return MixtureSameFamily(Categorical(probs=weights), components)


@pytest.mark.parametrize("name", TOYS)
def test_density_integrates_to_one(name: str) -> None:
    # Cells of 0.024 are half the narrowest width (grid25: σ = 0.05), where the midpoint rule
    # on a Gaussian is off by 2 exp(-2π²σ²/h²) < 1e-36. The board has edges instead, so it
    # gets a grid that is aligned with them.
    at, cell = grid(4.0, 400) if name == "checkerboard" else grid(HALF, 500)
    total = data.load(name).log_prob(at).exp().sum() * cell
    # What is left out is the mass outside the window.
    assert total.item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", TOYS)
def test_samples_follow_the_density(name: str) -> None:
    """Pearson's χ² of counts in 40 × 40 cells against the integral of the density over each."""
    toy = data.load(name)
    half, cells, fine, n = 3.0, 40, 12, 200_000
    at, area = grid(half, cells * fine)
    mass = (toy.log_prob(at).exp() * area).reshape(cells, fine, cells, fine).sum((1, 3)).flatten()
    if name == "checkerboard":  # its edges cut cells of this grid: use cells of 1/4 instead
        cells, fine, half = 24, 4, 3.0
        at, area = grid(half, cells * fine)
        mass = (toy.log_prob(at).exp() * area).reshape(cells, fine, cells, fine).sum((1, 3))
        mass = mass.flatten()
    x = toy.sample(n, generator=seeded(1)).double()
    index = torch.floor((x + half) * cells / (2 * half)).long()
    inside = ((index >= 0) & (index < cells)).all(dim=1)
    counts = torch.bincount((index[:, 0] * cells + index[:, 1])[inside], minlength=cells**2)
    # Cells that expect fewer than 10 points are lumped together with the outside.
    large = n * mass >= 10
    expected = torch.cat([n * mass[large], (n * (1 - mass[large].sum()))[None].clamp_min(1.0)])
    observed = torch.cat([counts[large], (n - counts[large].sum())[None]]).double()
    chi2 = ((observed - expected).square() / expected).sum().item()
    # The seed is fixed; 1e-4 leaves room for another random stream, and a wrong density
    # (noise 5 % too wide, say) is out by hundreds of standard deviations.
    assert stats.chi2.sf(chi2, len(expected) - 1) > 1e-4


def test_chi_square_would_notice_a_wrong_width() -> None:
    """The test above can fail: 5 % more noise is found out."""
    claimed, drawn = data.load("moons", noise=0.1), data.load("moons", noise=0.105)
    x = drawn.sample(200_000, generator=seeded(1))
    entropy_gap = (-claimed.log_prob(x).double().mean()).item() - claimed.entropy()
    assert entropy_gap > 0.005


@pytest.mark.parametrize("name", ["ring8", "grid25", "two_gaussians"])
def test_mixture_agrees_with_torch_distributions(name: str) -> None:
    toy = data.load(name)
    reference = mixture_of_torch(toy.modes, toy.mode_std, toy.weights)
    x = 3 * torch.randn(500, 2, generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(toy.log_prob(x), reference.log_prob(x), rtol=1e-12, atol=1e-12)


def test_mixture_takes_weights_and_any_dimension() -> None:
    modes = torch.randn(3, 5, generator=seeded())
    toy = data.GaussianMixture(modes, 0.3, [0.2, 0.3, 0.5])
    x = torch.randn(100, 5, generator=seeded(1), dtype=torch.float64)
    reference = mixture_of_torch(modes, 0.3, torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64))
    torch.testing.assert_close(toy.log_prob(x), reference.log_prob(x), rtol=1e-12, atol=1e-12)
    drawn = toy.sample(60_000, generator=seeded(2))
    nearest = torch.cdist(drawn, modes).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / 60_000
    # Binomial standard deviation 0.002; components overlap by far less than that.
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.3, 0.5]), atol=0.01, rtol=0)


def test_score_of_mixture_is_its_closed_form() -> None:
    """∇ log p(x) = Σ_k P(k | x) (m_k - x) / σ²."""
    toy = data.load("ring8", std=0.7)
    x = torch.randn(50, 2, generator=seeded(), dtype=torch.float64, requires_grad=True)
    (score,) = torch.autograd.grad(toy.log_prob(x).sum(), x)
    pull = (toy.modes.double() - x[:, None]) / 0.7**2
    responsibility = torch.softmax(-0.5 * 0.7**2 * pull.square().sum(-1), dim=1)
    torch.testing.assert_close(score, (responsibility[..., None] * pull).sum(1))


def test_gaussian_agrees_with_torch_distributions() -> None:
    toy = data.load("gaussian", dimension=3, std=1.5, correlation=0.4)
    covariance = torch.full((3, 3), 0.4 * 2.25, dtype=torch.float64)
    covariance.diagonal().fill_(2.25)
    reference = MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance)
    x = 2 * torch.randn(200, 3, generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(toy.log_prob(x), reference.log_prob(x), rtol=1e-12, atol=1e-12)
    assert toy.entropy() == pytest.approx(reference.entropy().item(), abs=1e-12)
    sample = toy.sample(200_000, generator=seeded(1)).double()
    # An entry of the empirical covariance has a standard deviation below 2.25 √(2/n) = 0.007.
    torch.testing.assert_close(sample.T.cov(), covariance, atol=0.03, rtol=0)


def test_ring_has_closed_form_moments() -> None:
    """Mean 0 and covariance (R²/2 + σ²) I, by symmetry."""
    toy = data.load("ring8", radius=3.0, std=0.2)
    x = toy.sample(400_000, generator=seeded()).double()
    # Standard deviations: 2.1/√n = 0.0034 for the mean, 4.54 √(2/n) ≈ 0.01 for a variance.
    torch.testing.assert_close(x.mean(0), torch.zeros(2).double(), atol=0.015, rtol=0)
    expected = (4.5 + 0.04) * torch.eye(2).double()
    torch.testing.assert_close(x.T.cov(), expected, atol=0.04, rtol=0)
    assert toy.modes.shape == (8, 2)
    torch.testing.assert_close(toy.modes.norm(dim=1), torch.full((8,), 3.0))


@pytest.mark.parametrize("name", ["moons", "swiss_roll"])
def test_quadrature_keeps_its_stated_accuracy(name: str) -> None:
    """Against adaptive quadrature: 1e-8 within 6 σ of the curve, 1e-4 within 12 σ."""
    toy = data.load(name)
    sigma, rng = toy.noise, np.random.default_rng(0)
    for distance, tolerance in ((0, 1e-8), (3, 1e-8), (6, 1e-8), (9, 1e-4), (12, 1e-4)):
        for _ in range(3):
            t, angle = rng.uniform(), rng.uniform(0, 2 * math.pi)
            curve = toy.curves[rng.integers(len(toy.curves))]
            foot = curve(torch.tensor([t], dtype=torch.float64))[0].numpy()
            x = foot + distance * sigma * np.array([math.cos(angle), math.sin(angle)])
            got = toy.log_prob(torch.from_numpy(x)[None]).item()

            def integrand(t: float, c=curve, x=x, got=got) -> float:
                at = c(torch.tensor([t], dtype=torch.float64))[0].numpy()
                exponent = -0.5 * np.sum((x - at) ** 2) / sigma**2
                return math.exp(exponent - math.log(2 * math.pi * sigma**2) - got)

            ratio = np.mean(
                [
                    sum(
                        integrate.quad(integrand, a, b, args=(c,), epsabs=1e-13, epsrel=1e-11)[0]
                        for a, b in zip(
                            np.linspace(0, 1, 21)[:-1], np.linspace(0, 1, 21)[1:], strict=True
                        )
                    )
                    for c in toy.curves
                ]
            )
            assert ratio == pytest.approx(1.0, abs=tolerance)


def test_bessel_density_of_circles_agrees_with_quadrature() -> None:
    """Two derivations of one density: the Rice distribution, and the integral over the angle."""
    closed = data.load("circles")

    def circle(radius: float):
        return lambda t: (
            radius * torch.stack([(2 * math.pi * t).cos(), (2 * math.pi * t).sin()], dim=1)
        )

    integral = data.NoisyCurve([circle(2.0), circle(1.0)], 0.08)
    angle = torch.rand(400, generator=seeded(), dtype=torch.float64) * 2 * math.pi
    radius = torch.linspace(0.6, 2.45, 400, dtype=torch.float64)  # within 6 σ of a circle
    x = radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    torch.testing.assert_close(closed.log_prob(x), integral.log_prob(x), rtol=0, atol=1e-8)


def test_circles_have_a_finite_score_at_the_centre() -> None:
    x = torch.zeros(1, 2, requires_grad=True)
    for name in ("circles", "pinwheel"):
        (score,) = torch.autograd.grad(data.load(name).log_prob(x).sum(), x)
        assert torch.isfinite(score).all()


def test_far_points_have_finite_log_density() -> None:
    """Nothing underflows: 1000 units away the density is e^{-10⁷} or less, its log a number."""
    x = torch.tensor([[1000.0, -1000.0]])
    for name in ("ring8", "moons", "circles", "swiss_roll", "pinwheel"):
        value = data.load(name).log_prob(x)
        assert torch.isfinite(value).all()
        assert value.item() < -1e6


def test_moons_and_spiral_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import make_moons, make_swiss_roll

    toy = data.load("moons")
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    ours = cKDTree(np.concatenate([curve(t).numpy() for curve in toy.curves]))
    distance, _ = ours.query(make_moons(500, noise=0.0)[0])
    assert distance.max() < 1e-4  # half the spacing of the 20,001 points

    spiral = data.load("swiss_roll", radius=4.5 * math.pi).curves[0]
    distance, _ = cKDTree(spiral(t).numpy()).query(make_swiss_roll(500)[0][:, [0, 2]])
    assert distance.max() < 5e-3


def test_checkerboard_is_uniform_on_dark_squares_only() -> None:
    toy = data.load("checkerboard")
    x = toy.sample(10_000, generator=seeded())
    assert torch.allclose(toy.log_prob(x).exp(), torch.tensor(1 / 8))
    light = torch.tensor([[-1.5, -0.5], [0.5, 1.5], [2.5, 0.5], [0.5, -3.0]])
    assert (toy.log_prob(light) == -math.inf).all()
    assert toy.entropy() == pytest.approx(math.log(8))


def test_entropy_by_sampling_matches_closed_form_for_far_apart_modes() -> None:
    """H = log 8 + log(2πe σ²) when components do not overlap."""
    expected = math.log(8) + math.log(2 * math.pi * math.e * 0.1**2)
    # The log density of a plane Gaussian has variance 1: standard error 1/√100000 = 0.0032.
    assert data.load("ring8").entropy() == pytest.approx(expected, abs=0.015)
    assert data.load("ring8").entropy() == data.load("ring8").entropy()


def test_parallel_lines_has_no_density_and_stands_at_theta() -> None:
    toy = data.load("parallel_lines", theta=0.5)
    x = toy.sample(1000, generator=seeded())
    assert (x[:, 0] == 0.5).all()
    assert 0 <= x[:, 1].min() < 0.01
    assert 0.99 < x[:, 1].max() <= 1
    assert toy.log_prob(x) is None
    assert toy.entropy() is None


@pytest.mark.parametrize("name", [*TOYS, "parallel_lines"])
def test_sampling_contract(name: str) -> None:
    toy = data.load(name)
    x = toy.sample(7, generator=seeded(3))
    assert x.shape == (7, *toy.event_shape) == (7, 2)
    assert x.dtype == torch.float32
    assert x.device.type == "cpu"
    assert torch.equal(x, toy.sample(7, generator=seeded(3), device="cpu"))
    assert not torch.equal(x, toy.sample(7, generator=seeded(4)))
    torch.manual_seed(5)  # without a generator, torch's global one
    first = toy.sample(3)
    torch.manual_seed(5)
    assert torch.equal(first, toy.sample(3))
    assert toy.name == name
    assert repr(toy).count(repr(name)) == 1


@pytest.mark.parametrize("name", TOYS)
def test_log_prob_keeps_the_dtype_and_computes_in_float64(name: str) -> None:
    toy = data.load(name)
    x = toy.sample(20, generator=seeded())
    single, double = toy.log_prob(x), toy.log_prob(x.double())
    assert single.shape == (20,)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert torch.equal(single, double.float())


@pytest.mark.gpu
@pytest.mark.parametrize("name", TOYS)
def test_on_a_gpu(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    toy = data.load(name)
    x = toy.sample(100, generator=torch.Generator("cuda").manual_seed(0))
    assert x.device.type == "cuda"
    torch.testing.assert_close(toy.log_prob(x).cpu(), toy.log_prob(x.cpu()))
    from_cpu = toy.sample(100, generator=seeded(), device="cuda")
    assert torch.equal(from_cpu.cpu(), toy.sample(100, generator=seeded()))


@given(n=st.one_of(st.integers(max_value=0), st.floats(), st.booleans(), st.none(), st.text()))
def test_only_positive_whole_numbers_of_samples(n: object) -> None:
    for name in ("ring8", "moons", "parallel_lines"):
        with pytest.raises(ValueError, match="n must be"):
            data.load(name).sample(n)


@given(shape=st.lists(st.integers(0, 4), max_size=3).map(tuple).filter(lambda s: s[1:] != (2,)))
def test_log_prob_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    for name in ("ring8", "circles", "parallel_lines"):
        with pytest.raises(ValueError, match=r"x must have shape|x is empty"):
            data.load(name).log_prob(torch.zeros(shape))


@given(bad=st.sampled_from([math.nan, math.inf, -math.inf]), where=st.integers(0, 5))
def test_log_prob_refuses_what_is_not_finite(bad: float, where: int) -> None:
    x = torch.zeros(3, 2)
    x.view(-1)[where] = bad
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        data.load("moons").log_prob(x)


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("ring8", "std", [0, -1.0, math.nan, math.inf, "wide", True]),
        ("ring8", "k", [0, 2.5, -3]),
        ("ring8", "radius", [0.0, -2.0]),
        ("grid25", "spacing", [0.0]),
        ("two_gaussians", "weight", [0.0, 1.0, 1.5, math.nan]),
        ("gaussian", "correlation", [1.0, -1.0, 2.0]),
        ("gaussian", "dimension", [0, 1.5]),
        ("moons", "noise", [0.0, -0.1]),
        ("circles", "factor", [0.0, 1.0]),
        ("swiss_roll", "radius", [-1.0]),
        ("pinwheel", "twist", [math.inf, "much"]),
        ("pinwheel", "arms", [0]),
        ("checkerboard", "cells", [3, 0]),
        ("parallel_lines", "theta", [math.nan, math.inf, "left"]),
    ],
)
def test_senseless_options_are_named(name: str, option: str, values: list) -> None:
    for value in values:
        with pytest.raises(ValueError, match=option):
            data.load(name, **{option: value})


def test_mixture_and_gaussian_check_their_arguments() -> None:
    modes = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="sum to 1"):
        data.GaussianMixture(modes, 0.1, [0.5, 0.6])
    with pytest.raises(ValueError, match="one for each mode"):
        data.GaussianMixture(modes, 0.1, [1.0])
    with pytest.raises(ValueError, match=r"shape \(n, d\)"):
        data.GaussianMixture(torch.zeros(2), 0.1)
    with pytest.raises(ValueError, match="positive definite"):
        data.Gaussian(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="positive definite"):
        data.Gaussian(torch.zeros(2), torch.tensor([[1.0, 0.0], [0.5, 1.0]]))
    with pytest.raises(ValueError, match=r"\(d, d\)"):
        data.Gaussian(torch.zeros(2), torch.eye(3))
