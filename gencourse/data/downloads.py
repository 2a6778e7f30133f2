"""Public image data sets, through torchvision: downloaded once, verified at every load.

Only the original archives are kept, in the places where torchvision itself looks for them,
so that a folder filled by torchvision serves as it is. An archive is trusted when its MD5 is
the one torchvision publishes; images are read straight from the archive. There is no
unpacked copy that could be left half-written or go stale unnoticed.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import math
import os
import pickle
import shutil
import socket
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from gencourse._validate import positive, unknown_name
from gencourse.data.images import LabelledImages

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DownloadError", "cache_folder", "celeba", "cifar10", "fashion_mnist", "mnist"]

ENVIRONMENT_VARIABLE = "GENCOURSE_DATA"
TIMEOUT = 30.0  # seconds without a byte before a server counts as out of reach
FACE = 140  # pixels: the central square of a CelebA photograph that holds the face


class DownloadError(ConnectionError):
    """A data set is neither in the cache nor to be had from the network."""


def cache_folder() -> Path:
    """Return the folder of downloaded data: ``$GENCOURSE_DATA``, or ``~/.cache/gencourse``."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "gencourse"


def mnist(*, size: int = 28) -> LabelledImages:
    """70,000 handwritten digits of 28 × 28 pixels (LeCun, Bottou, Bengio & Haffner 1998).

    ``size`` above 28 adds black pixels around the digit (32 is the usual choice for
    networks that halve), below 28 it shrinks the image.
    """
    from torchvision.datasets import MNIST

    return _idx_images("mnist", MNIST, "MNIST", size, [str(c) for c in range(10)])


def fashion_mnist(*, size: int = 28) -> LabelledImages:
    """70,000 articles of clothing of 28 × 28 pixels (Xiao, Rasul & Vollgraf 2017).

    ``size`` above 28 adds black pixels around the image, below 28 it shrinks it.
    """
    from torchvision.datasets import FashionMNIST

    return _idx_images("fashion_mnist", FashionMNIST, "FashionMNIST", size, FashionMNIST.classes)


def cifar10(*, size: int = 32) -> LabelledImages:
    """60,000 colour photographs of 32 × 32 pixels in ten classes (Krizhevsky 2009).

    Another ``size`` resamples them, bilinear and antialiased.
    """
    import numpy as np
    from torchvision.datasets import CIFAR10

    positive(size, "size", integer=True)
    archive = _archive("cifar10", CIFAR10.filename, CIFAR10.tgz_md5, _from_url([CIFAR10.url]))
    parts: dict[str, dict] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None and member.name.rpartition("/")[2] in _CIFAR_FILES:
                # A pickle runs code; this one has the checksum of the published archive.
                parts[member.name.rpartition("/")[2]] = pickle.load(content, encoding="latin1")

    def split(files: Sequence[str]) -> tuple[Tensor, Tensor]:
        pixels = np.concatenate([parts[file]["data"] for file in files])
        images = torch.from_numpy(pixels).reshape(-1, 3, 32, 32)
        labels = [label for file in files for label in parts[file]["labels"]]
        return _resize(images, size), torch.tensor(labels)

    return LabelledImages(
        "cifar10",
        {"train": split(_CIFAR_FILES[:5]), "test": split(_CIFAR_FILES[5:6])},
        classes=parts["batches.meta"]["label_names"],
    )


_CIFAR_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")


