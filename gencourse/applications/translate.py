"""Image-to-image translation from pairs (pix2pix; decks B and D)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gencourse._validate import points
from gencourse.applications._paired import PairedModel, PairedSettings
from gencourse.training import History, resident

__all__ = ["Translator", "TranslatorSettings", "edges", "translate"]


def edges(images: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Return drawings of the images' edges: 1 where brightness changes fast, elsewhere -1.

    The change at a pixel is the length of the Sobel gradient, in brightness per pixel, of the
    colour channel that changes most. A drawing says where a shape ends, not what is inside: half
    of the pairs of *edges2cats*, from any images.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        In [-1, 1].
    threshold : float
        Least change that is drawn.

    Returns
    -------
    Tensor of shape (n, 1, height, width)

    Examples
    --------
    >>> import torch
    >>> half = torch.ones(1, 1, 8, 8)
    >>> half[..., :4] = -1
    >>> edges(half)[0, 0, 0].tolist()
    [-1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0]
    """
    points(images, "images")
    if images.ndim != 4:
        raise ValueError(
            f"images must have shape (n, channels, height, width), not {tuple(images.shape)}"
        )
    smooth = images.new_tensor([1.0, 2.0, 1.0]) / 4
    change = images.new_tensor([-1.0, 0.0, 1.0]) / 2
    kernels = torch.stack([torch.outer(smooth, change), torch.outer(change, smooth)])[:, None]
    n, channels, height, width = images.shape
    flat = F.pad(images.reshape(n * channels, 1, height, width), (1, 1, 1, 1), mode="replicate")
    gradient = F.conv2d(flat, kernels).reshape(n, channels, 2, height, width)
    steepest = gradient.square().sum(2).amax(1, keepdim=True).sqrt()
    return torch.where(steepest >= threshold, 1.0, -1.0).to(images)


@dataclass(frozen=True)
class TranslatorSettings(PairedSettings):
    """Hyperparameters of a translation; see :class:`PairedSettings`.

    The pixel loss is light: where many targets fit a source, more of it pulls the answers
    towards their median.
    """

    pixel_weight: float = 0.2
    noise: int = 8
    depth: int = 3
    lr_discriminator: float = 2e-3
    steps: int = 800


class Translator(PairedModel):
    r"""Images of one kind turned into images of another, learned from pairs.

    A U-Net G, a critic of patches that sees source and target together, and a mean absolute
    difference: pix2pix (Isola, Zhu, Zhou & Efros 2017, *Image-to-image translation with
    conditional adversarial networks*). Noise z chooses among the targets that fit; the paper drew
    it by dropout. With ``objective=None`` the absolute difference alone is
    minimised, whose least value is at the median of the targets that fit a source.

    Parameters
    ----------
    source_shape, target_shape : (channels, size, size)
        Of the images to translate from and to; the sizes must agree.
    seed : int
        Seed of the initial weights.
    device : str or torch.device, optional
        Where to compute; by default where :func:`gencourse.device` says.
    **hyperparameters
        See :class:`TranslatorSettings`.
    """

    Settings = TranslatorSettings
    settings: TranslatorSettings

    def fit(
        self,
        source: Tensor,
        target: Tensor,
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: bool = True,
        **loop: Any,
    ) -> History:
        r"""Train on pairs.

        Parameters
        ----------
        source : Tensor of shape (n, \*source_shape)
        target : Tensor of shape (n, \*target_shape)
            Row i is what row i of ``source`` should become.
        steps, seed, progress
            As in :meth:`gencourse.models.GenerativeModel.fit`.
        **loop
            Its other arguments: ``precision``, ``compile``, ``checkpoint``, ``callback``, ….

        Raises
        ------
        ValueError
            If the images have the wrong shapes, are not finite, or differ in number.
        """
        x = resident(source, self.source_shape, self.device, seed)
        y = resident(target, self.target_shape, self.device, seed)
        if len(x) != len(y):
            raise ValueError(f"source and target must be pairs, but are {len(x)} and {len(y)}")
        return self._fit(x, y, steps=steps, seed=seed, progress=progress, **loop)


def translate(
    model: Translator, images: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    r"""Turn images into what the model has learned to make of them.

    Parameters
    ----------
    model : Translator
        Trained.
    images : Tensor of shape (n, \*source_shape)
        In [-1, 1].
    generator : torch.Generator, optional
        Source of the noise that chooses among answers, on any device.

    Returns
    -------
    Tensor of shape (n, \*target_shape)
        In [-1, 1].

    Raises
    ------
    ValueError
        If the images have not the shape of the model's sources.
    """
    return model.generate(images, generator=generator)
