"""Executed chapters, kept until something they depend on changes.

jupyter-cache recognises a notebook by the text of its code cells. That is not enough: the
same cells draw another figure once the library or a pinned package has changed. So each
state of library, pins and interpreter has a cache folder of its own, named by a hash of
them all. ``tools/build_book.py`` fills the folder, executing chapters side by side, and
``tools/sphinx_site.py`` points Sphinx at it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Failure",
    "cache_folder",
    "digest",
    "environment_key",
    "execute",
    "files_under",
    "forget",
    "longest_first",
    "seconds_file",
]

_IGNORED = {"__pycache__", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache"}


def files_under(root: Path, names: Iterable[str]) -> list[Path]:
    """Return the files that ``names`` (files or folders below ``root``) hold, sorted."""
    found: set[Path] = set()
    for name in names:
        path = root / name
        if path.is_file():
            found.add(path)
        elif path.is_dir():
            for folder, folders, files in os.walk(path):
                folders[:] = [f for f in folders if f not in _IGNORED]
                found.update(Path(folder, f) for f in files if not f.endswith((".pyc", "~")))
    return sorted(found)


def digest(root: Path, names: Iterable[str], *extra: str) -> str:
    """Return a hash of the content of files and folders below ``root`` and of ``extra``."""
    total = hashlib.sha256()
    for text in extra:
        total.update(text.encode() + b"\0")
    for path in files_under(root, names):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def environment_key(root: Path) -> str:
    """Return a short hash of all that executing a chapter depends on, beside its own cells."""
    version = ".".join(map(str, sys.version_info[:2]))
    device = os.environ.get("GENCOURSE_DEVICE", "")
    return digest(root, ["gencourse", "constraints.txt"], version, device)[:16]


def cache_folder(root: Path) -> Path:
    """Return the folder of executed chapters for the present library, pins and interpreter."""
    return root / "_build" / ".jupyter_cache" / environment_key(root)


def seconds_file(root: Path) -> Path:
    """Return the file that remembers how long each chapter took, in whatever state."""
    return root / "_build" / ".jupyter_cache" / "seconds.json"


def longest_first(root: Path, chapters: Iterable[Path]) -> list[Path]:
    """Order chapters so that kernels side by side end together.

    A long chapter begun last would leave all other processors idle. How long one takes is known
    from when it was last executed; chapters that never were come first, those with the most code
    before the others.
    """
    remembered = _remembered(root)

    def cost(path: Path) -> tuple[float, int]:
        return remembered.get(_name(root, path), math.inf), path.stat().st_size

    return sorted(chapters, key=cost, reverse=True)


def _remembered(root: Path) -> dict[str, float]:
    try:
        found = json.loads(seconds_file(root).read_text(encoding="utf-8"))
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # the order is a matter of speed alone


def _remember(root: Path, seconds: dict[Path, float]) -> None:
    """Note how long chapters took."""
    known = _remembered(root) | {_name(root, p): round(s, 1) for p, s in seconds.items()}
    temporary = seconds_file(root).with_suffix(".tmp")
    temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(temporary, seconds_file(root))


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def forget(root: Path) -> list[Path]:
    """Remove the folders of earlier states, and return them."""
    current = cache_folder(root)
    kept = {current, seconds_file(root)}
    stale = [p for p in sorted(current.parent.glob("*")) if p not in kept]
    for path in stale:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return stale


@dataclass(frozen=True)
class Failure:
    """A chapter that could not be executed, and why."""

    chapter: Path
    reason: str


def execute(
    root: Path,
    chapters: Sequence[Path],
    *,
    jobs: int,
    cell_seconds: float,
    chapter_seconds: float,
) -> tuple[dict[Path, float], list[Failure]]:
    """Execute the chapters that the cache does not hold yet, ``jobs`` at a time, longest first.

    Parameters
    ----------
    root : Path
        Root of the repository.
    chapters : sequence of Path
        The notebooks.
    jobs : int
        How many kernels run at once.
    cell_seconds, chapter_seconds : float
        Time limits in seconds, for each cell and for a whole chapter.

    Returns
    -------
    seconds : dict
        Wall-clock time of each chapter that was executed; those in the cache are missing.
    failures : list of Failure
        Every chapter that failed, with its traceback; the others are in the cache all the same.
    """
    import nbformat
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn

    folder = cache_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    cache = get_cache(str(folder))
    missing: list[tuple[Path, Any]] = []
    for path in longest_first(root, chapters):
        notebook = nbformat.read(path, 4)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            missing.append((path, notebook))

    seconds: dict[Path, float] = {}
    failures: list[Failure] = []

    async def one(path: Path, notebook: Any, slots: asyncio.Semaphore) -> None:
        async with slots:
            print(f"  executing {path.relative_to(root)} …", flush=True)
            started = time.perf_counter()
            reason = await _run(notebook, cell_seconds, chapter_seconds)
            elapsed = time.perf_counter() - started
            if reason is not None:
                print(f"  FAILED    {path.relative_to(root)} after {elapsed:.0f} s", flush=True)
                failures.append(Failure(path, reason))
                return
            bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": elapsed})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            seconds[path] = elapsed
            print(f"  executed  {path.relative_to(root)} in {elapsed:.0f} s", flush=True)

    async def everything() -> None:
        slots = asyncio.Semaphore(jobs)
        await asyncio.gather(*(one(path, notebook, slots) for path, notebook in missing))

    asyncio.run(everything())
    if seconds:
        _remember(root, seconds)
    return seconds, failures


async def _run(notebook: Any, cell_seconds: float, chapter_seconds: float) -> str | None:
    """Execute a notebook in place; return ``None``, or what went wrong."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    # A folder of its own: a chapter must not find files that a reader in Colab does not have.
    with tempfile.TemporaryDirectory(prefix="gencourse-chapter-") as folder:
        client = NotebookClient(
            notebook,
            timeout=cell_seconds,
            kernel_name="python3",
            record_timing=False,  # it would go into cell metadata, which the cache compares
            resources={"metadata": {"path": folder}},
        )
        limit = asyncio.timeout(chapter_seconds)
        try:
            async with limit:
                await client.async_execute()
        except CellExecutionError as error:
            return str(error)
        except CellTimeoutError as error:
            return f"a cell ran longer than {cell_seconds:g} s\n{error}"
        except (DeadKernelError, TimeoutError) as error:
            # When time is up the kernel is ended, which nbclient may report as its death.
            if limit.expired():
                return f"the chapter ran longer than {chapter_seconds:g} s"
            return f"the kernel died (out of memory?)\n{error}"
    return None