def celeba(*, size: int = 64, attribute: str = "Smiling") -> LabelledImages:
    """202,599 photographs of faces (Liu, Luo, Wang & Tang 2015), for research use only.

    Each is cut to its central 140 × 140 pixels, the usual crop of the papers in the course,
    and resampled to ``size``. The label is 1 where the person has the ``attribute``, one of
    the 40 of the data set. The first load at a size decodes all photographs (minutes) and
    keeps them as bytes: 2.5 GB at size 64, on disk and in memory, and floats take four times
    that, so prefer ``sample`` to ``images``. The download needs ``pip install gdown``.
    """
    import numpy as np
    from torchvision.datasets import CelebA
    from torchvision.datasets.utils import download_file_from_google_drive

    positive(size, "size", integer=True)
    wanted = {filename: (file_id, md5) for file_id, md5, filename in CelebA.file_list}

    def fetch(filename: str) -> Path:
        file_id, md5 = wanted[filename]

        def download(folder: str) -> None:
            download_file_from_google_drive(file_id, folder, filename, md5)

        source = f"https://drive.google.com/uc?id={file_id}"
        return _archive("celeba", f"celeba/{filename}", md5, [(source, download)])

    attributes = fetch("list_attr_celeba.txt").read_text().splitlines()[1:]
    known, rows = attributes[0].split(), [line.split() for line in attributes[1:]]
    if attribute not in known:
        raise unknown_name("attribute of CelebA", attribute, known)
    column = 1 + known.index(attribute)
    labels = torch.tensor([int(row[column] == "1") for row in rows])
    partition = fetch("list_eval_partition.txt").read_text().split()[1::2]
    part = torch.tensor([int(number) for number in partition])

    packed = cache_folder() / "celeba" / f"gencourse-{size}.npz"
    pixels = _read_packed(packed, len(rows), size)
    if pixels is None:
        archive = fetch("img_align_celeba.zip")
        pixels = _decode_faces(archive, [row[0] for row in rows], size)
        with _replacing(packed) as temporary, open(temporary, "wb") as file:
            np.savez(file, images=pixels)
    images = torch.from_numpy(pixels)
    return LabelledImages(
        "celeba",
        {
            name: (images[part == number], labels[part == number])
            for name, number in (("train", 0), ("test", 2))
        },
        classes=[f"not {attribute}", attribute],
    )


def _idx_images(
    name: str, source: type, folder: str, size: int, classes: Sequence[str]
) -> LabelledImages:
    """Read one of the data sets in MNIST's format; ``source`` is torchvision's class."""
    positive(size, "size", integer=True)
    content = {}
    for filename, md5 in source.resources:  # type: ignore[attr-defined]
        urls = [mirror + filename for mirror in source.mirrors]  # type: ignore[attr-defined]
        archive = _archive(name, f"{folder}/raw/{filename}", md5, _from_url(urls))
        content[filename.partition("-idx")[0]] = _read_idx(gzip.decompress(archive.read_bytes()))
    splits = {
        split: (_fit(content[f"{key}-images"][:, None], size), content[f"{key}-labels"])
        for split, key in (("train", "train"), ("test", "t10k"))
    }
    return LabelledImages(name, splits, classes)


def _read_idx(raw: bytes) -> Tensor:
    """Decode the IDX format: two zero bytes, the type, the rank, the sizes, the numbers."""
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError("not an IDX file of bytes")
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    if len(raw) != 4 + 4 * rank + math.prod(shape):
        raise ValueError(f"an IDX file of shape {shape} cannot have {len(raw)} bytes")
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=4 + 4 * rank).reshape(shape)


def _fit(images: Tensor, size: int) -> Tensor:
    """Centre images on a larger black square, or shrink them to a smaller one."""
    extra = size - images.shape[-1]
    if extra < 0:
        return _resize(images, size)
    before = extra // 2
    return pad(images, (before, extra - before, before, extra - before))


def _resize(images: Tensor, size: int) -> Tensor:
    """Resample square bytes to ``size``, bilinear and antialiased, in blocks."""
    if images.shape[-1] == size:
        return images
    blocks = [
        interpolate(block.float(), size=(size, size), mode="bilinear", antialias=True)
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
        for block in images.split(4096)
    ]
    return torch.cat(blocks)


