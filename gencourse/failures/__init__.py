"""How adversarial training fails, each failure as an experiment that can be measured.

The decks teach what goes wrong: a discriminator that is perfect and says nothing (:func:`pair`,
:func:`perfect_discriminator`, :func:`instance_noise`), gradients that vanish or have no variance
(:func:`vanishing_gradient`, :func:`heavy_tails`, :func:`log_d_gradient`), modes that are lost,
blended or visited in turn (:func:`mode_collapse`, :func:`mode_mixture`, :func:`oscillation`,
:func:`bilinear_game`, :func:`adversarial_coverage`), gradients of samples that are biased
(:func:`bernoulli_losses`), and a minimum and a maximum that do not commute (:func:`game_values`).
What a distance that fails on distant modes is good for, :func:`robust_location` shows. Each
function returns a small result, and each result has a plot that takes ``ax=``.
"""

from __future__ import annotations

from gencourse.failures.bernoulli import (
    bernoulli_descent,
    bernoulli_losses,
    bernoulli_minimisers,
    plot_bernoulli_descent,
    plot_bernoulli_losses,
    plot_bernoulli_minimisers,
)
from gencourse.failures.bilinear import bilinear_game, plot_bilinear_game
from gencourse.failures.collapse import (
    COLLAPSING,
    ModeCollapse,
    mode_collapse,
    plot_mode_collapse,
)
from gencourse.failures.coverage import adversarial_coverage, adversarial_systems, plot_coverage
from gencourse.failures.duality import (
    GameValues,
    discrete_gan_game,
    game_values,
    plot_game_values,
)
from gencourse.failures.heavy_tails import heavy_tails, noisy_gradients, plot_heavy_tails
from gencourse.failures.instance_noise import instance_noise, plot_instance_noise
from gencourse.failures.log_d import (
    LogDGradient,
    log_d_along,
    log_d_gradient,
    plot_log_d_along,
)
from gencourse.failures.mixture import (
    lipschitz_bound,
    mixture_bound,
    mode_mixture,
    plot_mode_mixture,
)
from gencourse.failures.oscillation import (
    Oscillation,
    oscillation,
    plot_distances,
    plot_shares,
)
from gencourse.failures.pairs import PAIRS, Pair, pair
from gencourse.failures.perfect import perfect_discriminator, plot_accuracy, plot_gradient
from gencourse.failures.robust_location import (
    contaminated,
    plot_robust_location,
    robust_location,
)
from gencourse.failures.vanishing import plot_vanishing_gradient, vanishing_gradient

__all__ = [
    "COLLAPSING",
    "PAIRS",
    "GameValues",
    "LogDGradient",
    "ModeCollapse",
    "Oscillation",
    "Pair",
    "adversarial_coverage",
    "adversarial_systems",
    "bernoulli_descent",
    "bernoulli_losses",
    "bernoulli_minimisers",
    "bilinear_game",
    "contaminated",
    "discrete_gan_game",
    "game_values",
    "heavy_tails",
    "instance_noise",
    "lipschitz_bound",
    "log_d_along",
    "log_d_gradient",
    "mixture_bound",
    "mode_collapse",
    "mode_mixture",
    "noisy_gradients",
    "oscillation",
    "pair",
    "perfect_discriminator",
    "plot_accuracy",
    "plot_bernoulli_descent",
    "plot_bernoulli_losses",
    "plot_bernoulli_minimisers",
    "plot_bilinear_game",
    "plot_coverage",
    "plot_distances",
    "plot_game_values",
    "plot_gradient",
    "plot_heavy_tails",
    "plot_instance_noise",
    "plot_log_d_along",
    "plot_mode_collapse",
    "plot_mode_mixture",
    "plot_robust_location",
    "plot_shares",
    "plot_vanishing_gradient",
    "robust_location",
    "vanishing_gradient",
]
