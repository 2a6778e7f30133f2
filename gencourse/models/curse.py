"""The curse of dimension, measured: the same samples say less and less as d grows."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gencourse._validate import positive
from gencourse.data.base import Dataset
from gencourse.data.toys import Gaussian
from gencourse.models.base import GenerativeModel
from gencourse.models.registry import build

__all__ = ["curse_of_dimension", "total_variation"]


def total_variation(
    model: GenerativeModel, data: Dataset, *, n: int = 20_000, seed: int = 0
) -> float:
    r"""Estimate TV(p, p̂) = ½ ∫ \|p - p̂\| dx between data of known density and a model's p̂.

    With m = ½ (p + p̂) it is the expectation of \|p - p̂\| / (p + p̂) under m: of a number
    between 0 and 1, whatever the dimension, and so known to within 1 / (2√n).

    Parameters
    ----------
    model : GenerativeModel
        One that has a density.
    data : Dataset
        One whose density is known.
    n : int
        Samples, half of them from each side.
    seed : int
        Seed of the samples.

    Raises
    ------
    ValueError
        If the density of the data is not known.
    """
    positive(n, "n", integer=True)
    generator = torch.Generator().manual_seed(seed)
    half = (n + 1) // 2
    ours = model.sample(half, generator=generator)
    x = torch.cat([data.sample(half, generator=generator).to(ours), ours])
    log_p, log_q = data.log_prob(x.double()), model.log_prob(x.double())
    if log_p is None:
        raise ValueError(f"the density of data set {data.name!r} is not known")
    # |p - q| / (p + q) = |tanh(½ log(p/q))|, also where either density is 0.
    return torch.tanh(0.5 * (log_p - log_q)).abs().mean().item()


def curse_of_dimension(
    slugs: Sequence[str] = ("histogram", "kde"),
    *,
    dimensions: Sequence[int] = (1, 2, 3, 4, 5, 6),
    n: int = 1000,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Measure how the error of density estimates grows with the dimension (deck D).

    Each estimate learns N(0, I) in d dimensions from the same number of samples. By theory
    the best histogram's error falls as n^(-1/(d+2)), and the best kernel estimate's as
    n^(-2/(d+4)) (Devroye & Györfi 1985): with d the samples that are needed for a given
    error grow exponentially.

    Parameters
    ----------
    slugs : sequence of str
        Systems with a density.
    dimensions : sequence of int
        The dimensions d.
    n : int
        Training samples, in every dimension.
    seed : int
        Seed of the samples.

    Returns
    -------
    dict of str to list of float
        For each system its :func:`total_variation` from the truth, in [0, 1], by dimension.

    Examples
    --------
    >>> errors = curse_of_dimension(["histogram"], dimensions=[1, 3], n=500)
    >>> errors["histogram"][0] < errors["histogram"][1]
    True
    """
    errors: dict[str, list[float]] = {slug: [] for slug in slugs}
    for d in dimensions:
        positive(d, "dimension", integer=True)
        truth = Gaussian(torch.zeros(d), torch.eye(d))
        x = truth.sample(n, generator=torch.Generator().manual_seed(seed))
        for slug in slugs:
            model = build(slug, x, seed=seed, device="cpu")
            model.fit(x, seed=seed, progress=False)
            errors[slug].append(total_variation(model, truth, seed=seed + 1))
    return errors
