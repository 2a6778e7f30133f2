"""One call that measures a model, or any samples, against a data set."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from gencourse import metrics, transport
from gencourse._validate import points, positive
from gencourse.data.base import Dataset, ImageDataset
from gencourse.data.quantisation import dequantise, grey_level
from gencourse.metrics.features import SIDES, extractor_for
from gencourse.models.base import GenerativeModel

__all__ = ["evaluate"]

NEIGHBOURS = 5  # k of precision, recall, density and coverage
PRESENT = 0.1  # of its fair share, from which a class counts as present
MOST_PIXELS = 10**12  # compared with each other in search of copies: some ten seconds


def evaluate(
    model_or_samples: GenerativeModel | Tensor, data: Dataset, *, n: int = 2048, seed: int = 0
) -> dict[str, float]:
    r"""Measure how near a model, or a set of samples, comes to a data set.

    Parameters
    ----------
    model_or_samples : GenerativeModel or Tensor of shape (m, \*event_shape)
        A model is asked for ``n`` samples; of a tensor at most the first ``n`` are used.
    data : Dataset
        The truth. Images are compared with the test split.
    n : int
        Samples on each side; distances between samples are biased in n, so state it.
    seed : int
        Seed of both sides' samples.

    Returns
    -------
    dict of str to float
        ``w1``, ``w2``: exact Wasserstein distances (images flattened to pixels);
        ``w1_floor``, ``w2_floor``: the same between two sets of real samples, below which no
        model can be told from the truth;
        where the data have modes, ``modes``, ``quality`` and ``largest_share`` of
        :func:`gencourse.metrics.mode_coverage`;
        where the model has a density, ``nll`` on real samples in nats, and ``entropy`` of the
        data where that is known, its least possible value.

        For images besides, in features of the classifier that ships with the course (digits,
        glyphs, MNIST) or of Inception (others, where torch-fidelity and its weights are at
        hand): ``fid`` and ``fid_floor``, that of training images; ``kid``; ``precision``,
        ``recall``, ``density``, ``coverage``. For digits and glyphs ``recognised``, the share
        of samples that the classifier is sure of, ``classes``, how many of the ten have a
        tenth of their fair share, and ``inception_score``. For all ``memorised``, the share
        of samples that are copies of training images, unless there are too many to compare;
        ``parzen``, a log-likelihood estimated from the samples, unless test images are among
        them; and of a model with a density ``bits_per_dim`` on dequantised test images.

        FID is biased in n and in the number of test images, and precision and recall depend
        on them: compare only models of the same data at the same n. Features need more than
        5 images on each side.

    Raises
    ------
    ValueError
        If the samples do not have the shape of the data, or are not finite, or if ``data`` is
        not a data set.

    Examples
    --------
    >>> import gencourse
    >>> data = gencourse.data.load("ring8")
    >>> result = gencourse.evaluate(data.sample(500), data, n=500)
    >>> int(result["modes"])
    8
    """
    positive(n, "n", integer=True)
    if not isinstance(data, Dataset):
        raise ValueError(f"data must be a data set of gencourse.data, not {type(data).__name__}")
    # Truth and model draw from two streams, so that every model meets the same real samples.
    truth, model = (torch.Generator().manual_seed(2 * seed + i) for i in (0, 1))
    if isinstance(model_or_samples, GenerativeModel):
        samples = model_or_samples.sample(n, generator=model)
    else:
        samples = model_or_samples
    samples = points(samples, "samples", data.event_shape)[:n].detach().cpu()
    n = len(samples)
    if isinstance(data, ImageDataset):
        test = data.images("test")
        real = test[torch.randperm(len(test), generator=truth)[:n]]
        again = data.sample(n, generator=truth)
    else:
        real = data.sample(n, generator=truth)
        again = data.sample(n, generator=truth)

    result: dict[str, float] = {}
    for p in (1, 2):
        result[f"w{p}"] = _distance(samples, real, p)
        result[f"w{p}_floor"] = _distance(again, real, p)
    if data.modes is not None and data.mode_std is not None:
        coverage = metrics.mode_coverage(samples, data.modes, data.mode_std)
        result["modes"] = float(coverage.modes_covered)
        result["quality"] = coverage.quality
        result["largest_share"] = coverage.largest_share
    density = None
    if isinstance(model_or_samples, GenerativeModel) and model_or_samples.system.has_log_prob:
        density = model_or_samples
        result["nll"] = _nll(density, real)
        log_truth = data.log_prob(real)
        if log_truth is not None:
            result["entropy"] = -log_truth.double().mean().item()
    if isinstance(data, ImageDataset):
        result |= _of_images(samples, real, again, data)
        if density is not None:
            level = grey_level(real)
            nll = _nll(density, dequantise(real, level, generator=truth))
            dimensions = math.prod(data.event_shape)
            result["bits_per_dim"] = metrics.bits_per_dimension(nll, dimensions, level)
    return result


def _of_images(
    samples: Tensor, real: Tensor, again: Tensor, data: ImageDataset
) -> dict[str, float]:
    """What is measured of images alone; ``again`` are training images."""
    result: dict[str, float] = {}
    extractor = extractor_for(samples)
    if extractor is not None and min(len(samples), len(real)) > NEIGHBOURS:
        x, y, z = (metrics.features(images, extractor) for images in (samples, real, again))
        result["fid"] = metrics.frechet_distance(x, y).item()
        result["fid_floor"] = metrics.frechet_distance(z, y).item()
        result["kid"] = metrics.kernel_distance(x, y).item()
        found = metrics.prdc(y, x, NEIGHBOURS)
        result["precision"], result["recall"] = found.precision, found.recall
        result["density"], result["coverage"] = found.density, found.coverage
    if data.name in SIDES and data.classes == tuple("0123456789") and extractor == data.name:
        classify = (
            metrics.digit_probabilities if extractor == "digits" else (metrics.glyph_probabilities)
        )
        probabilities = classify(samples)
        shares = probabilities.argmax(dim=1).bincount(minlength=10) / len(samples)
        result["recognised"] = metrics.recognised(samples)
        result["classes"] = float((shares >= PRESENT / 10).sum())
        splits = min(10, len(samples))
        result["inception_score"] = metrics.inception_score(probabilities, splits).mean
    train = data.images("train")
    if len(samples) * train.numel() <= MOST_PIXELS:
        result["memorised"] = metrics.memorisation(samples, train).share
    try:
        estimate = metrics.parzen_log_likelihood(samples.flatten(1), real.flatten(1))
        result["parzen"] = estimate.mean
    except metrics.NoBandwidth as error:
        warnings.warn(f"no Parzen likelihood: {error}", stacklevel=3)
    return result


def _nll(model: GenerativeModel, x: Tensor) -> float:
    """Mean negative log-likelihood in nats."""
    return -model.log_prob(x.to(model.device)).double().mean().item()


def _distance(x: Tensor, y: Tensor, p: int) -> float:
    return float(transport.wasserstein(x.flatten(1), y.flatten(1), p=p))
