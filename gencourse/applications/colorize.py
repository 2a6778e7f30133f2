"""Colour for grey images: one colouring, or many (deck A)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gencourse._validate import points, positive
from gencourse.applications._paired import PairedModel, PairedSettings
from gencourse.data.base import Dataset
from gencourse.training import History, resident

__all__ = ["Colorizer", "chroma", "colorize", "grey"]

#: Brightness of red, green and blue (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)


def grey(images: Tensor) -> Tensor:
    """Return the brightness of colour images, 0.299 R + 0.587 G + 0.114 B, in [-1, 1].

    Parameters
    ----------
    images : Tensor of shape (n, 3, height, width)

    Returns
    -------
    Tensor of shape (n, 1, height, width)

    Raises
    ------
    ValueError
        If the images have not three channels.

    Examples
    --------
    >>> import torch
    >>> green = torch.tensor([-1.0, 1.0, -1.0]).reshape(1, 3, 1, 1)
    >>> round(grey(green).item(), 3)
    0.174
    """
    points(images, "images")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images must be in colour, of shape (n, 3, height, width), not {tuple(images.shape)}"
        )
    return torch.einsum("nchw,c->nhw", images, images.new_tensor(LUMA))[:, None]


def chroma(images: Tensor) -> Tensor:
    """Return what is left of colours without their brightness, images - grey(images)."""
    return images - grey(images)


@dataclass(frozen=True)
class ColorizerSettings(PairedSettings):
    """Hyperparameters of colouring; see ``PairedSettings``."""

    pixel: str = "l2"
    pixel_weight: float = 0.0
    noise: int = 8
    steps: int = 800


class Colorizer(PairedModel):
    r"""Colours G(x, z) for a grey image x, a different colouring for each z.

    A grey image does not tell its colours; deck A quotes Lanczos: *a lack of information cannot be
    remedied by any mathematical trickery*. The least square error paints the mean of all
    colours that are possible, which is pale and always the same. The game with a critic of grey and
    colour together asks for colours that do occur, and z chooses among them.

    What is known is kept: G only chooses colours, whose brightness is then made that of x.

    Parameters
    ----------
    event_shape : (3, size, size)
        Of the coloured images.
    seed : int
        Seed of the initial weights.
    device : str or torch.device, optional
        Where to compute; by default where :func:`gencourse.device` says.
    **hyperparameters
        See :class:`gencourse.applications.PairedSettings`; ``objective=None`` with
        ``pixel_weight=1`` and ``noise=0`` is the network that learns by least squares.

    Raises
    ------
    ValueError
        If a hyperparameter is unknown or out of range, or the images are not in colour.
    """

    Settings = ColorizerSettings
    settings: ColorizerSettings

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        seed: int = 0,
        device: str | torch.device | None = None,
        **hyperparameters: Any,
    ) -> None:
        if len(event_shape) != 3 or event_shape[0] != 3:
            raise ValueError(f"images must be in colour, (3, size, size), not {event_shape}")
        source = (1, *event_shape[1:])
        super().__init__(source, event_shape, seed=seed, device=device, **hyperparameters)

    def _made(self, generator: nn.Module, x: Tensor, z: Tensor) -> Tensor:
        return x + chroma(super()._made(generator, x, z))

    def fit(
        self,
        data: Dataset | Tensor,
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: bool = True,
        **loop: Any,
    ) -> History:
        """Train on colour images, of which the grey ones are made.

        Parameters
        ----------
        data : Dataset or Tensor of shape (n, 3, size, size)
            Colour images; of a data set, its training images.
        steps, seed, progress
            As in :meth:`gencourse.models.GenerativeModel.fit`.
        **loop
            Its other arguments: ``precision``, ``compile``, ``checkpoint``, ``callback``, ….
        """
        y = resident(data, self.target_shape, self.device, seed)
        return self._fit(grey(y), y, steps=steps, seed=seed, progress=progress, **loop)


def colorize(
    model: Colorizer,
    images: Tensor,
    *,
    colourings: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Colour grey images, each several times.

    Parameters
    ----------
    model : Colorizer
        Trained.
    images : Tensor of shape (n, 1, size, size)
        In [-1, 1].
    colourings : int
        How many for each image.
    generator : torch.Generator, optional
        Source of the choice between colours, on any device.

    Returns
    -------
    Tensor of shape (n, colourings, 3, size, size)
        In [-1, 1]; their brightness is that of ``images`` wherever colours did not have to
        be clipped.

    Raises
    ------
    ValueError
        If the images have not the shape that the model colours.
    """
    points(images, "images", model.source_shape)
    positive(colourings, "colourings", integer=True)
    coloured = model.generate(images.repeat_interleave(colourings, dim=0), generator=generator)
    return coloured.reshape(len(images), colourings, *model.target_shape)
