"""What every table needs: a data set of images, by name or as it is."""

from __future__ import annotations

from gencourse.data import load
from gencourse.data.base import ImageDataset

__all__ = ["image_data"]


def image_data(data: str | ImageDataset) -> ImageDataset:
    """Return the data set, or raise ``ValueError`` if it has no images."""
    dataset = load(data) if isinstance(data, str) else data
    if not isinstance(dataset, ImageDataset):
        name = getattr(dataset, "name", dataset)
        raise ValueError(f"this table is about images, and data set {name!r} has none")
    return dataset
