"""Bad input gets an error that says what was wrong and what to do."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencourse._validate import finite, generator_on, points, positive, unknown_name


def test_nearest_names_are_suggested() -> None:
    error = unknown_name("data set", "rnig8", ["ring8", "grid25", "moons"])
    assert isinstance(error, KeyError)
    # A plain KeyError would print its argument's repr, quotes and all.
    assert str(error) == "unknown data set 'rnig8'; did you mean 'ring8'?"
    assert str(unknown_name("data set", "RING8", ["ring8"])).endswith("did you mean 'ring8'?")


@pytest.mark.parametrize("name", ["", "qqq", None, 8, ["ring8"]])
def test_all_names_are_listed_where_none_is_near(name: object) -> None:
    message = str(unknown_name("data set", name, iter(["moons", "grid25"])))
    assert message == f"unknown data set {name!r}; known: grid25, moons"


@given(st.text())
def test_any_name_at_all(name: str) -> None:
    assert repr(name) in str(unknown_name("system", name, ["gan", "gmm"]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_finite_numbers_whose_sum_is_not(dtype: torch.dtype) -> None:
    large = torch.full((4,), torch.finfo(dtype).max, dtype=dtype)
    assert finite(large, "x") is large


def test_infinities_that_cancel_are_seen() -> None:
    with pytest.raises(ValueError, match="x holds 2 NaN or infinite values out of 3"):
        finite(torch.tensor([math.inf, 0.0, -math.inf]), "x")


def test_finite_passes_its_argument_on() -> None:
    x = torch.ones(3, 2)
    assert finite(x, "x") is x
    assert points(x, "x") is x
    assert points(x, "x", (2,)) is x
    assert points(torch.ones(3, 1, 8, 8), "x", (1, 8, 8)).shape == (3, 1, 8, 8)


@given(st.lists(st.sampled_from([0.0, math.nan, math.inf, -math.inf]), min_size=1, max_size=9))
def test_values_that_are_not_numbers_are_counted(values: list[float]) -> None:
    x = torch.tensor(values)[:, None]
    bad = sum(not math.isfinite(v) for v in values)
    if bad == 0:
        assert points(x, "data") is x
        return
    with pytest.raises(
        ValueError, match=f"data holds {bad} NaN or infinite values out of {len(x)}"
    ):
        points(x, "data")


@pytest.mark.parametrize(
    ("x", "event_shape", "complaint"),
    [
        ([[1.0]], None, "x must be a torch tensor, not list"),
        (torch.ones(3, 2).numpy(), None, "x must be a torch tensor, not ndarray"),
        (torch.ones(3, 2, dtype=torch.int64), None, r"not torch.int64; use x.float\(\)"),
        (torch.ones(3, 2, dtype=torch.complex64), None, "floating dtype, not torch.complex64"),
        (torch.ones(3), None, r"x must have shape \(n, d\), not \(3,\)"),
        (torch.tensor(1.0), (2,), r"x must have shape \(n, 2\), not \(\)"),
        (torch.tensor(1.0), (), r"x must have shape \(n\), not \(\)"),
        (torch.ones(2), (2,), r"x must have shape \(n, 2\), not \(2,\)"),
        (torch.ones(5, 3), (2,), r"x must have shape \(n, 2\), not \(5, 3\)"),
        (torch.ones(5, 8, 8), (1, 8, 8), r"\(n, 1, 8, 8\), not \(5, 8, 8\)"),
        (torch.ones(0, 2), (2,), r"x is empty \(shape \(0, 2\)\)"),
        (torch.ones(3, 0), None, "x is empty"),
    ],
)
def test_points(x: object, event_shape: tuple[int, ...] | None, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        points(x, "x", event_shape)


@given(st.one_of(st.integers(min_value=1), st.floats(min_value=1e-300, max_value=1e300)))
def test_positive_numbers(value: float) -> None:
    positive(value, "steps")
    if isinstance(value, int):
        positive(value, "steps", integer=True)


@pytest.mark.parametrize("value", [0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_positive(value: float) -> None:
    with pytest.raises(ValueError, match="lr must be above 0"):
        positive(value, "lr")


@pytest.mark.parametrize("value", [True, "3", None, [1], torch.tensor(3)])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(ValueError, match="lr must be a number"):
        positive(value, "lr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps must be a whole number"):
        positive(value, "steps", integer=True)  # type: ignore[arg-type]


def test_halves_are_not_whole() -> None:
    with pytest.raises(ValueError, match=r"steps must be a whole number, not 2\.5"):
        positive(2.5, "steps", integer=True)


def test_generators() -> None:
    given_one = torch.Generator().manual_seed(3)
    assert generator_on(given_one) is given_one
    first, second = (torch.rand(4, generator=generator_on(None, 5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.rand(4, generator=generator_on(None, 6)))
