"""Features of Inception-v3, the network of published FIDs, through torch-fidelity."""

from __future__ import annotations

import socket
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gencourse._validate import points, positive

__all__ = ["inception_available", "inception_features"]

TIMEOUT = 30.0  # seconds without a byte before the server counts as out of reach
BLOCK = 64  # images that the network looks at together


def inception_features(images: Tensor, *, layer: str = "2048", block: int = BLOCK) -> Tensor:
    """Features of the Inception-v3 network that published FIDs are computed with.

    The network of the original TensorFlow code, with its weights and its way of resizing,
    as ported by torch-fidelity (Obukhov et al. 2020). Its weights, 91 MB, are downloaded
    when they are first wanted, into torch's cache.

    Parameters
    ----------
    images : Tensor of shape (n, 1 or 3, height, width)
        In [-1, 1]; rounded to 256 levels, as files of images would be. Grey images get three
        equal channels.
    layer : str
        ``"2048"`` for FID, KID and precision and recall, ``"logits_unbiased"`` for the
        Inception score (take its softmax).
    block : int
        Images in the network at once.

    Returns
    -------
    Tensor of shape (n, d)
        Float32, on the device of ``images``; no gradient, because of the rounding.

    Raises
    ------
    ImportError
        If torch-fidelity is not installed.
    gencourse.data.DownloadError
        If the weights are neither in the cache nor reachable.
    ValueError
        If the images are empty, not finite, or of another shape, or there is no such layer.
    """
    points(images, "images")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"images must have shape (n, 1 or 3, height, width), not {tuple(images.shape)}"
        )
    positive(block, "block", integer=True)
    network = _network(layer).to(images.device)
    found = []
    with torch.no_grad():
        for part in images.split(block):
            # 256 levels, and the middle of [-1, 1] to 127.5: the inverse of reading a file.
            levels = (part.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
            found.append(network(levels.expand(-1, 3, -1, -1))[0])
    return torch.cat(found)


def inception_available() -> bool:
    """Whether torch-fidelity is installed and the weights are in torch's cache."""
    try:
        return _cached_weights().is_file()
    except ImportError:
        return False


@lru_cache(maxsize=2)
def _network(layer: str) -> nn.Module:
    from gencourse.data.downloads import DownloadError

    extractor = _torch_fidelity()
    known = ("64", "192", "768", "2048", "logits_unbiased", "logits")
    if layer not in known:
        raise ValueError(f"layer must be one of {', '.join(known)}, not {layer!r}")
    weights = _cached_weights()
    if not weights.is_file():
        # The file's name ends in the beginning of its SHA-256, which is checked.
        beginning = weights.stem.rsplit("-", 1)[-1]
        waited = socket.getdefaulttimeout()
        try:
            socket.setdefaulttimeout(TIMEOUT)
            weights.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                extractor.URL_INCEPTION_V3, str(weights), hash_prefix=beginning, progress=False
            )
        except (OSError, RuntimeError) as error:  # no network, no disk, or another file
            raise DownloadError(
                f"the weights of Inception-v3 cannot be had ({error}). Download "
                f"{extractor.URL_INCEPTION_V3} on a machine with internet, and put the file "
                f"into {weights.parent}; or use the shipped classifiers, extractor='digits' or "
                "'glyphs', or extractor='pixels'"
            ) from error
        finally:
            socket.setdefaulttimeout(waited)
    network: nn.Module = extractor.FeatureExtractorInceptionV3(
        "inception-v3-compat", [layer], verbose=False
    )
    return network.eval()


def _torch_fidelity() -> Any:
    try:
        from torch_fidelity import feature_extractor_inceptionv3
    except ImportError as error:
        raise ImportError(
            "features of Inception need torch-fidelity: pip install torch-fidelity; or use the "
            "shipped classifiers, extractor='digits' or 'glyphs', or extractor='pixels'"
        ) from error
    return feature_extractor_inceptionv3


def _cached_weights() -> Path:
    name = _torch_fidelity().URL_INCEPTION_V3.rsplit("/", 1)[-1]
    return Path(torch.hub.get_dir()) / "checkpoints" / name
