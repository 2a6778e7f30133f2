"""Optimal transport: each problem in a file of its own, over the exact solvers of POT and SciPy.

Masses may sit on finitely many points, with a matrix C of costs between them
(:func:`monge`, :func:`kantorovich`, :func:`kantorovich_dual`, :func:`sinkhorn`); be two clouds of
points (:func:`wasserstein`, :func:`wasserstein_1d`, :func:`sliced_wasserstein`,
:func:`kantorovich_rubinstein`, :func:`lipschitz_critic`); be spread over space on one side
(:func:`semi_discrete`) or on both (:func:`gaussian_w2`). Everything is solved in float64.
"""

from __future__ import annotations

from gencourse.transport.assignment import monge
from gencourse.transport.bakeries import Bakeries, paris_bakeries
from gencourse.transport.critic import CriticEstimate, lipschitz_critic
from gencourse.transport.distance import wasserstein
from gencourse.transport.duality import (
    LipschitzFunction,
    kantorovich_dual,
    kantorovich_rubinstein,
)
from gencourse.transport.entropic import sinkhorn
from gencourse.transport.gaussian import gaussian_w2
from gencourse.transport.line import wasserstein_1d
from gencourse.transport.plan import kantorovich
from gencourse.transport.semidiscrete import SemiDiscreteMap, SemiDiscreteSolver, semi_discrete
from gencourse.transport.sliced import sliced_wasserstein

__all__ = [
    "Bakeries",
    "CriticEstimate",
    "LipschitzFunction",
    "SemiDiscreteMap",
    "SemiDiscreteSolver",
    "gaussian_w2",
    "kantorovich",
    "kantorovich_dual",
    "kantorovich_rubinstein",
    "lipschitz_critic",
    "monge",
    "paris_bakeries",
    "semi_discrete",
    "sinkhorn",
    "sliced_wasserstein",
    "wasserstein",
    "wasserstein_1d",
]
