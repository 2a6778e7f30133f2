"""Find the hand-ins in what a learning platform gives: a folder or a zip file, as it is.

Nothing is unpacked. Files are read one at a time and up to a limit, so archives that are made to
fill a disk, or whose names point outside, do nothing. What can't be used is reported with a
sentence, and never stops the others.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from gencourse.grading.handin.names import HandInName, hand_in_name, owner, readable
from gencourse.grading.handin.reading import LARGEST

__all__ = ["MOST_FILES", "Found", "collect"]

#: Files of an archive that are looked at.
MOST_FILES = 20_000
_JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini", "__pycache__")
# Moodle's page for a text typed beside the file, Brightspace's list of contents.
_COMPANIONS = ("onlinetext.html", "index.html")


@dataclass(frozen=True)
class _Place:
    """Where a file is: on the disk, in an archive there, or in an archive within it."""

    path: Path
    members: tuple[str, ...] = ()

    def read(self) -> bytes:
        """Return its content; at most :data:`LARGEST` bytes, and one more if it has more."""
        if not self.members:
            with self.path.open("rb") as file:
                return file.read(LARGEST + 1)
        with self.archive(self.members[:-1]) as archive, archive.open(self.members[-1]) as member:
            return member.read(LARGEST + 1)

    @contextmanager
    def archive(self, members: tuple[str, ...] | None = None) -> Iterator[zipfile.ZipFile]:
        """Open the archive that this is; ``members`` names another one in it."""
        within = self.members if members is None else members
        if not within:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        else:
            with zipfile.ZipFile(io.BytesIO(_Place(self.path, within).read())) as archive:
                yield archive


@dataclass(frozen=True)
class Found:
    """One file that was handed in.

    Attributes
    ----------
    name : str
        Of the file, as a person would look for it.
    student : str
        Id of the student whose hand-in this is; empty if that is unknown, or if it is not the
        file that counts.
    problem_set : str
        Such as ``"ps5"``; empty if its name doesn't say.
    problem : str
        Why it can't be graded, in a sentence; empty if it can.
    timestamp : str
        When it was handed in, in UTC, if the platform says so: ``"2026-11-25 10:00:00 UTC"``.
    late : bool
        Whether the platform says that it was late.
    """

    name: str
    student: str = ""
    problem_set: str = ""
    problem: str = ""
    timestamp: str = ""
    late: bool = False
    _place: _Place | None = None

    @property
    def data(self) -> bytes:
        """What is in the file; read each time. Empty where there is nothing to read."""
        return b"" if self._place is None else self._place.read()


@dataclass(frozen=True)
class _File:
    """A file that was found, and when it was changed."""

    name: str
    parts: PurePosixPath
    place: _Place
    size: int
    modified: float
    problem: str = ""


_Use = tuple[HandInName, _File, Found]


def collect(source: str | os.PathLike[str], problem_set: str = "") -> list[Found]:
    """Return every file that was handed in, by student; at most one usable one of each.

    Parameters
    ----------
    source : path
        A folder, which may hold zip files, or one zip file. Archives of single students may be
        in it; archives in those are not opened.
    problem_set : str
        The set that is collected: files of others are reported. By default all are taken.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    """
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"there is no folder or zip file {path}")
    found: list[Found] = []
    uses: dict[str, list[_Use]] = defaultdict(list)
    for file, name in _named(path, problem_set):
        if isinstance(name, str):
            known = owner(file.parts)
            found.append(Found(file.name, known.student if known else "", problem=name))
            continue
        one = Found(
            file.name,
            name.student,
            name.problem_set,
            timestamp=_timestamp(name),
            late=name.late,
            _place=file.place,
        )
        if problem_set and name.problem_set not in ("", problem_set):
            problem = f"This is a file of {name.problem_set}, not of {problem_set}."
            found.append(replace(one, student="", problem=problem))
        elif problem := _unreadable(file):
            found.append(replace(one, problem=problem))
        else:
            uses[name.student.casefold()].append((name, file, one))
    for several in uses.values():
        found += _one_of_each(several)
    taken = {one.student.casefold() for one in found if one.student and not one.problem}
    # A file that can't be used says nothing of a student whose notebook is there.
    found = [
        replace(one, student="") if one.problem and one.student.casefold() in taken else one
        for one in found
    ]
    return sorted(found, key=lambda one: (one.student.casefold(), one.name))


def _named(path: Path, wanted: str) -> Iterator[tuple[_File, HandInName | str]]:
    """Yield every file with what its name says, or with what is wrong with it."""
    for file in _files(path):
        # What a teacher names here holds many hand-ins, whatever it is called.
        many = path.is_file() or owner(file.parts) is None
        if _is_archive(file) and many:
            members, problem = _members(file)
            if problem:
                yield file, problem
            for member in members:
                yield from _one(member, wanted)
        else:
            yield from _one(file, wanted)


def _one(file: _File, wanted: str) -> Iterator[tuple[_File, HandInName | str]]:
    """Yield a file that is one hand-in; nothing for what a platform puts beside it."""
    if file.problem:
        yield file, file.problem
    elif _is_archive(file):
        known = owner(file.parts)
        if known is None:
            yield file, "It is an archive in an archive, and its name says no student."
        else:
            yield _only_notebook(file, known, wanted)
    elif not _is_companion(file.parts):
        try:
            yield file, hand_in_name(file.parts)
        except ValueError as error:
            yield file, f"{error}."


def _is_archive(file: _File) -> bool:
    return not file.problem and file.parts.suffix.lower() == ".zip"


def _only_notebook(file: _File, known: HandInName, wanted: str) -> tuple[_File, HandInName | str]:
    """Return the one notebook in a student's own archive; whose it is says the archive's name."""
    members, problem = _members(file)
    if problem:
        return file, problem
    notebooks = [m for m in members if not m.problem and m.parts.suffix.lower() == ".ipynb"]
    if len(notebooks) > 1 and wanted:
        notebooks = [m for m in notebooks if wanted in m.parts.name.lower()] or notebooks
    if len(notebooks) != 1:
        count = "no notebook" if not notebooks else f"{len(notebooks)} notebooks"
        return file, f"The archive holds {count}; it should hold one."
    return notebooks[0], known


def _is_companion(parts: PurePosixPath) -> bool:
    """Whether a platform puts this file beside the hand-ins."""
    name = parts.name
    return name in _COMPANIONS or ("_attempt_" in name and name.endswith(".txt"))


def _files(path: Path) -> Iterator[_File]:
    """Yield the files of a folder and its folders, in order; links are not followed."""
    if path.is_file():
        yield _on_disk(path, path.parent)
        return
    for folder, folders, names in os.walk(path):
        for name in list(folders):
            if Path(folder, name).is_symlink():
                folders.remove(name)
                names.append(name)
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        for name in sorted(names):
            if not _is_junk(name):
                yield _on_disk(Path(folder, name), path)


def _on_disk(path: Path, root: Path) -> _File:
    parts = PurePosixPath(readable(path.relative_to(root).as_posix()))
    entry = path.lstat()
    problem = ""
    if stat.S_ISLNK(entry.st_mode):
        problem = "It is a link to another file, which is not followed."
    elif not stat.S_ISREG(entry.st_mode):
        problem = "It is no ordinary file."
    return _File(str(parts), parts, _Place(path), entry.st_size, entry.st_mtime, problem)


def _is_junk(name: str) -> bool:
    """Whether an operating system or an editor made this file or folder."""
    return name in _JUNK or (name.startswith(".") and name != "..")


def _members(file: _File) -> tuple[list[_File], str]:
    """Return the files in an archive, or why it can't be opened."""
    if file.size > LARGEST and file.place.members:
        return [], f"It has {file.size / 2**20:.0f} MB; that much is not read."
    try:
        with file.place.archive() as archive:
            entries = archive.infolist()
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        return [], f"It can't be unpacked ({type(error).__name__})."
    if len(entries) > MOST_FILES:
        return [], f"It holds {len(entries)} files; more than {MOST_FILES} are not looked at."
    return [
        _member(entry, file)
        for entry in sorted(entries, key=lambda entry: entry.filename)
        if not entry.is_dir() and not any(map(_is_junk, _name_of(entry).split("/")))
    ], ""


