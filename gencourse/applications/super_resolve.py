"""Super-resolution: a large image from a small one (SRGAN; deck B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse import nets
from gencourse._validate import points, positive
from gencourse.applications._paired import PairedModel, PairedSettings
from gencourse.data.base import Dataset
from gencourse.training import History, resident

__all__ = ["SuperResolver", "bicubic", "shrink", "super_resolve"]


def shrink(images: Tensor, factor: int) -> Tensor:
    """Return small images whose pixels are the means of squares of ``factor²`` pixels.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
    factor : int
        By which height and width must be divisible.

    Raises
    ------
    ValueError
        If the images are not images, or the factor does not divide their height and width.
    """
    points(images, "images")
    positive(factor, "factor", integer=True)
    if images.ndim != 4 or any(side % factor for side in images.shape[2:]):
        raise ValueError(
            f"images of shape {tuple(images.shape)} cannot be made {factor} times smaller; their "
            "height and width must be divisible by it"
        )
    return F.avg_pool2d(images, factor)


def bicubic(images: Tensor, factor: int) -> Tensor:
    """Enlarge by cubic interpolation, clipped to [-1, 1]: the baseline that learns nothing."""
    points(images, "images")
    positive(factor, "factor", integer=True)
    return F.interpolate(images, scale_factor=float(factor), mode="bicubic").clamp(-1, 1)


@dataclass(frozen=True)
class SuperResolverSettings(PairedSettings):
    """Hyperparameters of super-resolution; the others are those of ``PairedSettings``.

    Attributes
    ----------
    factor : int
        How many times as high and wide the images become: 2, 4, 8, …
    """

    factor: int = 4
    pixel: str = "l2"
    depth: int = 3
    steps: int = 800


class SuperResolver(PairedModel):
    r"""A small image enlarged by a network G, which plays against a critic of patches.

    Many large images shrink to the same small one. The least square error chooses their mean,
    which is blurred; the game asks for one of them (Ledig et al. 2017, *Photo-realistic
    single image super-resolution using a generative adversarial network*). With
    ``objective=None`` the same network learns by least squares alone: the SRResNet of the
    paper, best in PSNR.

    Parameters
    ----------
    event_shape : (channels, height, width)
        Of the large images.
    seed : int
        Seed of the initial weights.
    device : str or torch.device, optional
        Where to compute; by default where :func:`gencourse.device` says.
    **hyperparameters
        See :class:`SuperResolverSettings`.

    Raises
    ------
    ValueError
        If a hyperparameter is unknown or out of range, or the factor does not divide the images.
    """

    Settings = SuperResolverSettings
    settings: SuperResolverSettings

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        **hyperparameters: Any,
    ) -> None:
        factor = hyperparameters.get("factor", SuperResolverSettings.factor)
        small = tuple(shrink(torch.zeros(1, *event_shape), factor).shape[1:])
        super().__init__(small, event_shape, seed=seed, device=device, **hyperparameters)

    def _generator(self) -> nn.Module:
        s = self.settings
        channels = self.source_shape[0]
        return nets.Upscaler(channels, s.factor, width=s.width, depth=s.depth)

    def _made(self, generator: nn.Module, x: Tensor, z: Tensor) -> Tensor:
        return generator(x)

    def fit(
        self,
        data: Dataset | Tensor,
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: bool = True,
        **loop: Any,
    ) -> History:
        """Train on large images, which are shrunk to make the small ones.

        Parameters
        ----------
        data : Dataset or Tensor of shape (n, channels, height, width)
            Large images; of a data set, its training images.
        steps, seed, progress
            As in :meth:`gencourse.models.GenerativeModel.fit`.
        **loop
            Its other arguments: ``precision``, ``compile``, ``checkpoint``, ``callback``, ….
        """
        y = resident(data, self.target_shape, self.device, seed)
        x = shrink(y, self.settings.factor)
        return self._fit(x, y, steps=steps, seed=seed, progress=progress, **loop)


def super_resolve(model: SuperResolver, images: Tensor) -> Tensor:
    """Enlarge images.

    Parameters
    ----------
    model : SuperResolver
        Trained.
    images : Tensor of shape (n, channels, height, width)
        Small ones, in [-1, 1].

    Returns
    -------
    Tensor of shape (n, channels, factor·height, factor·width)
        In [-1, 1].

    Raises
    ------
    ValueError
        If the images have not the shape that the model enlarges.
    """
    return model.generate(images)
