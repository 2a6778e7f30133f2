"""The bakeries of Paris: the worked example of deck E as data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Bakeries", "paris_bakeries"]


@dataclass(frozen=True)
class Bakeries:
    """Six bakeries x₁ … x₆ that deliver to six cafés y₁ … y₆.

    Attributes
    ----------
    minutes : Tensor of shape (6, 6)
        C, the time from each bakery (row) to each café (column).
    baked : Tensor of shape (6,)
        p, the loaves that each bakery has.
    wanted : Tensor of shape (6,)
        q, the loaves that each café wants; as many in all.
    slide : Tensor of shape (6,), int64
        The assignment on the slide, from bakery to café counted from 0. It takes 65 minutes
        and is called optimal there; the best takes 64.
    slide_plan : Tensor of shape (6, 6)
        The plan P on the slide, in loaves: it is optimal, at 1070 minutes times loaves.
    """

    minutes: Tensor
    baked: Tensor
    wanted: Tensor
    slide: Tensor
    slide_plan: Tensor


def paris_bakeries() -> Bakeries:
    """Return the bakeries and cafés of deck E, in float64.

    Examples
    --------
    >>> from gencourse.transport import kantorovich, monge
    >>> paris = paris_bakeries()
    >>> permutation, minutes = monge(paris.minutes)
    >>> permutation.add(1).tolist(), minutes.item()
    ([5, 6, 2, 1, 3, 4], 64.0)
    >>> plan, cost = kantorovich(paris.baked, paris.wanted, paris.minutes)
    >>> cost.item()
    1070.0
    """

    def table(*rows: list[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float64)

    minutes = table(
        [12, 10, 31, 27, 10, 30],
        [22, 7, 25, 15, 11, 14],
        [19, 7, 19, 10, 15, 15],
        [10, 6, 21, 19, 14, 24],
        [15, 23, 14, 24, 31, 34],
        [35, 26, 16, 9, 34, 15],
    )
    slide_plan = table(
        [1, 7, 0, 0, 16, 0],
        [0, 0, 0, 0, 0, 9],
        [0, 0, 0, 0, 0, 3],
        [0, 16, 0, 0, 0, 0],
        [2, 0, 18, 1, 0, 0],
        [0, 0, 0, 25, 0, 2],
    )
    return Bakeries(
        minutes=minutes,
        baked=table([24, 9, 3, 16, 21, 27])[0],
        wanted=table([3, 23, 18, 26, 16, 14])[0],
        slide=torch.tensor([4, 1, 5, 0, 2, 3]),
        slide_plan=slide_plan,
    )