def _name_of(entry: zipfile.ZipInfo) -> str:
    """Return the name of a member: UTF-8 is meant where it can be, whatever is declared."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        # Otherwise it is in the code page of old PCs, as zipfile takes it.
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return readable(name).replace("\\", "/")


def _member(entry: zipfile.ZipInfo, file: _File) -> _File:
    name = _name_of(entry)
    parts = PurePosixPath(name)
    problem = ""
    if parts.is_absolute() or ".." in parts.parts:
        problem = "Its name points outside of the archive."
    elif stat.S_ISLNK(entry.external_attr >> 16):
        problem = "It is a link to another file, which is not followed."
    elif entry.flag_bits & 0x1:
        problem = "It is encrypted."
    try:
        modified = datetime(*entry.date_time).timestamp()
    except (ValueError, OverflowError):
        modified = 0.0
    place = _Place(file.place.path, (*file.place.members, entry.filename))
    return _File(f"{file.name}!{name}", parts, place, entry.file_size, modified, problem)


def _unreadable(file: _File) -> str:
    """Say why a file can't be read, by reading it once; empty if it can."""
    if file.size > LARGEST:
        return (
            f"It has {file.size / 2**20:.0f} MB, and more than {LARGEST / 2**20:.0f} MB are not "
            "read: the outputs must be cleared."
        )
    try:
        size = len(file.place.read())
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        return f"It can't be read ({type(error).__name__})."
    return "" if size <= LARGEST else "It is larger than it says, and is not read."


