"""Grades for the gradebooks of learning platforms: Canvas and Moodle.

Both know their students by other names than a grader does. So both tables are best made from the
platform's own: a gradebook exported from Canvas, or a grading worksheet or grade export of Moodle.
Then rows and identifiers are the platform's, and only the column of one problem set is filled in.

What the importers want (``lib/gradebook_importer.rb`` of Canvas, ``grade/import/csv`` and
``mod/assign/feedback/offline`` of Moodle) is stated where it matters.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gencourse.grading.reports.tables import BY_HAND, Grade, csv_bytes

__all__ = ["PLATFORMS", "Table", "canvas", "moodle"]


@dataclass(frozen=True)
class Table:
    """A table to upload, and what it does not hold.

    Attributes
    ----------
    content : bytes
        CSV in UTF-8.
    problems : tuple of str
        A sentence for each grade that is not in it, and for what the platform may refuse.
    """

    content: bytes
    problems: tuple[str, ...]


def canvas(
    grades: Sequence[Grade],
    problem_set: str,
    roster: Path | None = None,
    *,
    column: str | None = None,
) -> Table:
    """Return a table for **Grades → Import** of Canvas.

    Parameters
    ----------
    grades : sequence of Grade
    problem_set : str
        Such as ``"ps5"``.
    roster : path, optional
        The gradebook as Canvas exports it. Without, students are named by their id as SIS login
        id, and Canvas asks which assignment the column is.
    column : str, optional
        Header of the assignment's column in the roster; by default the one column that is
        called as the problem set, whatever its case: ``PS5 (1234)``, or whose name holds it.

    Raises
    ------
    ValueError
        If the roster is no export of a Canvas gradebook, or its column can't be told.
    """
    if roster is None:
        return _canvas_from_nothing(grades, problem_set)
    header, rows = _read(roster)
    # The importer takes a header whose first cell is the student and whose second holds "ID", with
    # "Section" last before the assignments.
    if header[0] not in ("Student", "LastName") or not {"ID", "Section"} <= set(header):
        raise ValueError(
            f"{roster} is not a gradebook exported from Canvas: its first columns should be "
            "Student, ID, …, Section"
        )
    identity, first = header.index("ID"), header.index("Section") + 1
    at = _column(header, problem_set, column, start=first, roster=roster)
    students: list[list[str]] = []
    others: list[list[str]] = []
    for row in rows:
        is_student = row[identity].strip() and "Points Possible" not in row[0]
        (students if is_student else others).append(row)
    matched, problems = _match(grades, students, range(identity, first - 1), _canvas_names(header))
    # An empty cell would wipe a grade that Canvas has: who has none here has no row.
    filled = [
        [*row[:first], _number(matched[i].score)] for i, row in enumerate(students) if i in matched
    ]
    # The points that are possible, and who posts grades by hand, stand above the students.
    above = [[*row[:first], row[at]] for row in others if any(c.strip() for c in row)]
    return Table(csv_bytes([[*header[:first], header[at]], *above, *filled]), tuple(problems))


def _canvas_from_nothing(grades: Sequence[Grade], problem_set: str) -> Table:
    header = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", problem_set]
    possible = ["    Points Possible", "", "", "", "", _number(_possible(grades))]
    given, problems = _with_score(grades)
    rows = [[_last_first(g), "", "", g.student, "", _number(g.score)] for g in given]
    return Table(csv_bytes([header, possible, *rows]), tuple(problems))


def moodle(
    grades: Sequence[Grade],
    problem_set: str,
    roster: Path | None = None,
    *,
    column: str | None = None,
) -> Table:
    """Return a table for Moodle.

    Parameters
    ----------
    grades : sequence of Grade
    problem_set : str
        Such as ``"ps5"``.
    roster : path, optional
        The assignment's grading worksheet (**Download grading worksheet**; the result goes to
        **Upload grading worksheet**), or a grade export of the course (**Grades → Export → Plain
        text file**; the result goes to **Import → CSV file**). Without, there is a row for each
        student with user name and email address, for **Import → CSV file**.
    column : str, optional
        Header of the column to fill in; by default ``Grade`` of a worksheet, or the one column that
        names the problem set.

    Raises
    ------
    ValueError
        If the roster has no column that identifies students, or its column can't be told.
    """
    if roster is None:
        return _moodle_from_nothing(grades, problem_set)
    header, rows = _read(roster)
    keys = [header.index(name) for name in _MOODLE_KEYS if name in header]
    if not keys and "Full name" not in header:
        raise ValueError(
            f"{roster} has none of Moodle's columns that say who a student is: "
            + ", ".join(_MOODLE_KEYS)
        )
    worksheet = "Identifier" in header and "Grade" in header
    at = _column(header, problem_set, column or ("Grade" if worksheet else None), 0, roster)
    matched, problems = _match(grades, rows, keys, _moodle_names(header))
    # A worksheet goes back whole; of an export, who the student is and the one column.
    shown = range(len(header)) if worksheet else sorted({*keys, at})
    filled = []
    for i, row in enumerate(rows):
        # The importer takes an empty cell for "no grade" and wipes the one there is.
        if i in matched:
            row[at] = _number(matched[i].score)
            filled.append([row[j] for j in shown])
    maximum = header.index("Maximum grade") if "Maximum grade" in header else None
    problems += _too_much(grades, {row[maximum] for row in rows} if maximum is not None else set())
    return Table(csv_bytes([[header[j] for j in shown], *filled]), tuple(problems))


def _moodle_from_nothing(grades: Sequence[Grade], problem_set: str) -> Table:
    given, problems = _with_score(grades)
    header = ["Username", "Email address", problem_set, f"{problem_set} (feedback)"]
    rows = [[g.student, g.email, _number(g.score), _in_words(g)] for g in given]
    return Table(csv_bytes([header, *rows]), tuple(problems + _too_much(grades, set())))


#: What a table can be made for.
PLATFORMS: Mapping[str, Callable[..., Table]] = {"canvas": canvas, "moodle": moodle}

_MOODLE_KEYS = ("Identifier", "ID number", "Username", "Email address")


def _read(roster: Path) -> tuple[list[str], list[list[str]]]:
    """Read a CSV that a platform or a spreadsheet program wrote; rows as long as the header."""
    try:
        text = roster.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        text = roster.read_text(encoding="latin-1")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if not rows:
        raise ValueError(f"{roster} is empty")
    header = [cell.strip() for cell in rows[0]]
    width = len(header)
    return header, [(row + [""] * width)[:width] for row in rows[1:]]


def _column(
    header: Sequence[str], problem_set: str, column: str | None, start: int, roster: Path
) -> int:
    """Return the position of the column to fill in."""
    if column is not None:
        if column not in header:
            raise ValueError(f"{roster} has no column {column!r}; it has {', '.join(header)}")
        return list(header).index(column)
    wanted = problem_set.lower()
    candidates = [i for i in range(start, len(header)) if _title(header[i]) == wanted]
    if not candidates:
        # "Assignment: Problem set ps5 (Real)" of Moodle, "PS5: adversarial nets (1234)" of Canvas
        word = re.compile(rf"\b{re.escape(wanted)}\b")
        candidates = [i for i in range(start, len(header)) if word.search(header[i].lower())]
    if len(candidates) != 1:
        found = ", ".join(repr(header[i]) for i in candidates or range(start, len(header)))
        raise ValueError(
            f"{'no' if not candidates else 'more than one'} column of {roster} is called "
            f"{problem_set}; say which with --column: {found}"
        )
    return candidates[0]


def _title(cell: str) -> str:
    """Return a header without Canvas' number of the assignment."""
    return re.sub(r"\s*\(\d+\)$", "", cell).strip().lower()


