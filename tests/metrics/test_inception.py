"""Features of Inception: what is asked of the network, and what one is told without it."""

from __future__ import annotations

import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch

from gencourse import data
from gencourse.data import DownloadError
from gencourse.metrics import features, inception, inception_features
from gencourse.metrics.features import extractor_for
from gencourse.metrics.inception import inception_available

COLOUR = data.load("glyphs", n_train=4, n_test=1, channels=3).images("train")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """No weights on this machine, and no network that was made before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = inception._network
    network.cache_clear()
    yield
    network.cache_clear()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ImportError, match="pip install torch-fidelity; or use the shipped"):
        inception_features(COLOUR)
    with pytest.raises(ImportError, match="torch-fidelity"):
        features(COLOUR)  # images without a classifier of their own
    assert not inception_available()
    assert extractor_for(COLOUR) is None


def test_without_the_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")

    def offline(*arguments: Any, **options: Any) -> None:
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    assert not inception_available()
    with pytest.raises(DownloadError, match=r"no network here.*put the file into .*checkpoints"):
        features(COLOUR, "inception")
    assert extractor_for(COLOUR) is None


def test_weights_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file than the one that is meant is refused: the name holds its hash."""
    pytest.importorskip("torch_fidelity")
    asked: dict[str, Any] = {}

    def download(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        asked.update(url=url, hash=hash_prefix)
        raise RuntimeError("invalid hash value")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(DownloadError, match="invalid hash value"):
        inception_features(COLOUR)
    assert len(asked["hash"]) == 8
    assert asked["url"].endswith(f"-{asked['hash']}.pth")


def test_bytes_go_into_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """[-1, 1] becomes 0 … 255, grey becomes colour, in blocks; the layer is what was asked."""
    seen: list[torch.Tensor] = []

    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            seen.append(x)
            return (x.float().mean((2, 3)),)

    monkeypatch.setattr(inception, "_network", lambda layer: Network())
    found = inception_features(COLOUR, block=3)
    assert [len(x) for x in seen] == [3, 1]
    levels = torch.cat(seen)
    assert levels.dtype == torch.uint8
    assert torch.equal(levels, ((COLOUR + 1) * 127.5).round().to(torch.uint8))
    assert found.shape == (4, 3)
    grey = data.load("digits").images("test")[:2] * 1.5  # what is too bright becomes white
    inception_features(grey)
    assert seen[-1].shape == (2, 3, 8, 8)
    assert torch.equal(seen[-1][:, 0], seen[-1][:, 2])
    assert (seen[-1].min(), seen[-1].max()) == (0, 255)


def test_the_network_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The architecture as torch-fidelity has it, with weights that are not the real ones."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: {})
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *args, **kwargs: None)
    weights = inception._cached_weights()
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert tmp_path in weights.parents
    assert inception_available()
    assert extractor_for(COLOUR) == "inception"
    with torch.random.fork_rng(devices=[]):
        found = inception_features(COLOUR[:2], layer="64")
    assert found.shape == (2, 64)
    assert found.isfinite().all()


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="n, 1 or 3, height, width"):
        inception_features(torch.zeros(2, 2, 8, 8))
    with pytest.raises(ValueError, match="empty"):
        inception_features(COLOUR[:0])
    with pytest.raises(ValueError, match="block must be"):
        inception_features(COLOUR, block=0)
    pytest.importorskip("torch_fidelity")
    with pytest.raises(ValueError, match="layer must be one of 64, 192, 768, 2048"):
        inception_features(COLOUR, layer="2049")
