"""A cold build of the book's chapters, one kernel at a time against several side by side.

    python benchmarks/book_build.py                          # every chapter, 1 job against 2
    python benchmarks/book_build.py --jobs 4 book/gan        # some, 1 job against 4

Both execute the same chapters from nothing, in a folder of their own, as ``make book`` does; the
pages, which Sphinx writes in one process, are not part of it. Besides the clock it tells what
all kernels together took of the processors, and how busy those were with other things
meanwhile: where that is much, the ratio says little.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import build_book  # noqa: E402
from book_cache import execute, seconds_file  # noqa: E402


def measure(chapters: list[Path], jobs: int, memory: str | None) -> tuple[float, float]:
    """Execute the chapters cold; return seconds of the clock and of the processors."""
    with tempfile.TemporaryDirectory(prefix="gencourse-book-") as folder:
        root = Path(folder)
        for path in chapters:
            copy = root / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        if memory is not None:  # a cold build knows how long chapters took, except the first ever
            seconds_file(root).parent.mkdir(parents=True)
            seconds_file(root).write_text(memory, encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        _, failures = execute(
            root,
            [root / path.relative_to(ROOT) for path in chapters],
            jobs=jobs,
            cell_seconds=600,
            chapter_seconds=1800,
        )
        elapsed = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if failures:
        sys.exit(f"{failures[0].chapter.name} failed:\n{failures[0].reason}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="chapters, such as book/gan")
    parser.add_argument("--jobs", type=int, default=2, help="kernels side by side")
    options = parser.parse_args()
    for name, value in build_book.ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.pop("MPLBACKEND", None)
    chapters = [ROOT / f"{name}.ipynb" for name in options.names] or build_book.chapters()
    remembered = seconds_file(ROOT)
    memory = remembered.read_text(encoding="utf-8") if remembered.is_file() else None

    clock = {}
    for jobs in (1, options.jobs):
        idle = _idle()
        clock[jobs], cpu = measure(chapters, jobs, memory)
        others = (os.cpu_count() or 1) * clock[jobs] - (_idle() - idle) - cpu
        print(
            f"{jobs} side by side: {clock[jobs]:.1f} s, kernels {cpu:.1f} s of processor, "
            f"everything else {max(others, 0):.1f} s"
        )
    print(f"ratio {clock[1] / clock[options.jobs]:.2f} for {len(chapters)} chapters")


def _idle() -> float:
    """Return the seconds that the processors of this machine have idled (Linux; 0 elsewhere)."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
    except OSError:
        return 0.0
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
