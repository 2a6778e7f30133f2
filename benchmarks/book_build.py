"""A cold build of the book's chapters, one kernel at a time against several side by side.

    python -m benchmarks book_build                # six chapters
    python -m benchmarks book_build --full         # all of them

One kernel at a time is how Jupyter Book executes chapters by itself; side by side, the longest
first, is what ``make book`` does. Both execute the same chapters from nothing, in a folder of
their own, and must draw the same figures. The pages, which Sphinx writes in one process either
way, are not part of it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat

from .harness import Options, compared

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import build_book  # noqa: E402
from book_cache import cache_folder, execute, seconds_file  # noqa: E402

__all__ = ["rows"]

#: Short and long ones, about as unequal as all of them are.
SIX = ("divergences", "evaluation", "push_forward", "optimal_transport", "score_diffusion", "vae")
CELL_SECONDS, CHAPTER_SECONDS = 600, 1800


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """Yield one row: as many kernels side by side as there are processors, and one."""
    chapters = [ROOT / "book" / f"{name}.ipynb" for name in SIX]
    if options.full:
        chapters = build_book.chapters()
    with tempfile.TemporaryDirectory(prefix="gencourse-book-") as folder:
        if options.small:
            chapters = [tiny(Path(folder, f"{name}.ipynb")) for name in "ab"]
        yield beside(chapters, os.cpu_count() or 1)


def tiny(path: Path) -> Path:
    """A chapter of one cell."""
    cell = nbformat.v4.new_code_cell("print(6 * 7)")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


def beside(chapters: Sequence[Path], jobs: int) -> dict[str, Any]:
    """Execute the chapters one by one, then side by side; return the row."""
    with patch.dict(os.environ, {**build_book.ENVIRONMENT, **os.environ}):
        os.environ.pop("MPLBACKEND", None)  # with one given, a kernel would not show its figures
        alone, figures = cold(chapters, 1)
        together, again = cold(chapters, jobs)
    differ = sum(a != b for a, b in zip_longest(figures, again))
    return compared(
        f"cold execution of {len(chapters)} chapters, {jobs} side by side",
        "one at a time",
        [together],
        [alone],
        aim=1.7 if jobs == 2 else None,
        difference=differ,
        tolerance=0,
    )


def cold(chapters: Sequence[Path], jobs: int) -> tuple[float, list[str]]:
    """Execute the chapters from nothing; return the seconds on the wall, and all figures."""
    from jupyter_cache import get_cache

    remembered = seconds_file(ROOT)
    with tempfile.TemporaryDirectory(prefix="gencourse-cold-") as folder:
        root = Path(folder)
        copies = [Path(shutil.copy(path, root)) for path in chapters]
        if remembered.is_file():  # a cold build knows how long chapters took, but for the first
            seconds_file(root).parent.mkdir(parents=True)
            known = remembered.read_text(encoding="utf-8").replace('"book/', '"')
            seconds_file(root).write_text(known, encoding="utf-8")
        started = time.perf_counter()
        _, failures = execute(
            root, copies, jobs=jobs, cell_seconds=CELL_SECONDS, chapter_seconds=CHAPTER_SECONDS
        )
        elapsed = time.perf_counter() - started
        if failures:
            sys.exit(f"{failures[0].chapter.name} failed:\n{failures[0].reason}")
        cache = get_cache(str(cache_folder(root)))
        executed = [cache.match_cache_notebook(nbformat.read(path, 4)) for path in copies]
        notebooks = [cache.get_cache_bundle(record.pk).nb for record in executed]
    return elapsed, [
        output.data["image/png"]
        for notebook in notebooks
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
