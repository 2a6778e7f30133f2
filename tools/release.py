"""Write assignments/ from solutions/: what students get, without solutions and hidden checks.

With each goes a manifest in the package, from which ``gencourse check`` knows the release.

    python tools/release.py              # every problem set
    python tools/release.py ps5          # one
    python tools/release.py --check      # say which are out of date, and exit 1
    python tools/release.py --validate   # grade the solution and a blank hand-in

The work is nbgrader's ``generate_assignment``, in a temporary folder and without a gradebook;
here its result is made the same on every run and machine, and written in one piece.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import nbformat

from gencourse._files import write_atomically
from gencourse.grading.handin.manifests import to_manifest
from gencourse.grading.job import Cell, Job
from gencourse.grading.kernel.lint import faults as checks_that_cannot_work

if TYPE_CHECKING:
    from gencourse.grading.sandbox.forkserver import ForkServer

__all__ = ["lint", "problem_sets", "release", "validate"]

ROOT = Path(__file__).resolve().parent.parent
# What may never be found in a release, whatever nbgrader made of the source.
MARKERS = ("BEGIN SOLUTION", "BEGIN HIDDEN TESTS", "BEGIN MARK SCHEME")


def problem_sets(root: Path = ROOT) -> list[str]:
    """Return the names of the problem sets that have a source.

    Raises
    ------
    FileNotFoundError
        If this is the published tree, which has none.
    """
    if not (root / "solutions").is_dir():
        raise FileNotFoundError(
            "there is no solutions/ here: this is the tree that students see. "
            "Releases are made in the instructor's course."
        )
    return sorted(path.stem for path in root.glob("solutions/*/*.ipynb"))


def release(name: str, root: Path = ROOT) -> bytes:
    """Return the release notebook of a problem set, as it belongs in ``assignments/``.

    Raises
    ------
    FileNotFoundError
        If there is no such problem set.
    ValueError
        If the source is not fit for release; the message says why.
    RuntimeError
        If nbgrader fails; its log is the message.
    """
    known = problem_sets(root)
    if name not in known:
        raise FileNotFoundError(f"no problem set {name!r}; there are: {', '.join(known)}")
    if faults := lint(root / "solutions" / name / f"{name}.ipynb"):
        raise ValueError(f"solutions/{name}: " + "; ".join(faults))
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", name, "--no-db"]
        command += [f"--CourseDirectory.release_directory={folder}", "--force"]
        # A gradebook is opened all the same; this one goes with the folder.
        command += [f"--db=sqlite:///{folder}/gradebook.db", "--log-level=WARN"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        path = Path(folder, name, f"{name}.ipynb")
        if done.returncode or not path.is_file():
            raise RuntimeError(f"nbgrader could not release {name}:\n{done.stderr[-4000:]}")
        text = path.read_text(encoding="utf-8")
    for marker in MARKERS:
        if marker in text:
            raise RuntimeError(f"the release of {name} still holds {marker!r}")
    return _normal(text)


def _normal(text: str) -> bytes:
    """Drop what differs between runs and machines; keep nbgrader's own metadata."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("language_info", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return (json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def lint(path: Path) -> list[str]:
    """Return what is wrong with a source notebook, in words; nothing if it can be released."""
    notebook = nbformat.read(path, as_version=4)
    faults = []
    seen: set[str] = set()
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader")
        if meta is None:
            faults.append(f"cell {cell.id} has no nbgrader entry; lock it, or say what it is")
            continue
        name = meta["grade_id"]
        if name in seen:
            faults.append(f"two cells are called {name}")
        seen.add(name)
        if name != cell.id:
            faults.append(f"cell {cell.id} is called {name} in nbgrader; use one name")
        if meta["grade"] and meta["locked"]:
            last = [line for line in cell.source.splitlines() if not line.startswith("###")][-1:]
            if last != ["task.score()"]:
                faults.append(f"check cell {name} must end with task.score()")
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count):
            faults.append(f"cell {name} has outputs; clear them")
    faults += checks_that_cannot_work(_code_cells(notebook))
    if not notebook.cells or f'hand_in("{path.stem}")' not in notebook.cells[-1].source:
        faults.append(f'the last cell must be code that calls hand_in("{path.stem}")')
    return faults


