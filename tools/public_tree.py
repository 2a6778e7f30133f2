"""Write the tree that students see: the course without solutions, hidden checks and reference code.

    python tools/public_tree.py ../gencourse-public

The course stays in a private repository; the folder written here is what to publish. A folder
that this tool has written before is brought up to date in place, and its .git is left alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

from leaks import find_leaks

from gencourse._files import write_atomically

__all__ = ["published_files", "write_public_tree"]

ROOT = Path(__file__).resolve().parent.parent
#: Lists the files that were written, so that an update can remove what is gone.
MANIFEST = ".public-tree"
HEADER = "# Files written by tools/public_tree.py in the instructor's course; edit them there."
# What stays with the instructor, besides everything that git ignores: whole folders from the
# root, and files by name wherever they are.
PRIVATE_FOLDERS = (
    "solutions",
    "tests/instructor",
    # Tests of grading a class; they need the instructor's configuration of nbgrader.
    "tests/grading/attacks",
    "tests/grading/course",
    "tests/grading/kernel",
    "submitted",
    "autograded",
    "feedback",
    "downloaded",
    "grades",
    "hand-ins",
)
PRIVATE_FILES = ("nbgrader_config.py", "reference.py", "gradebook.db", "grades.csv", MANIFEST)


def is_private(name: str) -> bool:
    """Whether a file, named from the root, stays with the instructor."""
    path = PurePosixPath(name)
    return path.name in PRIVATE_FILES or any(
        path.is_relative_to(folder) for folder in PRIVATE_FOLDERS
    )


def published_files(root: Path = ROOT) -> list[str]:
    """Return the files to publish: what git tracks or would track, without what is private.

    Raises
    ------
    ValueError
        If ``root`` is not a git repository, or a link is among the files: it could point to
        anything.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise ValueError(f"{root} is no git repository: {listed.stderr.strip()}")
    names = sorted({name for name in listed.stdout.split("\0") if name and not is_private(name)})
    for name in names:
        if (root / name).is_symlink():
            raise ValueError(f"{name} is a symbolic link; put the file itself there")
    return [name for name in names if (root / name).is_file()]


def write_public_tree(folder: Path, root: Path = ROOT) -> list[str]:
    """Write the tree to publish into ``folder``; return the names of its files.

    It is written elsewhere first and searched for leaks; only then does anything appear in
    ``folder``. A new folder appears in one piece. In an older one, each file is replaced in one
    piece, and files that are no longer published are removed; .git and files that this tool
    has not written are left alone.

    Raises
    ------
    ValueError
        If ``folder`` is inside the course, holds something else, or the tree would leak.
    """
    folder = Path(os.path.abspath(folder))
    if folder == root or root in folder.parents or folder in root.parents:
        raise ValueError(f"{folder} is inside the course (or around it); choose another folder")
    before = _written_before(folder)
    names = published_files(root)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        staged = Path(scratch, "tree")
        for name in names:
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, target)
        (staged / MANIFEST).write_text("\n".join([HEADER, *names, ""]), encoding="utf-8")
        if leaks := find_leaks(staged, root / "solutions"):
            shown = "\n".join(f"  {leak}" for leak in leaks[:20])
            raise ValueError(f"nothing was written, for this tree would leak:\n{shown}")
        if not folder.exists():
            staged.rename(folder)
            return names
        # First what is gone, for a folder may have taken the place of a file.
        for name in before - set(names):
            (folder / name).unlink(missing_ok=True)
            _remove_empty(folder, (folder / name).parent)
        for name in [*names, MANIFEST]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _replace(staged / name, folder / name)
    return names


def _written_before(folder: Path) -> set[str]:
    """Return the files this tool wrote there earlier.

    Raises
    ------
    ValueError
        If the folder is there, but is not this tool's.
    """
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file")
    manifest = folder / MANIFEST
    if manifest.is_file():
        lines = manifest.read_text(encoding="utf-8").splitlines()
        names = {line for line in lines if line and not line.startswith("#")}
        return {n for n in names if not os.path.isabs(n) and ".." not in Path(n).parts}
    if any(path.name != ".git" for path in folder.iterdir()):
        raise ValueError(
            f"{folder} is not empty and was not written by this tool; choose a new folder, or a "
            "clone of an empty repository"
        )
    return set()


def _replace(staged: Path, target: Path) -> None:
    """Put a file in place in one piece, with its executable bit; leave an equal one alone."""
    content = staged.read_bytes()
    if not (target.is_file() and target.read_bytes() == content):
        write_atomically(target, content)
    shutil.copymode(staged, target)


def _remove_empty(root: Path, folder: Path) -> None:
    while folder != root and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where to write it")
    folder = parser.parse_args(argv).folder
    if not (ROOT / "solutions").is_dir():
        print("public tree: this already is the tree that students see", file=sys.stderr)
        return 2
    try:
        names = write_public_tree(folder)
    except (OSError, ValueError) as error:
        print(f"public tree: {error}", file=sys.stderr)
        return 2
    print(f"{len(names)} files in {folder}")
    print("Publish it: cd there, git init or pull, git add --all, commit and push.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
