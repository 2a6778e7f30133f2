"""Each application at work on test images, beside the baseline it has to beat.

``gencourse apply NAME`` prints the numbers and draws the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from gencourse._validate import unknown_name
from gencourse.applications._demonstration import (
    Demonstration,
    image_set,
    judge,
    likeness,
    seeded,
    sharpness,
)
from gencourse.applications.class_conditional import ConditionalGAN, class_conditional
from gencourse.applications.colorize import Colorizer, chroma, colorize, grey
from gencourse.applications.inpaint import harmonic_fill, inpaint, mean_fill
from gencourse.applications.interpolate import cross_fade, interpolate
from gencourse.applications.super_resolve import SuperResolver, bicubic, shrink, super_resolve
from gencourse.applications.translate import Translator, edges, translate
from gencourse.data.base import ImageDataset
from gencourse.metrics import energy_distance, psnr
from gencourse.models import GenerativeModel, build

__all__ = ["DEMONSTRATIONS", "demonstrate"]

SHOWN = 12  # images in a row of the picture
TESTED = 500  # test images at most that are measured
PAIRS = 100  # pairs of images between which is interpolated
COMPLETED = 100  # images that are completed
COLOURINGS = 16  # of each grey image


def _trained(
    data: ImageDataset, slug: str, model: GenerativeModel | None, **fit: Any
) -> tuple[GenerativeModel, float]:
    """Return a given model, or train a new one, and the seconds that took."""
    if model is not None:
        return model, 0.0
    device = fit.pop("device", None)
    model = build(slug, data, seed=fit["seed"], device=device)
    return model, model.fit(data, **fit).seconds


def interpolation(
    data: str | ImageDataset = "digits",
    *,
    system: str = "ddpm",
    model: GenerativeModel | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Demonstration:
    """Lead from test images to others of another class, through noise and through pixels.

    Parameters
    ----------
    data : str or ImageDataset
        Images.
    system : str
        Slug of the model to train; any that :func:`interpolate` takes.
    model : GenerativeModel, optional
        One that is already trained on ``data``.
    steps, seed, device, progress
        Of the training.
    """
    dataset = image_set(data)
    model, seconds = _trained(
        dataset, system, model, steps=steps, seed=seed, device=device, progress=progress
    )
    images, labels = dataset.images("test"), dataset.labels("test")
    i, j = (torch.randperm(len(images), generator=seeded(k)) for k in (0, 1))
    differ = labels[i] != labels[j]
    a, b = images[i[differ][:PAIRS]], images[j[differ][:PAIRS]]
    paths = {
        "pixels: cross-fade": cross_fade(a, b),
        f"latent space of {model.system.slug}": interpolate(model, a, b, generator=seeded()),
    }
    result = Demonstration(
        f"Interpolation: {dataset.name}",
        "Between the ends: how sure the classifier is of one class, the share of images of which "
        "it is surer than 0.9, and the Fréchet distance to real images.",
        seconds=seconds,
    )
    for name, path in paths.items():
        between = path[:, 1:-1].flatten(0, 1)
        result.rows[name] = judge(between, images) | sharpness(between)
    for k in range(2):
        result.pictures |= {f"{name}, pair {k + 1}": path[k] for name, path in paths.items()}
    return result


def inpainting(
    data: str | ImageDataset = "digits",
    *,
    system: str = "ddpm",
    model: GenerativeModel | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Demonstration:
    """Complete test images of which a quarter, the middle, is hidden.

    Parameters as for :func:`interpolation`; ``system`` is one that :func:`inpaint` takes.
    """
    dataset = image_set(data)
    model, seconds = _trained(
        dataset, system, model, steps=steps, seed=seed, device=device, progress=progress
    )
    images, labels = dataset.images("test")[:COMPLETED], dataset.labels("test")[:COMPLETED]
    known = _all_but_the_middle(images.shape[2], images.shape[3])
    completed = {
        "mean of the training images": mean_fill(images, known, dataset.images("train")),
        "harmonic fill": harmonic_fill(images, known),
        model.system.slug: inpaint(model, images, known, generator=seeded()),
        "real": images,
    }
    result = Demonstration(
        f"Inpainting: {dataset.name}",
        "PSNR of the hidden pixels in dB; accuracy of the classifier on the completed images, and "
        "the share of which it is sure.",
        seconds=seconds,
    )
    hidden = ~known.expand_as(images)
    result.pictures["known"] = torch.where(hidden, 0.0, images)[:SHOWN]
    for name, filled in completed.items():
        error = (filled - images)[hidden].square().mean()
        result.rows[name] = {"psnr_hidden": (10 * (4 / error).log10()).item()}
        result.rows[name] |= judge(filled, dataset.images("test"), labels)
        result.pictures[name] = filled[:SHOWN]
    return result


def _all_but_the_middle(height: int, width: int) -> Tensor:
    """Hide the middle half of the rows and of the columns."""
    row, column = torch.arange(height)[:, None], torch.arange(width)
    middle = (height // 4 <= row) & (row < height - height // 4)
    return ~(middle & (width // 4 <= column) & (column < width - width // 4))


def colouring(
    data: str | ImageDataset = "glyphs",
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Demonstration:
    """Colour the grey versions of test images: by the mean, by least squares, and by the game.

    Parameters
    ----------
    data : str or ImageDataset
        Colour images; ``"glyphs"`` are loaded in colour.
    steps, seed, device, progress
        Of the training.
    """
    dataset = image_set(data, colour=True)
    real = dataset.images("test")[:TESTED]
    bright = grey(real)
    fit: dict[str, Any] = {"steps": steps, "seed": seed, "progress": progress}
    squares = Colorizer(
        dataset.event_shape, seed=seed, device=device, objective=None, pixel_weight=1.0, noise=0
    )
    game = Colorizer(dataset.event_shape, seed=seed, device=device)
    seconds = squares.fit(dataset, **fit).seconds + game.fit(dataset, **fit).seconds
    mean = dataset.images("train").mean((0, 2, 3), keepdim=True)
    many = colorize(game, bright, colourings=COLOURINGS, generator=seeded())
    coloured = {
        "mean colour": mean.expand_as(real)[:, None],
        "grey": bright.expand_as(real)[:, None],
        "least squares": colorize(squares, bright),
        "game": many,
        "real": real[:, None],
    }
    result = Demonstration(
        f"Colouring: {dataset.name}",
        f"PSNR in dB, and that of the best of {COLOURINGS} colourings; root mean square of the "
        "colours; standard deviation between colourings of the same image; energy distance between "
        "the colours in the corner and real ones.",
        seconds=seconds,
    )
    for name, c in coloured.items():
        first = c[:, 0]
        tries = torch.stack([psnr(c[:, k], real) for k in range(c.shape[1])])
        result.rows[name] = {
            "psnr": tries[0].mean().item(),
            "best": tries.amax(0).mean().item(),
            "chroma": chroma(first).square().mean().sqrt().item(),
            "spread": c.std(1, correction=0).mean().item(),
            "distance": energy_distance(_corner(first), _corner(real)).item(),
        }
    result.pictures = {
        "grey": bright[:SHOWN].expand(-1, 3, -1, -1),
        "least squares": coloured["least squares"][:SHOWN, 0],
        **{f"game, z {k + 1}": many[:SHOWN, k] for k in range(3)},
        "real": real[:SHOWN],
    }
    return result


def _corner(images: Tensor) -> Tensor:
    """Return the colour, without brightness, of the first pixel of each image, ``(n, 3)``."""
    return chroma(images)[:, :, 0, 0]


def super_resolution(
    data: str | ImageDataset = "glyphs",
    *,
    factor: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Demonstration:
    """Enlarge shrunken test images: by cubic interpolation, by least squares, and by the game.

    Parameters
    ----------
    data : str or ImageDataset
        Large images.
    factor : int, optional
        How many times larger; by default 4, or 2 for images below 16 pixels.
    steps, seed, device, progress
        Of the training.
    """
    dataset = image_set(data)
    if factor is None:
        factor = 4 if dataset.event_shape[1] >= 16 else 2
    real, labels = dataset.images("test")[:TESTED], dataset.labels("test")[:TESTED]
    small = shrink(real, factor)
    fit: dict[str, Any] = {"steps": steps, "seed": seed, "progress": progress}
    squares, game = (
        SuperResolver(
            dataset.event_shape, seed=seed, device=device, factor=factor, objective=objective
        )
        for objective in (None, "gan")
    )
    seconds = squares.fit(dataset, **fit).seconds + game.fit(dataset, **fit).seconds
    large = {
        "bicubic": bicubic(small, factor),
        "least squares": super_resolve(squares, small),
        "game": super_resolve(game, small),
        "real": real,
    }
    result = Demonstration(
        f"Super-resolution, {factor} times: {dataset.name}",
        "PSNR in dB and SSIM favour least squares; what the classifier says, and the sharpness, "
        "favour the game.",
        seconds=seconds,
    )
    result.pictures["small"] = torch.nn.functional.interpolate(
        small[:SHOWN], scale_factor=float(factor), mode="nearest"
    )
    for name, images in large.items():
        result.rows[name] = likeness(images, real) | judge(images, real, labels) | sharpness(images)
        result.pictures[name] = images[:SHOWN]
    return result


def translation(
    data: str | ImageDataset = "glyphs",
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Demonstration:
    """Turn drawings of edges into images: by absolute differences alone, and with the game.

    Parameters
    ----------
    data : str or ImageDataset
        Images, of which the drawings are made by :func:`edges`; ``"glyphs"`` are loaded in
        colour, which the drawings do not tell.
    steps, seed, device, progress
        Of the training.
    """
    dataset = image_set(data, colour=data == "glyphs")
    train = dataset.images("train")
    real, labels = dataset.images("test")[:TESTED], dataset.labels("test")[:TESTED]
    drawings, sources = edges(real), edges(train)
    fit: dict[str, Any] = {"steps": steps, "seed": seed, "progress": progress}
    shapes = tuple(drawings.shape[1:]), dataset.event_shape
    alone, game = (
        Translator(*shapes, seed=seed, device=device, objective=objective)
        for objective in (None, "gan")
    )
    seconds = alone.fit(sources, train, **fit).seconds + game.fit(sources, train, **fit).seconds
    made = {
        "the drawing itself": drawings.expand_as(real),
        "absolute difference": translate(alone, drawings, generator=seeded()),
        "with the game": translate(game, drawings, generator=seeded()),
        "with the game, other noise": translate(game, drawings, generator=seeded(1)),
        "real": real,
    }
    result = Demonstration(
        f"Translation of edges to images: {dataset.name}",
        "PSNR in dB, SSIM, energy distance to real images, and sharpness. Where drawings do not "
        "tell colours, the absolute difference paints the median of all that fit.",
        seconds=seconds,
    )
    for name, images in made.items():
        distance = energy_distance(images.flatten(1), real.flatten(1)).item()
        result.rows[name] = likeness(images, real) | judge(images, real, labels)
        result.rows[name] |= {"distance": distance} | sharpness(images)
        result.pictures[name] = images[:SHOWN]
    return result


def conditional_generation(
    data: str | ImageDataset = "digits",
    *,
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Demonstration:
    """Ask for images of every class.

    Parameters
    ----------
    data : str or ImageDataset
        Labelled images.
    steps, seed, device, progress
        Of the training.
    """
    dataset = image_set(data)
    classes = len(dataset.classes)
    images, labels = dataset.images("train"), dataset.labels("train")
    model = ConditionalGAN(dataset.event_shape, classes, seed=seed, device=device)
    seconds = model.fit(dataset, steps=steps, seed=seed, progress=progress).seconds
    asked = torch.arange(200 * classes) % classes
    any_image = torch.randint(len(images), (len(asked),), generator=seeded())
    drawn = {
        "without the class": images[any_image],
        "a Gaussian of each class": _gaussians(images, labels, asked),
        "conditional net": class_conditional(model, asked, generator=seeded()).cpu(),
    }
    result = Demonstration(
        f"Conditional generation: {dataset.name}",
        "Accuracy: the share of images that the classifier puts into the class that was asked for. "
        "Without the class, real images drawn at random stand for the best that an unconditional "
        "model could do.",
        seconds=seconds,
    )
    for name, x in drawn.items():
        result.rows[name] = judge(x, dataset.images("test"), asked)
        result.pictures[name] = x[: max(SHOWN, classes)]
    # A row that begins with the same class: there are 200 of each, in turn.
    later = drawn["conditional net"][100 * classes :]
    result.pictures["conditional net, other noise"] = later[: max(SHOWN, classes)]
    return result


def _gaussians(images: Tensor, labels: Tensor, asked: Tensor) -> Tensor:
    """Draw from a Gaussian with the mean and covariance of the class that is asked for."""
    x = images.flatten(1).double()
    drawn = torch.empty(len(asked), x.shape[1], dtype=torch.float64)
    generator = seeded()
    for label in asked.unique().tolist():
        own = x[labels == label]
        # Centred images, mixed by Gaussian weights, have their covariance, of any rank.
        centred = own - own.mean(0)
        wanted = int((asked == label).sum())
        weights = torch.randn(wanted, len(own), generator=generator, dtype=torch.float64)
        drawn[asked == label] = own.mean(0) + weights @ centred / len(own) ** 0.5
    return drawn.clamp(-1, 1).float().reshape(len(asked), *images.shape[1:])


#: Every demonstration by the name of its application.
DEMONSTRATIONS: Mapping[str, Callable[..., Demonstration]] = MappingProxyType(
    {
        "interpolate": interpolation,
        "inpaint": inpainting,
        "colorize": colouring,
        "super_resolve": super_resolution,
        "translate": translation,
        "class_conditional": conditional_generation,
    }
)


def demonstrate(name: str, data: str | ImageDataset | None = None, **options: Any) -> Demonstration:
    """Train an application and show it at work on test images, beside its baseline.

    Parameters
    ----------
    name : str
        Of :data:`DEMONSTRATIONS`.
    data : str or ImageDataset, optional
        By default images that ship and suit the application.
    **options
        ``steps``, ``seed``, ``device``, ``progress``; for ``interpolate`` and ``inpaint`` also
        ``system`` or a trained ``model``, for ``super_resolve`` the ``factor``.

    Raises
    ------
    KeyError
        If there is no application or no data set of that name.
    ValueError
        If the data do not suit it.
    """
    if name not in DEMONSTRATIONS:
        raise unknown_name("application", name, DEMONSTRATIONS)
    return DEMONSTRATIONS[name](**({} if data is None else {"data": data}), **options)
