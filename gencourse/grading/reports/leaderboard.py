"""A page on which handed-in samples stand in order, for the whole class to see.

What it shows comes from two places. The line that the check cell printed, to which no program of a
student's writes (:func:`gencourse.grading.samples.entry_line`), has what was measured and the texts
of the card. The notebook's source has the images, which are looked up by their checksum. Texts are
stripped of what does not print and escaped by the template; nobody appears under a name of theirs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from gencourse.grading.reports.page import template
from gencourse.grading.samples import CARD, COUNT, ENTRY, MEASURES, SHARES, unpack

__all__ = ["Entry", "entry_of", "leaderboard_page", "pseudonym", "ranked", "read_entries"]

_SHOWN = (3, 16)  # rows and columns of images
_ENTERS = "print(entry_line("
_PACKED = re.compile(r"gencourse-samples-\d+\s+([0-9a-f]{8})\s+[A-Za-z0-9+/=\s]+")
_FIRST = (
    "Quiet",
    "Amber",
    "Brisk",
    "Coral",
    "Dusky",
    "Early",
    "Frosty",
    "Golden",
    "Humble",
    "Lunar",
)
_SECOND = ("Heron", "Otter", "Lynx", "Finch", "Badger", "Marten", "Plover", "Stoat", "Tern", "Wren")


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard.

    Attributes
    ----------
    student : str
        Who it is; the page does not say it.
    name, system : str
        What the page says.
    points, of : float
        What the samples earned in the check that prints the line, and could have.
    measures : mapping of str to float
    images : Tensor of shape (1000, 1, 8, 8), or None
        None if the notebook does not hold them as one text.
    """

    student: str
    name: str
    system: str
    points: float
    of: float
    measures: Mapping[str, float]
    images: Tensor | None = None

    @property
    def thumbnails(self) -> str:
        """The first images as the address of a picture; empty if there are none."""
        if self.images is None:
            return ""
        rows, columns = _SHOWN
        tiles = pad(self.images[: rows * columns, 0], (1, 1, 1, 1), value=0.0)  # grey between them
        side = tiles.shape[-1]
        sheet = tiles.reshape(rows, columns, side, side).permute(0, 2, 1, 3)
        grey = ((sheet + 1) * 127.5).round().byte().reshape(rows * side, columns * side)
        pixels = grey.contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def read_entries(
    course: Path, problem_set: str, *, key: bytes, names: Mapping[str, Sequence[str]] | None = None
) -> list[Entry]:
    """Return the entries of all graded hand-ins of a course, the best first.

    Parameters
    ----------
    course : Path
        The instructor's course.
    problem_set : str
        Such as ``"capstone"``.
    key : bytes
        The course's secret, from which names are made up.
    names : mapping, optional
        Names of each student that must not appear, besides the id.
    """
    found = []
    for path in sorted(course.glob(f"autograded/*/{problem_set}/{problem_set}.ipynb")):
        student = path.parts[-3]
        entry = entry_of(nbformat.read(path, as_version=4), student)
        if entry is not None:
            found.append(entry)
    return ranked(found, key=key, names=names)


def entry_of(notebook: NotebookNode, student: str) -> Entry | None:
    """Read the entry of a graded notebook; None if its samples could not be read."""
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if cell.cell_type != "code" or not meta.get("grade") or meta.get("solution"):
            continue
        # Visible checks show what a student's program prints; the cell that enters is hidden.
        if _ENTERS not in cell.source:
            continue
        said, points = None, 0.0
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stdout":
                lines = output.text.splitlines()
                said = next((li for li in reversed(lines) if li.startswith(ENTRY)), said)
            elif output.output_type == "execute_result":
                points = _number(output.data.get("text/plain"))
        entry = _entry(said.removeprefix(ENTRY)) if said else None
        if entry is not None:
            images = _images(notebook, entry["samples"])
            measures = {name: _number(entry.get(name)) for name in MEASURES}
            return Entry(
                student=student,
                name=_plain(entry.get("name")),
                system=_plain(entry.get("system")),
                points=points,
                of=_number(meta.get("points")),
                measures=measures,
                images=images,
            )
    return None


def _entry(text: str) -> dict[str, object] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    good = isinstance(entry, dict) and isinstance(entry.get("samples"), str)
    return entry if good else None


def _number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _plain(text: object) -> str:
    """Keep what prints, in one line: no control characters, and none that turn text around."""
    kept = "".join(
        c if unicodedata.category(c)[0] not in "CZ" else " " for c in str(text or "")[: 4 * CARD]
    )
    return " ".join(kept.split())[:CARD]


def _images(notebook: NotebookNode, checksum: object) -> Tensor | None:
    for cell in notebook.cells:
        for match in _PACKED.finditer(cell.source) if cell.cell_type == "code" else ():
            if match[1] == checksum:
                try:
                    return unpack(match[0])
                except ValueError:
                    continue
    return None


def ranked(
    entries: Sequence[Entry], *, key: bytes, names: Mapping[str, Sequence[str]] | None = None
) -> list[Entry]:
    """Put entries in order, by points and then by FID, and give each a name of its own."""
    taken: set[str] = set()
    result = []
    for entry in sorted(entries, key=lambda e: (-e.points, e.measures["fid"], e.student)):
        own = [entry.student, *(names or {}).get(entry.student, ())]
        letters = _letters(entry.name)
        known = any(len(_letters(n)) > 1 and _letters(n) in letters for n in own)
        name = pseudonym(entry.student, key) if known or not letters else entry.name
        base, count = name, 1
        while name.casefold() in taken:
            count += 1
            name = f"{base} {count}"
        taken.add(name.casefold())
        result.append(replace(entry, name=name))
    return result


def _letters(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in decomposed if c.isalnum())


def pseudonym(student: str, key: bytes) -> str:
    """Make up a name, the same each time, that does not tell who it is without the key."""
    digest = hmac.digest(key, f"leaderboard {student}".encode(), hashlib.sha256)
    return f"{_FIRST[digest[0] % len(_FIRST)]} {_SECOND[digest[1] % len(_SECOND)]}"


def leaderboard_page(entries: Sequence[Entry], problem_set: str) -> str:
    """Return the HTML of a leaderboard."""
    return template("leaderboard.html.j2").render(
        problem_set=problem_set,
        entries=entries,
        shares=SHARES,
        count=COUNT,
        shown=math.prod(_SHOWN),
    )
