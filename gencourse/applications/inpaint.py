"""Inpainting: what is hidden of an image, drawn by a model that has learned whole ones (deck A)."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor

from gencourse import samplers
from gencourse._validate import points, positive
from gencourse.models.base import GenerativeModel
from gencourse.models.ddpm import DiffusionModel
from gencourse.models.ncsn import ScoreNetwork
from gencourse.models.schrodinger_bridge import SchrodingerBridge

__all__ = ["harmonic_fill", "inpaint", "mean_fill"]


@torch.no_grad()
def inpaint(
    model: GenerativeModel,
    images: Tensor,
    known: Tensor,
    *,
    resamplings: int = 5,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Draw the hidden pixels of images given the known ones; known pixels stay as they are.

    The model's own sampler runs from noise to image. After each of its steps the known pixels
    are replaced by the true ones with as much noise added as the rest has left, so that the
    hidden pixels grow to fit them. In one pass through the noise levels the hidden pixels
    fit only what was known at higher noise; so each level of ``ddpm`` is visited ``resamplings``
    times, with noise added again in between (Lugmayr et al. 2022, *RePaint*, algorithm 1). The
    Langevin steps of ``ncsn`` stay at each level by themselves (Song & Ermon 2019, algorithm 2).
    The bridge's second stage keeps one noise for the known pixels (deck A), and each further
    pass starts from the last one's result under new noise.

    Parameters
    ----------
    model : GenerativeModel
        A trained ``ddpm``, ``ncsn`` or ``schrodinger-bridge`` of images.
    images : Tensor of shape (n, \*event_shape)
        In [-1, 1]; hidden pixels may hold anything finite.
    known : bool Tensor that broadcasts to the shape of ``images``
        Which pixels are known.
    resamplings : int
        Visits of each noise level, or passes of the bridge.
    generator : torch.Generator, optional
        Source of randomness, on any device.

    Returns
    -------
    Tensor of shape (n, \*event_shape)
        In [-1, 1], of the dtype and on the device of ``images``; another draw completes the
        images in another way.

    Raises
    ------
    ValueError
        If the model has no sampler that goes through noise levels, or the images or the mask do
        not fit.
    """
    points(images, "images", model.event_shape)
    positive(resamplings, "resamplings", integer=True)
    mask = _mask(known, images)
    x = images.to(device=model.device, dtype=torch.float32)
    drawn = _draw(model, x, mask.to(model.device), resamplings, generator)
    # Rounding in the last step, or an image already on its grey levels, must not touch a pixel.
    return torch.where(mask, images, drawn.clamp(-1, 1).to(images))


def _mask(known: Tensor, images: Tensor) -> Tensor:
    if not isinstance(known, Tensor) or known.dtype != torch.bool:
        raise ValueError("known must be a boolean tensor, true where a pixel is known")
    try:
        return known.to(images.device).expand(images.shape)
    except RuntimeError:
        raise ValueError(
            f"known, of shape {tuple(known.shape)}, must broadcast to the images' shape "
            f"{tuple(images.shape)}"
        ) from None


@singledispatch
def _draw(model: Any, x: Tensor, known: Tensor, resamplings: int, generator: Any) -> Tensor:
    """Run the model's sampler with the known pixels held fast at each noise level."""
    raise ValueError(
        f"{model.system.slug!r} does not draw from noise level to noise level; use 'ddpm' or 'ncsn'"
    )


@_draw.register
def _(model: DiffusionModel, x: Tensor, known: Tensor, resamplings: int, generator: Any) -> Tensor:
    T = model.settings.T
    drawn = model.centre + model.scale * model.noise(*x.shape, generator=generator)
    for t in range(T, 0, -1):
        a, b = model.alpha_bar[t], model.alpha_bar[t - 1]
        time = torch.full((len(x),), t - 1, device=x.device)
        for visit in range(resamplings):
            noise = model.noise(*x.shape, generator=generator)
            drawn = samplers.ancestral_step(model.kernel, drawn, t, t - 1, generator=generator)
            drawn = torch.where(known, model.noised(x, time, noise), drawn)
            if visit < resamplings - 1:
                # Back up: x_t given x_{t-1} has the noise of one step, 1 - ᾱ_t / ᾱ_{t-1}.
                noise = model.noise(*x.shape, generator=generator)
                signal = (a / b).sqrt() * (drawn - model.centre)
                drawn = model.centre + signal + (1 - a / b).sqrt() * model.scale * noise
    return drawn


@_draw.register
def _(model: ScoreNetwork, x: Tensor, known: Tensor, resamplings: int, generator: Any) -> Tensor:
    spread = (model.scale.square() + model.sigmas[0].square()).sqrt()
    drawn = model.centre + spread * model.noise(*x.shape, generator=generator)
    for sigma in model.sigmas:
        α = model.settings.langevin_step * sigma.square()
        for _ in range(model.settings.langevin_steps):
            noisy = x + sigma * model.noise(*x.shape, generator=generator)
            drawn = torch.where(known, noisy, drawn)
            drawn = samplers.annealed_langevin_step(
                model._score, drawn, sigma, α, generator=generator
            )
    # The mean of the image given its noisy version (Tweedie's formula).
    drawn = torch.where(known, x, drawn)
    return drawn + sigma.square() * model._score(drawn, sigma)


@_draw.register
def _(
    model: SchrodingerBridge, x: Tensor, known: Tensor, resamplings: int, generator: Any
) -> Tensor:
    """Run the second stage, from the known pixels and the data's mean, always with one noise."""
    drawn = torch.where(known, x, model.start)
    for _ in range(resamplings):
        noisy = drawn + model.sigma * model.noise(*x.shape, generator=generator)
        drawn = model.denoise(noisy, known=x, mask=known, generator=generator)
    return drawn


# ------------------------------------------------------------------ what learns nothing


def mean_fill(images: Tensor, known: Tensor, train: Tensor) -> Tensor:
    """Fill hidden pixels with their means over the training images ``train``."""
    return torch.where(_mask(known, images), images, train.mean(0).to(images))


def harmonic_fill(images: Tensor, known: Tensor, *, sweeps: int = 500) -> Tensor:
    r"""Fill hidden pixels smoothly: each becomes the mean of its neighbours.

    The solution of Laplace's equation Δu = 0 in the hidden part, with the known pixels as
    boundary values and no flow across the image's border, by Jacobi's iteration: the usual
    fill of small scratches, which knows nothing of what images show.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
    known : bool Tensor that broadcasts to the shape of ``images``
    sweeps : int
        Iterations.
    """
    mask = _mask(known, images)
    positive(sweeps, "sweeps", integer=True)
    u = torch.where(mask, images, images.new_zeros(()))
    for _ in range(sweeps):
        padded = torch.nn.functional.pad(u, (1, 1, 1, 1), mode="replicate")
        up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
        left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
        u = torch.where(mask, images, (up + down + left + right) / 4)
    return u
