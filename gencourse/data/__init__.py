"""The data sets of the course: points in the plane whose truth is known, and images.

``names()`` lists them and ``load(name)`` returns one. The toys, ``digits`` and ``glyphs``
need no network; the rest are downloaded once, through torchvision.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from gencourse._validate import unknown_name
from gencourse.data.base import Dataset, ImageDataset
from gencourse.data.digits import digits
from gencourse.data.downloads import DownloadError, celeba, cifar10, fashion_mnist, mnist
from gencourse.data.glyphs import glyphs
from gencourse.data.images import LabelledImages
from gencourse.data.quantisation import dequantise, grey_level
from gencourse.data.toys import (
    Checkerboard,
    Circles,
    Gaussian,
    GaussianMixture,
    NoisyCurve,
    ParallelLine,
    Pinwheel,
    checkerboard,
    circles,
    gaussian,
    grid25,
    moons,
    parallel_lines,
    pinwheel,
    ring8,
    swiss_roll,
    two_gaussians,
)

__all__ = [
    "Checkerboard",
    "Circles",
    "Dataset",
    "DownloadError",
    "Gaussian",
    "GaussianMixture",
    "ImageDataset",
    "LabelledImages",
    "NoisyCurve",
    "ParallelLine",
    "Pinwheel",
    "dequantise",
    "grey_level",
    "load",
    "names",
]

# Each data set is the function of that name; its keyword arguments are the options.
_LOADERS: Mapping[str, Callable[..., Dataset]] = MappingProxyType(
    {
        loader.__name__: loader
        for loader in (
            ring8,
            grid25,
            two_gaussians,
            gaussian,
            swiss_roll,
            moons,
            circles,
            pinwheel,
            checkerboard,
            parallel_lines,
            digits,
            glyphs,
            mnist,
            fashion_mnist,
            cifar10,
            celeba,
        )
    }
)


def names() -> list[str]:
    """Return the names of all data sets, in the order of the course.

    Examples
    --------
    >>> import gencourse
    >>> gencourse.data.names()[:3]
    ['ring8', 'grid25', 'two_gaussians']
    """
    return list(_LOADERS)


def load(name: str, **options: Any) -> Dataset:
    """Return a data set by name.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    **options
        What that data set can vary, such as ``std=0.05`` for ``"ring8"`` or ``size=32``
        for ``"glyphs"``: the arguments of the function of that name.

    Raises
    ------
    KeyError
        If there is no such data set; the message suggests the nearest names.
    TypeError
        If the data set has no such option; the message lists those it has.
    ValueError
        If an option has a value that makes no sense.
    DownloadError
        If the data are neither in the cache nor reachable.

    Examples
    --------
    >>> import gencourse
    >>> data = gencourse.data.load("ring8", std=0.05)
    >>> data.sample(100).shape
    torch.Size([100, 2])
    """
    if name not in _LOADERS:
        raise unknown_name("data set", name, _LOADERS)
    loader = _LOADERS[name]
    known = inspect.signature(loader).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        has = ", ".join(f"{p.name}={p.default!r}" for p in known.values())
        raise TypeError(
            f"data set {name!r} has no option {', '.join(map(repr, unknown))}; "
            + (f"its options are {has}" if has else "it has none")
        )
    return loader(**options)
