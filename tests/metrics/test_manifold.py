"""Precision, recall, density and coverage against the authors' package and by hand."""

from __future__ import annotations

import contextlib
import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gencourse.metrics import PRDC, prdc


def draw(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def package(real: Tensor, fake: Tensor, k: int) -> PRDC:
    compute = pytest.importorskip("prdc").compute_prdc
    with contextlib.redirect_stdout(io.StringIO()):
        found = compute(real.numpy(), fake.numpy(), k)
    return PRDC(**{name: float(value) for name, value in found.items()})


@pytest.mark.parametrize(
    ("n", "m", "d", "k"), [(300, 200, 2, 5), (100, 250, 10, 3), (400, 400, 64, 5), (8, 7, 3, 5)]
)
def test_equals_the_package_of_the_authors(n: int, m: int, d: int, k: int) -> None:
    real, fake = draw(n, d), 0.9 * draw(m, d, 1) + 0.2
    ours, theirs = prdc(real, fake, k), package(real, fake, k)
    assert theirs.precision > 0  # or nothing would be compared
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12), name


def test_by_hand() -> None:
    """On a line, with k = 1: radii 1, 1, 2 and 2 around the real points, ½, ½, 1 and 1."""
    real = torch.tensor([[0.0], [1.0], [10.0], [12.0]])
    fake = torch.tensor([[0.25], [0.75], [20.0], [21.0]])
    found = prdc(real, fake, k=1)
    assert found.precision == 2 / 4
    assert found.density == 4 / 4  # two points lie in two balls each
    assert found.recall == 2 / 4
    assert found.coverage == 2 / 4
    # With k = 2 the radii are 10, 9, 9 and 11, and 19.75, 19.25, 19.25 and 20.25.
    found = prdc(real, fake, k=2)
    assert found.precision == 4 / 4  # 20 and 21 are within 11 of 12
    assert found.density == (2 + 2 + 1 + 1) / 4 / 2
    assert found.recall == 4 / 4
    assert found.coverage == 3 / 4  # nothing within 9 of 10


def test_a_ball_does_not_hold_its_edge() -> None:
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [-1.0]])
    assert prdc(real, fake, k=1).precision == 0


