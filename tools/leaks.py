"""Search a tree for anything that belongs to the instructor: solutions, hidden tests, references.

python tools/leaks.py _build/html
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Leak", "find_leaks", "secret_lines"]

ROOT = Path(__file__).resolve().parent.parent

KINDS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
MARKER = re.compile(rf"(?:BEGIN|END) (?:{'|'.join(KINDS)})")
# Code and prose may name a marker in a string or in backquotes; at the start of a line it is one.
MARKER_LINE = re.compile(rf"^\s*#+\s*(?:BEGIN|END) (?:{'|'.join(KINDS)})", re.MULTILINE)
PROSE = {".py", ".md"}
SKIPPED_FOLDERS = {".git", ".venv", "__pycache__"}
# Files that only the instructor has, by their name.
PRIVATE_FILES = {"reference.py", "gradebook.db"}
PRIVATE_FOLDERS = {"solutions", "submitted", "autograded"}

# Shorter lines, and lines like these, say nothing about where they come from.
SHORTEST = 28
COMMON = re.compile(
    r"""(?x) (?: import | from | def | class | @ | [#] | \"\"\" | r\"\"\" ) .*
    | [\w.]*opt\w*\.(?:zero_grad|step)\(.*\)
    | with\ torch\.(?:no_grad|enable_grad|inference_mode)\(\):
    | [^\w]* """
)


@dataclass(frozen=True)
class Leak:
    """Something in a tree that students must not see.

    Attributes
    ----------
    path : str
        The file, from the root of the tree; ``archive.zip!member`` inside an archive.
    what : str
        What was found in it.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def find_leaks(
    tree: str | os.PathLike[str],
    solutions: str | os.PathLike[str],
    *,
    library: str | os.PathLike[str] | None = None,
) -> list[Leak]:
    """Return what of the instructor's material is in ``tree``.

    Three things are looked for: nbgrader's markers, files and folders with an instructor's
    name, and every line long enough to be recognised that occurs in a solution, a hidden
    test, a marking scheme or a ``reference.py`` and nowhere else in what students get. Pages are
    searched as their reader sees them (without tags), notebooks cell by cell, archives inside.

    Parameters
    ----------
    tree : path
        The folder to search.
    solutions : path
        The instructor's ``solutions/`` folder.
    library : path, optional
        The published package, whose lines are no secret; by default ``gencourse`` beside
        ``solutions``.

    Raises
    ------
    ValueError
        If one of the folders does not exist, or ``solutions`` holds nothing to look for; a
        search that cannot find anything would look like a tree without leaks.
    """
    tree, solutions = Path(tree), Path(solutions)
    library = Path(library) if library is not None else solutions.parent / "gencourse"
    for folder in (tree, solutions, library):
        if not folder.is_dir():
            raise ValueError(f"there is no folder {str(folder)!r} to search")
    secrets = secret_lines(solutions, library)
    if not secrets:
        raise ValueError(f"{str(solutions)!r} holds no solutions, so there is nothing to look for")
    leaks: list[Leak] = []
    for path, name in _files(tree):
        parts = Path(name).parts
        if parts[-1] in PRIVATE_FILES or PRIVATE_FOLDERS & set(parts[:-1]):
            leaks.append(Leak(name, "the file itself is for instructors only"))
        for member, content in _contents(path, name):
            leaks += _search(member, content, secrets)
    return leaks


def secret_lines(solutions: Path, library: Path) -> set[str]:
    """Return the lines, stripped, that only instructors have."""
    secret: set[str] = set()
    public: set[str] = set()
    for path in sorted(solutions.rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                hidden, shown = _split(cell)
                secret.update(hidden)
                public.update(shown)
    for path in sorted(solutions.rglob("reference.py")):
        secret.update(_lines(path.read_text(encoding="utf-8")))
    for path in sorted(library.rglob("*.py")):
        public.update(_lines(path.read_text(encoding="utf-8")))
    return {
        line
        for line in secret - public
        if len(re.sub(r"\s", "", line)) >= SHORTEST and not COMMON.fullmatch(line)
    }


def _split(cell: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the lines of a source cell that are removed in the release, and the others."""
    source = "".join(cell["source"])
    hidden: list[str] = []
    shown: list[str] = []
    inside = False
    for line in _lines(source):
        if MARKER.search(line):
            inside = "BEGIN" in line
        else:
            (hidden if inside else shown).append(line)
    grader = cell.get("metadata", {}).get("nbgrader", {})
    if grader.get("solution") and not MARKER.search(source):
        # nbgrader replaces a solution cell without markers as a whole.
        return shown, []
    return hidden, shown


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def _files(tree: Path) -> Iterator[tuple[Path, str]]:
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for file in sorted(files):
            path = Path(folder, file)
            yield path, path.relative_to(tree).as_posix()


def _contents(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the file itself and, if it is a zip archive (a wheel is), what is in it."""
    yield name, path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield f"{name}!{member}", archive.read(member)


def _search(name: str, content: bytes, secrets: Iterable[str]) -> list[Leak]:
    raw = content.decode("utf-8", errors="replace")
    suffix = Path(name).suffix
    marker = MARKER_LINE.search(raw) if suffix in PROSE else MARKER.search(raw)
    leaks = [Leak(name, f"the marker {marker.group().strip()!r}")] if marker else []
    text = _as_read(raw, suffix)
    leaks += [Leak(name, f"the line {line!r}") for line in sorted(secrets) if line in text]
    return leaks


def _as_read(raw: str, suffix: str) -> str:
    """Return the text that a file shows: without tags in HTML, without escapes in JSON."""
    if suffix in {".html", ".htm", ".svg", ".xml"}:
        return raw + "\n" + html.unescape(re.sub(r"<[^>]*>", "", raw))
    if suffix in {".ipynb", ".json", ".map"}:
        try:
            return "\n".join(_strings(json.loads(raw)))
        except ValueError:
            return raw
    return raw


def _strings(node: Any) -> Iterator[str]:
    """Yield every string in a JSON document; a list of strings, as nbformat has it, as one."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list) and node and all(isinstance(item, str) for item in node):
        yield "".join(node)
    elif isinstance(node, list):
        for item in node:
            yield from _strings(item)
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)


def main() -> int:
    """Search the folders named on the command line."""
    trees = [Path(argument) for argument in sys.argv[1:]]
    if not trees:
        print("usage: python tools/leaks.py FOLDER …", file=sys.stderr)
        return 2
    leaks = [leak for tree in trees for leak in find_leaks(tree, ROOT / "solutions")]
    for leak in leaks:
        print(leak)
    print(f"{len(leaks)} leaks in {', '.join(map(str, trees))}")
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
