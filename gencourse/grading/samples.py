"""Samples that are handed in: from images to text and back, and what they are worth.

A hand-in is one notebook, so samples travel in it, as text in a code cell. That is what survives:
outputs are dropped before grading, attachments of a text cell don't exist in Colab, metadata are
replaced, and a second file would have to find its notebook again behind every learning platform.
A thousand digits of 8 x 8 pixels in 17 grey levels are 64 kB, some 25 kB compressed and 34 kB in
base64: less than one plot, far below any platform's limit. Base64, since its letters mean nothing
to Python, to IPython or in JSON; lines of 100 of them, which editors and e-mail leave alone; and a
checksum, for text that was cut off when it was copied.

Reading runs no code of a student's: the text is a plain value, and no size that it states is
believed.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from gencourse._files import write_atomically
from gencourse.grading.values import CheckFailed, that
from gencourse.metrics import digit_features, digit_probabilities, frechet_distance, prdc
from gencourse.metrics.features import CONFIDENT

__all__ = [
    "CARD",
    "COUNT",
    "ENTRY",
    "MEASURES",
    "SHARES",
    "Judged",
    "checksum",
    "entry_line",
    "images_of",
    "judge",
    "offer",
    "pack",
    "shares",
    "told",
    "unpack",
]

#: Images in a hand-in: FID and coverage depend on the number, so everybody's is the same.
COUNT = 1000
_SHAPE = (1, 8, 8)
_LEVELS = 17  # grey levels of the data, black 0 to white 16
_SIZE = COUNT * math.prod(_SHAPE)
_HEAD = "gencourse-samples-1"
#: Letters of each text on a card that the leaderboard shows.
CARD = 40
_LINE = 100
# More text than this is not looked at; 64 kB of pure noise in base64 are below it.
_LONGEST = 200_000


def pack(images: Tensor) -> str:
    r"""Turn images into the text that is handed in.

    They are rounded to the 17 grey levels of the data, as a scanner would.

    Parameters
    ----------
    images : Tensor of shape (1000, 1, 8, 8)
        In [-1, 1], of any floating dtype, on any device.

    Returns
    -------
    str
        Lines of letters and digits, some 34 kB.

    Raises
    ------
    ValueError
        If the images are not such a tensor; the message says what to do.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"the images must be a tensor of floating numbers, not {kind}")
    if tuple(images.shape) == (COUNT, *_SHAPE[1:]):
        images = images[:, None]
    if tuple(images.shape) != (COUNT, *_SHAPE):
        raise ValueError(
            f"the images must have shape {(COUNT, *_SHAPE)}: {COUNT} grey images of 8 x 8 "
            f"pixels, not {tuple(images.shape)}"
        )
    values = images.detach().cpu().double()
    if not bool(torch.isfinite(values).all()):
        raise ValueError("the images hold NaN or infinity: look at them before you hand them in")
    least, most = values.min().item(), values.max().item()
    if least < -1.001 or most > 1.001:
        raise ValueError(
            f"the images must lie in [-1, 1], black to white; yours go from {least:.3g} to "
            f"{most:.3g}. If they are slightly beyond, write images.clamp(-1, 1); if they go "
            "from 0 to 1, write 2 * images - 1"
        )
    levels = ((values.clamp(-1, 1) + 1) * ((_LEVELS - 1) / 2)).round().to(torch.uint8)
    raw = levels.numpy().tobytes()
    text = base64.b64encode(zlib.compress(raw, 9)).decode()
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return "\n".join([f"{_HEAD} {zlib.crc32(raw):08x}", *lines])


