"""Characters drawn from matplotlib's own fonts: an endless supply of images, no download.

Each character of each font is rendered once and turned into a signed distance field, a
small picture that holds for every point how far inside (+) or outside (-) the ink it lies.
An image is that field looked up under a random rotation, size and shift: one call to
``grid_sample`` draws thousands at once, the strokes' weight is a constant added to the
distance, and the edges are antialiased because distance to the edge is what is known.
(C. Green, *Improved alpha-tested magnification for vector textures*, SIGGRAPH 2007.)
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from gencourse._validate import positive
from gencourse.data.images import LabelledImages

__all__ = ["glyphs"]

# Text fonts that every matplotlib carries: upright and slanted, light and bold, with and
# without serifs, proportional and typewriter.
FONTS = (
    *(
        f"DejaVu{family}{style}.ttf"
        for family in ("Sans", "SansMono")
        for style in ("", "-Bold", "-Oblique", "-BoldOblique")
    ),
    *(f"DejaVuSerif{style}.ttf" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}.ttf" for style in ("", "Bol", "Italic", "BolIta")),
    *(f"cm{style}10.ttf" for style in ("r", "b", "ss", "tt")),
)

# How much images vary. Lengths are in units of the image's side, or of the glyph's height
# where it says so; the ranges keep every character legible to a person.
HEIGHT = (0.55, 0.80)
STRETCH = (0.85, 1.15)  # width against height
ROTATION = math.radians(12.0)
SHEAR = 0.15
SHIFT = 0.06
WEIGHT = (-0.008, 0.025)  # added to the stroke on either side, of the glyph's height
DARK = (0.0, 0.35)  # range of the brightness of each colour channel, in colour images:
LIGHT = (0.6, 1.0)  # one of ink and paper is dark and the other light

UNIT = 160  # pixels to a glyph's height where the fields are computed
MARGIN = 0.25  # empty border around a glyph, of its height
REDUCTION = 2  # the stored fields are this much coarser
BLOCK = 1024  # images drawn at once


def glyphs(
    *,
    size: int = 28,
    channels: int = 1,
    characters: str = "0123456789",
    n_train: int = 6000,
    n_test: int = 1000,
    seed: int = 0,
) -> LabelledImages:
    """Random renderings of characters, in 20 fonts; the same seed gives the same images.

    Parameters
    ----------
    size : int
        Height and width of an image in pixels, at least 8.
    channels : int
        1 for white on black, 3 for a random ink on a random paper.
    characters : str
        What to draw; the label of an image is the position of its character here. Every
        class has the same share, up to rounding.
    n_train, n_test : int
        Images in each split. The splits are drawn independently of each other.
    seed : int
        Seed of the generator that everything random comes from.

    Returns
    -------
    LabelledImages
        Of event shape ``(channels, size, size)``.

    Raises
    ------
    ValueError
        If a number is out of range, or the characters are empty, repeated, blank, or not
        all in one of the fonts.
    """
    positive(size, "size", integer=True)
    if size < 8:
        raise ValueError(f"size must be at least 8 pixels, not {size}")
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {channels!r}")
    if not isinstance(characters, str) or not characters:
        raise ValueError(f"characters must be a non-empty string, not {characters!r}")
    if len(set(characters)) < len(characters):
        raise ValueError(f"characters must differ from each other, not {characters!r}")
    positive(n_train, "n_train", integer=True)
    positive(n_test, "n_test", integer=True)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**62:
        raise ValueError(f"seed must be a whole number from 0 to 2**62, not {seed!r}")

    fields = _distance_fields(characters)
    splits = {
        split: _draw(fields, n, size, channels, torch.Generator().manual_seed(2 * seed + offset))
        for split, n, offset in (("train", n_train, 0), ("test", n_test, 1))
    }
    return LabelledImages("glyphs", splits, classes=list(characters))


def _draw(
    fields: Tensor, n: int, size: int, channels: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return ``n`` images, bytes of shape ``(n, channels, size, size)``, and their labels."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    fonts, classes = fields.shape[:2]
    labels = torch.arange(n)[torch.randperm(n, generator=generator)] % classes
    font = torch.randint(fonts, (n,), generator=generator)
    height, stretch = uniform(*HEIGHT), uniform(*STRETCH)
    angle, shear = uniform(-ROTATION, ROTATION), uniform(-SHEAR, SHEAR)
    shift = uniform(-SHIFT, SHIFT, 2)
    weight = uniform(*WEIGHT)

    # From glyph to image: stretch and shear, rotate, scale by the height. grid_sample wants
    # the way back. Its coordinates run over [-1, 1]: the image's side is 2, and a field's
    # side is 1 + 2 MARGIN glyph heights.
    cos, sin = angle.cos(), angle.sin()
    rotate = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    zero, one = torch.zeros(n), torch.ones(n)
    slant = torch.stack([torch.stack([stretch, shear], 1), torch.stack([zero, one], 1)], 1)
    forward = height[:, None, None] * rotate @ slant
    backward = torch.linalg.inv(forward)
    matrix = torch.cat([backward, backward @ (-2 * shift)[:, :, None]], dim=2) / (1 + 2 * MARGIN)

    coverage = torch.empty(n, 1, size, size)
    for part in torch.arange(n).split(BLOCK):
        grid = affine_grid(matrix[part], [len(part), 1, size, size], align_corners=False)
        field = fields[font[part], labels[part]][:, None]
        distance = grid_sample(field, grid, padding_mode="border", align_corners=False)
        pixels = (size * height[part])[:, None, None, None]  # in a glyph height
        distance = (distance + weight[part][:, None, None, None]) * pixels
        coverage[part] = (distance + 0.5).clamp(0, 1)  # 0.5 where the edge halves a pixel

    if channels == 3:
        dark, light = uniform(*DARK, 3, 1, 1), uniform(*LIGHT, 3, 1, 1)
        swap = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
        ink, paper = torch.where(swap, dark, light), torch.where(swap, light, dark)
        coverage = paper + (ink - paper) * coverage
    return (255 * coverage).round().to(torch.uint8), labels


@lru_cache(maxsize=8)
def _distance_fields(characters: str) -> Tensor:
    """Return the fields of all fonts that have the characters, ``(fonts, K, side, side)``.

    Distances are in glyph heights, positive inside the ink. Within a font all characters
    keep their sizes relative to each other; each is centred on its own ink.
    """
    import numpy as np
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFont
    from scipy.ndimage import distance_transform_edt

    side = round(UNIT * (1 + 2 * MARGIN)) // REDUCTION * REDUCTION
    fields = []
    for name in FONTS:
        path = f"{get_data_path()}/fonts/ttf/{name}"
        known = FT2Font(path).get_charmap()
        if not all(ord(character) in known for character in characters):
            continue
        trial = ImageFont.truetype(path, UNIT)
        boxes = [trial.getbbox(character) for character in characters]
        extent = max(max(right - left, low - top) for left, top, right, low in boxes)
        if extent <= 0 or any(right <= left or low <= top for left, top, right, low in boxes):
            raise ValueError(f"characters must leave ink, and one in {characters!r} is blank")
        font = ImageFont.truetype(path, round(UNIT * UNIT / extent))
        for character in characters:
            image = Image.new("L", (side, side), 0)
            ImageDraw.Draw(image).text((side / 2, side / 2), character, 255, font, anchor="mm")
            left, top, right, low = image.getbbox() or (0, 0, side, side)
            ink = np.asarray(image) >= 128
            # anchor="mm" centres the line of text; the ink is what should be central.
            roll = ((side - low - top) // 2, (side - right - left) // 2)
            ink = np.roll(ink, roll, axis=(0, 1))
            # The edge lies half a pixel from the centres of the pixels on either side.
            inside = distance_transform_edt(ink) - 0.5
            outside = distance_transform_edt(~ink) - 0.5
            fields.append(np.where(ink, inside, -outside) / UNIT)
    if not fields:
        raise ValueError(
            f"none of matplotlib's {len(FONTS)} text fonts has all of the characters {characters!r}"
        )
    stack = torch.from_numpy(np.stack(fields)).float()
    stack = torch.nn.functional.avg_pool2d(stack[:, None], REDUCTION)
    return stack.reshape(-1, len(characters), *stack.shape[-2:])
