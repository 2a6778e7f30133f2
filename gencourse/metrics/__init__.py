"""How good samples are: each metric is one function of samples, in a file of its own.

Metrics take tensors of any floating dtype on any device and accumulate in float64.
Distances that are transport costs live in :mod:`gencourse.transport`, kernels that models
train with in :mod:`gencourse.metrics.kernels`.
"""

from __future__ import annotations

from gencourse.metrics.bits import bits_per_dimension
from gencourse.metrics.copies import Memorisation, memorisation
from gencourse.metrics.coverage import ModeCoverage, mode_coverage
from gencourse.metrics.discrepancy import energy_distance, kernel_distance, mmd
from gencourse.metrics.elbo import ElboSplit, elbo_split, gaussian_prior_kl
from gencourse.metrics.features import (
    digit_features,
    digit_probabilities,
    features,
    glyph_features,
    glyph_probabilities,
    recognised,
)
from gencourse.metrics.frechet import frechet_distance, frechet_distance_gaussian
from gencourse.metrics.inception import inception_features
from gencourse.metrics.isc import InceptionScore, inception_score
from gencourse.metrics.manifold import PRDC, prdc
from gencourse.metrics.parzen import (
    NoBandwidth,
    ParzenEstimate,
    parzen_log_density,
    parzen_log_likelihood,
)
from gencourse.metrics.similarity import psnr, ssim

__all__ = [
    "PRDC",
    "ElboSplit",
    "InceptionScore",
    "Memorisation",
    "ModeCoverage",
    "NoBandwidth",
    "ParzenEstimate",
    "bits_per_dimension",
    "digit_features",
    "digit_probabilities",
    "elbo_split",
    "energy_distance",
    "features",
    "frechet_distance",
    "frechet_distance_gaussian",
    "gaussian_prior_kl",
    "glyph_features",
    "glyph_probabilities",
    "inception_features",
    "inception_score",
    "kernel_distance",
    "memorisation",
    "mmd",
    "mode_coverage",
    "parzen_log_density",
    "parzen_log_likelihood",
    "prdc",
    "psnr",
    "recognised",
    "ssim",
]
