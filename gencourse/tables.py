"""Tables of the lectures measured again, with the published numbers beside ours.

``TABLES`` holds each as a function that trains what it needs and returns a data frame, whose
columns ``paper_…`` hold what was published, NaN where nothing was. ``frame.attrs`` has the
``title`` and a ``caption`` that says how ours and theirs were measured. Ours come from images
that ship with the course, so they differ from those of MNIST in size and number;
``data="mnist"`` repeats the published protocol on the data of the papers, where they can be
downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

import gencourse
from gencourse._validate import positive
from gencourse.data.base import ImageDataset
from gencourse.metrics import parzen_log_likelihood
from gencourse.models.vae import VariationalAutoencoder, binarise

if TYPE_CHECKING:
    import pandas

__all__ = ["F_GAN", "HOFFMAN_JOHNSON", "TABLES", "parzen", "vae_split"]

#: ELBO, average KL, mutual information and marginal KL on MNIST for VAEs of so many latent
#: dimensions (Hoffman & Johnson 2016, *ELBO surgery*; deck C).
HOFFMAN_JOHNSON: Mapping[int, tuple[float, float, float, float]] = MappingProxyType(
    {
        2: (-129.63, 7.41, 7.20, 0.21),
        10: (-88.95, 19.17, 10.82, 8.35),
        20: (-87.45, 20.2, 10.67, 9.53),
    }
)

#: Parzen log-likelihood of MNIST test images and its standard error, by system; ``"data"`` are
#: the training images themselves (Nowozin, Cseke & Tomioka 2016, *f-GAN*, table 4; deck E).
F_GAN: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "fgan-kl": (416, 5.62),
        "fgan-reverse-kl": (319, 8.36),
        "fgan-pearson": (429, 5.53),
        "fgan-neyman": (300, 8.33),
        "fgan-squared-hellinger": (-708, 18.1),
        "fgan-jeffreys": (-2101, 29.9),
        "fgan-js": (367, 8.19),
        "fgan-gan": (305, 8.97),
        "vae": (445, 5.36),
        "data": (502, 5.99),
    }
)


def vae_split(
    data: str = "digits",
    latents: Sequence[int] = (2, 10, 20),
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> pandas.DataFrame:
    """Take the ELBO of VAEs of several latent dimensions apart: the table of deck C.

    Each is trained with a Bernoulli likelihood on images that are binarised afresh in each
    step, and its ELBO on one binarisation of all the training images is split by
    :func:`gencourse.metrics.elbo_split`.

    Parameters
    ----------
    data : str
        A set of images; see :func:`gencourse.data.names`.
    latents : sequence of int
        Latent dimensions.
    steps : int, optional
        Training steps of each; by default the model's own.
    seed : int
        Seed of weights, batches, binarisation and codes.
    device : str or torch.device, optional
        Where to train; by default where :func:`gencourse.device` says.
    progress : bool
        Show progress bars.

    Returns
    -------
    pandas.DataFrame
        A row for each of ``latents``; columns ``elbo``, ``average_kl``,
        ``mutual_information`` and ``marginal_kl`` in nats per image, and the same with
        ``paper_`` before.

    Raises
    ------
    KeyError
        If there is no such data set.
    ValueError
        If the data are not images, or a number makes no sense.
    DownloadError
        If the data are neither in the cache nor reachable.
    """
    import pandas

    if not latents:
        raise ValueError("latents must name at least one latent dimension")
    for latent in latents:
        positive(latent, "each of latents", integer=True)
    images = _images(data)
    rows = []
    for latent in latents:
        model = gencourse.build(
            "vae", images, seed=seed, device=device, latent=latent, likelihood="bernoulli"
        )
        assert isinstance(model, VariationalAutoencoder)
        model.fit(images, steps=steps, seed=seed, progress=progress)
        generator = torch.Generator().manual_seed(seed)
        x = binarise(images.images("train"), generator=generator)
        split = model.elbo_split(x.to(model.device), generator=generator)
        ours = (split.elbo, split.average_kl, split.mutual_information, split.marginal_kl)
        rows.append([*ours, *HOFFMAN_JOHNSON.get(latent, (math.nan,) * 4)])
    names = ["elbo", "average_kl", "mutual_information", "marginal_kl"]
    frame = pandas.DataFrame(
        rows,
        columns=[*names, *(f"paper_{name}" for name in names)],
        index=pandas.Index(latents, name="latents"),
    )
    n = len(images.images("train"))
    frame.attrs["title"] = f"Split of the ELBO on {data}, nats per image"
    frame.attrs["caption"] = (
        f"Ours: VAEs with a Bernoulli likelihood on {n} binarised training images of {data}, "
        f"where the mutual information is at most log {n} = {math.log(n):.2f}. Paper: Hoffman "
        f"& Johnson 2016 on 60000 images of MNIST, at most {math.log(60000):.2f}."
    )
    return frame


def parzen(
    data: str = "digits",
    systems: Sequence[str] = ("vae",),
    *,
    samples: int = 16_384,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> pandas.DataFrame:
    """Log-likelihood of test images under Parzen windows: the protocol of f-GAN's table 4.

    Each system is trained and sampled; the last row puts the windows on all the training
    images instead. Pixels are scaled to [0, 1], as in the paper. Every second test image
    serves to choose the bandwidth, and the others are evaluated.

    Parameters
    ----------
    data : str
        A set of images; see :func:`gencourse.data.names`.
    systems : sequence of str
        Slugs of systems that learn images; see :func:`gencourse.systems`.
    samples : int
        Samples of each system, which carry the windows.
    steps : int, optional
        Training steps of each; by default the model's own.
    seed : int
        Seed of weights, batches and samples.
    device : str or torch.device, optional
        Where to train; by default where :func:`gencourse.device` says.
    progress : bool
        Show progress bars.

    Returns
    -------
    pandas.DataFrame
        A row for each system, and ``"data"``; columns ``log_likelihood`` (mean, nats per
        image), ``standard_error`` of that mean, ``bandwidth``, ``paper_log_likelihood`` and
        ``paper_standard_error``.

    Raises
    ------
    KeyError
        If there is no such data set or system.
    ValueError
        If the data are not images, a system does not learn images, or a number makes no sense.
    DownloadError
        If the data are neither in the cache nor reachable.
    """
    import pandas

    positive(samples, "samples", integer=True)
    images = _images(data)
    # Built before any is trained: an error in the last one must not cost hours.
    models = [gencourse.build(slug, images, seed=seed, device=device) for slug in systems]
    test = _unit(images.images("test"))
    rows = []

    def measure(name: str, centres: torch.Tensor) -> None:
        found = parzen_log_likelihood(_unit(centres), test)
        ours = (found.mean, found.standard_error, found.bandwidth)
        rows.append([*ours, *F_GAN.get(name, (math.nan,) * 2)])

    for model in models:
        model.fit(images, steps=steps, seed=seed, progress=progress)
        generator = torch.Generator().manual_seed(seed)
        measure(model.system.slug, model.sample(samples, generator=generator).cpu())
    measure("data", images.images("train"))
    names = ["log_likelihood", "standard_error"]
    frame = pandas.DataFrame(
        rows,
        columns=[*names, "bandwidth", *(f"paper_{name}" for name in names)],
        index=pandas.Index([*systems, "data"], name="system"),
    )
    d, n = math.prod(images.event_shape), len(images.images("train"))
    frame.attrs["title"] = f"Parzen log-likelihood on {data}, nats per image"
    frame.attrs["caption"] = (
        f"Pixels in [0, 1]. Ours: windows on {samples} samples of each system, and for 'data' on "
        f"{n} training images; {len(test) // 2} test images of {d} pixels, mean and its standard "
        "error. Paper: Nowozin, Cseke & Tomioka 2016, table 4: 16384 samples, 60000 training "
        "images, 10000 test images of MNIST of 784 pixels."
    )
    return frame


def _images(name: str) -> ImageDataset:
    """Load a data set, which must be one of images."""
    data = gencourse.data.load(name)
    if not isinstance(data, ImageDataset):
        raise ValueError(f"this table is about images, and {name!r} are points; try 'digits'")
    return data


def _unit(images: torch.Tensor) -> torch.Tensor:
    """Scale pixels from [-1, 1] to [0, 1]."""
    return (images + 1) / 2


#: Every table, by the name that ``gencourse table`` gives it.
TABLES: Mapping[str, Callable[..., pandas.DataFrame]] = MappingProxyType(
    {"vae-split": vae_split, "parzen": parzen}
)
