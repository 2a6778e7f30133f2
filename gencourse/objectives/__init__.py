"""Adversarial objectives: each adversarial model of the course is one entry of this table.

An entry says what the critic and the generator minimise. Everything else (networks, batches,
optimisers, averaging) is shared, so that a difference between two models is visible here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gencourse._validate import unknown_name
from gencourse.objectives.base import Objective
from gencourse.objectives.game import GAN, GAN_MINIMAX, value

__all__ = ["GAN", "GAN_MINIMAX", "OBJECTIVES", "Objective", "get", "value"]

#: Every objective by its name, in the order of the course.
OBJECTIVES: Mapping[str, Objective] = MappingProxyType({o.name: o for o in (GAN_MINIMAX, GAN)})


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
