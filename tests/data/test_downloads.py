"""Downloads, against a server on this machine: good, broken, cut off, silent and absent.

The files are real ones in the formats of MNIST, CIFAR-10 and CelebA, with a few images each;
torchvision's addresses and checksums are replaced by theirs.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import pickle
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from gencourse import data
from gencourse.data import downloads


class Server:
    """Serves files from memory; counts requests, and can misbehave."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut_after: int | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                content = server.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: server.cut_after])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GENCOURSE_DATA", str(folder))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim])
    return header + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Twenty training and ten test images, on the server."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(20) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    }
    server.files = {f"{n}.gz": gzip.compress(idx(a), mtime=0) for n, a in arrays.items()}
    for source in (torchvision.datasets.MNIST, torchvision.datasets.FashionMNIST):
        monkeypatch.setattr(source, "mirrors", [server.url])
        resources = [(name, md5(content)) for name, content in server.files.items()]
        monkeypatch.setattr(source, "resources", resources)
    return arrays


def leftovers(cache: Path) -> list[str]:
    return sorted(p.name for p in cache.rglob("*") if p.name.startswith(".") or "partial" in p.name)


# --- the good path ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folder", "first_class"),
    [("mnist", "MNIST", "0"), ("fashion_mnist", "FashionMNIST", "T-shirt/top")],
)
def test_mnist_is_downloaded_once_and_read_exactly(
    name: str, folder: str, first_class: str, server: Server, cache: Path, mnist: dict
) -> None:
    loaded = data.load(name)
    assert loaded.event_shape == (1, 28, 28)
    assert loaded.classes[0] == first_class
    expected = torch.from_numpy(mnist["train-images-idx3-ubyte"]).float() / 127.5 - 1
    torch.testing.assert_close(loaded.images("train")[:, 0], expected)
    assert loaded.labels("test").tolist() == list(range(10))
    assert len(list((cache / folder / "raw").iterdir())) == 4
    assert leftovers(cache) == []

    server.requests.clear()
    again = data.load(name)
    assert server.requests == []
    assert torch.equal(again.images("test"), loaded.images("test"))


def test_torchvision_reads_the_same_files(cache: Path, mnist: dict) -> None:
    """Our cache is a torchvision folder, and the other way round."""
    ours = data.load("mnist")
    theirs = torchvision.datasets.MNIST(cache, train=True, download=True)
    assert torch.equal(theirs.data, ((ours.images()[:, 0] + 1) * 127.5).round().to(torch.uint8))
    assert torch.equal(theirs.targets, ours.labels())


def test_larger_sizes_pad_and_smaller_ones_shrink(mnist: dict) -> None:
    base = data.load("mnist").images()
    padded = data.load("mnist", size=32).images()
    assert padded.shape == (20, 1, 32, 32)
    assert torch.equal(padded[..., 2:-2, 2:-2], base)
    assert (padded == -1).sum() - (base == -1).sum() == 20 * (32**2 - 28**2)  # the rest: black
    odd = data.load("mnist", size=29).images()
    assert torch.equal(odd[..., :28, :28], base)
    half = data.load("mnist", size=14).images()
    # An antialiased half is a weighted mean: brightness is kept, up to rounding to bytes.
    assert (half.mean(dim=(1, 2, 3)) - base.mean(dim=(1, 2, 3))).abs().max() < 0.03


