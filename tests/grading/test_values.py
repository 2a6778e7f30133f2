"""Comparisons see numbers, whatever object carries them, and name the mistake."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gencourse.grading import CheckFailed, close, same, tensor_of, that, tuple_of, unchanged

numbers = st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 0.1)  # well above the absolute tolerance


@pytest.mark.parametrize(
    "got",
    [
        torch.tensor(0.5),
        torch.tensor(0.5, dtype=torch.float16),
        torch.tensor(0.5, requires_grad=True) * 1,
        nn.Parameter(torch.tensor(0.5)),
        np.float32(0.5),
        np.array(0.5),
        0.5,
    ],
)
def test_every_kind_of_number_is_read(got: object) -> None:
    plain = tensor_of(got, ())
    assert type(plain) is Tensor
    assert plain.dtype == torch.float64
    assert not plain.requires_grad
    assert plain.item() == 0.5


def test_the_copy_does_not_share_memory() -> None:
    x = torch.zeros(2, dtype=torch.float64)
    tensor_of(x)[0] = 1
    assert x[0] == 0


class AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    def __float__(self) -> float:
        return 1.0

    __hash__ = None  # type: ignore[assignment]


class Liar(Tensor):
    """A tensor that answers every question about itself with yes."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return True


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (None, "Is there a return missing"),
        (AlwaysEqual(), "is a AlwaysEqual"),
        ([1.0], "is a list"),
        ("1.0", "is a str"),
        (np.array(["a"]), "can't be read"),
        (torch.zeros(1), "average over the batch"),
        (torch.tensor(1j), "complex"),
        (torch.tensor(math.nan), "NaN"),
        (float("inf"), "infinity"),
        (torch.zeros(()).as_subclass(Liar), "is zero"),
    ],
)
def test_what_is_no_answer_fails_with_a_reason(got: object, words: str) -> None:
    with pytest.raises(CheckFailed, match=words):
        close(got, 1.0)


@pytest.mark.parametrize(
    ("got", "want", "words"),
    [
        ((3, 2), (2, 3), "another order"),
        ((3, 1), (3,), "axis of length 1"),
        ((4, 4), (4, 1), "broadcast"),
        ((), (5,), "reduce"),
    ],
)
def test_shapes_are_explained(got: tuple[int, ...], want: tuple[int, ...], words: str) -> None:
    with pytest.raises(CheckFailed, match=words):
        tensor_of(torch.zeros(got), want)


@given(numbers)
def test_float32_rounding_passes_and_one_per_mille_does_not(x: float) -> None:
    close(torch.tensor(x), x)
    with pytest.raises(CheckFailed):
        close(1.001 * x, x)


@given(numbers, st.sampled_from([-1.0, 2.0, 0.5, 1 / math.log(2)]))
def test_factors_are_named(x: float, factor: float) -> None:
    words = {-1.0: "opposite sign", 2.0: "twice", 0.5: "half", 1 / math.log(2): "base 2"}[factor]
    with pytest.raises(CheckFailed, match=words):
        close(factor * x, x)


def test_the_mistake_that_gives_the_number_is_the_sentence() -> None:
    mistakes = {"Sum.": 10.0, "Swapped.": (3.0, 4.0)}
    with pytest.raises(CheckFailed, match="Sum"):
        close(10.0, 5.0, mistakes=mistakes)
    with pytest.raises(CheckFailed, match="Swapped"):
        close(4.0, 5.0, mistakes=mistakes)
    close(5.0, 5.0, mistakes=mistakes)
    # A mistake that would give the right answer here explains nothing.
    with pytest.raises(CheckFailed, match="does not agree"):
        close(7.0, 5.0, mistakes={"No mistake.": 5.0})


@pytest.mark.parametrize(
    ("got", "words"),
    [
        ([0.0, 0.0, 0.0], "is zero"),
        ([7.0, 7.0, 7.0], "same number everywhere"),
        ([2.0, 3.0, 5.0], "same amount"),
        ([3.0, 6.0, 12.0], "same factor"),
        ([1.0, 2.0, 9.0], "right for 67 %"),
    ],
)
def test_patterns_in_a_tensor_are_named(got: list[float], words: str) -> None:
    with pytest.raises(CheckFailed, match=words):
        close(torch.tensor(got), torch.tensor([1.0, 2.0, 4.0]))


def test_whole_numbers() -> None:
    same(3, 3)
    same(torch.tensor(3), 3)
    for got, words in ((2.5, "whole number"), (4, "too large"), (2, "too small")):
        with pytest.raises(CheckFailed, match=words):
            same(got, 3)


def test_tuples() -> None:
    assert tuple_of([1, 2], 2) == (1, 2)
    for got, words in ((None, "return missing"), (1.0, "is a float"), ((1,), "yours are 1")):
        with pytest.raises(CheckFailed, match=words):
            tuple_of(got, 2)


def test_conditions_must_be_plain() -> None:
    that(torch.tensor(True), "")
    with pytest.raises(CheckFailed, match="No"):
        that(False, "no")
    with pytest.raises(TypeError, match="AlwaysEqual"):
        that(AlwaysEqual(), "")  # type: ignore[arg-type]


def test_states() -> None:
    state = {"w": torch.zeros(2)}
    unchanged(state, {"w": torch.zeros(2)}, "moved")
    for other in ({"w": torch.ones(2)}, {}, {"w": torch.zeros(2), "b": torch.zeros(1)}):
        with pytest.raises(CheckFailed, match="Moved"):
            unchanged(state, other, "moved")
    with pytest.raises(CheckFailed):
        unchanged({}, {}, "a network without parameters proves nothing")
