"""Grade a folder of hand-ins: mend, run, write the gradebook and feedback, and say what is left.

One process, which holds the course's lock, is the only writer of the gradebook and of nbgrader's
folders. Hand-ins are run side by side and written one by one, each in one piece. What was run is
kept by content and what was finished is noted down, so the same command after a power cut (or
``kill -9``) goes on where it was, to the gradebook that it would have written undisturbed.

A hand-in that can't be graded stops nobody else's; and it is reported, with an empty score,
instead of 0.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import logging.handlers
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from nbformat import NotebookNode
from nbformat.warnings import MissingIDFieldWarning
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import ExportApp, NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config, PyFileConfigLoader

from gencourse.grading.course import engine as engines
from gencourse.grading.course import environment
from gencourse.grading.course.engine import Engine
from gencourse.grading.course.jobs import job_of
from gencourse.grading.course.ledger import Ledger, Standing, make_private
from gencourse.grading.course.outputs import NotGraded, write_outputs
from gencourse.grading.course.private import Private
from gencourse.grading.course.problem_set import ProblemSet
from gencourse.grading.course.store import Store, merge
from gencourse.grading.handin.collect import Found, collect
from gencourse.grading.handin.mend import mend
from gencourse.grading.job import CellResult, Job, Outcome, Result
from gencourse.grading.reports.export import write_tables
from gencourse.grading.reports.tables import BY_HAND, GRADED, NEEDS_REVIEW
from gencourse.grading.reports.times import times_of

__all__ = ["BY_HAND", "GRADED", "NEEDS_REVIEW", "Grading", "HandIn", "Options", "grade"]

#: What a dry run says of a hand-in that it would run.
TO_RUN = "to be run"
#: What a dry run says of a hand-in whose results are known.
KNOWN = "results are known"


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
        Why it needs review, or what happened while it ran, in a sentence.
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
    seconds : dict of str to float
        Wall-clock time of this process by what it was spent on; ``"waiting"`` is for results.
    """

    hand_ins: tuple[HandIn, ...]
    csv: Path
    feedback: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def needs_review(self) -> tuple[HandIn, ...]:
        """The hand-ins that could not be graded."""
        return tuple(h for h in self.hand_ins if h.status == NEEDS_REVIEW)


@dataclass(frozen=True)
class Options:
    """How to grade.

    Attributes
    ----------
    workers : int, optional
        Hand-ins at a time on this machine; by default one for each processor.
    dask : str, optional
        Address of a Dask scheduler, whose workers run the hand-ins instead.
    only : collection of str
        Students to grade; all if empty.
    force : bool
        Run what is known already, too.
    dry_run : bool
        Only say what would be done; write nothing.
    sandboxed : bool
        False runs students' code with the rights of whoever grades.
    """

    workers: int | None = None
    dask: str | None = None
    only: Collection[str] = ()
    force: bool = False
    dry_run: bool = False
    sandboxed: bool = True


