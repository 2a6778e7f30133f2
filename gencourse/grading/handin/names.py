"""Which student and which problem set a handed-in file belongs to, from its name alone.

Students are asked to name it ``<student>_ps5.ipynb``. Browsers, Colab and operating systems add
to that when a file is copied, and learning platforms put their own account of the student in
front:

==========  ==========================================================
Canvas      ``lovelaceada_LATE_12345_67890_ps5-1.ipynb``
Moodle      ``Ada Lovelace_1234567_assignsubmission_file_/ps5.ipynb``
Blackboard  ``ps5_ada_attempt_2026-11-25-10-00-00_ps5.ipynb``
Brightspace ``12345-67890 - Ada Lovelace - Nov 25, 2026 1000 AM/ps5.ipynb``
nbgrader    ``ada/ps5/ps5.ipynb``
==========  ==========================================================
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath

__all__ = ["HandInName", "hand_in_name", "owner", "readable", "right_name"]

# Characters that a file's name has on any disk; archives may hold longer ones.
_LONGEST = 255
# An id that nbgrader takes for a name of a folder; it uses "+" itself.
_STUDENT = r"\w[\w.@-]*"
_SET = r"(?:ps\d+|capstone)"
_NAMED = re.compile(rf"(?P<student>{_STUDENT})_(?P<set>{_SET})", re.IGNORECASE)
_SET_ALONE = re.compile(_SET, re.IGNORECASE)
_NOTEBOOK = re.compile(r"(.+?)(?:\.ipynb)+(?:\.txt|\.json)?", re.IGNORECASE)

# What a copy is called, in front of the name and after it.
_COPY_OF = re.compile(
    r"(?:Copy of|Kopie von|Copie de|Copia de|Cópia de|Kopia av|Kopi av|Kopie van|Копия) +",
    re.IGNORECASE,
)
_COPIED = re.compile(
    r"(?: ?\((?P<in_brackets>\d{1,4})\)| ?[-–] ?(?:copy|kopie|copie|copia) ?(?P<word>\d{0,4})"
    r"| copy(?: (?P<mac>\d{1,4}))?|(?<=\d)-(?P<canvas>\d{1,4}))",
    re.IGNORECASE,
)

_CANVAS = re.compile(
    r"(?P<who>[^_]+)_(?P<late>LATE_)?(?P<account>\d+)_(?P<attempt>\d+)_(?P<file>.+)"
)
_BLACKBOARD = re.compile(
    r"(?P<column>.+?)_attempt_(?P<attempt>\d{4}(?:-\d\d){5})(?:_(?P<file>.*))?", re.DOTALL
)
_MOODLE = re.compile(r"(?P<who>.+?)_(?P<account>\d+)_assignsubmission_file_?(?P<file>.*)")
_BRIGHTSPACE = re.compile(r"(?P<account>\d+)-\d+ ?- ?(?P<who>.+?) ?- ?(?P<when>[^-]*\d{4}[^-]*)")


@dataclass(frozen=True)
class HandInName:
    """What the name of a handed-in file says.

    Attributes
    ----------
    student : str
        The student's id.
    problem_set : str
        Such as ``"ps5"``; empty if only a learning platform knows.
    account : str
        Who uploaded it, as the platform knows them; empty where there is no platform.
    attempt : str
        Greater for a later upload to the same platform.
    copy : int
        The number of a copy: 1 of ``ada_ps5 (1).ipynb``.
    late : bool
        Whether the platform says that it was late.
    says_student : bool
        Whether the student is named in the name that the student gave the file; otherwise it is
        the name of a person, or of a folder.
    """

    student: str
    problem_set: str
    account: str = ""
    attempt: str = ""
    copy: int = 0
    late: bool = False
    says_student: bool = True


def right_name(student: str, problem_set: str) -> str:
    """Return what a file should be called."""
    return f"{student}_{problem_set}.ipynb"


def readable(name: str) -> str:
    """Return a file's name as text: composed letters, and a guess where it was no UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        try:
            raw = name.encode("utf-8", errors="surrogateescape")
        except UnicodeEncodeError:
            return name.encode("utf-8", errors="replace").decode()
        name = raw.decode("cp1252", errors="replace")
    return unicodedata.normalize("NFC", name)


def hand_in_name(path: PurePath) -> HandInName:
    """Read student and problem set from the name of a notebook, and of the folder it is in.

    Raises
    ------
    ValueError
        If the name says neither; the message says how it should look.
    """
    name = readable(path.name)
    if len(name) > _LONGEST:
        raise ValueError(f"{name[:40]!r}… has a name of {len(name)} characters")
    notebook = _NOTEBOOK.fullmatch(name)
    if notebook is None:
        raise ValueError(f"{name!r} is not a notebook (.ipynb)")
    found = _read(path, notebook[1])
    if found is None:
        raise ValueError(f"{name!r} should be called <student>_ps<number>.ipynb")
    return found


