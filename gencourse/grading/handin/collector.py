"""Let ``nbgrader zip_collect`` take the files that we can read the names of."""

from __future__ import annotations

from pathlib import Path

from nbgrader.plugins import FileNameCollectorPlugin

from gencourse.grading.handin.names import hand_in_name

__all__ = ["HandInCollector"]


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
        if name.problem_set not in ("", wanted):
            self.log.warning("Left out: %s belongs to %s", path.name, name.problem_set)
            return None
        seen = self.__dict__.setdefault("_seen", set())
        if name.student in seen:
            self.log.warning("Left out: %s is a second file of %s", path, name.student)
            return None
        seen.add(name.student)
        return {"student_id": name.student, "file_id": wanted}