def grade(
    problem_set: str,
    source: str | os.PathLike[str],
    *,
    course: str | os.PathLike[str] = ".",
    options: Options | None = None,
    expect: Callable[[int], None] | None = None,
    report: Callable[[HandIn], None] | None = None,
    engine: Engine | None = None,
) -> Grading:
    """Grade every hand-in in a folder or zip file.

    Parameters
    ----------
    problem_set : str
        Such as ``"ps5"``; its source is ``solutions/ps5/ps5.ipynb``.
    source : path
        Folder or zip file with files called ``<student>_ps5.ipynb`` or as learning platforms
        call them, with folders ``<student>/ps5.ipynb``, or with zip files of these.
    course : path
        The instructor's course: the folder of ``nbgrader_config.py``. Hand-ins, gradebook,
        feedback and ``grades/ps5.csv`` are written there, readable by the owner alone.
    options : Options, optional
    expect : callable, optional
        Called once with the number of hand-ins.
    report : callable, optional
        Called with each :class:`HandIn` as soon as it is known.
    engine : Engine, optional
        What runs the jobs; by default what the options say.

    Returns
    -------
    Grading

    Raises
    ------
    FileNotFoundError
        If the course, the problem set or the hand-ins are not there.
    ValueError
        If ``rosters/ps5-times.csv`` can't be read.
    RuntimeError
        If another grader is at work, if there is no sandbox, if the cluster can't be reached,
        or if nbgrader can't read the source of the problem set.
    """
    root, place = Path(course).resolve(), Path(source).resolve()
    chosen = options or Options()
    if not (root / "nbgrader_config.py").is_file():
        raise FileNotFoundError(f"{root} is no course: it has no nbgrader_config.py")
    if not place.exists():
        raise FileNotFoundError(f"there is no folder or zip file {place}")
    with _course(root) as config, warnings.catch_warnings(), contextlib.ExitStack() as stack:
        # nbgrader's own way with its database; nothing a teacher could act on.
        warnings.simplefilter("ignore", SAWarning)
        warnings.simplefilter("ignore", MissingIDFieldWarning)
        known = ProblemSet.load(root, problem_set, config)
        if not chosen.dry_run:
            stack.enter_context(Private(root).lock())
        times = times_of(root, problem_set)
        found = [
            replace(one, timestamp=times.get(one.student) or one.timestamp)
            for one in collect(place, problem_set)
        ]
        if not found:
            raise FileNotFoundError(f"there are no hand-ins in {place}")
        batch = _Batch(known, root, config, chosen, report or (lambda hand_in: None))
        if chosen.only:
            found = batch.chosen(found)
        if expect is not None:
            expect(len(found))
        if chosen.dry_run:
            return batch.rehearse(found)
        return batch.run(found, engine or stack.enter_context(_engine(chosen)))


def _engine(options: Options) -> contextlib.AbstractContextManager[Engine]:
    if options.dask is not None:
        return engines.cluster(options.dask, sandboxed=options.sandboxed)
    return engines.local(options.workers, sandboxed=options.sandboxed)


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


@dataclass
class _Prepared:
    """A mended hand-in, and the job that grades it."""

    student: str
    notebook: NotebookNode
    notes: list[str]
    timestamp: str
    job: Job
    stamp: str
    known: dict[str, CellResult] = field(default_factory=dict)


class _Clock(dict[str, float]):
    """Adds up the seconds spent on each part, without the parts within it."""

    def __init__(self) -> None:
        self.inner: list[float] = []

    @contextlib.contextmanager
    def on(self, part: str) -> Iterator[None]:
        self.inner.append(0.0)
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent, within = time.perf_counter() - begun, self.inner.pop()
            self[part] = self.get(part, 0.0) + spent - within
            if self.inner:
                self.inner[-1] += spent