def owner(path: PurePath) -> HandInName | None:
    """Read the student from the name of a file that is no notebook; None if it doesn't say."""
    name = readable(path.name)
    if len(name) > _LONGEST:
        return None
    return _read(path, name.rpartition(".")[0] or name)


def _read(path: PurePath, stem: str) -> HandInName | None:
    """Read a file's name without its ending, and those of its folders.

    What a platform has written counts before what a student has, which is further inside.
    """
    return _platforms_folder(path, stem) or _platforms_name(stem) or _own_name(path, stem)


def _platforms_folder(path: PurePath, stem: str) -> HandInName | None:
    """Read the outermost folder that a platform has made."""
    file, copy = _plain(stem)
    for folder in reversed(path.parents):
        name = readable(folder.name)[:_LONGEST]
        if match := _MOODLE.fullmatch(name):
            return _uploaded(match["who"], f"moodle {match['account']}", file, copy=copy)
        if match := _BRIGHTSPACE.fullmatch(name):
            return _uploaded(match["who"], f"brightspace {match['account']}", file, copy=copy)
    return None


def _platforms_name(stem: str) -> HandInName | None:
    """Read what a platform has put in front of a file's name."""
    if match := _CANVAS.fullmatch(stem):
        file, copy = _plain(match["file"])
        return _uploaded(
            match["who"],
            f"canvas {match['account']}",
            file,
            f"{int(match['attempt']):020}",
            copy=copy,
            late=match["late"] is not None,
        )
    if match := _MOODLE.fullmatch(stem):
        file, copy = _plain(match["file"])
        return _uploaded(match["who"], f"moodle {match['account']}", file, copy=copy)
    if match := _BLACKBOARD.fullmatch(stem):
        column, who = _column_and_student(match["column"])
        file, copy = _plain((match["file"] or "").partition(".")[0])
        return _uploaded(
            who, f"blackboard {who}", file, match["attempt"], copy=copy, fallback=column
        )
    return None


def _own_name(path: PurePath, stem: str) -> HandInName | None:
    """Read the name that the student gave the file, or that of the folder it is in."""
    plain, copy = _plain(stem)
    if match := _NAMED.fullmatch(plain):
        return HandInName(match["student"], match["set"].lower(), copy=copy)
    if not _SET_ALONE.fullmatch(plain):
        return None
    name = readable(path.parent.name)
    if _SET_ALONE.fullmatch(name):  # nbgrader's own: ada/ps5/ps5.ipynb
        name = readable(path.parent.parent.name)
    if re.fullmatch(_STUDENT, name):
        return HandInName(name, plain.lower(), copy=copy)
    return None


def _uploaded(
    who: str,
    account: str,
    file: str,
    attempt: str = "",
    *,
    copy: int = 0,
    late: bool = False,
    fallback: str = "",
) -> HandInName | None:
    """Return what a platform and the student's own name of the file say together."""
    named = _NAMED.fullmatch(file)
    student = named["student"] if named else _as_id(who)
    if not student:
        return None
    name = named["set"] if named else file if _SET_ALONE.fullmatch(file) else fallback
    return HandInName(student, name.lower(), account, attempt, copy, late, named is not None)


def _plain(stem: str) -> tuple[str, int]:
    """Take off what was added when the file was copied; return its number too."""
    copy = 0
    while True:
        before = stem
        stem = _COPY_OF.sub("", stem.strip(), count=1) if _COPY_OF.match(stem.strip()) else stem
        if end := re.search(rf"{_COPIED.pattern}\Z", stem, re.IGNORECASE):
            copy = max(copy, 1, *(int(n) for n in end.groups() if n))
            stem = stem[: end.start()]
        if stem == before:
            return stem.strip(), copy


def _column_and_student(text: str) -> tuple[str, str]:
    """Split what Blackboard puts first: the column of its grade centre, and the user's name."""
    if match := re.fullmatch(rf"({_SET})_(.+)", text, re.IGNORECASE):
        return match[1], match[2]
    column, _, who = text.rpartition("_")
    said = re.search(r"(?:ps|problem ?set|set|assignment)[ _]?(\d+)", column, re.IGNORECASE)
    return (f"ps{said[1]}" if said else ""), who


def _as_id(who: str) -> str:
    """Return a person's name as an id: ``Ada-Lovelace``."""
    return re.sub(r"[^\w.@-]+", "-", who).strip("-.")
