"""Results kept by content, so that nothing is run twice and a killed grading goes on.

A result is found again by everything that decides it: the job's own bytes and the environment
it ran in. Beside it, each check that ran to its end is kept by what decides *it*, which is not
the other checks: when one check cell changes, only that cell is run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gencourse.grading.course.private import Private
from gencourse.grading.job import Cell, CellResult, Job, Outcome, Result

__all__ = ["Store", "failed_here", "merge"]


def failed_here(result: Result) -> str:
    """Return what went wrong on our side in a result, in a sentence; empty if nothing did."""
    if result.problem:
        return result.problem
    broken = [cell.name for cell in result.cells if cell.outcome is Outcome.INFRASTRUCTURE]
    return f"Could not be run: {', '.join(broken)}." if broken else ""


@dataclass(frozen=True)
class Store:
    """Results of a course, in its private folder.

    Attributes
    ----------
    private : Private
        Of the course.
    environment : str
        :func:`.environment.fingerprint` of what runs the jobs.
    """

    private: Private
    environment: str

    def get(self, job: Job) -> Result | None:
        """Return the whole result of a job, or None."""
        data = self._read(self._path("hand-ins", job.digest()))
        if data is None:
            return None
        try:
            return Result.from_bytes(data)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def known(self, job: Job) -> dict[str, CellResult]:
        """Return the results of those checks of a job that are known."""
        found = {}
        for cell, digest in _checks(job):
            data = self._read(self._path("checks", digest))
            if data is None:
                continue
            try:
                entry = json.loads(data.decode("utf-8", "surrogatepass"))
                found[cell.name] = CellResult(
                    **{
                        **entry,
                        "outcome": Outcome(entry["outcome"]),
                        "outputs": tuple(entry["outputs"]),
                    }
                )
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def put(self, job: Job, result: Result) -> None:
        """Keep the whole result of a job. What failed on our side is never kept.

        Raises
        ------
        ValueError
            If it lacks a cell of the job.
        """
        if failed_here(result):
            return
        by_name = {cell.name: cell for cell in result.cells}
        if missing := {cell.name for cell in job.cells} - by_name.keys():
            raise ValueError(f"the result lacks {', '.join(sorted(missing))}")
        for cell, digest in _checks(job):
            # A check that was cut off may have been so by what ran before it.
            if by_name[cell.name].outcome is Outcome.OK:
                data = json.dumps(asdict(by_name[cell.name]), ensure_ascii=False)
                self._write(self._path("checks", digest), data.encode("utf-8", "surrogatepass"))
        self._write(self._path("hand-ins", job.digest()), result.to_bytes())

    def _path(self, kind: str, digest: str) -> Path:
        name = hashlib.sha256(f"{self.environment} {digest}".encode()).hexdigest()
        return self.private.path / "results" / kind / name[:2] / name

    def _write(self, path: Path, data: bytes) -> None:
        self.private.write(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)

    def _read(self, path: Path) -> bytes | None:
        """Return what was written, or None where it is missing or damaged."""
        try:
            digest, _, data = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        return data if digest == hashlib.sha256(data).hexdigest().encode() else None


def _checks(job: Job) -> Iterator[tuple[Cell, str]]:
    """Yield each check cell with a digest of what decides its result."""
    for index, cell in enumerate(job.cells):
        if cell.kind == "checks":
            before = tuple(c for c in job.cells[:index] if c.kind != "checks")
            yield cell, replace(job, cells=(*before, cell), known=()).digest()


def merge(job: Job, result: Result, known: dict[str, CellResult]) -> Result:
    """Return a result with the known checks put back in their places."""
    by_name = {**known, **{cell.name: cell for cell in result.cells}}
    ordered = tuple(by_name[cell.name] for cell in job.cells if cell.name in by_name)
    return replace(result, cells=ordered)
