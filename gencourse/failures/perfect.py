r"""The perfect discriminator: with G fixed, D gets everything right, and says nothing (deck C).

Where the supports of data and generator do not meet there is a D* of accuracy 1 with
∇_x D*(x) = 0 on both (theorems 3 and 4 of deck C; Arjovsky & Bottou 2017, theorems 2.1 and 2.2).
This is measured: train D alone, and watch its accuracy and its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas
import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse._validate import positive
from gencourse.failures._draw import curves
from gencourse.failures.pairs import Pair, untrained
from gencourse.objectives import value
from gencourse.training import adam, descend, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["perfect_discriminator", "plot_accuracy", "plot_gradient"]

MEASURED = 1000  # samples of each law that accuracy and gradients are measured on


def perfect_discriminator(
    pair: Pair,
    *,
    steps: int = 500,
    every: int = 25,
    width: int = 64,
    depth: int = 2,
    batch: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
) -> pandas.DataFrame:
    r"""Train a discriminator of two fixed laws by ascending V(D), and measure it on new samples.

    Parameters
    ----------
    pair : Pair
        The laws; see :func:`gencourse.failures.pair`.
    steps : int
        Steps of Adam.
    every : int
        Steps between two measurements.
    width, depth : int
        Hidden units and layers of the discriminator, a fully connected network.
    batch : int
        Samples of each law in a step.
    lr : float
        Learning rate.
    seed : int
        Seed of the weights, and of the samples.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``step``, from 0: ``accuracy`` with the threshold D = ½; ``js``, the lower bound
        (V + log 4) / 2 of the JS divergence, which a perfect discriminator brings to log 2; the
        mean of ‖∇_x D‖, D = σ(s), on real (``gradient_real``) and on fake samples
        (``gradient_fake``); and on the fake ones that of ‖∇_x log(1 - D)‖ (``minimax``) and of
        ‖∇_x log D‖ (``log_d``), the signals that a generator would learn from.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    fresh = torch.Generator().manual_seed(seed + 1)
    real = (pair.held_out or pair.real)(MEASURED, fresh).flatten(1)
    fake = pair.fake(MEASURED, fresh).flatten(1)
    return train_discriminator(
        pair,
        lambda D: _measure(D, real, fake),
        steps=steps,
        every=every,
        width=width,
        depth=depth,
        batch=batch,
        lr=lr,
        seed=seed,
    )


def train_discriminator(
    pair: Pair,
    measure: Callable[[nn.Module], dict[str, float]],
    *,
    steps: int,
    every: int,
    width: int,
    depth: int,
    batch: int,
    lr: float,
    seed: int,
) -> pandas.DataFrame:
    """Train a discriminator of a pair; call ``measure`` on it before, and every few steps.

    Returns
    -------
    pandas.DataFrame
        What ``measure`` returned, indexed by ``step``.
    """
    positive(lr, "lr")
    for name, number in {"batch": batch, "width": width, "depth": depth}.items():
        positive(number, name, integer=True)
    generator = torch.Generator().manual_seed(seed)
    dimension = pair.fake(1, generator).numel()
    D = untrained(lambda: nets.mlp(dimension, 1, width=width, depth=depth), seed)
    optimiser = adam(D, lr)
    rows: list[dict[str, float]] = []

    def step(_: int) -> dict[str, Tensor]:
        x, g = pair.real(batch, generator), pair.fake(batch, generator)
        s_real, s_fake = D(torch.cat([x, g]).flatten(1)).split(batch)
        loss = -value(s_real, s_fake)
        descend(loss, optimiser)
        return {"loss": loss.detach()}

    train(
        step,
        steps=steps,
        generator=generator,
        progress=False,
        callback=lambda i: rows.append({"step": i, **measure(D)}),
        every=every,
    )
    return pandas.DataFrame(rows).set_index("step")


def _measure(D: nn.Module, real: Tensor, fake: Tensor) -> dict[str, float]:
    s_real, slope_real = logits_and_gradients(D, real)
    s_fake, slope_fake = logits_and_gradients(D, fake)
    slope_real, slope_fake = slope_real.norm(dim=1), slope_fake.norm(dim=1)
    right = 0.5 * ((s_real > 0).double().mean() + (s_fake < 0).double().mean())
    # ∇D = D (1 - D) ∇s, with 1 - D = σ(-s), as σ(s) soon is 1 in single precision.
    return {
        "accuracy": right.item(),
        "js": (value(s_real, s_fake).item() + math.log(4)) / 2,
        "gradient_real": (s_real.sigmoid() * (-s_real).sigmoid() * slope_real).mean().item(),
        "gradient_fake": (s_fake.sigmoid() * (-s_fake).sigmoid() * slope_fake).mean().item(),
        "minimax": (s_fake.sigmoid() * slope_fake).mean().item(),
        "log_d": ((-s_fake).sigmoid() * slope_fake).mean().item(),
    }


def logits_and_gradients(D: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits s(x), shape ``(n,)``, and ∇_x s(x), shape ``(n, d)``."""
    x = x.detach().requires_grad_()
    with nets.frozen(D):
        s = D(x)[:, 0]
        (gradient,) = torch.autograd.grad(s.sum(), x)
    return s.detach(), gradient


def plot_accuracy(
    frame: pandas.DataFrame, *, bayes: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the accuracy of :func:`perfect_discriminator`, and the best possible one if given."""
    from gencourse.plots import THEORY

    ax = curves(frame, {"accuracy": "accuracy"}, ax=ax, xlabel="step of $D$", ylabel="accuracy")
    if bayes is not None:
        ax.axhline(bayes, color=THEORY, linestyle=":", linewidth=1.4, label="best possible")
    ax.set_ylim(0.45, 1.02)
    ax.legend()
    return ax


def plot_gradient(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the gradients of :func:`perfect_discriminator` on a logarithmic scale."""
    return curves(
        frame,
        {
            "gradient_real": r"$\|\nabla D\|$ at data",
            "gradient_fake": r"$\|\nabla D\|$ at fakes",
            "minimax": r"$\|\nabla\log(1-D)\|$",
            "log_d": r"$\|\nabla\log D\|$",
        },
        ax=ax,
        xlabel="step of $D$",
        ylabel="mean norm",
        yscale="log",
    )
