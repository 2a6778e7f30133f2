"""Every adversarial model of the course, one entry each: read down a column to compare them."""

from __future__ import annotations

from functools import partial

import torch

from gencourse.divergences import F_DIVERGENCES
from gencourse.objectives import (
    bounded,
    cramer,
    energy,
    game,
    kernels,
    least_squares,
    stein,
    wasserstein,
)
from gencourse.objectives.base import Objective
from gencourse.objectives.constraints import Clip, SpectralNorm
from gencourse.objectives.penalties import GradientPenalty, one_sided, two_sided
from gencourse.objectives.sobolev import SobolevConstraint
from gencourse.objectives.variational import variational_losses

__all__ = ["TABLE"]

F_GANS = ("kl", "reverse-kl", "pearson", "neyman", "squared-hellinger", "jeffreys", "js", "gan")
UNBOUNDED = ("reverse-kl", "neyman")
# Critics of metrics are trained nearer to their optimum: two steps for each of the generator.
METRIC = {"discriminator_steps": 2}
# On images those of kernels need more steps, and sharper images: where these are moved about as far
# as for other critics, one sample in nine lies between two classes, not one in thirteen.
KERNEL_IMAGES = {"batch": 128, "discriminator_steps": 4, "jitter": 0.05, "steps": 4000}

