"""Which student and which problem set a handed-in file belongs to, from its name alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from nbgrader.plugins import FileNameCollectorPlugin

__all__ = ["HandInCollector", "HandInName", "hand_in_name"]

# <student>_ps5.ipynb as students are asked to name it; what browsers and Colab make of that:
# "Copy of ada_ps5.ipynb", "ada_ps5 (1).ipynb"; and ps5.ipynb in a folder called <student>.
_STUDENT = r"(?P<student>\w[\w.@-]*)"
_FILE = re.compile(rf"(?:Copy of )?{_STUDENT}_(?P<set>ps\d+)(?: ?\(\d+\))?\.ipynb", re.IGNORECASE)
_IN_FOLDER = re.compile(r"(?:Copy of )?(?P<set>ps\d+)(?: ?\(\d+\))?\.ipynb", re.IGNORECASE)
_FOLDER = re.compile(_STUDENT)


@dataclass(frozen=True)
class HandInName:
    """What the name of a handed-in file says.

    Attributes
    ----------
    student : str
        The student's id.
    problem_set : str
        Such as ``"ps5"``.
    """

    student: str
    problem_set: str


def hand_in_name(path: PurePath) -> HandInName:
    """Read student and problem set from the name of a file, or of the folder it is in.

    Raises
    ------
    ValueError
        If the name says neither; the message says how it should look.
    """
    if match := _FILE.fullmatch(path.name):
        return HandInName(match["student"], match["set"].lower())
    match = _IN_FOLDER.fullmatch(path.name)
    folder = _FOLDER.fullmatch(path.parent.name)
    if match and folder:
        return HandInName(folder["student"], match["set"].lower())
    if path.suffix != ".ipynb":
        raise ValueError(f"{path.name!r} is not a notebook (.ipynb)")
    raise ValueError(f"{path.name!r} should be called <student>_ps<number>.ipynb")


class HandInCollector(FileNameCollectorPlugin):
    """Lets ``nbgrader zip_collect`` take every file that :func:`hand_in_name` can read.

    A second file of one student is left out with a warning, where nbgrader would stop.
    """

    def collect(self, submitted_file: str) -> dict[str, str] | None:
        """Return student and notebook of a file, or None to leave it out."""
        path = Path(submitted_file)
        wanted = self.parent.coursedir.assignment_id
        try:
            name = hand_in_name(path)
        except ValueError as error:
            self.log.warning("Left out: %s", error)
            return None
        if name.problem_set != wanted:
            self.log.warning("Left out: %s belongs to %s", path.name, name.problem_set)
            return None
        seen = self.__dict__.setdefault("_seen", set())
        if name.student in seen:
            self.log.warning("Left out: %s is a second file of %s", path, name.student)
            return None
        seen.add(name.student)
        return {"student_id": name.student, "file_id": name.problem_set}