def _code_cells(notebook: nbformat.NotebookNode) -> list[Cell]:
    """Return the code cells of a source notebook as they are graded, solutions included."""
    cells = []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code":
            kind: Literal["student", "given", "checks"] = "given"
            if meta.get("solution") or meta.get("grade"):
                kind = "student" if meta.get("solution") else "checks"
            cells.append(Cell(cell.id, kind, cell.source))
    # A cell that is there twice is reported by its own sentence.
    return list({cell.name: cell for cell in cells}.values())


def validate(name: str, root: Path, server: ForkServer) -> list[str]:
    """Grade the solution and the blank release of a problem set as hand-ins are graded.

    Parameters
    ----------
    name : str
        Of the problem set.
    root : Path
        The course.
    server : ForkServer
        Where the kernels come from.

    Returns
    -------
    list of str
        What is wrong: checks that the solution does not pass in full, or that give points for
        nothing, or that fail by themselves. Nothing if the set is ready.

    Notes
    -----
    It reads ``nbgrader_config.py``, which sets umask and environment of this process.
    """
    from traitlets.config import PyFileConfigLoader

    from gencourse.grading.course.problem_set import ProblemSet
    from gencourse.grading.kernel.execute import execute

    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    problem_set = ProblemSet.load(root, name, config)
    source = nbformat.read(root / "solutions" / name / f"{name}.ipynb", as_version=4)
    blank = problem_set.template
    faults = []
    for notebook, whose, share in ((source, "the solution", 1), (blank, "a blank hand-in", 0)):
        job = Job(
            name,
            tuple(_code_cells(notebook)),
            files=problem_set.files,
            course_files=problem_set.course_files,
            withheld=problem_set.withheld,
            limits=problem_set.limits,
        )
        result = execute(job, server)
        if result.problem:
            faults.append(f"{whose}: {result.problem}")
        for cell in result.cells:
            expected = share * problem_set.points.get(cell.name, 0.0)
            if cell.score is not None and cell.score != expected:
                faults.append(
                    f"{whose} gets {cell.score:g} points in {cell.name}, not {expected:g}"
                )
    return faults


def _validate(names: list[str]) -> int:
    from gencourse.grading.sandbox import policy
    from gencourse.grading.sandbox.forkserver import ForkServer

    with ForkServer(policy.best()) as server:
        found = {name: validate(name, ROOT, server) for name in names}
    for name, faults in found.items():
        print(f"{name}: " + ("; ".join(faults) or "valid"))
    return int(any(found.values()))


def _files(name: str) -> list[tuple[Path, bytes]]:
    """Return what is written for a problem set: the release, and its manifest."""
    content = release(name)
    return [
        (ROOT / "assignments" / name / f"{name}.ipynb", content),
        (
            ROOT / "gencourse" / "grading" / "manifests" / f"{name}.json",
            to_manifest(json.loads(content)),
        ),
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="problem sets; all of them if none is named")
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    parser.add_argument("--validate", action="store_true", help="grade solution and blank release")
    arguments = parser.parse_args(argv)
    stale = False
    try:
        if arguments.validate:
            return _validate(arguments.names or problem_sets())
        for name in arguments.names or problem_sets():
            for path, content in _files(name):
                if path.is_file() and path.read_bytes() == content:
                    continue
                stale = True
                if not arguments.check:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, content)
                word = "out of date" if arguments.check else "wrote"
                print(f"{word}: {os.path.relpath(path, ROOT)}")
    except (OSError, ValueError, RuntimeError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    if arguments.check and stale:
        print("Run: make release", file=sys.stderr)
    return int(arguments.check and stale)


if __name__ == "__main__":
    sys.exit(main())
