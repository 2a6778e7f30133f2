"""How good samples are: each metric is one function of samples, in a file of its own.

Metrics take tensors of any floating dtype on any device and accumulate in float64.
Distances that are transport costs live in :mod:`gencourse.transport`.
"""

from __future__ import annotations

from gencourse.metrics.coverage import ModeCoverage, mode_coverage
from gencourse.metrics.parzen import ParzenEstimate, parzen_log_density, parzen_log_likelihood

__all__ = [
    "ModeCoverage",
    "ParzenEstimate",
    "mode_coverage",
    "parzen_log_density",
    "parzen_log_likelihood",
]
