"""How far apart two laws are, by what their densities say: f-divergences.

The convention of the whole course, in which all of this is written:

    D_f(p ‖ q) = E_q f(p/q),   f convex,

so that p comes first, f = u log u gives KL(p ‖ q), and an argument swapped is another
divergence. Distances that know where the mass lies are in :mod:`gencourse.transport`.
"""

from __future__ import annotations

from gencourse.divergences.base import FDivergence
from gencourse.divergences.density_ratio import DensityRatio, density_ratio, logistic_loss
from gencourse.divergences.estimates import (
    divergence_on_a_line,
    kl_between_samples,
    monte_carlo,
    variational_bound,
)
from gencourse.divergences.gaussian import (
    gaussian_jeffreys,
    gaussian_kl,
    gaussian_renyi,
    gaussian_squared_hellinger,
    gaussian_total_variation,
)
from gencourse.divergences.gradient_flow import flow_velocity, step_weight
from gencourse.divergences.line import Distances, distances, parallel_lines
from gencourse.divergences.nearest import NearestGaussian, nearest_gaussian
from gencourse.divergences.table import F_DIVERGENCES, get

__all__ = [
    "F_DIVERGENCES",
    "DensityRatio",
    "Distances",
    "FDivergence",
    "NearestGaussian",
    "density_ratio",
    "distances",
    "divergence_on_a_line",
    "flow_velocity",
    "gaussian_jeffreys",
    "gaussian_kl",
    "gaussian_renyi",
    "gaussian_squared_hellinger",
    "gaussian_total_variation",
    "get",
    "kl_between_samples",
    "logistic_loss",
    "monte_carlo",
    "nearest_gaussian",
    "parallel_lines",
    "step_weight",
    "variational_bound",
]
