"""Normalising flows: invertible transforms whose change of volume is known.

Every transform maps data x to noise z and back,

    z, log_det = f(x)            log_det = log|det ∂z/∂x|
    x, log_det = f.inverse(z)    log_det = log|det ∂x/∂z|

so that log p(x) = log q(f(x)) + log|det ∂f/∂x| is the density of x = f⁻¹(z) with z ~ q, mostly
N(0, I); :func:`log_density` says just that. Transforms are put together by :class:`Compose`, and
act on points of shape (n, d) or on images (n, channels, height, width).
"""

from __future__ import annotations

from gencourse.flows.architectures import iaf, maf, nice, realnvp
from gencourse.flows.autoregressive import MaskedAffine
from gencourse.flows.base import Inverse, Transform, log_density, standard_normal_log_density
from gencourse.flows.compose import Compose
from gencourse.flows.coupling import AdditiveCoupling, AffineCoupling, bounded
from gencourse.flows.density import Base, DiagonalMixture, FlowDensity, StandardNormal
from gencourse.flows.elementwise import DiagonalScaling, Logit, Standardise
from gencourse.flows.images import CheckerboardCoupling, OnHalf, Squeeze, checkerboard
from gencourse.flows.permutation import Permutation, Reverse

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "Base",
    "CheckerboardCoupling",
    "Compose",
    "DiagonalMixture",
    "DiagonalScaling",
    "FlowDensity",
    "Inverse",
    "Logit",
    "MaskedAffine",
    "OnHalf",
    "Permutation",
    "Reverse",
    "Squeeze",
    "StandardNormal",
    "Standardise",
    "Transform",
    "bounded",
    "checkerboard",
    "iaf",
    "log_density",
    "maf",
    "nice",
    "realnvp",
    "standard_normal_log_density",
]