def _match(
    grades: Sequence[Grade],
    rows: Sequence[Sequence[str]],
    keys: Sequence[int],
    names: Callable[[Sequence[str]], Iterable[str]],
) -> tuple[dict[int, Grade], list[str]]:
    """Find the row of each grade: {row: grade}, and a sentence for each that has none.

    Identifiers come first, in the order of ``keys``; names decide only where they are unique.
    """
    at: dict[str, set[int]] = {}
    called: dict[str, set[int]] = {}
    for i, row in enumerate(rows):
        for key in keys:
            at.setdefault(_plain(row[key]), set()).add(i)
            if "@" in row[key]:
                at.setdefault(_plain(row[key].split("@")[0]), set()).add(i)
        for name in names(row):
            called.setdefault(_plain(name), set()).add(i)
    matched: dict[int, Grade] = {}
    problems: list[str] = []
    for grade in grades:
        if grade.score is None:
            problems.append(f"{grade.student}: {grade.status}; no grade is entered.")
            continue
        found = next(
            (
                index[_plain(name)]
                for index in (at, called)
                for name in (grade.student, grade.email, grade.full_name)
                if _plain(name) in index and _plain(name)
            ),
            set(),
        )
        if len(found) != 1:
            problems.append(
                f"{grade.student}: {'several rows' if found else 'no row'} of the roster "
                f"fit{'' if found else 's'}; the grade {_number(grade.score)} is not entered."
            )
            continue
        (row_index,) = found
        if row_index in matched:
            problems.append(
                f"{grade.student}: fits the row of {matched[row_index].student} too; "
                f"the grade {_number(grade.score)} is not entered."
            )
            continue
        matched[row_index] = grade
        if grade.status == BY_HAND:
            problems.append(f"{grade.student}: {BY_HAND}; the grade entered is without them.")
    return matched, problems


