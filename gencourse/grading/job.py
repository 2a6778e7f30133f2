"""What is graded and what came of it, as plain data: the only things that workers exchange.

A :class:`Job` holds everything one hand-in needs to be graded; a :class:`Result` everything
that came of it. Both are values that turn into JSON bytes and back, so grading is a function
from bytes to bytes: it can run in another process or on another machine, and its results can
be kept by content.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal, Self

__all__ = ["Cell", "CellResult", "Job", "Limits", "Outcome", "Result"]


class Outcome(StrEnum):
    """How a cell ended.

    Only ``INFRASTRUCTURE`` is our fault; a hand-in that has one is never given points, nor 0.
    """

    OK = "ok"
    ERROR = "error"
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASH = "crash"
    NOT_RUN = "not run"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class Limits:
    """What a hand-in may use.

    Attributes
    ----------
    cell_seconds : float
        Of one cell of the student's.
    total_seconds : float
        Of all cells and checks of a hand-in together.
    memory_mb : int
        Of all the student's processes together, beyond what an idle one has.
    processes : int
        That the student's code may have at one time.
    disk_mb : int
        That it may write.
    output_kb : int
        Of one cell; what is beyond is cut off.
    """

    cell_seconds: float = 60.0
    total_seconds: float = 600.0
    memory_mb: int = 2048
    processes: int = 64
    disk_mb: int = 256
    output_kb: int = 512

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"the limit {entry.name} must be above 0, not {value!r}")


@dataclass(frozen=True)
class Cell:
    """One code cell.

    Attributes
    ----------
    name : str
        Unique in the notebook; nbgrader's ``grade_id`` where it has one.
    kind : {"student", "given", "checks"}
        Written by the student; given by the course and locked; or checks of the course.
    source : str
        Its code, hidden checks included.
    """

    name: str
    kind: Literal["student", "given", "checks"]
    source: str

    def __post_init__(self) -> None:
        if self.kind not in ("student", "given", "checks"):
            raise ValueError(f"cell {self.name!r} is of no known kind: {self.kind!r}")


@dataclass(frozen=True)
class Job:
    """One hand-in, ready to be graded.

    Attributes
    ----------
    problem_set : str
        Such as ``"ps5"``.
    cells : tuple of Cell
        All code cells in the order of the notebook.
    files : mapping of str to bytes
        What lies beside the notebook, by relative path; the student's code sees these.
    course_files : mapping of str to bytes
        What only the checks see, by path in the course: ``solutions/ps5/reference.py``.
    withheld : tuple of str
        Dotted names of the library that the student's code finds missing, since the set asks
        for them.
    limits : Limits
    seed : int
        Of this grading's random inputs.
    known : tuple of str
        Checks whose results are already known: they are not run.
    """

    problem_set: str
    cells: tuple[Cell, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    course_files: Mapping[str, bytes] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [cell.name for cell in self.cells]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several cells are called {', '.join(twice)}")
        if unknown := set(self.known) - {c.name for c in self.cells if c.kind == "checks"}:
            raise ValueError(f"no checks are called {', '.join(sorted(unknown))}")

    def to_bytes(self) -> bytes:
        """Return the job as JSON, the same bytes for equal jobs."""
        data = asdict(self)
        for key in ("files", "course_files"):
            data[key] = {name: base64.b64encode(data[key][name]).decode() for name in data[key]}
        return json.dumps(data, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what :meth:`to_bytes` wrote."""
        entries = json.loads(data.decode("utf-8", "surrogatepass"))
        entries["cells"] = tuple(Cell(**cell) for cell in entries["cells"])
        entries["limits"] = Limits(**entries["limits"])
        for key in ("files", "course_files"):
            entries[key] = {name: base64.b64decode(entries[key][name]) for name in entries[key]}
        for key in ("withheld", "known"):
            entries[key] = tuple(entries[key])
        return cls(**entries)

    def digest(self) -> str:
        """SHA-256 of everything that decides the result, whatever is known of it already."""
        return hashlib.sha256(replace(self, known=()).to_bytes()).hexdigest()


@dataclass(frozen=True)
class CellResult:
    """What came of one cell.

    Attributes
    ----------
    name : str
        Of the cell.
    outcome : Outcome
    outputs : tuple of dict
        As in a notebook: streams, text, PNG images and errors, nothing else.
    seconds : float
        Of wall-clock time.
    score : float or None
        Of checks: the points; None for other cells, and for checks that could not be run.
    note : str
        A sentence for the student where a limit was hit or the program ended.
    """

    name: str
    outcome: Outcome
    outputs: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0
    score: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Result:
    """What came of a hand-in.

    Attributes
    ----------
    cells : tuple of CellResult
        In the order of the job; checks that were known are left out.
    isolation : str
        How the student's code was kept in: ``"namespaces"``, ``"landlock"``, ``"none"``.
    notes : tuple of str
        Sentences for the student about the hand-in as a whole.
    problem : str
        What went wrong on our side, for the instructor; empty if nothing did.
    """

    cells: tuple[CellResult, ...]
    isolation: str = "none"
    notes: tuple[str, ...] = ()
    problem: str = ""

    def to_bytes(self) -> bytes:
        """Return the result as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "surrogatepass")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what :meth:`to_bytes` wrote."""
        entries = json.loads(data.decode("utf-8", "surrogatepass"))
        entries["cells"] = tuple(
            CellResult(
                **{**cell, "outcome": Outcome(cell["outcome"]), "outputs": tuple(cell["outputs"])}
            )
            for cell in entries["cells"]
        )
        entries["notes"] = tuple(entries["notes"])
        return cls(**entries)
