"""The f-GAN paper's table 4: Parzen log-likelihood of test images under a model's samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas
import torch
from torch import Tensor

from gencourse._validate import positive
from gencourse.data.base import ImageDataset
from gencourse.metrics import parzen_log_likelihood
from gencourse.tables._images import image_data
from gencourse.tables._rows import built, drawn

__all__ = ["PUBLISHED", "parzen"]

#: Nowozin, Cseke & Tomioka 2016, table 4, on MNIST: mean and standard error in nats.
PUBLISHED: Mapping[str, tuple[float, float]] = {
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
HELD_OUT = 10  # every tenth training image chooses the bandwidth


def parzen(
    data: str | ImageDataset = "digits",
    *,
    systems: Sequence[str] | None = None,
    samples: int = 16_384,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> pandas.DataFrame:
    """Measure systems by the Parzen protocol of the f-GAN paper, and the data themselves.

    Each system is trained, ``samples`` images are drawn from it, and windows on them give test
    images a density. Pixels run from 0 to 1. The bandwidth is the likeliest for a tenth of the
    training images, which no system is trained on. The row ``"data"`` has a window on every
    other training image. It is no upper bound: samples of a smooth model can cover new
    images better than the few that there are (Theis, van den Oord & Bethge 2016, section 5.1).

    Parameters
    ----------
    data : str or ImageDataset
        The published table is about ``"mnist"``.
    systems : sequence of str, optional
        Slugs, a row each before that of the data; by default the published ones, those of
        f-GAN and the VAE.
    samples : int
        Windows; 16,384 in the paper.
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
        Indexed by ``system``: ``log_likelihood`` and its ``standard_error`` over the test images,
        in nats per image, ``bandwidth``, and ``published`` with ``published_error``, NaN where
        there is none.

    Raises
    ------
    KeyError
        If a slug is unknown.
    ValueError
        If the data are no images, or a system does not learn images.

    References
    ----------
    S. Nowozin, B. Cseke & R. Tomioka 2016, *f-GAN*, table 4; deck E.
    """
    dataset = image_data(data)
    positive(samples, "samples", integer=True)
    models = built(systems, PUBLISHED, dataset, seed=seed, device=device)
    images, test = dataset.images("train"), _unit(dataset.images("test"))
    held_out = torch.arange(len(images)) % HELD_OUT == HELD_OUT - 1
    training, validation = images[~held_out], _unit(images[held_out])
    rows = []
    for slug in [*models, "data"]:
        if slug == "data":
            windows = _unit(training)
        else:
            model = models[slug]
            model.fit(training, steps=steps, seed=seed, progress=progress)
            windows = _unit(drawn(model, samples, seed=seed + 1))
        estimate = parzen_log_likelihood(windows, test, validation=validation)
        published, published_error = PUBLISHED.get(slug, (float("nan"), float("nan")))
        rows.append(
            {
                "system": slug,
                "log_likelihood": estimate.mean,
                "standard_error": estimate.standard_error,
                "bandwidth": estimate.bandwidth,
                "published": published,
                "published_error": published_error,
            }
        )
    table = pandas.DataFrame(rows).set_index("system")
    table.attrs["title"] = f"Parzen log-likelihood: {dataset.name}"
    table.attrs["caption"] = (
        f"Nats per image, pixels in [0, 1]. Ours: {len(test)} test images of {dataset.name}, "
        f"{samples} samples of each system, {len(training)} images in the row of the data. "
        "Published: Nowozin, Cseke & Tomioka 2016, 10,000 test images of MNIST, 16,384 samples, "
        "60,000 images. Numbers for images of different sizes cannot be compared."
    )
    return table


def _unit(images: Tensor) -> Tensor:
    """Pixels from [-1, 1] to [0, 1], as the papers have them, flattened to ``(n, d)``."""
    return (images.flatten(1) + 1) / 2
