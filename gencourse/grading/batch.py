"""Grade a folder of hand-ins: collect, grade, write feedback, export, and say what needs a person.

A thin layer over nbgrader's own applications. Each hand-in is graded by itself, so one that
can't be graded stops nobody else's; and it is reported, with an empty score, instead of 0.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.warnings import MissingIDFieldWarning
from nbgrader.api import Gradebook
from nbgrader.apps import ExportApp, NbGraderAPI, ZipCollectApp
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import unzip
from sqlalchemy.exc import SAWarning
from traitlets.config import Config, PyFileConfigLoader

from gencourse.grading.collect import hand_in_name
from gencourse.grading.export import BY_HAND, GRADED, NEEDS_REVIEW, status

__all__ = ["BY_HAND", "GRADED", "NEEDS_REVIEW", "Grading", "HandIn", "grade"]


@dataclass(frozen=True)
class HandIn:
    """What became of one handed-in file.

    Attributes
    ----------
    student : str
        The student's id; the file's name where it doesn't give one.
    status : str
        ``GRADED``, ``BY_HAND`` (graded but for the written answers) or ``NEEDS_REVIEW``.
    score, max_score : float or None
        Points; None where nothing was graded.
    note : str
        Why it needs review, in a sentence.
    """

    student: str
    status: str
    score: float | None = None
    max_score: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Grading:
    """The result of :func:`grade`.

    Attributes
    ----------
    hand_ins : tuple of HandIn
        One for each file, by student.
    csv : Path
        Where the grades were exported to.
    feedback : Path
        Folder that holds ``<student>/<set>/<set>.html``.
    """

    hand_ins: tuple[HandIn, ...]
    csv: Path
    feedback: Path

    @property
    def needs_review(self) -> tuple[HandIn, ...]:
        """The hand-ins that could not be graded."""
        return tuple(h for h in self.hand_ins if h.status == NEEDS_REVIEW)


def grade(
    problem_set: str,
    source: str | os.PathLike[str],
    *,
    course: str | os.PathLike[str] = ".",
    report: Callable[[HandIn], None] | None = None,
) -> Grading:
    """Grade every hand-in in a folder.

    Parameters
    ----------
    problem_set : str
        Such as ``"ps5"``; its source is ``solutions/ps5/ps5.ipynb``.
    source : path
        Folder with files called ``<student>_ps5.ipynb``, with folders ``<student>/ps5.ipynb``,
        or with zip files of these.
    course : path
        The instructor's course: the folder of ``nbgrader_config.py``. Hand-ins, gradebook,
        feedback and ``grades/ps5.csv`` are written there, readable by the owner alone.
    report : callable, optional
        Called with each :class:`HandIn` as soon as it is known.

    Returns
    -------
    Grading

    Raises
    ------
    FileNotFoundError
        If the course, the problem set or the hand-ins are not there.
    RuntimeError
        If nbgrader can't read the source of the problem set; the message has its log.
    """
    root, folder = Path(course).resolve(), Path(source).resolve()
    if not (root / "nbgrader_config.py").is_file():
        raise FileNotFoundError(f"{root} is no course: it has no nbgrader_config.py")
    if not (root / "solutions" / problem_set / f"{problem_set}.ipynb").is_file():
        known = sorted(p.stem for p in root.glob("solutions/*/*.ipynb"))
        raise FileNotFoundError(
            f"no problem set {problem_set!r} in {root / 'solutions'}; "
            + (f"there are: {', '.join(known)}" if known else "there are none")
        )
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not any(path.is_file() for path in folder.rglob("*")):
        raise FileNotFoundError(f"there are no hand-ins in {folder}")

    with _course(root) as config, warnings.catch_warnings():
        # nbgrader's own way with its database; nothing a teacher could act on.
        warnings.simplefilter("ignore", SAWarning)
        warnings.simplefilter("ignore", MissingIDFieldWarning)
        return _Batch(problem_set, root, config, report or (lambda hand_in: None)).run(folder)


@contextlib.contextmanager
def _course(root: Path) -> Iterator[Config]:
    """Load nbgrader_config.py, and undo what it does to this process afterwards."""
    environment, umask, folder = dict(os.environ), os.umask(0), Path.cwd()
    os.umask(umask)
    try:
        os.chdir(root)
        yield PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    finally:
        os.chdir(folder)
        os.umask(umask)
        os.environ.clear()
        os.environ.update(environment)


class _Batch:
    """One run of :func:`grade`: nbgrader's objects, and what is known so far."""

    def __init__(
        self, name: str, root: Path, config: Config, report: Callable[[HandIn], None]
    ) -> None:
        self.name = name
        self.root = root
        self.config = config
        self.report = report
        self.coursedir = CourseDirectory(config=config)
        self.api = NbGraderAPI(coursedir=self.coursedir, config=config)
        # What goes wrong is reported for each hand-in; nbgrader's own log would repeat it.
        self.api.log.setLevel(logging.CRITICAL + 1)
        self.found: list[HandIn] = []

    def run(self, folder: Path) -> Grading:
        answers = self.register()
        for student, path in sorted(self.collect(folder).items()):
            self.add(self.grade_one(student, path, answers))
        table = self.root / "grades" / f"{self.name}.csv"
        self.export(table)
        feedback = self.root / self.coursedir.feedback_directory
        by_student = sorted(self.found, key=lambda hand_in: hand_in.student)
        return Grading(tuple(by_student), table, feedback)

    def add(self, hand_in: HandIn) -> None:
        self.found.append(hand_in)
        self.report(hand_in)

    def register(self) -> dict[str, str]:
        """Tell the gradebook about the source as it is now; return its answer cells.

        The release that nbgrader makes on the way is thrown away: ``tools/release.py`` writes
        the one that students get.
        """
        kept = self.coursedir.release_directory
        with tempfile.TemporaryDirectory(prefix="gencourse-") as scratch:
            self.coursedir.release_directory = scratch
            try:
                result = self.api.generate_assignment(self.name)
            finally:
                self.coursedir.release_directory = kept
            if not result["success"]:
                raise RuntimeError(
                    f"nbgrader can't use solutions/{self.name}: {_last_line(result)}\n"
                    "If cells were added or removed after hand-ins were graded, start a new "
                    "gradebook (move gradebook.db away)."
                )
            release = nbformat.read(Path(scratch, self.name, f"{self.name}.ipynb"), as_version=4)
        database = Path(self.coursedir.db_url.removeprefix("sqlite:///"))
        if database.is_file():
            database.chmod(stat.S_IRUSR | stat.S_IWUSR)
        return _answers(release)

    def collect(self, folder: Path) -> dict[str, Path]:
        """Run ``nbgrader zip_collect``; report what it leaves out; return the new hand-ins."""
        extracted = self.root / "downloaded" / self.name / "extracted"
        shutil.rmtree(extracted, ignore_errors=True)
        self.unpack(folder, extracted)
        app = ZipCollectApp(config=self.config, coursedir=self.coursedir)
        app.log.setLevel(logging.CRITICAL + 1)
        app.force = True
        with self.assignment():
            app.init_plugins()
            app.process_extracted_files()
        collected: dict[str, Path] = {}
        for path in sorted((p for p in extracted.rglob("*") if p.is_file()), key=str):
            shown = str(path.relative_to(extracted))
            try:
                name = hand_in_name(path)
            except ValueError as error:
                self.add(self.unnamed(path, shown, error))
                continue
            if name.problem_set != self.name:
                note = f"This is a file of {name.problem_set}, not of {self.name}."
                self.add(HandIn(shown, NEEDS_REVIEW, note=note))
            elif name.student in collected:
                note = f"A second file of {name.student}; the first one was graded."
                self.add(HandIn(shown, NEEDS_REVIEW, note=note))
            else:
                collected[name.student] = Path(
                    self.coursedir.format_path(
                        self.coursedir.submitted_directory, name.student, self.name
                    ),
                    f"{self.name}.ipynb",
                )
        return collected

    def unpack(self, folder: Path, target: Path) -> None:
        """Copy the files of a folder, and unpack its zip files; report those that are broken."""
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            relative = path.relative_to(folder)
            if any(part.startswith(".") or part == "__MACOSX" for part in relative.parts):
                continue
            place = target / relative.parent
            place.mkdir(parents=True, exist_ok=True)
            if path.suffix not in (".zip", ".gz"):
                shutil.copyfile(path, target / relative)
                continue
            try:
                unzip(str(path), str(place), create_own_folder=True, tree=True)
            except Exception as error:  # each archive driver raises its own kinds
                note = f"It can't be unpacked ({type(error).__name__})."
                self.add(HandIn(str(relative), NEEDS_REVIEW, note=note))

    def unnamed(self, path: Path, shown: str, error: ValueError) -> HandIn:
        """Report a file whose name doesn't say enough; under its student, if that is known."""
        try:
            student = hand_in_name(path.with_suffix(".ipynb")).student
        except ValueError:
            return HandIn(shown, NEEDS_REVIEW, note=f"{error}.")
        self.forget(student)
        return HandIn(student, NEEDS_REVIEW, note=f"{error}.")

    @contextlib.contextmanager
    def assignment(self) -> Iterator[None]:
        before = self.coursedir.assignment_id
        self.coursedir.assignment_id = self.name
        try:
            yield
        finally:
            self.coursedir.assignment_id = before

    def grade_one(self, student: str, path: Path, answers: dict[str, str]) -> HandIn:
        problem = _unfit(path, answers)
        if problem is None:
            result = self.api.autograde(self.name, student, force=True, create=True)
            if not result["success"]:
                problem = f"nbgrader could not grade it: {_last_line(result)}"
        if problem is not None:
            self.forget(student)
            return HandIn(student, NEEDS_REVIEW, note=problem)
        result = self.api.generate_feedback(self.name, student, force=True)
        note = "" if result["success"] else f"No feedback was written: {_last_line(result)}"
        with self.gradebook() as gradebook:
            submission = gradebook.find_submission(self.name, student)
            return HandIn(
                student,
                status(submission),
                score=float(submission.score),
                max_score=float(submission.max_score),
                note=note,
            )

    def gradebook(self) -> Gradebook:
        return Gradebook(self.coursedir.db_url, self.coursedir.course_id)

    def forget(self, student: str) -> None:
        """Clear the scores that nbgrader gave an earlier hand-in; keep those given by hand."""
        with self.gradebook() as gradebook:
            gradebook.update_or_create_student(student)
            submission = gradebook.update_or_create_submission(self.name, student)
            for notebook in submission.notebooks:
                for score in notebook.grades:
                    score.auto_score = None
            gradebook.db.commit()
        for step in (self.coursedir.autograded_directory, self.coursedir.feedback_directory):
            shutil.rmtree(self.coursedir.format_path(step, student, self.name), ignore_errors=True)

    def export(self, table: Path) -> None:
        table.parent.mkdir(exist_ok=True)
        app = ExportApp(config=self.config, coursedir=self.coursedir)
        app.log.setLevel(logging.CRITICAL + 1)
        app.init_plugin()
        app.plugin_inst.to, app.plugin_inst.assignment = str(table), [self.name]
        with self.gradebook() as gradebook:
            app.plugin_inst.export(gradebook)


