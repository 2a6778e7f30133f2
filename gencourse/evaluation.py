"""One call that measures a model, or any samples, against a data set."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse import metrics, transport
from gencourse._validate import points, positive
from gencourse.data.base import Dataset, ImageDataset
from gencourse.models.base import GenerativeModel

__all__ = ["evaluate"]


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
        data where that is known, its least possible value;
        for images, ``parzen`` of :func:`gencourse.metrics.parzen_log_likelihood`.

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
    if isinstance(model_or_samples, GenerativeModel) and model_or_samples.system.has_log_prob:
        log_prob = model_or_samples.log_prob(real.to(model_or_samples.device))
        result["nll"] = -log_prob.double().mean().item()
        log_truth = data.log_prob(real)
        if log_truth is not None:
            result["entropy"] = -log_truth.double().mean().item()
    if isinstance(data, ImageDataset):
        estimate = metrics.parzen_log_likelihood(samples.flatten(1), real.flatten(1))
        result["parzen"] = estimate.mean
    return result


def _distance(x: Tensor, y: Tensor, p: int) -> float:
    return float(transport.wasserstein(x.flatten(1), y.flatten(1), p=p))
