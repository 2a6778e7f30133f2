"""Write the grades of a problem set into ``grades/``: one table for us, one for each platform."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry

from gencourse._files import write_atomically
from gencourse.grading.reports import tables
from gencourse.grading.reports.platforms import PLATFORMS

__all__ = ["Written", "opened", "roster_of", "write_tables"]


@dataclass(frozen=True)
class Written:
    """What :func:`write_tables` did.

    Attributes
    ----------
    paths : dict of str to Path
        ``"grades"``, ``"canvas"``, ``"moodle"`` and where each table is.
    problems : dict of str to tuple of str
        For each platform whose roster was there: what its table does not hold, in sentences.
    """

    paths: dict[str, Path]
    problems: dict[str, tuple[str, ...]]


def roster_of(course: Path, platform: str) -> Path | None:
    """Return ``rosters/canvas.csv`` or ``rosters/moodle.csv`` of a course, if it is there."""
    path = course / "rosters" / f"{platform}.csv"
    return path if path.is_file() else None


def write_tables(
    gradebook: Gradebook,
    problem_set: str,
    course: Path,
    *,
    rosters: Mapping[str, Path] | None = None,
    columns: Mapping[str, str] | None = None,
) -> Written:
    """Write ``grades/ps5.csv``, ``grades/ps5-canvas.csv`` and ``grades/ps5-moodle.csv``.

    Parameters
    ----------
    gradebook : Gradebook
    problem_set : str
    course : Path
        The instructor's course.
    rosters : mapping of str to Path, optional
        Lists of students that platforms exported; by default those in ``rosters/``.
    columns : mapping of str to str, optional
        The column of each roster to fill in, where its name does not tell.

    Raises
    ------
    ValueError
        If a roster can't be used. The table of grades is written all the same.
    """
    folder = course / "grades"
    folder.mkdir(mode=0o700, exist_ok=True)
    known = tables.grades(gradebook, problem_set)
    paths = {"grades": folder / f"{problem_set}.csv"}
    _write_private(paths["grades"], tables.table({problem_set: known}))
    problems = {}
    for platform, make in PLATFORMS.items():
        given = rosters is not None and platform in rosters
        roster = rosters[platform] if rosters and given else roster_of(course, platform)
        made = make(known, problem_set, roster, column=(columns or {}).get(platform))
        paths[platform] = folder / f"{problem_set}-{platform}.csv"
        _write_private(paths[platform], made.content)
        if roster is not None:
            problems[platform] = made.problems
    return Written(paths, problems)


def opened(course: Path) -> Gradebook:
    """Open the gradebook of a course.

    Raises
    ------
    FileNotFoundError
        If nothing has been graded there: nbgrader would make an empty one.
    """
    path = course / "gradebook.db"
    if not path.is_file():
        raise FileNotFoundError(f"{course} has no gradebook.db: nothing has been graded there")
    return Gradebook(f"sqlite:///{path.resolve()}")


def check_known(gradebook: Gradebook, problem_set: str) -> None:
    """Raise ``KeyError`` unless the gradebook has a problem set of this name."""
    with contextlib.suppress(MissingEntry):
        gradebook.find_assignment(problem_set)
        return
    known = ", ".join(a.name for a in gradebook.assignments) or "none"
    raise KeyError(f"the gradebook has no {problem_set}; graded so far: {known}")


def _write_private(path: Path, content: bytes) -> None:
    write_atomically(path, content)
    path.chmod(0o600)
