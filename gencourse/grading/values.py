"""Comparisons that look only at values, and say what is wrong in a sentence.

Everything a student's function returns goes through :func:`tensor_of` first, which copies
the numbers into a plain tensor. An object with an ``__eq__`` that is always true, a tensor
subclass with a patched ``allclose``, a NaN: none of them gets past that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gencourse.grading.diagnosis import diagnose
from gencourse.grading.line import kind_of

__all__ = [
    "CheckFailed",
    "close",
    "expectations",
    "same",
    "tensor_of",
    "that",
    "tuple_of",
    "unchanged",
]

_made = 0


class CheckFailed(AssertionError):
    """What is wrong with an answer, in a sentence for the student.

    Attributes
    ----------
    detail : str
        Numbers that explain it; printed by visible checks, withheld by hidden ones.
    """

    def __init__(self, sentence: str, detail: str = "") -> None:
        super().__init__(sentence[:1].upper() + sentence[1:])
        self.detail = detail


def expectations() -> int:
    """Return how many comparisons were made so far; a check that makes none proves nothing."""
    return _made


def _count() -> None:
    global _made
    _made += 1


def _shape_name(shape: Sequence[int]) -> str:
    return "a single number (shape ())" if len(shape) == 0 else f"shape {tuple(shape)}"


def tensor_of(
    got: object,
    shape: Sequence[int] | None = None,
    *,
    what: str = "the result",
    finite: bool = True,
) -> Tensor:
    """Return a plain float64 CPU copy of what a student's function returned.

    Parameters
    ----------
    got : object
        A tensor, a NumPy array or a number.
    shape : sequence of int, optional
        The shape asked for; a plain number has shape ``()``.
    what : str
        How the sentence calls it.
    finite : bool
        Whether NaN and infinity are mistakes.

    Raises
    ------
    CheckFailed
        If it is none of these, has another shape, or is not finite.
    """
    _count()
    plain = _plain(got, what)
    if shape is not None and tuple(plain.shape) != tuple(shape):
        raise CheckFailed(
            f"{what} should be {_shape_name(shape)}, but yours is {_shape_name(plain.shape)}."
            + _shape_hint(tuple(plain.shape), tuple(shape))
        )
    if finite and not bool(torch.isfinite(plain).all()):
        kind = "NaN" if bool(torch.isnan(plain).any()) else "infinity"
        raise CheckFailed(
            f"{what} holds {kind}. Look for a log of zero, an exp that overflows, or 0/0."
        )
    return plain


def _plain(got: object, what: str) -> Tensor:
    if got is None:
        raise CheckFailed(f"{what} is None. Is there a return missing at the end of the function?")
    if isinstance(got, Tensor):
        # Without the subclass's own methods: a tensor that lies about itself is read as it is.
        with torch._C.DisableTorchFunctionSubclass():
            copy = Tensor.detach(got).as_subclass(Tensor)
            if copy.is_complex():
                raise CheckFailed(f"{what} is complex; a real number is asked for.")
            return copy.to(device="cpu", dtype=torch.float64, copy=True)
    if hasattr(got, "__array_interface__") or isinstance(got, bool | int | float):
        try:
            return torch.as_tensor(got, dtype=torch.float64).clone()
        except (TypeError, ValueError, RuntimeError):
            raise CheckFailed(f"{what} can't be read as a tensor of numbers.") from None
    raise CheckFailed(
        f"{what} is a {kind_of(got)}; a tensor (or a number where one is asked) is needed."
    )


def _truth(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value).detach().to("cpu", torch.float64)


def _shape_hint(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    if want == () and len(got) > 0:
        return " Did you forget to average over the batch?"
    if got == () and len(want) > 0:
        return " Did you reduce where one value for each input is asked?"
    if sorted(got) == sorted(want):
        return " The axes are in another order."
    if [n for n in got if n != 1] == [n for n in want if n != 1]:
        return " An axis of length 1 is too many or too few."
    if len(want) == 2 and got == (want[0], want[0]):
        return " A (n, 1) and a (n,) tensor were broadcast to (n, n)."
    return ""


def _numbers(x: Tensor) -> str:
    values = x.flatten().tolist()
    text = ", ".join(f"{v:.5g}" for v in values[:5]) + (", …" if len(values) > 5 else "")
    return text if x.ndim == 0 else f"[{text}]"


def close(
    got: object,
    want: Tensor | float,
    *,
    what: str = "the result",
    rtol: float = 1e-4,
    atol: float = 1e-6,
    mistakes: Mapping[str, Tensor | float | tuple[Tensor | float, ...]] | None = None,
) -> None:
    """Expect ``got`` to have the shape and, up to rounding, the values of ``want``.

    The default tolerances let an answer computed in float32 pass beside a float64 truth.

    Parameters
    ----------
    got : object
        What the student's function returned.
    want : Tensor or float
        The right answer.
    what : str
        How the sentence calls the answer.
    rtol, atol : float
        ``|got - want| <= atol + rtol |want|``, elementwise.
    mistakes : mapping of str to Tensor, float or a tuple of these, optional
        Sentences about plausible mistakes, with what each would give here. When the answer is
        wrong and agrees with one of them, that sentence is what the student reads.

    Raises
    ------
    CheckFailed
        With the sentence for the student.
    """
    truth = _truth(want)
    answer = tensor_of(got, tuple(truth.shape), what=what, finite=False)
    infinite_truth = not bool(torch.isfinite(truth).all())
    if not infinite_truth and not bool(torch.isfinite(answer).all()):
        tensor_of(answer, what=what)
    if torch.allclose(answer, truth, rtol=rtol, atol=atol):
        return
    known = [
        (sentence, _truth(value))
        for sentence, values in (mistakes or {}).items()
        for value in (values if isinstance(values, tuple) else (values,))
    ]
    raise CheckFailed(
        diagnose(answer, truth, known, what=what, rtol=rtol, atol=atol),
        detail=f"yours: {_numbers(answer)}; expected: {_numbers(truth)}",
    )


def same(got: object, want: int, *, what: str = "the result") -> None:
    """Expect a whole number, exactly.

    Raises
    ------
    CheckFailed
        If it is not a whole number or another one.
    """
    answer = float(tensor_of(got, (), what=what))
    if answer != round(answer):
        raise CheckFailed(f"{what} should be a whole number.", detail=f"yours: {answer:.5g}")
    if answer != want:
        much = "too large" if answer > want else "too small"
        raise CheckFailed(f"{what} is {much}.", detail=f"yours: {answer:.0f}; expected: {want}")


def tuple_of(got: object, size: int, *, what: str = "the result") -> tuple[object, ...]:
    """Return what a student's function returned as a tuple of ``size`` values.

    Raises
    ------
    CheckFailed
        If it is no tuple or list of that many.
    """
    _count()
    if not isinstance(got, tuple | list):
        kind = "None (is there a return missing?)" if got is None else f"a {kind_of(got)}"
        raise CheckFailed(f"{what} should be {size} values separated by commas, but is {kind}.")
    if len(got) != size:
        raise CheckFailed(f"{what} should be {size} values, but yours are {len(got)}.")
    return tuple(got)


def that(condition: bool | Tensor, sentence: str, detail: str = "") -> None:
    """Expect ``condition``, computed from plain values; otherwise say ``sentence``.

    Raises
    ------
    CheckFailed
        If the condition is false.
    TypeError
        If the condition is not a plain bool: it must not come from a student's object.
    """
    _count()
    if type(condition) is Tensor and condition.dtype == torch.bool and condition.ndim == 0:
        condition = bool(condition)
    if type(condition) is not bool:
        raise TypeError(f"that() takes a bool, not {type(condition).__name__}")
    if not condition:
        raise CheckFailed(sentence, detail)


def unchanged(before: Mapping[str, Tensor], after: Mapping[str, Tensor], sentence: str) -> None:
    """Expect the state of a network to be bit for bit what it was; otherwise say ``sentence``.

    Raises
    ------
    CheckFailed
        If a tensor differs, is missing or is new.
    """
    equal = before.keys() == after.keys() and all(
        bool(torch.equal(before[name], after[name])) for name in before
    )
    that(equal and len(before) > 0, sentence)