def _timestamp(name: HandInName) -> str:
    """Return when a platform says that a file was handed in: Blackboard, in its local time."""
    try:
        when = datetime.strptime(name.attempt, "%Y-%m-%d-%H-%M-%S")
    except ValueError:
        return ""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _one_of_each(several: list[_Use]) -> Iterable[Found]:
    """Choose the newest file of a student, and report the others.

    A file that no platform has named was put there by the teacher, and counts before others.
    """
    by_hand = [use for use in several if not use[0].account]
    accounts = sorted({name.account for name, _, _ in several if name.account})
    if len(accounts) > 1 and not by_hand:
        yield from _strangers(several, accounts)
        return
    _, _, chosen = max(
        by_hand or several, key=lambda x: (x[0].attempt, x[1].modified, x[0].copy, x[2].name)
    )
    yield chosen
    for name, _, one in several:
        if one is not chosen and one.data != chosen.data:
            older = "" if by_hand and name.account else ", and older"
            problem = f"A second file of {chosen.student}{older}; {chosen.name} was taken."
            yield replace(one, student="", problem=problem)


def _strangers(several: list[_Use], accounts: list[str]) -> Iterable[Found]:
    """Tell people of one name apart, and report files uploaded under somebody else's id."""
    if not any(name.says_student for name, _, _ in several):
        for account in accounts:
            theirs = [
                (name, file, replace(one, student=f"{one.student}-{account.split()[-1]}"))
                for name, file, one in several
                if name.account == account
            ]
            yield from _one_of_each(theirs)
        return
    student = several[0][2].student
    for name, _, one in several:
        problem = (
            f"Several accounts handed in as {student} ({', '.join(accounts)}); this one is of "
            f"{name.account}. Rename the files of those who are somebody else."
        )
        yield replace(one, student="", problem=problem)