def _canvas_names(header: Sequence[str]) -> Callable[[Sequence[str]], Iterable[str]]:
    """Return what reads the names of a row: "Lovelace, Ada", in one cell or in two."""

    def names(row: Sequence[str]) -> Iterable[str]:
        last, first = row[:2] if header[0] == "LastName" else row[0].partition(",")[::2]
        yield f"{first} {last}"
        # The files that Canvas gives out are called lovelaceada_12345_67890_ps5.ipynb.
        yield f"{last}{first}".replace(" ", "")

    return names


def _moodle_names(header: Sequence[str]) -> Callable[[Sequence[str]], Iterable[str]]:
    def names(row: Sequence[str]) -> Iterable[str]:
        cell = dict(zip(header, row, strict=True))
        yield cell.get("Full name", "")
        yield f"{cell.get('First name', '')} {cell.get('Last name', cell.get('Surname', ''))}"
        # The worksheet says "Participant 123", and the folder of the hand-in Ada Lovelace_123_….
        yield cell.get("Identifier", "").removeprefix("Participant ")

    return names


def _plain(name: str) -> str:
    """Return a name for comparison: no case, accents, or punctuation between words."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return " ".join(
        re.findall(r"[^\W_]+", "".join(c for c in letters if not unicodedata.combining(c)))
    )


def _with_score(grades: Sequence[Grade]) -> tuple[list[Grade], list[str]]:
    given = [grade for grade in grades if grade.score is not None]
    problems = [f"{g.student}: {g.status}; no grade is entered." for g in grades if g.score is None]
    problems += [
        f"{g.student}: {BY_HAND}; the grade entered is without them."
        for g in given
        if g.status == BY_HAND
    ]
    return given, problems


def _possible(grades: Sequence[Grade]) -> float | None:
    return max((grade.max_score for grade in grades), default=None)


def _too_much(grades: Sequence[Grade], maxima: Iterable[str]) -> list[str]:
    """Say where Moodle would refuse the table, or take its points for others."""
    possible = _possible(grades) or 0.0
    problems = []
    for text in sorted(maxima):
        if text.strip() and _as_float(text) != possible:
            problems.append(
                f"Moodle's maximum grade is {text.strip()} and ours {possible:g}: they must agree."
            )
    if possible > 100:
        problems.append(
            f"The set is worth {possible:g} points; Moodle refuses grades above 100 unless its "
            "administrator has allowed more."
        )
    return problems


def _as_float(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return float("nan")


def _number(score: float | None) -> str:
    """Return points as both importers read them: a decimal point, at most two decimals."""
    return "" if score is None else f"{score:.2f}".rstrip("0").rstrip(".")


def _last_first(grade: Grade) -> str:
    return f"{grade.last_name}, {grade.first_name}".strip(", ") or grade.student


def _in_words(grade: Grade) -> str:
    words = [f"{_number(grade.score)} of {_number(grade.max_score)} points"]
    if grade.penalty:
        words.append(f"{_number(grade.penalty)} taken off for being late")
    if grade.status == BY_HAND:
        words.append("written answers are still to be graded")
    return "; ".join(words)
