"""Optimal transport, each problem in a file of its own, over the exact solvers of POT."""

from __future__ import annotations

from gencourse.transport.distance import wasserstein
from gencourse.transport.semidiscrete import SemiDiscreteMap, SemiDiscreteSolver, semi_discrete

__all__ = ["SemiDiscreteMap", "SemiDiscreteSolver", "semi_discrete", "wasserstein"]
