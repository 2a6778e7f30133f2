"""Handwritten digits that ship with scikit-learn: real images, no download."""

from __future__ import annotations

import torch
from torch import Tensor

from gencourse.data.images import LabelledImages

__all__ = ["digits"]

TEST_EVERY = 5


def digits() -> LabelledImages:
    """1797 handwritten digits of 8 × 8 pixels in 17 grey levels, shape ``(1, 8, 8)``.

    Source: the test set of E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten
    Digits*, UCI repository (1998), as packaged by :func:`sklearn.datasets.load_digits`.
    Every fifth image of each class is a test image: the split keeps the class shares, and
    needs no random numbers.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # 17 grey levels, 0 … 16, centred: the levels are exact in float32.
    images = torch.from_numpy(bunch.images).float().div(8.0).sub(1.0)[:, None]
    labels = torch.from_numpy(bunch.target).long()
    test = _every_nth_of_each_class(labels, TEST_EVERY)
    return LabelledImages(
        "digits",
        {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])},
        classes=[str(c) for c in range(10)],
    )


def _every_nth_of_each_class(labels: Tensor, n: int) -> Tensor:
    """Mark the n-th, 2n-th, … member of each class; a boolean mask like ``labels``."""
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for c in labels.unique():
        members = (labels == c).nonzero().flatten()
        chosen[members[n - 1 :: n]] = True
    return chosen
