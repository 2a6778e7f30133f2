"""From a wrong number to a sentence that names the mistake which would have given it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["diagnose"]

# Factors worth naming: a half or a two forgotten, logarithms to another base.
_FACTORS = {
    2.0: "twice what it should be: is a factor ½ missing, or a term counted twice?",
    0.5: "half of what it should be: is a factor 2 missing, or a ½ too many?",
    4.0: "four times what it should be.",
    0.25: "a quarter of what it should be.",
    1.4426950408889634: "what it should be with logarithms to base 2: use natural logarithms.",
    0.6931471805599453: "off by the factor log 2.",
}


def diagnose(
    got: Tensor,
    want: Tensor,
    mistakes: Sequence[tuple[str, Tensor]],
    *,
    what: str,
    rtol: float,
    atol: float,
) -> str:
    """Return a sentence on why ``got`` is not ``want``, without giving ``want`` away.

    Parameters
    ----------
    got, want : Tensor
        Wrong and right answer, float64 and of equal shape.
    mistakes : sequence of (str, Tensor)
        Sentences, each with the value that mistake gives; they are tried first, in order.
    what : str
        How the sentence calls the answer.
    rtol, atol : float
        The tolerances under which two answers agree.
    """

    def agree(a: Tensor, b: Tensor) -> bool:
        return torch.allclose(a, b, rtol=rtol, atol=atol)

    for sentence, value in mistakes:
        if value.shape not in (got.shape, torch.Size([])):
            continue
        value = value.expand_as(got)
        # A mistake that gives the right answer here explains nothing.
        if agree(got, value) and not agree(want, value):
            return sentence

    if agree(got, torch.zeros_like(got)):
        return f"{what} is zero."
    if agree(got, -want):
        return f"{what} has the opposite sign."
    for factor, sentence in _FACTORS.items():
        if agree(got, factor * want):
            return f"{what} is {sentence}"
        if agree(got, -factor * want):
            return f"{what} has the opposite sign and is {sentence}"
    if got.numel() > 2:
        if agree(got, got.flatten()[0].expand_as(got)):
            return f"{what} is the same number everywhere, whatever the input."
        offset = got - want
        if agree(offset, offset.flatten()[0].expand_as(offset)):
            return f"{what} is off by the same amount everywhere."
        ratio = got / want
        if torch.isfinite(ratio).all() and agree(ratio, ratio.flatten()[0].expand_as(ratio)):
            return f"{what} is off by the same factor everywhere."
        right = torch.isclose(got, want, rtol=rtol, atol=atol)
        if 0 < int(right.sum()) < got.numel():
            share = 100 * int(right.sum()) / got.numel()
            return f"{what} is right for {share:.0f} % of its entries and wrong for the others."
    return f"{what} does not agree with the definition."