def test_one_law_and_mode_collapse() -> None:
    real, more = draw(2000, 2), draw(2000, 2, 1)
    same = prdc(real, more)
    assert min(same.precision, same.recall) > 0.95
    # The docstring's 1 - 2⁻⁵ = 0.969 is the limit; binomial σ 0.004.
    assert same.coverage == pytest.approx(1 - 2**-5, abs=0.02)
    assert same.density == pytest.approx(1, abs=0.05)
    collapsed = prdc(real, 0.1 * more)
    assert collapsed.precision > 0.95
    assert collapsed.recall < 0.2
    assert collapsed.coverage < 0.2
    blurred = prdc(real, 5 * more)
    assert blurred.precision < 0.3
    assert blurred.recall > 0.95
    far = prdc(real, more + 100)
    assert far == PRDC(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("offset", [0.0, 0.3, 1000.0])
def test_duplicates(offset: float) -> None:
    """Radius 0: what coincides with the centre is inside, and nothing else."""
    real = torch.full((10, 3), offset)
    assert prdc(real, real[:8]) == PRDC(1.0, 1.0, 10 / 5, 1.0)
    assert prdc(real, real[:8] + 0.01) == PRDC(0.0, 0.0, 0.0, 0.0)
    # Each point of a random set nine times over, in another place of the matrix.
    x = draw(40, 5) + offset
    many = x.repeat(9, 1)
    found = prdc(many, many[torch.randperm(360)])
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
    assert found.density == pytest.approx(9 / 5)


def test_a_set_with_itself() -> None:
    x = draw(100, 3)
    found = prdc(x, x)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_result_does_not_depend_on_the_block_nor_on_the_origin() -> None:
    real, fake = draw(101, 3), 1.1 * draw(77, 3, 1)
    whole = prdc(real, fake)
    for block in (1, 80, 1000):
        assert prdc(real, fake, block=block) == whole
    assert prdc(real + 1e5, fake + 1e5) == whole


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_any_dtype(dtype: torch.dtype) -> None:
    real, fake = draw(100, 3).to(dtype), draw(90, 3, 1).to(dtype)
    assert prdc(real, fake) == prdc(real.double(), fake.double())


@given(
    n=st.integers(4, 30),
    m=st.integers(4, 30),  # the package needs k + 2 points, ours k + 1
    d=st.integers(1, 4),
    k=st.integers(1, 2),
    seed=st.integers(0, 10_000),
)
def test_properties(n: int, m: int, d: int, k: int, seed: int) -> None:
    real, fake = draw(n, d, seed), draw(m, d, seed + 1)
    found, swapped = prdc(real, fake, k), prdc(fake, real, k)
    assert (found.precision, found.recall) == (swapped.recall, swapped.precision)
    assert 0 <= found.coverage <= 1
    assert found.density * k <= n
    assert found == prdc(3 * real, 3 * fake, k)
    assert found == package(real, fake, k)


def by_definition(real: Tensor, fake: Tensor, k: int) -> PRDC:
    """In float64 from differences, which is what tiles in float32 must come to."""
    exactly = {"compute_mode": "donot_use_mm_for_euclid_dist"}
    real_radius, fake_radius = (
        torch.cdist(x, x, **exactly).kthvalue(k + 1, dim=1).values for x in (real, fake)
    )
    distances = torch.cdist(real, fake, **exactly)
    inside = distances < real_radius[:, None]
    return PRDC(
        inside.any(0).double().mean().item(),
        (distances < fake_radius).any(1).double().mean().item(),
        inside.sum(0).double().mean().item() / k,
        inside.any(1).double().mean().item(),
    )


def near_the_edge(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Points that are a 1e-9th of the radius inside or outside a ball, by turns."""
    real = draw(n, d)
    distances, to = torch.cdist(real, real).sort(dim=1)
    radius = distances[:, 5:6]
    share = 1 + 1e-9 * (-1.0) ** torch.arange(n, dtype=torch.float64)[:, None]
    return real, real + share * radius * (real[to[:, 5]] - real) / radius


HIGH = {
    "one law": lambda: (draw(300, 300), draw(200, 300, 1)),
    "few": lambda: (draw(9, 300), draw(7, 300, 1)),
    "narrow": lambda: (draw(300, 300), 0.3 * draw(200, 300, 1)),
    "the edge of balls": lambda: near_the_edge(200, 300),
    # So far away that in float32 all others are near the same point: all is in doubt.
    "an outlier": lambda: (torch.cat([draw(150, 300), draw(1, 300) * 1e6]), draw(150, 300, 1)),
    "tiny": lambda: (1e-22 * draw(100, 300), 1e-22 * draw(100, 300, 1)),
    "huge": lambda: (1e22 * draw(100, 300), 1e22 * draw(100, 300, 1)),
}


@pytest.mark.parametrize("case", HIGH)
@pytest.mark.parametrize("block", [3000, 500_000])
def test_float32_decides_nothing_that_float64_does_not(case: str, block: int) -> None:
    real, fake = HIGH[case]()
    found = prdc(real, fake, block=block)
    assert found == by_definition(real, fake, 5)
    if case != "an outlier":
        assert found.density > 0


def test_a_user_may_have_lowered_the_precision_of_products() -> None:
    real, fake = near_the_edge(100, 300)
    expected = by_definition(real, fake, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert prdc(real, fake) == expected
    torch.set_float32_matmul_precision("medium")
    try:
        assert prdc(real, fake) == expected
    finally:
        torch.set_float32_matmul_precision("highest")


def test_bad_input_is_named() -> None:
    x = draw(20, 3)
    with pytest.raises(ValueError, match="fake must hold at least 6 points, not 5"):
        prdc(x, x[:5])
    with pytest.raises(ValueError, match="real is empty"):
        prdc(x[:0], x)
    with pytest.raises(ValueError, match="same dimension"):
        prdc(x, x[:, :2])
    with pytest.raises(ValueError, match="fake holds 60 NaN"):
        prdc(x, x * math.nan)
    with pytest.raises(ValueError, match="k must be above 0"):
        prdc(x, x, 0)
    with pytest.raises(ValueError, match="block must be"):
        prdc(x, x, block=0)
