"""What metrics of images look at: features of a classifier, since pixels say little.

The course ships two small classifiers, of handwritten digits and of printed ones, which
``make features`` trains. They are made to judge samples: besides the images and their classes they
have seen what is *not* one (noise, pixels drawn independently, blends of two digits of
different classes), with equal probabilities as the answer, so that they are confident of
images that look real and of no others (outlier exposure, Hendrycks, Mazeika & Dietterich 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import as_file, files
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import points, positive, unknown_name

__all__ = [
    "EXTRACTORS",
    "Classifier",
    "classifier",
    "digit_features",
    "digit_probabilities",
    "extractor_for",
    "features",
    "glyph_features",
    "glyph_probabilities",
    "recognised",
]

CONFIDENT = 0.9  # probability of one class from which an image counts as recognised
BLOCK = 1024  # images that a network looks at together

#: Side of the images that each of the shipped classifiers knows.
SIDES = {"digits": 8, "glyphs": 28}


class Classifier(nn.Module):
    """A small convolutional network that tells ten classes of grey images apart.

    Three 3 × 3 convolutions, the last two or all three followed by max-pooling, and one
    hidden layer, whose outputs are the features.

    Parameters
    ----------
    side : int
        Height and width of the images in pixels: 8 or 28.
    width : int
        Number of features.
    classes : int
        Number of classes.
    """

    def __init__(self, side: int, *, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        channels = (1, 16, 32, 64)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels)
        )
        # Large images are halved once more: 28 → 14 → 7 → 3, and 8 → 4 → 2.
        self.pooled = (side >= 16, True, True)
        for halved in self.pooled:
            side = side // 2 if halved else side
        self.hidden = nn.Linear(channels[-1] * side**2, width)
        self.output = nn.Linear(width, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the outputs of the hidden layer, shape ``(n, width)``."""
        x = images
        for convolution, halved in zip(self.convolutions, self.pooled, strict=True):
            x = F.relu(convolution(x))
            x = F.max_pool2d(x, 2) if halved else x
        return F.relu(self.hidden(x.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """Return the log odds of the classes, shape ``(n, classes)``, up to a constant."""
        return self.output(self.features(images))


def digit_features(images: Tensor) -> Tensor:
    """Features of handwritten digits, 8 × 8 pixels: what FID and its kin compare.

    Parameters
    ----------
    images : Tensor of shape (n, 1, 8, 8)
        In [-1, 1].

    Returns
    -------
    Tensor of shape (n, 64)
        Of the dtype and on the device of ``images``, differentiable.

    Raises
    ------
    ValueError
        If the images are empty, not finite, or of another shape.
    """
    return _apply("digits", images, "features")


def digit_probabilities(images: Tensor) -> Tensor:
    """Probabilities of the ten digits; nearly equal for what is not a digit.

    Parameters
    ----------
    images : Tensor of shape (n, 1, 8, 8)
        In [-1, 1].

    Returns
    -------
    Tensor of shape (n, 10)
        Rows sum to 1; of the dtype and on the device of ``images``, differentiable.

    Raises
    ------
    ValueError
        If the images are empty, not finite, or of another shape.

    Examples
    --------
    >>> import gencourse
    >>> digits = gencourse.data.load("digits")
    >>> p = digit_probabilities(digits.images("test")[:3])
    >>> p.argmax(dim=1).tolist() == digits.labels("test")[:3].tolist()
    True
    """
    return _apply("digits", images, "probabilities")


def glyph_features(images: Tensor) -> Tensor:
    """Features of printed digits, 28 × 28 pixels, shape ``(n, 64)``; see `digit_features`."""
    return _apply("glyphs", images, "features")


def glyph_probabilities(images: Tensor) -> Tensor:
    """Probabilities of printed digits, shape ``(n, 10)``; see `digit_probabilities`."""
    return _apply("glyphs", images, "probabilities")


def recognised(images: Tensor, *, confidence: float = CONFIDENT) -> float:
    """Share of images that the shipped classifier puts into one class with confidence.

    Of real test digits it is 0.98, of blends of two digits a few hundredths, and of
    independent pixels 0.

    Parameters
    ----------
    images : Tensor of shape (n, 1, 8, 8) or (n, 1, 28, 28)
        Digits or glyphs, in [-1, 1].
    confidence : float
        Least probability of the likeliest class.

    Raises
    ------
    ValueError
        If the images are empty, not finite, or of another shape, or the confidence does not
        lie between 0 and 1.
    """
    positive(confidence, "confidence")
    if confidence >= 1:
        raise ValueError(f"confidence must be below 1, not {confidence!r}")
    kind = _kind(points(images, "images"))
    if kind is None:
        raise ValueError(
            "images must have shape (n, 1, 8, 8) or (n, 1, 28, 28): the shipped classifiers "
            f"know digits and glyphs, not {tuple(images.shape)}"
        )
    sure = _apply(kind, images.detach(), "probabilities").amax(dim=1) > confidence
    return sure.double().mean().item()


def features(images: Tensor, extractor: str | Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Turn images into the vectors that FID, KID and precision and recall compare.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        In [-1, 1].
    extractor : str or callable, optional
        ``"digits"``, ``"glyphs"``: a shipped classifier; ``"inception"``: the network of
        published FIDs, see :func:`gencourse.metrics.inception_features`; ``"pixels"``: the
        images as they are; or any function of the images. By default the shipped
        classifier for grey images of its size, and Inception for others. Digits of MNIST
        have the size of glyphs, and get their features: good enough to compare models
        with each other, not with published numbers.

    Returns
    -------
    Tensor of shape (n, d)

    Raises
    ------
    KeyError
        If there is no extractor of that name.
    ValueError
        If the images are empty, not finite, or of a shape that the extractor does not
        take, or what a function returns is not a finite matrix with a row for each image.
    ImportError, gencourse.data.DownloadError
        If Inception is wanted, and it is not installed, or its weights cannot be had.
    """
    points(images, "images")
    if images.ndim != 4:
        raise ValueError(
            f"images must have shape (n, channels, height, width), not {tuple(images.shape)}"
        )
    if extractor is None:
        extractor = _kind(images) or "inception"
    if isinstance(extractor, str):
        if extractor not in EXTRACTORS:
            raise unknown_name("extractor", extractor, EXTRACTORS)
        return EXTRACTORS[extractor](images)
    result = points(extractor(images), "the extractor's result")
    if result.ndim != 2 or len(result) != len(images):
        raise ValueError(
            f"the extractor must return shape ({len(images)}, d), not {tuple(result.shape)}"
        )
    return result


def extractor_for(images: Tensor) -> str | None:
    """Name the extractor that is at hand for such images, without a download; or ``None``."""
    from gencourse.metrics.inception import inception_available

    return _kind(images) or ("inception" if inception_available() else None)


def classifier(
    name: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Classifier:
    """Return a shipped classifier; callers share it, so it must not be trained further.

    Parameters
    ----------
    name : str
        ``"digits"`` or ``"glyphs"``.
    device, dtype
        Where and in which precision it shall compute.

    Raises
    ------
    KeyError
        If there is no classifier of that name.
    """
    if name not in SIDES:
        raise unknown_name("classifier", name, SIDES)
    return _load(name, torch.device(device), dtype)


@lru_cache(maxsize=8)
def _load(name: str, device: torch.device, dtype: torch.dtype) -> Classifier:
    with as_file(files("gencourse.metrics") / f"{name}.pt") as path:
        state = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no random weights, and no random numbers for them
        network = Classifier(SIDES[name])
    network.load_state_dict(state, assign=True)  # stored in half precision, computed in more
    network.to(device=device, dtype=dtype).eval()
    return network.requires_grad_(False)


def _kind(images: Tensor) -> str | None:
    """Name the shipped classifier for images of this shape."""
    shape = tuple(images.shape[1:])
    return next((name for name, side in SIDES.items() if shape == (1, side, side)), None)


def _apply(name: str, images: Tensor, what: str) -> Tensor:
    """Features or probabilities, in float32 or better, block by block."""
    side = SIDES[name]
    points(images, "images", (1, side, side))
    precision = torch.promote_types(images.dtype, torch.float32)
    network = classifier(name, device=images.device, dtype=precision)
    with torch.set_grad_enabled(images.requires_grad and torch.is_grad_enabled()):
        parts = []
        for block in images.to(precision).split(BLOCK):
            found = network.features(block)
            parts.append(found if what == "features" else network.output(found).softmax(dim=1))
        return torch.cat(parts).to(images.dtype)


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1)


def _inception(images: Tensor) -> Tensor:
    from gencourse.metrics.inception import inception_features

    return inception_features(images)


#: The extractors that have a name.
EXTRACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "digits": digit_features,
    "glyphs": glyph_features,
    "inception": _inception,
    "pixels": _pixels,
}
