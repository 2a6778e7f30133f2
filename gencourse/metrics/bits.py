"""Bits per dimension: likelihoods of images that can be compared between data sets."""

from __future__ import annotations

import math
from typing import TypeVar

from torch import Tensor

from gencourse._validate import positive

__all__ = ["bits_per_dimension"]

Number = TypeVar("Number", float, Tensor)


def bits_per_dimension(nll: Number, dimensions: int, level: float = 1.0) -> Number:
    r"""Bits that a model needs for each pixel value, from its negative log-likelihood.

    .. math:: \frac{\text{nll}}{d \log 2} - \log_2(\text{level}),

    where the density is that of dequantised pixels, whose grey levels lie ``level`` apart.
    The probability of a grey value is the density's integral over its level, so the number
    bounds from above the bits of a lossless code (Theis, van den Oord & Bethge 2016,
    section 3.1). It does not depend on how pixels are scaled: for 256 levels on [0, 1] the second
    term is + 8, the log₂ 256 of many papers.

    Parameters
    ----------
    nll : float or Tensor
        In nats, of images dequantised by :func:`gencourse.data.dequantise`.
    dimensions : int
        Number d of values in an image: channels × height × width.
    level : float
        Width of a grey level; see :func:`gencourse.data.grey_level`.

    Raises
    ------
    ValueError
        If ``dimensions`` is not a positive whole number, or ``level`` not positive.

    Examples
    --------
    >>> import math
    >>> bits_per_dimension(64 * math.log(2.0), 64, level=1 / 8)  # uniform on [-1, 1]: 16 levels
    4.0
    """
    positive(dimensions, "dimensions", integer=True)
    positive(level, "level")
    return nll / (dimensions * math.log(2)) - math.log2(level)
