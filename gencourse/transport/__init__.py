"""Optimal transport, each problem in a file of its own, over the exact solvers of POT."""

from __future__ import annotations

from gencourse.transport.distance import wasserstein

__all__ = ["wasserstein"]
