"""What the last cell of a problem set does: look through the notebook it is in, and offer it.

A notebook does not know its own file. Colab's page answers a message with it; Jupyter and VS Code
say where the file is, as it was last saved.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gencourse._files import write_atomically
from gencourse.grading.handin.check import LARGE_OUTPUTS, Level, examine
from gencourse.grading.handin.manifests import load_manifest
from gencourse.grading.handin.mend import rebuild
from gencourse.grading.handin.names import hand_in_name, right_name

__all__ = ["OwnNotebook", "look_and_offer", "own_notebook", "without_large_outputs"]

#: Folder that the file to hand in is written to, beside the notebook.
FOLDER = "hand-in"
# Characters of the outputs of one cell that may stay where all of them are too many.
_LARGE_CELL = 256 * 1024
_ATTEMPTS = 3


@dataclass(frozen=True)
class OwnNotebook:
    """The notebook that code runs in.

    Attributes
    ----------
    data : bytes
        Its file.
    path : Path or None
        Where it is saved; None in Colab, which sends what is on the page.
    """

    data: bytes
    path: Path | None = None


def look_and_offer(problem_set: str, student: str | None, *, run: bool, seconds: float) -> None:
    """Do what :func:`gencourse.grading.handin.hand_in` says."""
    own = own_notebook(problem_set)
    if own is None:
        print(
            f"This notebook's file was not found. Save it, call it yourid_{problem_set}.ipynb, and "
            f"look through it in a terminal: gencourse check yourid_{problem_set}.ipynb"
        )
        return
    if own.path is not None:
        when = time.strftime("%H:%M:%S", time.localtime(own.path.stat().st_mtime))
        print(
            f"{own.path.name}, as it was saved at {when}. If you changed it since, save it and run "
            "this cell again."
        )
    if run:
        print("Running it from the top, which takes some seconds …", flush=True)
    result = examine(own.data, problem_set=problem_set, run=run, seconds=seconds)
    for remark in result.remarks:
        print(remark)
    if result.level is Level.STOP:
        print("It can't be graded like this.")
        return
    if result.level is Level.LOOK:
        print("You can hand it in as it is; look at what is marked with ! first.")
    name = _asked(problem_set, own.path) if student is None else _checked(student, problem_set)
    if name is None:
        print(f"To hand it in, call the file yourid_{problem_set}.ipynb, with your student id.")
        return
    _offer(without_large_outputs(own.data), name, own)


def own_notebook(problem_set: str) -> OwnNotebook | None:
    """Return the notebook that this runs in, or None if it can't be found.

    Where nothing says its file, the newest notebook of the problem set in the working directory
    is taken for it.
    """
    if "google.colab" in sys.modules:
        if (data := _from_colab()) is not None:
            return OwnNotebook(data)
        return None
    for said in (_vs_code(), os.environ.get("JPY_SESSION_NAME")):
        if said and (path := Path(said)).suffix == ".ipynb" and path.is_file():
            return OwnNotebook(path.read_bytes(), path)
    manifest = load_manifest(problem_set)
    for path in sorted(Path().glob("*.ipynb"), key=lambda p: p.stat().st_mtime, reverse=True):
        data = path.read_bytes()
        if rebuild(data, manifest).notebook is not None:
            return OwnNotebook(data, path.absolute())
    return None


def _from_colab() -> bytes | None:
    """Ask Colab's page for the notebook on it."""
    try:
        from google.colab import _message

        answer = _message.blocking_request("get_ipynb", request="", timeout_sec=30)
        return json.dumps(answer["ipynb"]).encode()
    except Exception:  # it is not a public interface, and may fail in its own ways
        return None


def _vs_code() -> str | None:
    try:
        from IPython import get_ipython

        shell = get_ipython()
    except ImportError:
        return None
    return None if shell is None else shell.user_ns.get("__vsc_ipynb_file__")


def _checked(student: str, problem_set: str) -> str:
    """Return the right name of the file.

    Raises
    ------
    ValueError
        If this can't be a student's id.
    """
    name = right_name(student.strip(), problem_set)
    with contextlib.suppress(ValueError):
        said = hand_in_name(Path(name))
        if (said.student, said.problem_set) == (student.strip(), problem_set):
            return name
    raise ValueError(
        f"{student!r} can't be a student id: letters, digits and . _ @ - are, beginning with a "
        "letter or a digit"
    )


def _asked(problem_set: str, path: Path | None) -> str | None:
    """Ask for the student's id; return the name of the file, None if nobody answers."""
    if path is not None:
        with contextlib.suppress(ValueError):
            said = hand_in_name(Path(path.name))
            if said.problem_set == problem_set:
                return right_name(said.student, problem_set)
    for _ in range(_ATTEMPTS):
        try:
            answer = input("Your student id: ")
        except (EOFError, RuntimeError):  # no keyboard; ipykernel's own error is a RuntimeError
            return None
        if not answer.strip():
            return None
        try:
            return _checked(answer, problem_set)
        except ValueError as error:
            print(error)
    return None


def without_large_outputs(data: bytes) -> bytes:
    """Return a notebook's file, without the largest outputs if they are too large to upload."""
    notebook = json.loads(data)
    cells = [c for c in notebook.get("cells", []) if isinstance(c, dict) and c.get("outputs")]
    sizes = {id(cell): len(json.dumps(cell["outputs"])) for cell in cells}
    if sum(sizes.values()) <= LARGE_OUTPUTS:
        return data
    for cell in cells:
        if sizes[id(cell)] > _LARGE_CELL:
            cell["outputs"] = []
    return json.dumps(notebook, indent=1, ensure_ascii=False).encode("utf-8", "replace")


def _offer(data: bytes, name: str, own: OwnNotebook) -> None:
    """Give the student the file to hand in."""
    if own.path is not None and own.path.name == name and data == own.data:
        print(f"Hand in this file: {own.path}")
        return
    # A folder of its own: a file of this name beside the notebook may be the student's work.
    folder = Path(FOLDER) if own.path is None else own.path.parent / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / name
    write_atomically(path, data)
    print(f"Hand in this file: {path}")
    if own.path is None:
        from google.colab import files

        files.download(str(path))
        print("Your browser saves it among its downloads.")
        return
    with contextlib.suppress(ImportError):
        from IPython.display import FileLink, display

        with contextlib.suppress(ValueError):
            display(FileLink(os.path.relpath(path)))