class _Batch:
    """One run of :func:`grade`: nbgrader's objects, and what is known so far."""

    def __init__(
        self,
        problem_set: ProblemSet,
        root: Path,
        config: Config,
        options: Options,
        report: Callable[[HandIn], None],
    ) -> None:
        self.set = problem_set
        self.name = problem_set.name
        self.root = root
        self.config = config
        self.options = options
        self.report = report
        self.private = Private(root)
        self.store = Store(self.private, environment.fingerprint(sandboxed=options.sandboxed))
        self.coursedir = CourseDirectory(config=config)
        self.api = NbGraderAPI(coursedir=self.coursedir, config=config)
        # What goes wrong is reported for each hand-in; nbgrader's own log would repeat it.
        self.api.log.setLevel(logging.CRITICAL + 1)
        self.log = logging.Logger("gencourse.grading")
        self.clock = _Clock()
        self.found: list[HandIn] = []

    def chosen(self, found: list[Found]) -> list[Found]:
        """Return the hand-ins of the students asked for; raise if there is none of one."""
        students = {one.student for one in found}
        if unknown := sorted(set(self.options.only) - students):
            raise FileNotFoundError(f"there is no hand-in of {', '.join(unknown)}")
        return [one for one in found if one.student in self.options.only]

    def run(self, found: list[Found], engine: Engine) -> Grading:
        """Grade what was found."""
        key = self.private.key()
        with self.clock.on("registering the set"):
            self.register()
        with self._logging() as log, Ledger(self.set, self.coursedir, self.config) as ledger:
            self.ledger, self.log = ledger, log
            log.info("%s: %d files", self.name, len(found))
            self.rules = self._rules()
            under_way: dict[str, _Prepared] = {}
            with contextlib.closing(engine.run(self._jobs(found, key, under_way))) as results:
                while True:
                    with self.clock.on("waiting for results"):
                        student, result = next(results, ("", None))
                    if result is None:
                        break
                    self.finish(under_way.pop(student), result)
            table = self.root / "grades" / f"{self.name}.csv"
            with self.clock.on("exporting"):
                self.export(table)
            log.info("%s: done", self.name)
        feedback = self.root / self.coursedir.feedback_directory
        return Grading(self._sorted(), table, feedback, dict(self.clock))

    def rehearse(self, found: list[Found]) -> Grading:
        """Say what would be done, and write nothing."""
        key = self.private.key() if (self.private.path / "key").is_file() else b""
        for one in found:
            prepared = self.prepare(one, _read(one), key)
            if isinstance(prepared, HandIn):
                self.add(prepared)
                continue
            seen = not self.options.force and self.store.get(prepared.job) is not None
            self.add(HandIn(prepared.student, KNOWN if seen else TO_RUN))
        feedback = self.root / self.coursedir.feedback_directory
        table = self.root / "grades" / f"{self.name}.csv"
        return Grading(self._sorted(), table, feedback, dict(self.clock))

    def _sorted(self) -> tuple[HandIn, ...]:
        return tuple(sorted(self.found, key=lambda hand_in: hand_in.student))

    def add(self, hand_in: HandIn) -> None:
        self.found.append(hand_in)
        self.report(hand_in)

    def register(self) -> None:
        """Tell the gradebook about the source as it is now.

        The release that nbgrader makes on the way is thrown away: ``tools/release.py`` writes
        the one that students get.
        """
        noted = self.private.path / "registered" / self.name
        content = f"{self.set.digest()} {self._config_digest()}".encode()
        with contextlib.suppress(OSError):
            if noted.read_bytes() == content and self._is_registered():
                return
        kept = self.coursedir.release_directory
        with tempfile.TemporaryDirectory(prefix="gencourse-") as scratch:
            self.coursedir.release_directory = scratch
            try:
                result = self.api.generate_assignment(self.name)
            finally:
                self.coursedir.release_directory = kept
        make_private(self.coursedir.db_url)
        if not result["success"]:
            raise RuntimeError(
                f"nbgrader can't use solutions/{self.name}: {_innermost(result)}\n"
                "If cells were added or removed after hand-ins were graded, start a new "
                "gradebook (move gradebook.db away)."
            )
        self.private.write(noted, content)

    def _is_registered(self) -> bool:
        """Whether the gradebook there is has the cells of the set."""
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            try:
                known = gradebook.find_notebook(self.name, self.name)
            except MissingEntry:
                return False
            return {cell.name for cell in known.source_cells} == self.set.entries.keys()

    def _config_digest(self) -> str:
        return hashlib.sha256((self.root / "nbgrader_config.py").read_bytes()).hexdigest()

    def _rules(self) -> str:
        """SHA-256 of what decides a grade beside the hand-in and its results."""
        parts = (
            self.set.digest(),
            self.store.environment,
            self.ledger.due(),
            self._config_digest(),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _jobs(
        self, found: list[Found], key: bytes, under_way: dict[str, _Prepared]
    ) -> Iterator[tuple[str, Job]]:
        """Yield the jobs that must be run; finish what is known already on the way."""
        for one in found:
            with self.clock.on("mending"):
                data = _read(one)
                prepared = self.prepare(one, data, key)
            if one.student and data:
                with self.clock.on("gradebook"):
                    self.ledger.take_in(one.student, data, one.timestamp)
            if isinstance(prepared, HandIn):
                self.review(prepared, forget=bool(one.student))
                continue
            with self.clock.on("gradebook"):
                standing = None if self.options.force else self.done(prepared)
            if standing is not None:
                self.add(_hand_in(prepared.student, standing))
                continue
            with self.clock.on("store"):
                result = None if self.options.force else self.store.get(prepared.job)
            if result is not None:
                self.finish(prepared, result)
                continue
            if not self.options.force:
                prepared.known = self.store.known(prepared.job)
            under_way[prepared.student] = prepared
            yield prepared.student, replace(prepared.job, known=tuple(prepared.known))

    def prepare(self, one: Found, data: bytes, key: bytes) -> _Prepared | HandIn:
        """Mend a hand-in and make its job; or say why a person must look at it."""
        shown = one.student or one.name
        if one.problem or not data:
            note = one.problem or "The file is empty, or can't be read."
            return HandIn(shown, NEEDS_REVIEW, note=note)
        try:
            mended = mend(data, self.set.release)
            if mended.review is not None or mended.notebook is None:
                return HandIn(shown, NEEDS_REVIEW, note=mended.review or "It can't be read.")
            notebook = self.set.with_checks(mended.notebook)
            job = job_of(self.set, notebook, student=one.student, key=key)
        except Exception as error:  # one odd file must not stop the others
            self._trouble(shown, error)
            note = f"It could not be prepared ({type(error).__name__}: {error})."
            return HandIn(shown, NEEDS_REVIEW, note=note)
        content = hashlib.sha256(data).hexdigest()
        return _Prepared(
            one.student,
            notebook,
            list(mended.notes),
            one.timestamp,
            job,
            f"{content} {job.digest()} {one.timestamp}",
        )

    def finish(self, prepared: _Prepared, result: Result) -> None:
        """Write a result into the gradebook and the feedback."""
        student = prepared.student
        try:
            with self.clock.on("store"):
                if prepared.known:
                    result = merge(prepared.job, result, prepared.known)
                self.store.put(prepared.job, result)
            with self.clock.on("gradebook"):
                write_outputs(prepared.notebook, result, self.set.points, notes=prepared.notes)
                standing = self.ledger.record(
                    student, prepared.notebook, prepared.timestamp, self.set.files
                )
        except NotGraded as error:
            self.review(HandIn(student, NEEDS_REVIEW, note=str(error)), forget=True)
            return
        except Exception as error:  # whatever it is, it must not stop the others
            self._trouble(student, error)
            note = f"Its grade could not be written ({type(error).__name__})."
            self.review(HandIn(student, NEEDS_REVIEW, note=note), forget=True)
            return
        with self.clock.on("feedback"):
            problem = self.feedback(student)
        if not problem:
            self.note_done(prepared)
        self.log.info("%s: %s", student, standing.status)
        note = " ".join(dict.fromkeys((*_limits_hit(result), *([problem] if problem else []))))
        self.add(_hand_in(student, standing, note))

    def review(self, hand_in: HandIn, *, forget: bool) -> None:
        """Report a hand-in that a person must look at, and take back what an earlier one got."""
        if forget:
            with self.clock.on("gradebook"):
                self._done_path(hand_in.student).unlink(missing_ok=True)
                self.ledger.clear(hand_in.student)
        self.log.info("%s: %s", hand_in.student, hand_in.status)
        self.add(hand_in)

    def feedback(self, student: str) -> str:
        """Write the feedback of a hand-in; return what went wrong, in a sentence."""
        result = self.api.generate_feedback(self.name, student, force=True)
        return "" if result["success"] else f"No feedback was written: {_innermost(result)}"

    def done(self, prepared: _Prepared) -> Standing | None:
        """Return how a hand-in stands if nothing has changed since it was finished."""
        try:
            noted = json.loads(self._done_path(prepared.student).read_bytes())
        except (OSError, ValueError):
            return None
        # Marks given by hand change the feedback, and what a late hand-in loses.
        marks = self.ledger.marks(prepared.student)
        if noted != {"hand-in": prepared.stamp, "rules": self.rules, "marks": marks}:
            return None
        places = (
            (self.coursedir.autograded_directory, f"{self.name}.ipynb"),
            (self.coursedir.feedback_directory, f"{self.name}.html"),
        )
        for step, name in places:
            if not (self.ledger.folder(step, prepared.student) / name).is_file():
                return None
        standing = self.ledger.standing(prepared.student)
        return None if standing is None or standing.status == NEEDS_REVIEW else standing

    def note_done(self, prepared: _Prepared) -> None:
        marks = self.ledger.marks(prepared.student)
        noted = {"hand-in": prepared.stamp, "rules": self.rules, "marks": marks}
        self.private.write(self._done_path(prepared.student), json.dumps(noted).encode())

    def _done_path(self, student: str) -> Path:
        name = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self.private.path / "done" / self.name / name

    def export(self, table: Path) -> None:
        """Write the grades as CSV: nbgrader's table, and those for learning platforms."""
        table.parent.mkdir(exist_ok=True)
        try:
            write_tables(self.ledger.gradebook, self.name, self.root)
        except ValueError as error:  # a roster that can't be used; `gencourse export` says so too
            self.log.warning("%s: %s", self.name, error)
        app = ExportApp(config=self.config, coursedir=self.coursedir)
        app.log.setLevel(logging.CRITICAL + 1)
        app.init_plugin()
        app.plugin_inst.to, app.plugin_inst.assignment = str(table), [self.name]
        app.plugin_inst.export(self.ledger.gradebook)

    def _trouble(self, student: str, error: BaseException) -> None:
        # Without its text or traceback, which may quote what somebody wrote.
        self.log.warning("%s: %s", student, type(error).__name__)

    @contextlib.contextmanager
    def _logging(self) -> Iterator[logging.Logger]:
        """Open the course's private log: who was graded when, and never what they wrote."""
        logger = logging.Logger("gencourse.grading")
        path = self.private.folder() / "log"
        path.touch(mode=0o600)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=1_000_000, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
        try:
            yield logger
        finally:
            handler.close()


def _read(one: Found) -> bytes:
    """Return what was handed in; nothing if it can't be used or has gone meanwhile."""
    try:
        return b"" if one.problem else one.data
    except (OSError, ValueError, RuntimeError):  # of an archive, too
        return b""


def _hand_in(student: str, standing: Standing, note: str = "") -> HandIn:
    return HandIn(student, standing.status, standing.score, standing.max_score, note)


def _limits_hit(result: Result) -> list[str]:
    """Say in which cells a hand-in was stopped."""
    stopped = {Outcome.TIME, Outcome.MEMORY, Outcome.CRASH, Outcome.OUTPUT}
    names: dict[str, list[str]] = {}
    for cell in result.cells:
        if cell.outcome in stopped:
            names.setdefault(str(cell.outcome), []).append(cell.name)
    return [f"{outcome}: {', '.join(cells)}." for outcome, cells in names.items()]


def _innermost(result: dict[str, str]) -> str:
    """Return the line of nbgrader's log or traceback that says most: the innermost error."""
    text = result.get("log", "") + "\n" + result.get("error", "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [x for x in lines if re.match(r"[\w.]*(Error|Exception)\b.*: ", x)]
    return (errors or lines or ["no reason given"])[0][:300]
