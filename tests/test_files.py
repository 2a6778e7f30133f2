"""A file is wholly there, or what was there before still is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gencourse._files import write_atomically


def test_new_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write_atomically(path, b"first")
    assert path.read_bytes() == b"first"
    write_atomically(str(path), b"")
    assert path.read_bytes() == b""
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_others_may_read_it_as_after_a_plain_open(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "model.pt"
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(path, b"x")
    assert caught.value.errno == errno.ENOENT
    assert str(path) in str(caught.value)
    assert "nothing was changed on disk" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "model.pt").mkdir()
    with pytest.raises(OSError, match="could not write"):
        write_atomically(tmp_path / "model.pt", b"x")
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.parametrize("moment", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_failure_at_any_moment_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException
) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, moment, fails)
    with pytest.raises(type(error)) as caught:
        write_atomically(path, b"new")
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC  # type: ignore[attr-defined]
        assert "No space left on device" in str(caught.value)
        assert "model.pt" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.pt"]


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    """While one thread writes two contents in turn, every read finds one of them."""
    path = tmp_path / "model.pt"
    contents = (b"a" * 300_000, b"b" * 500_000)
    write_atomically(path, contents[0])
    stop = threading.Event()
    seen = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        write_atomically(path, contents[i % 2])
    stop.set()
    reader.join()
    assert seen <= set(contents)


LIMITED = """
import resource, signal, sys
from gencourse._files import write_atomically
# Files may not grow beyond 1000 bytes: the write fails half-way, as on a full disk.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(sys.argv[1], bytes(5000))
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs resource limits")
def test_a_write_that_really_fails_half_way(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True
    )
    assert "could not write" in result.stdout
    assert "File too large" in result.stdout
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.pt"]
