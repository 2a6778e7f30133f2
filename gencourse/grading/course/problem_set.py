"""What the course knows of a problem set: its cells, hidden checks, files and limits."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config import Config

from gencourse.grading.job import Limits

__all__ = ["ProblemSet", "files_beside"]

# What only the checks see; students never get it.
_COURSE_FILES = ("reference.py",)
# Nothing a hand-in needs is larger; nbgrader's own limit is 100 MB.
_LARGEST = 50_000_000


@dataclass(frozen=True)
class ProblemSet:
    """One problem set of a course.

    Attributes
    ----------
    name : str
        Such as ``"ps5"``.
    template : NotebookNode
        The notebook as it is graded: given cells and check cells whole, answers as stubs,
        nbgrader's checksums in place.
    release : NotebookNode
        The same as students get it, without hidden checks and marking schemes.
    files : mapping of str to bytes
        What lies beside the notebook and is handed out with it.
    course_files : mapping of str to bytes
        What only the checks see, by path in the course.
    withheld : tuple of str
        Names of the library that this set asks students to write.
    limits : Limits
    """

    name: str
    template: NotebookNode
    release: NotebookNode
    files: Mapping[str, bytes] = field(default_factory=dict)
    course_files: Mapping[str, bytes] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def load(cls, course: Path, name: str, config: Config | None = None) -> ProblemSet:
        """Read ``solutions/<name>/`` of a course.

        ``withheld`` and ``limits`` come from the entry ``gencourse`` of the notebook's metadata,
        such as ``{"withheld": ["gencourse.metrics.frechet"], "limits": {"cell_seconds": 30}}``.

        Parameters
        ----------
        course : Path
            The folder of ``nbgrader_config.py``.
        name : str
            Of the problem set.
        config : Config, optional
            Of nbgrader: how stubs look.

        Raises
        ------
        FileNotFoundError
            If there is no such problem set; the message names those there are.
        ValueError
            If its metadata asks for something that doesn't exist.
        """
        folder = Path(course) / "solutions" / name
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            others = sorted(p.stem for p in Path(course).glob("solutions/*/*.ipynb"))
            raise FileNotFoundError(
                f"no problem set {name!r} in {Path(course) / 'solutions'}; "
                + (f"there are: {', '.join(others)}" if others else "there are none")
            )
        source = nbformat.read(path, as_version=4)
        wishes = source.metadata.get("gencourse", {})
        known = [entry.name for entry in fields(Limits)]
        if unknown := sorted(set(wishes.get("limits", {})).difference(known)):
            raise ValueError(
                f"{path}: no limit is called {', '.join(unknown)}; there are: {', '.join(known)}"
            )
        config = config or Config()
        template = _processed(
            source, config, LockCells, ClearSolutions, ClearOutput, ComputeChecksums
        )
        beside = files_beside(folder, config)
        private = {n: beside.pop(n) for n in _COURSE_FILES if n in beside}
        for n in _COURSE_FILES:
            if (folder / n).is_file():  # in nbgrader's list of what is never copied
                private[n] = (folder / n).read_bytes()
        return cls(
            name=name,
            template=template,
            release=_processed(template, config, ClearHiddenTests, ClearMarkScheme),
            files=beside,
            course_files={f"solutions/{name}/{n}": data for n, data in private.items()},
            withheld=tuple(wishes.get("withheld", ())),
            limits=Limits(**wishes.get("limits", {})),
        )

    @cached_property
    def entries(self) -> dict[str, NotebookNode]:
        """Cells of the template by nbgrader's name."""
        return {
            cell.metadata.nbgrader.grade_id: cell
            for cell in self.template.cells
            if "nbgrader" in cell.metadata
        }

    @cached_property
    def points(self) -> dict[str, float]:
        """What each graded cell is worth."""
        return {
            name: float(cell.metadata.nbgrader.points)
            for name, cell in self.entries.items()
            if cell.metadata.nbgrader.get("grade")
        }

    def digest(self) -> str:
        """SHA-256 of all that is known of the set."""
        parts = [
            json.dumps(self.template, sort_keys=True).encode(),
            json.dumps([self.withheld, repr(self.limits)]).encode(),
            *(name.encode() + b"\0" + data for name, data in sorted(self.files.items())),
            *(name.encode() + b"\0" + data for name, data in sorted(self.course_files.items())),
        ]
        return hashlib.sha256(
            b"\0".join(hashlib.sha256(part).digest() for part in parts)
        ).hexdigest()

    def with_checks(self, mended: NotebookNode) -> NotebookNode:
        """Put the course's own given cells and hidden checks into a mended hand-in, in place.

        Raises
        ------
        ValueError
            If a cell of the set is missing or there twice: it was not mended.
        """
        seen = set()
        for cell in mended.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name is None:
                continue
            if name in seen or name not in self.entries:
                raise ValueError(f"the cell {name!r} is there twice, or not of {self.name}")
            seen.add(name)
            own = self.entries[name]
            if cell.cell_type != own.cell_type:
                raise ValueError(f"the cell {name!r} should be {own.cell_type}")
            cell.metadata["nbgrader"] = deepcopy(own.metadata.nbgrader)
            if not own.metadata.nbgrader.solution:
                cell.source = own.source
        if missing := self.entries.keys() - seen:
            raise ValueError(f"cells of {self.name} are missing: {', '.join(sorted(missing))}")
        mended.metadata["kernelspec"] = deepcopy(self.template.metadata.get("kernelspec", {}))
        return mended


def files_beside(folder: Path, config: Config | None = None) -> dict[str, bytes]:
    """Return the files of a folder that are no notebooks, by relative path.

    What nbgrader is told to ignore, links, and what is larger than 50 MB in all is left out.
    """
    ignored = list((config or Config()).get("CourseDirectory", {}).get("ignore", []))
    found: dict[str, bytes] = {}
    total = 0
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        relative = path.relative_to(folder)
        skip = path.is_symlink() or not path.is_file() or path.suffix == ".ipynb"
        if skip or path.name == "timestamp.txt":
            continue
        if any(fnmatch.fnmatch(part, i) for part in relative.parts for i in ignored):
            continue
        total += path.stat().st_size
        if total > _LARGEST:
            break
        found[relative.as_posix()] = path.read_bytes()
    return found


def _processed(notebook: NotebookNode, config: Config, *steps: Any) -> NotebookNode:
    result = deepcopy(notebook)
    for step in steps:
        result, _ = step(config=config).preprocess(result, {})
    return result
