"""nbgrader's gradebook and folders, written for one hand-in at a time and in one piece.

What ``nbgrader autograde`` would write is written here with nbgrader's own classes, but in a
single transaction for each hand-in: a grader that is killed leaves a hand-in as it was before,
never half of one, and the disk is waited for once instead of forty times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import (
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    SubmittedAssignment,
)
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from traitlets.config import Config

from gencourse.grading.course.private import Private, remove
from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.reports.tables import status

__all__ = ["Ledger", "Standing", "clear_scores", "text_of"]


@dataclass(frozen=True)
class Standing:
    """How a hand-in stands in the gradebook.

    Attributes
    ----------
    status : str
        See :func:`gencourse.grading.reports.tables.status`.
    score, max_score : float
        Points, with those given by hand.
    """

    status: str
    score: float
    max_score: float


class Ledger:
    """The gradebook and the hand-ins of one problem set; use it as a context manager.

    Parameters
    ----------
    problem_set : ProblemSet
    coursedir : CourseDirectory
    config : Config
        Of nbgrader.
    """

    def __init__(self, problem_set: ProblemSet, coursedir: CourseDirectory, config: Config) -> None:
        self.problem_set = problem_set
        self.name = problem_set.name
        self.coursedir = coursedir
        self.private = Private(Path(coursedir.root))
        self.scores = _SaveScores(config=config)
        self.penalties = _Penalties(config=config)
        self.mode = int(str(config.get("Autograde", {}).get("permissions", 400)), 8)

    def __enter__(self) -> Ledger:
        self.gradebook = Gradebook(self.coursedir.db_url, self.coursedir.course_id)
        make_private(self.coursedir.db_url)
        return self

    def __exit__(self, *exception: object) -> None:
        self.gradebook.close()

    def folder(self, step: str, student: str) -> Path:
        """Return nbgrader's folder of a hand-in in one of its steps, such as ``"submitted"``."""
        # nbgrader takes an id for a pattern of file names, and a part of a path.
        if student in ("", ".", "..") or set(student) & set("/\\*?[]{}\0\n"):
            raise ValueError(f"{student!r} can't be the id of a student")
        return Path(self.coursedir.format_path(step, student, self.name))

    def take_in(self, student: str, data: bytes, timestamp: str) -> None:
        """Put a hand-in where nbgrader expects it, byte for byte as it came."""
        folder = self.folder(self.coursedir.submitted_directory, student)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            (f"{self.name}.ipynb", data),
            ("timestamp.txt", timestamp.encode()),
        ):
            path = folder / name
            if content and not (path.is_file() and path.read_bytes() == content):
                unfinished = self._unfinished()
                unfinished.write_bytes(content)
                unfinished.chmod(0o600)
                os.replace(unfinished, path)

    def record(
        self, student: str, notebook: NotebookNode, timestamp: str, files: Mapping[str, bytes]
    ) -> Standing:
        """Write a graded notebook into the gradebook and into ``autograded/``.

        Marks given by hand stay. One on an answer that is the same as before needs no second
        look; one on an answer that changed does.

        Parameters
        ----------
        student : str
        notebook : NotebookNode
            With its outputs (:func:`.outputs.write_outputs`).
        timestamp : str
            When it was handed in; empty if that isn't known.
        files : mapping of str to bytes
            What lies beside it.
        """
        place = self.folder(self.coursedir.autograded_directory, student)
        before = _answers(place / f"{self.name}.ipynb")
        with self._transaction():
            self.gradebook.update_or_create_student(student)
            when = {"timestamp": timestamp} if timestamp else {}
            submission = self.gradebook.update_or_create_submission(self.name, student, **when)
            key = (self.name, self.name, student)
            self.scores.save(self.gradebook, notebook, key, before)
            self.gradebook.db.flush()
            self.gradebook.db.expire_all()
            self.penalties.save(self.gradebook, submission, key)
        self._place(place, notebook, timestamp, files)
        found = self.standing(student)
        if found is None:
            raise RuntimeError(f"the gradebook lost the hand-in of {student}")
        return found

    def clear(self, student: str) -> None:
        """Take back the scores that grading gave an earlier hand-in; keep those given by hand."""
        with self._transaction():
            clear_scores(self.gradebook, self.name, student)
        for step in (self.coursedir.autograded_directory, self.coursedir.feedback_directory):
            remove(self.folder(step, student))

    def standing(self, student: str) -> Standing | None:
        """Return how a hand-in stands, or None if the gradebook doesn't know it."""
        try:
            submission = self.gradebook.find_submission(self.name, student)
        except MissingEntry:
            return None
        return Standing(status(submission), float(submission.score), float(submission.max_score))

    def marks(self, student: str) -> str:
        """Return SHA-256 of the points and comments that were given by hand."""
        try:
            notebooks = self.gradebook.find_submission(self.name, student).notebooks
        except MissingEntry:
            notebooks = []
        points = [[g.name, g.manual_score, g.extra_credit] for n in notebooks for g in n.grades]
        comments = [[c.name, c.manual_comment] for n in notebooks for c in n.comments]
        found = json.dumps([sorted(points), sorted(comments)])
        return hashlib.sha256(found.encode()).hexdigest()

    def due(self) -> str:
        """Return when the set is due, as text; empty if it never is."""
        return str(self.gradebook.find_assignment(self.name).duedate or "")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold back nbgrader's commits, and make one at the end."""
        session = self.gradebook.db
        self.gradebook.db = _Held(session)
        try:
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            self.gradebook.db = session

    def _unfinished(self) -> Path:
        return self.private.unfinished() / f"{os.getpid()}-{secrets.token_hex(8)}"

    def _place(
        self, place: Path, notebook: NotebookNode, timestamp: str, files: Mapping[str, bytes]
    ) -> None:
        """Replace the folder of a graded hand-in as a whole."""
        new, old = self._unfinished(), self._unfinished()
        contents = {
            **files,
            f"{self.name}.ipynb": text_of(notebook),
            **({"timestamp.txt": timestamp.encode()} if timestamp else {}),
        }
        new.mkdir(mode=0o700)
        for name, content in contents.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(self.mode)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            os.replace(place, old)
        os.replace(new, place)
        remove(old)