TABLE = (
    Objective(
        name="gan-minimax",
        title="Generative adversarial net, minimax loss",
        decks="ABCDE",
        paper="Goodfellow et al. 2014",
        critic_loss=game.discriminator_loss,
        generator_loss=game.saturating_loss,
        activation=torch.sigmoid,
    ),
    Objective(
        name="gan",
        title="Generative adversarial net, log-D trick",
        decks="ABCDE",
        paper="Goodfellow et al. 2014",
        critic_loss=game.discriminator_loss,
        generator_loss=game.non_saturating_loss,
        activation=torch.sigmoid,
    ),
    *(
        Objective(
            name=f"fgan-{name}",
            title=f"f-GAN: {F_DIVERGENCES[name].title}",
            decks="ABE",
            paper="Nowozin, Cseke & Tomioka 2016",
            critic_loss=variational_losses(F_DIVERGENCES[name])[0],
            generator_loss=variational_losses(F_DIVERGENCES[name])[1],
            activation=F_DIVERGENCES[name].activation,
            # These two are infinite where fakes have no data around them, and a critic without
            # bounds runs away; one that is Lipschitz measures how far off the fakes are.
            constraint=SpectralNorm if name in UNBOUNDED else None,
            settings={"clip_gradient": 1.0} | ({"bound": 10.0} if name in UNBOUNDED else {}),
            image_settings={"batch": 128},
        )
        for name in F_GANS
    ),
    Objective(
        name="lsgan",
        title="Least-squares GAN",
        decks="CD",
        paper="Mao et al. 2017",
        critic_loss=least_squares.critic_loss,
        generator_loss=least_squares.generator_loss,
        image_settings={"batch": 128},
    ),
    Objective(
        name="ebgan",
        title="Energy-based GAN: an autoencoder as the critic, margin and pull-away term",
        decks="CD",
        paper="Zhao, Mathieu & LeCun 2017",
        critic_loss=energy.reconstruction_loss,
        generator_loss=energy.repelled_reconstruction,
        activation=energy.reconstruction,
        regulariser=energy.Margin,
        critic="autoencoder",
        settings={"weight": 1.0},
        image_settings={"weight": 0.4, "depth": 1},
    ),
    Objective(
        name="began",
        title="Boundary-equilibrium GAN",
        decks="CD",
        paper="Berthelot, Schumm & Metz 2017",
        critic_loss=energy.reconstruction_loss,
        generator_loss=energy.generator_reconstruction,
        activation=energy.reconstruction,
        regulariser=energy.Equilibrium,
        critic="autoencoder",
        settings={"weight": 1e-3},
        # Ten times as fast, k runs to 1 before there are digits, and stays where it cannot learn.
        image_settings={"weight": 0.05, "depth": 1, "lr_generator": 3e-4},
    ),
    Objective(
        name="wgan",
        title="Wasserstein GAN, clipped weights",
        decks="ACDE",
        paper="Arjovsky, Chintala & Bottou 2017",
        critic_loss=wasserstein.critic_loss,
        generator_loss=wasserstein.generator_loss,
        constraint=Clip,
        settings=METRIC | {"beta1": 0.0, "beta2": 0.99, "bound": 0.1},
    ),
    Objective(
        name="wgan-gp",
        title="Wasserstein GAN, two-sided gradient penalty",
        decks="ACDE",
        paper="Gulrajani et al. 2017",
        critic_loss=wasserstein.critic_loss,
        generator_loss=wasserstein.generator_loss,
        regulariser=partial(GradientPenalty, side=two_sided),
        settings=METRIC | {"weight": 0.1},
        image_settings={"steps": 9000},
    ),
    Objective(
        name="wgan-lp",
        title="Wasserstein GAN, one-sided gradient penalty",
        decks="E",
        paper="Petzka, Fischer & Lukovnikov 2018",
        critic_loss=wasserstein.critic_loss,
        generator_loss=wasserstein.generator_loss,
        regulariser=partial(GradientPenalty, side=one_sided),
        settings=METRIC | {"weight": 0.1},
    ),
    Objective(
        name="sngan",
        title="Spectrally normalised GAN, hinge loss",
        decks="AE",
        paper="Miyato et al. 2018",
        critic_loss=wasserstein.hinge_loss,
        generator_loss=wasserstein.generator_loss,
        constraint=SpectralNorm,
        settings=METRIC | {"bound": 10.0},
    ),
    Objective(
        name="mmd-gan",
        title="MMD GAN",
        decks="BE",
        paper="Li et al. 2017; Bińkowski et al. 2018",
        critic_loss=kernels.critic_loss,
        generator_loss=kernels.generator_loss,
        generator_needs=("real",),
        regulariser=kernels.WitnessPenalty,
        critic="features",
        settings=METRIC | {"weight": 0.1, "batch": 128, "steps": 3000},
        image_settings=KERNEL_IMAGES,
    ),
    Objective(
        name="sn-smmd-gan",
        title="Scaled MMD GAN, spectrally normalised",
        decks="A",
        paper="Arbel et al. 2018",
        critic_loss=kernels.scaled_critic_loss,
        generator_loss=kernels.scaled_generator_loss,
        generator_needs=("real",),
        regulariser=kernels.ScaledKernel,
        constraint=SpectralNorm,
        critic="features",
        settings=METRIC | {"weight": 1.0, "bound": 10.0, "steps": 3500},
        image_settings=KERNEL_IMAGES,
    ),
    Objective(
        name="tv-gan",
        title="Total-variation GAN",
        decks="B",
        paper="Gao et al. 2019",
        critic_loss=bounded.critic_loss,
        generator_loss=bounded.generator_loss,
        activation=torch.sigmoid,
    ),
    Objective(
        name="sobolev-gan",
        title="Sobolev GAN",
        decks="B",
        paper="Mroueh et al. 2018",
        critic_loss=wasserstein.critic_loss,
        generator_loss=wasserstein.generator_loss,
        regulariser=SobolevConstraint,
        settings=METRIC | {"weight": 0.01},
    ),
    Objective(
        name="stein-gan",
        title="Stein GAN",
        decks="B",
        paper="Feng, Wang & Liu 2017",
        critic_loss=stein.critic_loss,
        generator_loss=stein.generator_loss,
        generator_needs=("samples",),
        regulariser=stein.DataSlope,
        critic="energy",
        settings={"weight": 0.005, "steps": 5000},
    ),
    Objective(
        name="cramer-gan",
        title="Cramér GAN",
        decks="E",
        paper="Bellemare et al. 2017",
        critic_loss=cramer.critic_loss,
        generator_loss=cramer.generator_loss,
        generator_needs=("real",),
        regulariser=partial(GradientPenalty, witness=cramer.surrogate),
        critic="features",
        settings=METRIC | {"weight": 0.1, "steps": 3500},
        # The fakes are halved: a batch of 64 has only 32 to estimate each distance from.
        image_settings={"batch": 256, "steps": 6000},
    ),
)
