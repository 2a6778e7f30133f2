"""Algorithms that sample: one idea in each file, each a function of plain callables.

A sampler asks for what it needs and no more: a map, a score, a log density, the coefficients of
an equation. It runs in the dtype and on the device of the points it starts from, draws noise
from a generator on any device, and returns the last state, or with ``trajectory=True`` all of
them. Each has a ``…_step`` function that does one step.
"""

from __future__ import annotations

from gencourse.samplers.ais import AnnealedImportance, ais, resample
from gencourse.samplers.ancestral import ancestral, ancestral_step
from gencourse.samplers.annealed import (
    annealed_langevin,
    annealed_langevin_step,
    geometric_sigmas,
)
from gencourse.samplers.hamiltonian import hmc, hmc_step, leapfrog
from gencourse.samplers.langevin import langevin, langevin_step
from gencourse.samplers.metropolis import (
    Chain,
    Position,
    chosen,
    mala,
    mala_step,
    metropolis,
    position,
)
from gencourse.samplers.ode import euler, euler_step, heun, heun_step, rk4, rk4_step
from gencourse.samplers.push import push_forward
from gencourse.samplers.sde import (
    euler_maruyama,
    euler_maruyama_step,
    probability_flow,
    reverse_drift,
)

__all__ = [
    "AnnealedImportance",
    "Chain",
    "Position",
    "ais",
    "ancestral",
    "ancestral_step",
    "annealed_langevin",
    "annealed_langevin_step",
    "chosen",
    "euler",
    "euler_maruyama",
    "euler_maruyama_step",
    "euler_step",
    "geometric_sigmas",
    "heun",
    "heun_step",
    "hmc",
    "hmc_step",
    "langevin",
    "langevin_step",
    "leapfrog",
    "mala",
    "mala_step",
    "metropolis",
    "position",
    "probability_flow",
    "push_forward",
    "resample",
    "reverse_drift",
    "rk4",
    "rk4_step",
]
