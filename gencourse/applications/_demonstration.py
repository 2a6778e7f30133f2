"""What a demonstration returns: numbers beside the baseline's, and pictures above each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gencourse.data import load
from gencourse.data.base import Dataset, ImageDataset
from gencourse.metrics import digit_probabilities, frechet_distance, glyph_probabilities, psnr, ssim
from gencourse.metrics.features import CONFIDENT, extractor_for, features

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

__all__ = ["Demonstration", "image_set", "judge", "likeness", "seeded", "sharpness"]

PROBABILITIES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "digits": digit_probabilities,
    "glyphs": glyph_probabilities,
}


@dataclass
class Demonstration:
    """An application at work on test images.

    Attributes
    ----------
    title : str
        What is shown.
    caption : str
        What the numbers mean, and which way they are good.
    rows : dict of str to dict of str to float
        For each method its numbers; the baseline comes first.
    pictures : dict of str to Tensor of shape (n, channels, height, width)
        For each method its images, to be shown in a row.
    seconds : float
        Wall time of training.
    """

    title: str
    caption: str
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def numbers(self) -> pandas.DataFrame:
        """The numbers as a table with one row for each method."""
        import pandas

        table = pandas.DataFrame.from_dict(self.rows, orient="index")
        table.index.name = "method"
        return table

    def figure(self) -> Figure:
        """Draw one row of images for each method."""
        from matplotlib.figure import Figure

        from gencourse import plots

        widest = max(len(images) for images in self.pictures.values())
        sheet = Figure(figsize=(8.0, 0.35 + 0.85 * len(self.pictures)), layout="constrained")
        axes = sheet.subplots(len(self.pictures), 1, squeeze=False)[:, 0]
        for ax, (label, images) in zip(axes, self.pictures.items(), strict=True):
            plots.image_grid(images, columns=widest, ax=ax)
            ax.set_title(label, loc="left", fontsize=10)
        return sheet


def image_set(data: str | ImageDataset, *, colour: bool = False) -> ImageDataset:
    """Return the data set, loaded if it was named, in colour where asked.

    Raises
    ------
    KeyError
        If there is no data set of that name.
    ValueError
        If it does not hold images, or they are grey where colour is needed.
    """
    dataset: Dataset = data if isinstance(data, ImageDataset) else _loaded(data, colour)
    if not isinstance(dataset, ImageDataset):
        raise ValueError(f"applications are about images, and {dataset.name!r} holds none")
    if colour and dataset.event_shape[0] != 3:
        raise ValueError(f"{dataset.name!r} holds grey images, and there are no colours to learn")
    return dataset


def _loaded(name: str, colour: bool) -> Dataset:
    """Glyphs come in colour where colour is needed; the other data sets have it or not."""
    return load(name, channels=3) if colour and name == "glyphs" else load(name)


def seeded(seed: int = 0) -> torch.Generator:
    """Return a new generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def judge(images: Tensor, real: Tensor, labels: Tensor | None = None) -> dict[str, float]:
    """Return what the shipped classifier says of images, where there is one for their shape.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
    real : Tensor of shape (m, channels, height, width)
        What they should look like, for the Fréchet distance.
    labels : Tensor of shape (n,), optional
        What they should be.

    Returns
    -------
    dict of str to float
        ``accuracy`` (with labels), ``confidence``, the mean probability of the likeliest class,
        ``recognised``, the share for which it is above 0.9, and ``fid``; empty without a
        classifier.
    """
    kind = extractor_for(images)
    if kind is None or kind not in PROBABILITIES:
        return {}
    p = PROBABILITIES[kind](images)
    found = {}
    if labels is not None:
        found["accuracy"] = (p.argmax(1) == labels).double().mean().item()
    found["confidence"] = p.amax(1).double().mean().item()
    found["recognised"] = (p.amax(1) > CONFIDENT).double().mean().item()
    found["fid"] = frechet_distance(features(images, kind), features(real, kind)).item()
    return found


def likeness(images: Tensor, real: Tensor) -> dict[str, float]:
    """Return the mean PSNR and SSIM of images to what they should be."""
    return {"psnr": psnr(images, real).mean().item(), "ssim": ssim(images, real).mean().item()}


def sharpness(images: Tensor) -> dict[str, float]:
    """Return the mean square difference between neighbouring pixels: blur makes it small."""
    across, down = images.diff(dim=3).square().mean(), images.diff(dim=2).square().mean()
    return {"sharpness": (across + down).item()}