def _answers(release: NotebookNode) -> dict[str, str]:
    """Return the cells that a student writes in, as {grade_id: cell type}."""
    return {
        cell.metadata.nbgrader.grade_id: cell.cell_type
        for cell in release.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }


def _unfit(path: Path, answers: dict[str, str]) -> str | None:
    """Say why a hand-in can't be graded as it is, or return None.

    A deleted check cell is put back by nbgrader. An answer cell that has lost its mark can't be
    found again, and would silently count as 0.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        there = {
            cell.metadata["nbgrader"]["grade_id"]
            for cell in notebook.cells
            if cell.metadata.get("nbgrader", {}).get("grade_id")
        }
    except (OSError, ValueError, json.JSONDecodeError, nbformat.ValidationError, KeyError) as error:
        return f"It is not a readable notebook ({type(error).__name__})."
    except (AttributeError, TypeError):
        return "It is not a readable notebook: it has another structure."
    missing = [name for name in answers if name not in there]
    if len(missing) == len(answers):
        return "It has none of the answer cells: is it another notebook, or one typed anew?"
    if missing:
        return f"Answer cells are missing or were typed anew: {', '.join(missing)}."
    return None


def _last_line(result: dict[str, str]) -> str:
    """Return the line of nbgrader's log or traceback that says most: the innermost error."""
    text = result.get("log", "") + "\n" + result.get("error", "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [x for x in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", x)]
    return (errors or lines or ["no reason given"])[0][:300]
