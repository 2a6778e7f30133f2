"""Write the set-up cell and the Colab button into chapters and problem sets, or check them.

The address comes from ``_config.yml`` (``repository.url`` and ``repository.branch``), the
version from ``gencourse.__version__``: nothing else in the repository repeats either.

    python tools/setup_cell.py            # write
    python tools/setup_cell.py --check    # say which notebooks are out of date, and exit 1
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import yaml
from nbformat import NotebookNode

import gencourse
from gencourse._files import write_atomically

__all__ = ["apply", "badge", "notebooks", "published_path", "setup_source", "updated"]

ROOT = Path(__file__).resolve().parent.parent
TAG = "setup"
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
BADGE_START = "[![Open in Colab]"


def repository(root: Path = ROOT) -> tuple[str, str]:
    """Return the address and the branch of the repository that students see.

    Raises
    ------
    ValueError
        If ``_config.yml`` does not give a GitHub address.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    entry = config.get("repository") or {}
    url = str(entry.get("url") or "").rstrip("/").removesuffix(".git")
    parts = urlsplit(url)
    if parts.netloc != "github.com" or parts.path.count("/") != 2:
        raise ValueError(
            f"_config.yml: repository.url must be https://github.com/OWNER/NAME, not {url!r}; "
            "Colab opens notebooks from GitHub"
        )
    return url, str(entry.get("branch") or "main")


def badge(path: str, root: Path = ROOT) -> str:
    """Return the Markdown of the button that opens ``path`` (from the root) in Colab."""
    url, branch = repository(root)
    where = urlsplit(url).path.strip("/")
    target = f"https://colab.research.google.com/github/{where}/blob/{branch}/{path}"
    return f"{BADGE_START}({BADGE_IMAGE})]({target})"


def setup_source(root: Path = ROOT) -> str:
    """Return the source of the set-up cell."""
    url, _ = repository(root)
    version = gencourse.__version__
    return f'''\
# Set-up: run this cell first. On Colab it installs the course; elsewhere
# it does nothing if gencourse {version} is there. Your torch stays as it is.
import importlib.metadata
import os
import shlex
import subprocess
import sys

try:
    installed = importlib.metadata.version("gencourse")
except importlib.metadata.PackageNotFoundError:
    installed = None
if installed != "{version}":
    pinned = "git+{url}@v{version}"
    source = os.environ.get("GENCOURSE_INSTALL", pinned)
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, *shlex.split(source)], check=True)

import gencourse

device = gencourse.device()
print(gencourse.describe(device))'''


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return the notebooks that carry a set-up cell: chapters and sources of problem sets."""
    return sorted([*root.glob("book/*.ipynb"), *root.glob("solutions/*/*.ipynb")])


def published_path(path: Path, root: Path = ROOT) -> str:
    """Return where students find a notebook: a problem set under ``assignments/``."""
    parts = path.resolve().relative_to(root.resolve()).parts
    return "/".join(("assignments", *parts[1:]) if parts[0] == "solutions" else parts)


def updated(notebook: NotebookNode, path: str, root: Path = ROOT) -> NotebookNode:
    """Put the button and the set-up cell into ``notebook``, in place, and return it.

    The button is the line after the title in the first cell, which must be Markdown. The
    set-up cell is the one tagged ``setup``; where there is none, it becomes the second cell.

    Parameters
    ----------
    notebook : NotebookNode
        A chapter or a problem set, nbformat 4.5.
    path : str
        Where it is published, from the root of the repository.

    Raises
    ------
    ValueError
        If the notebook doesn't begin with a Markdown cell that has a title.
    """
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        raise ValueError(f"{path}: the first cell must be Markdown and begin with '# Title'")
    title, *rest = [x for x in first.source.split("\n") if not x.startswith(BADGE_START)]
    body = "\n".join(rest).strip("\n")
    first.source = f"{title}\n\n{badge(path, root)}" + (f"\n\n{body}" if body else "")

    cells = [c for c in notebook.cells if TAG in c.metadata.get("tags", [])]
    if len(cells) > 1:
        raise ValueError(f"{path}: {len(cells)} cells are tagged {TAG!r}; keep one")
    if cells:
        cells[0].source = setup_source(root)
    else:
        cell = nbformat.v4.new_code_cell(setup_source(root), id="setup", metadata={"tags": [TAG]})
        notebook.cells.insert(1, cell)
    return notebook


def apply(path: Path, root: Path = ROOT, *, check: bool = False) -> bool:
    """Bring one notebook up to date; return whether it was not.

    With ``check=True`` nothing is written.
    """
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    after = nbformat.writes(updated(notebook, published_path(path, root), root)) + "\n"
    if after.rstrip("\n") == before.rstrip("\n"):
        return False
    if not check:
        write_atomically(path, after.encode())
    return True


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args(argv).check
    stale = [path for path in notebooks() if apply(path, check=check)]
    for path in stale:
        print(f"{'out of date' if check else 'updated'}: {os.path.relpath(path, ROOT)}")
    if check and stale:
        print("Run: python tools/setup_cell.py", file=sys.stderr)
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