def text_of(notebook: NotebookNode) -> bytes:
    """Return a notebook as bytes, the same for equal notebooks."""
    return (nbformat.v4.writes(notebook) + "\n").encode()


def make_private(db_url: str) -> None:
    """Let nobody but the owner read the gradebook."""
    database = Path(db_url.removeprefix("sqlite:///"))
    if database.is_file():
        database.chmod(stat.S_IRUSR | stat.S_IWUSR)


def clear_scores(gradebook: Gradebook, problem_set: str, student: str) -> SubmittedAssignment:
    """Take back the scores of a hand-in that grading gave, so that it is not graded."""
    gradebook.update_or_create_student(student)
    submission = gradebook.update_or_create_submission(problem_set, student)
    for notebook in submission.notebooks:
        notebook.late_submission_penalty = None
        for grade in notebook.grades:
            grade.auto_score = None
    gradebook.db.commit()
    return submission


def _answers(path: Path) -> dict[str, str]:
    """Return the answers that a marker may have seen: the last ones that were graded."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError):
        return {}
    return {c.metadata.nbgrader.grade_id: c.source for c in notebook.cells if utils.is_solution(c)}


class _Held:
    """A session of SQLAlchemy that keeps what it is given, and leaves the commit to its owner."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def commit(self) -> None:
        self._session.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class _AtHand:
    """The entries of one hand-in, read at once; nbgrader's own way asks for each of them."""

    def __init__(self, gradebook: Gradebook, key: tuple[str, str, str]) -> None:
        notebook = gradebook.find_submission_notebook(*key).id
        read = gradebook.db.query
        cells = {one.id: one.name for one in read(BaseCell.id, BaseCell.name)}
        self.grades = {cells[g.cell_id]: g for g in read(Grade).filter_by(notebook_id=notebook)}
        self.comments = {cells[c.cell_id]: c for c in read(Comment).filter_by(notebook_id=notebook)}
        self.db = self

    def commit(self) -> None:
        """Leave it to the transaction around this."""

    def find_grade(self, name: str, *where: str) -> Grade:
        return self.grades[name]

    def find_comment(self, name: str, *where: str) -> Comment:
        return self.comments[name]


class _SaveScores(SaveAutoGrades):
    """nbgrader's own, into an open gradebook."""

    def save(
        self,
        gradebook: Gradebook,
        notebook: NotebookNode,
        key: tuple[str, str, str],
        before: Mapping[str, str],
    ) -> None:
        self.gradebook = _AtHand(gradebook, key)
        self.before = before
        self.notebook_id, self.assignment_id, self.student_id = key
        for index, cell in enumerate(notebook.cells):
            self.preprocess_cell(cell, {}, index)

    def _add_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        name = cell.metadata.nbgrader.grade_id
        grade = self.gradebook.find_grade(
            name, self.notebook_id, self.assignment_id, self.student_id
        )
        score, waiting = grade.auto_score, grade.needs_manual_grade
        super()._add_score(cell, resources)
        same = grade.auto_score == score and (
            not utils.is_solution(cell) or self.before.get(name) == cell.source
        )
        if grade.manual_score is not None and same:
            grade.needs_manual_grade = waiting


class _Penalties(AssignLatePenalties):
    """nbgrader's own, into an open gradebook."""

    def save(
        self, gradebook: Gradebook, submission: SubmittedAssignment, key: tuple[str, str, str]
    ) -> None:
        self.gradebook = gradebook
        self.notebook_id, self.assignment_id, self.student_id = key
        notebook = gradebook.find_submission_notebook(*key)
        penalty, late = None, submission.total_seconds_late
        if late > 0:
            self.init_plugin()
            penalty = self.plugin_inst.late_submission_penalty(key[2], notebook.score, late)
        notebook.late_submission_penalty = (
            None if penalty is None else self._check_late_penalty(notebook, penalty)
        )
