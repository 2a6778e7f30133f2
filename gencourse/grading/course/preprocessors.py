"""Stock ``nbgrader autograde`` through the same mending, sandbox and store.

``nbgrader_config.py`` names these in place of nbgrader's own steps. What they can't do for a
hand-in they say by raising: nbgrader then reports that hand-in and goes on with the next, and
no score is written for it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Bool

from gencourse.grading.course import engine, environment
from gencourse.grading.course.jobs import job_of
from gencourse.grading.course.ledger import clear_scores
from gencourse.grading.course.outputs import NotGraded, write_outputs
from gencourse.grading.course.private import Private
from gencourse.grading.course.problem_set import ProblemSet, files_beside
from gencourse.grading.course.store import Store, failed_here, merge
from gencourse.grading.handin.mend import mend

__all__ = ["CachedExecute", "Mend"]

Processed = tuple[NotebookNode, dict[str, Any]]


# nbgrader makes its steps anew for each hand-in; a set is read again when one of its files changed.
_loaded: dict[tuple[tuple[str, int], ...], ProblemSet] = {}


class _OfCourse(NbGraderPreprocessor):
    """A step that knows the course it is in."""

    def course(self) -> Path:
        """Return the folder of ``nbgrader_config.py``."""
        return Path(self.config.CourseDirectory.get("root", "") or Path.cwd())

    def problem_set(self, resources: dict[str, Any]) -> ProblemSet:
        """Return the problem set that a hand-in answers."""
        about = resources["nbgrader"]
        if about["notebook"] != about["assignment"]:
            raise NotGraded(
                f"{about['notebook']}.ipynb should be called {about['assignment']}.ipynb"
            )
        folder = self.course() / "solutions" / about["assignment"]
        times = tuple(sorted((str(p), p.stat().st_mtime_ns) for p in folder.rglob("*")))
        if times not in _loaded:
            _loaded[times] = ProblemSet.load(self.course(), about["assignment"], self.config)
        return _loaded[times]

    def refuse(self, resources: dict[str, Any], why: str) -> NoReturn:
        """Take back what an earlier hand-in got, and raise."""
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            clear_scores(gradebook, about["assignment"], about["student"])
        raise NotGraded(f"The hand-in of {about['student']} needs review: {why}")


class Mend(_OfCourse):
    """The first step: rebuild what was handed in from the release.

    Raises :class:`.NotGraded` if a person has to look at it; its score is then empty.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Processed:
        """Return the mended hand-in in place of what nbgrader read."""
        known = self.problem_set(resources)
        about = resources["metadata"]
        data = Path(about["path"], f"{about['name']}.ipynb").read_bytes()
        mended = mend(data, known.release)
        if mended.review is not None or mended.notebook is None:
            self.refuse(resources, mended.review or "It can't be read.")
        notebook = known.with_checks(mended.notebook)
        notebook.metadata["gencourse"] = {"notes": mended.notes}
        return notebook, resources


class CachedExecute(_OfCourse):
    """In place of ``Execute``: outputs from the store, or from a run in the sandbox."""

    unsandboxed = Bool(
        False,
        help="Run students' code with the rights of whoever grades. It can then read and delete "
        "what they can: the gradebook, the solutions, other hand-ins.",
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Processed:
        """Put the outputs of each cell into a hand-in, and the score of each check."""
        known = self.problem_set(resources)
        student = resources["nbgrader"]["student"]
        private = Private(self.course())
        notes = nb.metadata.get("gencourse", {}).get("notes", [])
        known.with_checks(nb)
        beside = files_beside(Path(resources["metadata"]["path"]), self.config)
        job = job_of(known, nb, student=student, key=private.key(), files=beside)
        sandboxed = not self.unsandboxed
        store = Store(private, environment.fingerprint(sandboxed=sandboxed))
        result = store.get(job)
        if result is None:
            checks = store.known(job)
            rest = replace(job, known=tuple(checks))
            result = engine.in_this_process(rest, sandboxed=sandboxed)
            if not failed_here(result):
                result = merge(job, result, checks)
                store.put(job, result)
        try:
            write_outputs(nb, result, known.points, notes=notes)
        except NotGraded as error:
            self.refuse(resources, str(error))
        return nb, resources
