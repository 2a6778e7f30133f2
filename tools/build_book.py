"""Build the site: execute the chapters side by side, then let Jupyter Book write the pages.

``make book`` runs this. A build for which nothing has changed returns at once; one that
fails leaves the site of the last good build in place.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from book_cache import digest, environment_key, execute, forget

__all__ = ["chapters", "inputs_key", "is_current", "main", "write_stamp"]

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
STAMP = ROOT / "_build" / "book.json"

# Whatever a page is made of. The library comes in through `environment_key`.
INPUTS = (
    "_config.yml",
    "_toc.yml",
    "book",
    "assignments",
    "benchmarks/README.md",
    "benchmarks/results",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "pyproject.toml",
    "tools/book_cache.py",
    "tools/build_book.py",
    "tools/site_pages.py",
    "tools/social_card.py",
    "tools/sphinx_site.py",
)
# One thread per kernel: two that want all cores each are several times slower than one after
# the other. The processor everywhere, so that pages show the same numbers wherever they are
# built; GENCOURSE_DEVICE=cuda overrides. No progress bars, which would end up on the page.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "GENCOURSE_DEVICE": "cpu",
    "TQDM_DISABLE": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",
    "PYTHONHASHSEED": "0",
    "GENCOURSE_STATIC": "1",  # widgets become figures: there is no kernel behind a page
}
CHAPTER_SECONDS = 600
SPHINX_SECONDS = 1200


def chapters() -> list[Path]:
    """Return the notebooks that ``_toc.yml`` lists, in its order."""

    def names(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key in ("root", "file"):
                if key in node:
                    yield str(node[key])
            for value in node.values():
                yield from names(value)
        elif isinstance(node, list):
            for value in node:
                yield from names(value)

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    paths = [ROOT / f"{name.removesuffix('.ipynb')}.ipynb" for name in names(toc)]
    return [path for path in paths if path.is_file()]


def inputs_key() -> str:
    """Return a hash of everything the site is made from."""
    return digest(ROOT, INPUTS, environment_key(ROOT))


def is_current() -> bool:
    """Say whether the site is complete and made from the files as they are now."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == {"inputs": inputs_key(), "site": _listing(HTML)})


def write_stamp(inputs: str) -> None:
    """Note what the site as it is now was made from."""
    temporary = STAMP.with_suffix(".tmp")
    temporary.write_text(json.dumps({"inputs": inputs, "site": _listing(HTML)}), encoding="utf-8")
    os.replace(temporary, STAMP)


def _listing(site: Path) -> str:
    """Return a hash of the names and sizes of the site's files."""
    sizes = (f"{p.relative_to(site)} {p.stat().st_size}" for p in site.rglob("*") if p.is_file())
    return digest(site, (), *sorted(sizes))


def _jupyter_book(output: Path, *options: str, show: bool = False) -> int:
    """Run ``jupyter-book build`` into ``output``; return its exit status.

    Warnings and errors are always shown; its praise of the result, which names a folder that
    is about to be moved, only with ``show``.
    """
    command = [
        sys.executable,
        "-c",
        "import sys; from jupyter_book.cli.main import main; sys.exit(main())",
        "build",
        str(ROOT),
        "--path-output",
        str(output),
        "-q",
        "--all",
        *options,
    ]
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            timeout=SPHINX_SECONDS,
            stdout=None if show else subprocess.DEVNULL,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"Sphinx did not finish in {SPHINX_SECONDS} s", file=sys.stderr)
        return 1


def _install(built: Path) -> None:
    """Put the finished site in place of the old one, and say what it was made from."""
    STAMP.unlink(missing_ok=True)
    old = HTML.with_name("html.old")
    shutil.rmtree(old, ignore_errors=True)
    if HTML.exists():
        HTML.rename(old)
    built.rename(HTML)
    shutil.rmtree(old, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site, unless it is current; return the exit status."""
    parser = argparse.ArgumentParser(description="Execute the chapters and build the site.")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="kernels at once")
    parser.add_argument("--force", action="store_true", help="build even if nothing has changed")
    parser.add_argument("--linkcheck", action="store_true", help="look up external links instead")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be 1 or more")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.pop("MPLBACKEND", None)  # with one given, a kernel would not show its figures

    if options.linkcheck and not _online():
        print(
            "No link was looked up: this machine finds no address on the internet.",
            file=sys.stderr,
        )
        return 2
    started = time.perf_counter()
    work = ROOT / "_build" / "work"
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(str(ROOT / "_build" / "book.lock")):
        if not options.force and not options.linkcheck and is_current():
            _announce("Nothing has changed; the site is current.")
            return 0
        key = inputs_key()
        status = _execute(options.jobs)
        if status:
            return status
        if options.linkcheck:
            return _jupyter_book(work / "linkcheck", "--builder", "linkcheck", show=True)
        print("Writing the pages …", flush=True)
        built = work / "_build" / "html"
        shutil.rmtree(work / "_build", ignore_errors=True)
        status = _jupyter_book(work, "-W", "--keep-going")
        if status or not (built / "index.html").is_file():
            print(
                "\nThe site was not built: see the warnings above, each of which counts as an "
                "error.",
                file=sys.stderr,
            )
            return status or 1
        _install(built)
        shutil.rmtree(work, ignore_errors=True)
        forget(ROOT)
        write_stamp(key)
    _announce(f"The site is built ({time.perf_counter() - started:.0f} s).")
    return 0


def _online(host: str = "github.com") -> bool:
    """Say whether names of the internet can be resolved; else every link would seem broken."""
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _execute(jobs: int) -> int:
    """Execute what the cache lacks; print each failing chapter's traceback."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    notebooks = chapters()
    seconds, failures = execute(
        ROOT,
        notebooks,
        jobs=jobs,
        cell_seconds=float(config["execute"]["timeout"]),
        chapter_seconds=CHAPTER_SECONDS,
    )
    reused = len(notebooks) - len(seconds) - len(failures)
    print(f"Chapters: {len(seconds)} executed, {reused} unchanged, {len(failures)} failed.")
    for failure in failures:
        name = failure.chapter.relative_to(ROOT)
        print(f"\n{'=' * 80}\n{name}: {failure.reason}", file=sys.stderr)
    if failures:
        print("\nThe site was not built: repair the chapters above.", file=sys.stderr)
    return 1 if failures else 0


def _announce(message: str) -> None:
    """Print where the site is."""
    page = HTML / "index.html"
    print(f"{message} Open\n  {page}\n  {page.as_uri()}")


if __name__ == "__main__":
    sys.exit(main())