def _decode_faces(archive: Path, filenames: Sequence[str], size: int) -> np.ndarray:
    """Decode, crop and resample the photographs of a zip file, ``(n, 3, size, size)`` bytes."""
    import numpy as np
    from PIL import Image
    from tqdm.auto import tqdm

    pixels = np.empty((len(filenames), 3, size, size), dtype=np.uint8)

    def decode(i: int) -> None:
        with photographs.open(f"img_align_celeba/{filenames[i]}") as file:
            image = Image.open(file).convert("RGB")
        left, top = (image.width - FACE) // 2, (image.height - FACE) // 2
        box = (left, top, left + FACE, top + FACE)
        face = image.resize((size, size), Image.Resampling.BILINEAR, box)
        pixels[i] = np.asarray(face).transpose(2, 0, 1)

    with zipfile.ZipFile(archive) as photographs, ThreadPoolExecutor() as pool:
        for _ in tqdm(pool.map(decode, range(len(filenames))), total=len(filenames), unit="face"):
            pass
    return pixels


def _read_packed(path: Path, n: int, size: int) -> np.ndarray | None:
    """Return decoded faces kept by an earlier load, or ``None`` if absent or damaged."""
    import numpy as np

    try:
        with np.load(path) as file:  # a zip file: reading it verifies its CRC-32
            pixels = file["images"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return pixels if pixels.shape == (n, 3, size, size) and pixels.dtype == np.uint8 else None


# --- archives ---------------------------------------------------------------------------

Source = tuple[str, Callable[[str], None]]  # an address, and what downloads it to a folder


def _from_url(urls: Sequence[str]) -> list[Source]:
    """Return the sources for a file that has several ordinary addresses."""
    from torchvision.datasets.utils import download_url

    def source(url: str) -> Source:
        return url, lambda folder: download_url(url, folder)

    return [source(url) for url in urls]


def _archive(name: str, relative: str, md5: str, sources: Sequence[Source]) -> Path:
    """Return the path of a verified archive in the cache, downloading it if need be.

    A download goes to a folder of its own beside the target and is moved into place only
    when its checksum is right, so an interrupted one leaves nothing behind.

    Raises
    ------
    DownloadError
        If no source gives the file.
    OSError
        If the cache folder cannot be written, or the disk is full.
    """
    from torchvision.datasets.utils import check_integrity

    path = cache_folder() / relative
    if check_integrity(path, md5):
        return path
    state = "is damaged (its checksum is wrong)" if path.is_file() else "is not there"
    failures = []
    for address, download in sources:
        with _replacing(path) as temporary:
            try:
                with _timeout(TIMEOUT):
                    download(str(temporary.parent))
            except (RuntimeError, OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                    raise
                failures.append(f"{address}: {_reason(error)}")
                continue
            if not check_integrity(temporary, md5):
                failures.append(f"{address}: what arrived does not have the published checksum")
                temporary.unlink(missing_ok=True)
                continue
        return path
    raise DownloadError(
        f"data set {name!r} needs {str(path)!r}, which {state}, and downloading it failed:\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"Connect to the network and load again, or put the file there yourself; "
        f"{ENVIRONMENT_VARIABLE} names another folder in place of {str(cache_folder())!r}. "
        "Without a network, use 'digits' or 'glyphs', which ship with the course."
    )


_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def _reason(error: BaseException) -> str:
    """Return one line that says what went wrong; torchvision's own runs over several."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a path in a new folder beside ``path``; what is there at the end replaces it.

    If the body raises, or leaves no file, ``path`` stays as it was; the folder always goes.
    """
    folder = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=path.parent, prefix=".partial-")
        temporary = Path(folder) / path.name
        yield temporary
        if temporary.is_file():
            os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _DISK_ERRORS and not isinstance(error, NotADirectoryError):
            raise
        raise OSError(
            error.errno,
            f"could not write {str(path)!r} ({os.strerror(error.errno or 0)}); nothing was "
            f"changed on disk. {ENVIRONMENT_VARIABLE} names another folder to keep data in",
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Bound how long a server may stay silent; torchvision's downloads set no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
