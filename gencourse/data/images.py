"""Labelled images held in memory, one byte or one float per pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gencourse._validate import positive, unknown_name
from gencourse.data.base import ImageDataset

__all__ = ["LabelledImages"]


class LabelledImages(ImageDataset):
    """Images and labels of each split, as tensors.

    Parameters
    ----------
    name : str
        The name the data set is loaded under.
    splits : mapping of str to (images, labels)
        ``"train"`` and ``"test"``. Images have shape ``(n, channels, height, width)``:
        bytes from 0 to 255, or float32 already in [-1, 1]. Bytes stay bytes in memory and
        become floats when asked for, which is what lets CelebA fit. Labels have shape
        ``(n,)``.
    classes : sequence of str
        What the labels 0, 1, ... mean.

    Raises
    ------
    ValueError
        If a split is missing, images and labels differ in number, sizes differ between the
        splits, or a label has no class.
    """

    def __init__(
        self, name: str, splits: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str]
    ) -> None:
        self.name = name
        self.classes = tuple(classes)
        self._splits: dict[str, tuple[Tensor, Tensor]] = {}
        for split in ("train", "test"):
            if split not in splits:
                raise ValueError(f"{name}: the {split!r} split is missing")
            images, labels = splits[split]
            if images.ndim != 4 or images.dtype not in (torch.uint8, torch.float32):
                raise ValueError(
                    f"{name}: images must have shape (n, channels, height, width) and dtype "
                    f"uint8 or float32, not {tuple(images.shape)} and {images.dtype}"
                )
            if images.dtype == torch.float32 and not (images.abs() <= 1).all():
                raise ValueError(f"{name}: float images must lie in [-1, 1]")
            if tuple(labels.shape) != (len(images),):
                raise ValueError(
                    f"{name}: {len(images)} {split} images, but labels of shape "
                    f"{tuple(labels.shape)}"
                )
            labels = labels.long()
            if len(labels) and not (0 <= int(labels.min()) <= int(labels.max()) < len(classes)):
                raise ValueError(f"{name}: labels must lie in 0 … {len(classes) - 1}")
            self._splits[split] = (images, labels)
        shapes = {tuple(images.shape[1:]) for images, _ in self._splits.values()}
        if len(shapes) != 1:
            raise ValueError(f"{name}: the splits hold images of different shapes: {shapes}")
        self.event_shape = shapes.pop()

    def _split(self, split: str) -> tuple[Tensor, Tensor]:
        if split not in self._splits:
            raise unknown_name("split", split, self._splits)
        return self._splits[split]

    def images(self, split: str = "train") -> Tensor:
        """Return a copy of the images of a split, float32 in [-1, 1], on the CPU."""
        return _to_float(self._split(split)[0])

    def labels(self, split: str = "train") -> Tensor:
        """Return a copy of the class of each image of a split, shape ``(n,)``, int64."""
        return self._split(split)[1].clone()

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        device: str | torch.device | None = None,
    ) -> Tensor:
        """Draw ``n`` training images with replacement; only those become floats."""
        positive(n, "n", integer=True)
        images, _ = self._splits["train"]
        where = generator.device if generator is not None else torch.device("cpu")
        index = torch.randint(len(images), (n,), generator=generator, device=where)
        return _to_float(images[index.cpu()]).to(device or where)


def _to_float(images: Tensor) -> Tensor:
    """Map bytes 0 … 255 onto [-1, 1]; floats are copied, so that callers may write to them."""
    if images.dtype == torch.uint8:
        return images.float().div_(127.5).sub_(1.0)
    return images.clone()
