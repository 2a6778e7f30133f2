"""Tables of Fréchet distances: deck C's by system and data set, and deck A's of CIFAR-10."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import pandas
import torch
from torch import Tensor

from gencourse import metrics
from gencourse._device import device as choose_device
from gencourse._validate import positive
from gencourse.data.base import ImageDataset
from gencourse.models import GenerativeModel
from gencourse.models.autoencoder import Autoencoder
from gencourse.tables._images import image_data
from gencourse.tables._rows import built, drawn

__all__ = ["PUBLISHED", "PUBLISHED_CIFAR", "fid", "fid_cifar"]

#: Deck C's table, from An et al. 2020b, *AE-OT-GAN: training GANs from data specific latent
#: distribution*: for each data set FID and its deviation, of the autoencoder's reconstructions
#: without one. Its "NS GAN" is ``gan``, and its "Ours" ``ae-ot-gan``.
PUBLISHED: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "mnist": {
            "gan": (6.8, 0.5),
            "lsgan": (7.8, 0.6),
            "wgan": (6.7, 0.4),
            "began": (13.1, 1.0),
            "vae": (23.8, 0.6),
            "glann": (8.6, 0.1),
            "ae": (5.5, math.nan),
            "ae-ot-gan": (6.2, 0.2),
        },
        "fashion_mnist": {
            "gan": (26.5, 1.6),
            "lsgan": (30.7, 2.2),
            "wgan": (21.5, 1.6),
            "began": (22.9, 0.9),
            "vae": (58.7, 1.2),
            "glann": (13.0, 0.1),
            "ae": (4.7, math.nan),
            "ae-ot-gan": (10.1, 0.3),
        },
        "cifar10": {
            "gan": (58.5, 1.9),
            "lsgan": (87.1, 47.5),
            "wgan": (55.2, 2.3),
            "began": (71.4, 1.6),
            "vae": (65.4, 0.2),
            "glann": (46.5, 0.2),
            "ae": (28.2, math.nan),
            "ae-ot-gan": (38.3, 0.5),
        },
        "celeba": {
            "gan": (55.0, 3.3),
            "lsgan": (53.9, 2.8),
            "wgan": (41.3, 2.0),
            "began": (38.9, 0.9),
            "vae": (85.7, 3.8),
            "glann": (46.3, 0.1),
            "ae": (67.5, math.nan),
            "ae-ot-gan": (68.4, 0.5),
        },
    }
)
#: Deck A's table: FID, Inception score and its deviation on CIFAR-10. Its "Ours" is
#: ``schrodinger-bridge``.
PUBLISHED_CIFAR: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "wgan-gp": (36.4, 7.86, 0.07),
        "sn-smmd-gan": (25.0, 7.3, 0.1),
        "sngan": (21.7, 8.22, 0.05),
        "ncsn": (25.32, 8.87, 0.12),
        "schrodinger-bridge": (12.32, 8.14, 0.07),
    }
)
SAMPLES = 10_000
SPLITS = 10  # of the Inception score
#: Data that have a classifier of their own: its features, and its probabilities of classes.
SHIPPED: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"digits": metrics.digit_probabilities, "glyphs": metrics.glyph_probabilities}
)
MISSING = (math.nan, math.nan, math.nan)


def fid(
    data: str | ImageDataset = "digits",
    *,
    systems: Sequence[str] | None = None,
    samples: int = SAMPLES,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> pandas.DataFrame:
    """Measure systems by the Fréchet distance of their samples from test images.

    Features are those of the shipped classifier for ``digits`` and ``glyphs``, and those of
    Inception-v3 for all others, as published. The row ``"data"`` is the distance of training
    images, as many if there are, below which no system can be told from the truth. For the row
    ``"ae"`` the test images are encoded and decoded, as in the paper: an autoencoder does not
    generate.

    Parameters
    ----------
    data : str or ImageDataset
        The published table is about ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"`` and
        ``"celeba"``; beside other data stand the numbers of MNIST.
    systems : sequence of str, optional
        Slugs, a row each before that of the data; by default the published ones that are
        systems of the course.
    samples : int
        Samples of each system. FID is biased in their number: compare at the same.
    steps : int, optional
        Training steps; by default each model's own.
    seed : int
        Seed of the weights, the batches and the samples.
    device : str or torch.device, optional
        Where to train.
    progress : bool
        Show a progress bar for each system.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``system``: ``fid``, and ``published`` with ``published_error``, NaN where there
        is none.

    Raises
    ------
    KeyError
        If a slug is unknown.
    ValueError
        If the data are no images, or a system does not learn images.
    ImportError, gencourse.data.DownloadError
        If Inception is wanted, and it is not installed, or its weights cannot be had.

    References
    ----------
    D. An, Y. Guo, M. Zhang, X. Qi, N. Lei & X. Gu 2020, *AE-OT-GAN: training GANs from data
    specific latent distribution*; deck C.
    """
    dataset = image_data(data)
    positive(samples, "samples", integer=True)
    about = dataset.name if dataset.name in PUBLISHED else "mnist"
    published = PUBLISHED[about]
    models = built(systems, published, dataset, seed=seed, device=device)
    features = _features(dataset, device)
    test = dataset.images("test")
    real = features(test)
    rows = []
    for slug in [*models, "data"]:  # the data last: the caption counts them
        images = _images(slug, models, dataset, samples, steps, seed, progress)
        value, error = published.get(slug, MISSING[:2])
        rows.append(
            {
                "system": slug,
                "fid": metrics.frechet_distance(features(images), real).item(),
                "published": value,
                "published_error": error,
            }
        )
    table = pandas.DataFrame(rows).set_index("system")
    table.attrs["title"] = f"Fréchet distance: {dataset.name}"
    table.attrs["caption"] = (
        f"Ours: {samples} samples of each system against {len(test)} test images of "
        f"{dataset.name}, in features of {_described(dataset)}; in the row of the data "
        f"{len(images)} training images, in that of an autoencoder the test "
        f"images decoded. Published: An et al. 2020, {about}, in features of Inception-v3. "
        "Distances in other features, or of other numbers of images, cannot be compared."
    )
    return table


def fid_cifar(
    data: str | ImageDataset = "digits",
    *,
    systems: Sequence[str] | None = None,
    samples: int = SAMPLES,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> pandas.DataFrame:
    """Measure systems by Fréchet distance and Inception score, as deck A does on CIFAR-10.

    Parameters
    ----------
    data : str or ImageDataset
        The published table is about ``"cifar10"``.
    systems, samples, steps, seed, device, progress : see :func:`fid`

    Returns
    -------
    pandas.DataFrame
        Indexed by ``system``: ``fid`` and ``published_fid``, ``inception_score`` (of the shipped
        classifier's ten classes for digits, of Inception's thousand for others),
        ``published_inception_score`` and ``published_error``, its deviation; NaN where there is
        none.

    Raises
    ------
    KeyError, ValueError, ImportError, gencourse.data.DownloadError
        As :func:`fid` does.
    """
    dataset = image_data(data)
    positive(samples, "samples", integer=True)
    models = built(systems, PUBLISHED_CIFAR, dataset, seed=seed, device=device)
    features, probabilities = _features(dataset, device), _probabilities(dataset, device)
    test = dataset.images("test")
    real = features(test)
    rows = []
    for slug in [*models, "data"]:  # the data last: the caption counts them
        images = _images(slug, models, dataset, samples, steps, seed, progress)
        published = PUBLISHED_CIFAR.get(slug, MISSING)
        score = metrics.inception_score(probabilities(images), min(SPLITS, len(images)))
        rows.append(
            {
                "system": slug,
                "fid": metrics.frechet_distance(features(images), real).item(),
                "published_fid": published[0],
                "inception_score": score.mean,
                "published_inception_score": published[1],
                "published_error": published[2],
            }
        )
    table = pandas.DataFrame(rows).set_index("system")
    table.attrs["title"] = f"Fréchet distance and Inception score: {dataset.name}"
    table.attrs["caption"] = (
        f"Ours: {samples} samples of each system, FID against {len(test)} test images of "
        f"{dataset.name}, both by {_described(dataset)}; in the row of the data "
        f"{len(images)} training images. Published: deck A, CIFAR-10, by "
        "Inception-v3. Numbers of other data or another classifier cannot be compared."
    )
    return table


def _images(
    slug: str,
    models: Mapping[str, GenerativeModel],
    data: ImageDataset,
    samples: int,
    steps: int | None,
    seed: int,
    progress: bool,
) -> Tensor:
    """Return what a row is about: samples of a trained system, or as many training images."""
    if slug == "data":
        train = data.images("train")
        if samples >= len(train):
            return train
        generator = torch.Generator().manual_seed(seed)
        return train[torch.randperm(len(train), generator=generator)[:samples]]
    model = models[slug]
    model.fit(data, steps=steps, seed=seed, progress=progress)
    if isinstance(model, Autoencoder):
        return model.reconstruct(data.images("test").to(model.device)).detach().cpu()
    return drawn(model, samples, seed=seed + 1)


def _features(data: ImageDataset, device: str | torch.device | None) -> Callable[[Tensor], Tensor]:
    extractor = data.name if data.name in SHIPPED else "inception"
    return _computed_on(device, partial(metrics.features, extractor=extractor))


def _probabilities(
    data: ImageDataset, device: str | torch.device | None
) -> Callable[[Tensor], Tensor]:
    def inception(images: Tensor) -> Tensor:
        return metrics.inception_features(images, layer="logits_unbiased").softmax(dim=1)

    return _computed_on(device, SHIPPED.get(data.name, inception))


def _computed_on(
    device: str | torch.device | None, function: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """Let a network look at images on the device that trains, and bring back the result."""
    where = choose_device(device)

    def compute(images: Tensor) -> Tensor:
        return function(images.to(where)).cpu()

    return compute


def _described(data: ImageDataset) -> str:
    return "the shipped classifier" if data.name in SHIPPED else "Inception-v3"