def unpack(text: object) -> Tensor:
    """Read what :func:`pack` wrote; shape (1000, 1, 8, 8), float32 in [-1, 1].

    Raises
    ------
    ValueError
        If the text is anything else; the message is a sentence for the student.
    """
    again = "Make it again with pack(), and copy all of it."
    if not isinstance(text, str):
        kind = type(text).__name__
        raise ValueError(f"the samples should be the text that pack() returns, not a {kind}")
    words = text[: _LONGEST + 1].split()
    if len(text) > _LONGEST:
        raise ValueError(f"the text is longer than any that pack() returns. {again}")
    if not words or words[0] != _HEAD:
        raise ValueError(f"the text does not begin with {_HEAD}. {again}")
    if len(words) < 3 or not re.fullmatch("[0-9a-f]{8}", words[1]):
        raise ValueError(f"the text is cut off after its first line. {again}")
    try:
        packed = base64.b64decode("".join(words[2:]), validate=True)
        # No more is unpacked than there must be, whatever the text promises.
        opened = zlib.decompressobj()
        raw = opened.decompress(packed, _SIZE + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise ValueError(f"the text is damaged: letters are missing or changed. {again}") from None
    if len(raw) != _SIZE or not opened.eof:
        raise ValueError(f"the text does not hold {COUNT} images of 8 x 8 pixels. {again}")
    if zlib.crc32(raw) != int(words[1], 16):
        raise ValueError(f"the text was changed after pack() wrote it. {again}")
    levels = torch.frombuffer(bytearray(raw), dtype=torch.uint8)
    levels = levels.reshape(COUNT, *_SHAPE)
    if int(levels.max()) >= _LEVELS:
        raise ValueError(f"the text holds grey levels above {_LEVELS - 1}. {again}")
    return levels.float() / ((_LEVELS - 1) / 2) - 1


def offer(images: Tensor, path: str = "samples.txt") -> None:
    """Pack images, write the text into a file, and where that works into a new cell below.

    Parameters
    ----------
    images : Tensor of shape (1000, 1, 8, 8)
        See :func:`pack`.
    path : str
        The file.

    Raises
    ------
    ValueError
        As :func:`pack` does.
    """
    text = pack(images)
    write_atomically(Path(path), text.encode())
    print(f"{COUNT} images in {len(text) / 1000:.0f} kB of text, in {path}.")
    try:
        from IPython import get_ipython

        shell = get_ipython()
    except ImportError:
        shell = None
    if shell is not None:
        shell.set_next_input(f'SAMPLES = """\n{text}\n"""', replace=False)
        print("A new cell below says SAMPLES = …: run it. If there is none, paste the file there.")


@dataclass(frozen=True)
class Judged:
    """What :func:`judge` measured.

    Attributes
    ----------
    own : Tensor of shape (n,)
        Which samples are neither copies of real images nor repeated.
    copied, repeated : float
        Shares of the samples that are.
    recognised : float
        Share of all samples that are own and that the shipped classifier is sure of.
    classes : int
        Digits of which the own samples have a tenth of their fair share.
    coverage : float
        Share of the reference images near which there is a sample of one's own, of
        :func:`gencourse.metrics.prdc` with k = 5.
    fid : float
        Fréchet distance of the own samples to the reference, in the classifier's features.
    near : float
        Share of samples nearer to a known image than nine of ten new real images are.
    """

    own: Tensor
    copied: float
    repeated: float
    recognised: float
    classes: int
    coverage: float
    fid: float
    near: float


_NEIGHBOURS = 5
_FEWEST = 100  # own samples, below which nothing is measured
_COPY = 0.5  # of the usual distance of a new image, and of the distance to the next one
_NEAR = 0.1  # share of new real images that count as near
_AXES = 24  # principal axes of the data, on which little is left of noise
_NEW = 500  # new real images that say how near such come to known ones


def judge(images: Tensor, reference: Tensor, known: Sequence[tuple[Tensor, Tensor]]) -> Judged:
    r"""Measure samples of digits: what is copied or repeated is taken out first.

    A sample is a copy if its nearest known image is less than half as far away as the next one,
    or than new real images usually are from theirs; in pixels, or on the principal axes of the
    data, since noise on a copy hides it from pixels alone. Known images moved by half a pixel
    or by one are known, too. A sample is repeated if another one before it is as near.

    Parameters
    ----------
    images : Tensor of shape (n, 1, 8, 8)
        The samples, on any device.
    reference : Tensor of shape (m, 1, 8, 8)
        Real images that nobody has trained on.
    known : sequence of (Tensor, Tensor)
        Sets of real images that may have been copied, each with other real images that say how
        near new ones come to it.

    Returns
    -------
    Judged
    """
    images = images.cpu()  # with what is known, which need not be where the samples were made
    n = len(images)
    copied, near = torch.zeros(2, n, dtype=torch.bool)
    usual = math.inf
    for old, new in known:
        for x, seen, moved, fresh in _views(images, old, new[:_NEW]):
            two = torch.cdist(x, seen).topk(2, dim=1, largest=False).values
            distance = torch.cdist(x, moved).amin(1)
            expected = torch.cdist(fresh, moved).amin(1)
            copied |= (two[:, 0] < _COPY * two[:, 1]) | (distance < _COPY * expected.median())
            near |= distance < expected.quantile(_NEAR)
            if x.shape[1] != _AXES:
                usual = min(usual, expected.median().item())
    pixels = images.flatten(1)
    earlier = torch.ones(n, n, dtype=torch.bool).triu(1)
    between = torch.cdist(pixels, pixels).masked_fill(~earlier, math.inf)
    repeated = between.amin(0) < _COPY * usual
    own = ~(copied | repeated)
    sure, coverage, fid, classes = 0.0, 0.0, math.inf, 0
    if int(own.sum()) >= _FEWEST:
        kept = images[own]
        probabilities = digit_probabilities(kept)
        sure = float((probabilities.amax(1) > CONFIDENT).sum()) / n
        counts = probabilities.argmax(1).bincount(minlength=10)
        classes = int((counts >= n / 100).sum())
        there, here = digit_features(reference), digit_features(kept)
        coverage = prdc(there, here, _NEIGHBOURS).coverage
        fid = frechet_distance(here, there).item()
    return Judged(
        own=own,
        copied=copied.double().mean().item(),
        repeated=repeated.double().mean().item(),
        recognised=sure,
        classes=classes,
        coverage=coverage,
        fid=fid,
        near=near.double().mean().item(),
    )


def _views(images: Tensor, old: Tensor, new: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield samples, known images, the same with moved ones, and new ones: as two kinds of rows."""
    sets = [x.flatten(1) for x in (images, old, _moved(old), new)]
    yield tuple(sets)
    axes = torch.linalg.eigh(sets[1].T.cov()).eigenvectors[:, -_AXES:]
    yield tuple(x @ axes for x in sets)


def _moved(images: Tensor) -> Tensor:
    """Images as they are, and moved by half a pixel and by one to each side."""
    around = pad(images, (1, 1, 1, 1), value=-1.0)
    height, width = images.shape[-2:]
    moved = [images]
    for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
        shifted = around[..., down : down + height, right : right + width]
        moved += [shifted, (images + shifted) / 2]
    return torch.cat(moved)


#: Each measure, with the value that earns nothing and the one that earns all.
SHARES = {
    "recognised": (0.4, 0.85),
    "coverage": (0.25, 0.8),
    "fid": (40.0, 3.6),
    "near": (0.65, 0.35),
}
#: What the leaderboard shows: those, and what explains them.
MEASURES = (*SHARES, "classes", "copied", "repeated")


def shares(judged: Judged) -> dict[str, float]:
    """Return the share of its points that each measure earns, from 0 to 1.

    It grows evenly between the two values of :data:`SHARES`, of FID with its logarithm. Samples
    that nobody recognises are original, too, so ``near`` earns no larger share than
    ``recognised``; and where it earns nothing, the others earn half.
    """
    earned = {}
    for name, (none, all_) in SHARES.items():
        value, low, high = float(getattr(judged, name)), none, all_
        if name == "fid":
            value, low, high = (math.log(max(v, 1e-9)) for v in (value, low, high))
        earned[name] = min(max((value - low) / (high - low), 0.0), 1.0)
    original = earned["near"]
    earned = {name: share * (1 + original) / 2 for name, share in earned.items()}
    earned["near"] = min(original, earned["recognised"])
    return earned


def told(judged: Judged, name: str) -> tuple[float, str]:
    """Return the share that a measure earns, and a sentence about it, for a check."""
    share, (none, all_) = shares(judged)[name], SHARES[name]
    value, title = getattr(judged, name), "FID" if name == "fid" else name.capitalize()
    text = f"{title} is {value:.3g}; {none:g} earns nothing and {all_:g} all."
    if judged.copied >= 0.01:
        text += f" {judged.copied:.0%} of the samples are copies of real images."
    if judged.repeated >= 0.01:
        text += f" {judged.repeated:.0%} repeat one before."
    if name == "near" and share < (none - judged.near) / (none - all_):
        text += " It earns no larger share than recognised does."
    elif name != "near" and judged.near > SHARES["near"][1]:
        text += f" A part of it is lost, since near is {judged.near:.2g}."
    return share, text


def images_of(value: object) -> Tensor:
    """Read samples in a check; see :func:`unpack`.

    Raises
    ------
    CheckFailed
        If they can't be read, with the sentence that says why.
    """
    that(True, "")  # what follows is what is expected
    try:
        return unpack(value)
    except ValueError as error:
        raise CheckFailed(str(error)) from None


#: Begins the line of a check's output that the leaderboard reads.
ENTRY = "Leaderboard: "


def entry_line(images: Tensor, judged: Judged, card: object) -> str:
    """Return the line that enters samples into the leaderboard: JSON, in letters of ASCII.

    Parameters
    ----------
    images : Tensor of shape (1000, 1, 8, 8)
    judged : Judged
    card : object
        What the student says: two texts, a name to appear by and the system. Anything else is
        taken for nothing said.
    """
    said = list(card) if isinstance(card, tuple | list) else []
    if len(said) != 2 or not all(type(text) is str for text in said):
        said = ["", ""]
    name, system = (text[:CARD] for text in said)
    measures = {m: getattr(judged, m) for m in MEASURES}
    measures["fid"] = min(measures["fid"], 1e6)  # JSON knows no infinity
    entry = {"name": name, "system": system, "samples": checksum(pack(images)), **measures}
    return ENTRY + json.dumps(entry, ensure_ascii=True)


def checksum(text: str) -> str:
    """Return the checksum that a packed text states."""
    return text.split()[1]
