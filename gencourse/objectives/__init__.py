"""Adversarial objectives: each adversarial model of the course is one entry of a table.

An entry says what the critic and the generator minimise, what is added to the critic's loss,
and what its network may be. Everything else (batches, optimisers, averaging) is shared, so that
a difference between two models is visible in :mod:`gencourse.objectives.table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gencourse._validate import unknown_name
from gencourse.objectives.base import Constraint, Objective, Regulariser, Turn
from gencourse.objectives.game import value
from gencourse.objectives.table import TABLE
from gencourse.objectives.variational import variational_bound

__all__ = [
    "GAN",
    "GAN_MINIMAX",
    "OBJECTIVES",
    "Constraint",
    "Objective",
    "Regulariser",
    "Turn",
    "get",
    "value",
    "variational_bound",
]

#: Every objective by its name, in the order of the course.
OBJECTIVES: Mapping[str, Objective] = MappingProxyType({o.name: o for o in TABLE})
#: The minimax game as written, whose generator descends log(1 - D(G(z))).
GAN_MINIMAX = OBJECTIVES["gan-minimax"]
#: The game with the log-D trick, whose generator descends -log D(G(z)).
GAN = OBJECTIVES["gan"]


def get(name: str) -> Objective:
    """Return the objective of this name.

    Raises
    ------
    KeyError
        If there is none; the message suggests the nearest names.
    """
    if not isinstance(name, str) or name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    return OBJECTIVES[name]