def test_cifar10(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    pixels = {file: rng.integers(0, 256, (4, 3072), dtype=np.uint8) for file in files}
    classes = ["airplane", "automobile", "bird", "cat"]
    content = {file: {"data": pixels[file], "labels": [0, 1, 2, 3]} for file in files}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file, entry in {**content, "batches.meta": {"label_names": classes}}.items():
            raw = pickle.dumps(entry)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{file}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    server.files["cifar.tar.gz"] = archive.getvalue()
    source = torchvision.datasets.CIFAR10
    monkeypatch.setattr(source, "url", server.url + "cifar.tar.gz")
    monkeypatch.setattr(source, "filename", "cifar.tar.gz")
    monkeypatch.setattr(source, "tgz_md5", md5(archive.getvalue()))

    loaded = data.load("cifar10")
    assert loaded.event_shape == (3, 32, 32)
    assert loaded.images().shape == (20, 3, 32, 32)
    assert loaded.classes == tuple(classes)
    expected = torch.from_numpy(pixels["test_batch"]).reshape(4, 3, 32, 32).float() / 127.5 - 1
    torch.testing.assert_close(loaded.images("test"), expected)
    assert loaded.labels("train").tolist() == [0, 1, 2, 3] * 5
    assert data.load("cifar10", size=16).event_shape == (3, 16, 16)
    assert leftovers(cache) == []


@pytest.fixture
def celeba(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Six faces in CelebA's own files; the list of what was fetched from Google Drive."""
    names = [f"{i:06d}.jpg" for i in range(1, 7)]
    photographs = io.BytesIO()
    with zipfile.ZipFile(photographs, "w") as archive:
        for i, name in enumerate(names):
            image = np.zeros((218, 178, 3), dtype=np.uint8)  # black around a coloured centre
            image[39:179, 19:159] = (40 * i, 100, 200)
            encoded = io.BytesIO()
            Image.fromarray(image).save(encoded, "JPEG", quality=95)
            archive.writestr(f"img_align_celeba/{name}", encoded.getvalue())
    rows = [f"{name} {1 if i % 2 else -1} {-1 if i % 2 else 1}" for i, name in enumerate(names)]
    content = {
        "img_align_celeba.zip": photographs.getvalue(),
        "list_attr_celeba.txt": "\n".join(["6", "Smiling Male", *rows]).encode(),
        "list_eval_partition.txt": "\n".join(
            f"{name} {part}" for name, part in zip(names, (0, 0, 0, 1, 2, 2), strict=True)
        ).encode(),
    }
    fetched: list[str] = []

    def drive(file_id: str, root: str, filename: str, md5: str | None = None) -> None:
        fetched.append(filename)
        (Path(root) / filename).write_bytes(content[filename])

    files = [(name, md5(raw), name) for name, raw in content.items()]
    monkeypatch.setattr(torchvision.datasets.CelebA, "file_list", files)
    monkeypatch.setattr(torchvision.datasets.utils, "download_file_from_google_drive", drive)
    return fetched


def test_celeba(celeba: list[str], cache: Path) -> None:
    loaded = data.load("celeba", size=16)
    assert loaded.event_shape == (3, 16, 16)
    assert (len(loaded.images("train")), len(loaded.images("test"))) == (3, 2)
    # The crop leaves out the black surround, whose edge JPEG blurs: away from the corners
    # every face is one colour, to within JPEG's 3/255.
    images = loaded.images("train")
    assert images[:, 2].min() > 0  # blue is 200 of 255: nothing black got in
    colour = (images[..., 3:-3, 3:-3].mean(dim=(2, 3)) + 1) * 127.5
    expected = torch.tensor([[0.0, 100.0, 200.0], [40.0, 100.0, 200.0], [80.0, 100.0, 200.0]])
    torch.testing.assert_close(colour, expected, atol=3, rtol=0)
    assert loaded.labels("train").tolist() == [0, 1, 0]
    assert loaded.classes == ("not Smiling", "Smiling")
    assert data.load("celeba", size=16, attribute="Male").labels("test").tolist() == [1, 0]
    assert len(celeba) == 3  # each file once, over both loads
    with pytest.raises(KeyError, match="did you mean 'Smiling'"):
        data.load("celeba", attribute="smile")
    assert leftovers(cache) == []


def test_damaged_pack_of_faces_is_made_again(celeba: list[str], cache: Path) -> None:
    first = data.load("celeba", size=8).images()
    packed = cache / "celeba" / "gencourse-8.npz"
    raw = bytearray(packed.read_bytes())
    raw[len(raw) // 2] ^= 0xFF  # a flipped bit in the middle: same length, wrong CRC
    packed.write_bytes(raw)
    assert torch.equal(data.load("celeba", size=8).images(), first)
    packed.write_bytes(raw[:100])
    assert torch.equal(data.load("celeba", size=8).images(), first)


# --- damage, interruption, absence ------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_file_is_downloaded_again(
    damage: str, server: Server, cache: Path, mnist: dict
) -> None:
    first = data.load("mnist").images()
    archive = cache / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    raw = bytearray(archive.read_bytes())
    if damage == "flipped":
        raw[len(raw) // 2] ^= 1
    archive.write_bytes({"truncated": raw[: len(raw) // 2], "flipped": raw, "empty": b""}[damage])
    server.requests.clear()
    assert torch.equal(data.load("mnist").images(), first)
    assert set(server.requests) == {"/train-images-idx3-ubyte.gz"}


def test_damaged_file_without_a_network_is_reported(
    server: Server, cache: Path, mnist: dict
) -> None:
    data.load("mnist")
    archive = cache / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    archive.write_bytes(b"half")
    server.stop()
    with pytest.raises(data.DownloadError, match="is damaged"):
        data.load("mnist")
    assert archive.read_bytes() == b"half"  # reported, not removed: it may be someone's file


def test_no_network_names_what_is_needed_and_what_ships(
    server: Server, cache: Path, mnist: dict
) -> None:
    server.stop()
    with pytest.raises(ConnectionError) as error:
        data.load("mnist")
    message = str(error.value)
    for part in (
        "'mnist'",
        str(cache / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"),
        server.url + "train-images-idx3-ubyte.gz",
        "refused",
        "GENCOURSE_DATA",
        "'digits' or 'glyphs'",
    ):
        assert part in message
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_file_put_there_by_hand_is_used(server: Server, cache: Path, mnist: dict) -> None:
    raw = cache / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in server.files.items():
        (raw / name).write_bytes(content)
    server.stop()
    assert data.load("mnist").labels("test").tolist() == list(range(10))


def test_connection_cut_halfway_leaves_nothing(server: Server, cache: Path, mnist: dict) -> None:
    server.cut_after = 500
    with pytest.raises(data.DownloadError, match=r"checksum|IncompleteRead|retrieval"):
        data.load("mnist")
    assert not [p for p in cache.rglob("*") if p.is_file()]
    assert leftovers(cache) == []
    server.cut_after = None
    assert len(data.load("mnist").images()) == 20


def test_wrong_content_is_refused(server: Server, cache: Path, mnist: dict) -> None:
    """Such as the login page of a hotel's network."""
    server.files = dict.fromkeys(server.files, b"<html>Please log in</html>")
    with pytest.raises(data.DownloadError, match="does not have the published checksum"):
        data.load("mnist")
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_second_mirror_is_tried(
    server: Server, mnist: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = torchvision.datasets.MNIST
    monkeypatch.setattr(source, "mirrors", [server.url + "gone/", server.url])
    assert len(data.load("mnist").images()) == 20


def test_silent_server_does_not_hang(mnist: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        port = silent.getsockname()[1]
        source = torchvision.datasets.MNIST
        monkeypatch.setattr(source, "mirrors", [f"http://127.0.0.1:{port}/"])
        monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
        start = time.monotonic()
        with pytest.raises(data.DownloadError, match="timed out"):
            data.load("mnist")
        assert time.monotonic() - start < 10
        assert socket.getdefaulttimeout() is None


def broken_download(error: BaseException) -> Callable:
    def download(url: str, root: str, filename: str | None = None, **_: object) -> None:
        (Path(root) / url.rpartition("/")[2]).write_bytes(b"half of it")
        raise error

    return download


def test_interrupt_leaves_nothing(
    cache: Path, mnist: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = torchvision.datasets.utils
    with monkeypatch.context() as patch:
        patch.setattr(utils, "download_url", broken_download(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            data.load("mnist")
    assert not [p for p in cache.rglob("*") if p.is_file()]
    assert leftovers(cache) == []
    assert len(data.load("mnist").images()) == 20


def test_full_disk_is_reported_as_such(
    cache: Path, mnist: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", broken_download(full))
    with pytest.raises(OSError, match=r"could not write .* nothing was changed") as error:
        data.load("mnist")
    assert error.value.errno == errno.ENOSPC
    assert not isinstance(error.value, data.DownloadError)
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_cache_that_is_no_folder_is_reported(
    cache: Path, mnist: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file")
    with pytest.raises(OSError, match=r"could not write .*GENCOURSE_DATA"):
        data.load("mnist")


def test_missing_gdown_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gdown", None)
    with pytest.raises(data.DownloadError, match="pip install gdown"):
        data.load("celeba")


@pytest.mark.parametrize("size", [0, -1, 2.5, "big"])
@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_senseless_size_is_refused_before_any_download(
    name: str, size: object, server: Server, mnist: dict
) -> None:
    with pytest.raises(ValueError, match="size must be"):
        data.load(name, size=size)
    assert server.requests == []


@pytest.mark.parametrize(
    "raw", [b"", b"\0\0", b"\0\0\x0d\x01" + bytes(8), idx(np.zeros((3, 3), np.uint8))[:-1]]
)
def test_idx_reader_refuses_what_is_no_idx_file(raw: bytes) -> None:
    with pytest.raises(ValueError, match="IDX"):
        downloads._read_idx(raw)


def test_default_cache_is_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENCOURSE_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert downloads.cache_folder() == tmp_path / ".cache" / "gencourse"
    monkeypatch.setenv("GENCOURSE_DATA", "~/elsewhere")
    assert downloads.cache_folder() == tmp_path / "elsewhere"
