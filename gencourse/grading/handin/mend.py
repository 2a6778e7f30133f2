"""Rebuild a hand-in from the release: the course's cells as they were given, the student's in them.

Of what was handed in, only the source of answers and of the student's own cells is taken, and
images pasted into texts. Metadata, tags, outputs, and whatever became of given cells and checks
stay behind; so a mended hand-in has exactly the cells of the release, under their names, and the
student's own between them where they were.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gencourse.grading.handin.answers import Answer, find_answers, progress_of
from gencourse.grading.handin.findings import Finding
from gencourse.grading.handin.matching import Matching, Piece, match
from gencourse.grading.handin.reading import LARGEST, Damaged, HandedCell, read_cells
from gencourse.grading.handin.released import released_cells

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["Mended", "Rebuilt", "mend", "rebuild"]

#: Cells that a hand-in may have.
MOST_CELLS = 2000
# Of the given cells, or else of the functions asked for, that a notebook of the set has at least.
_A_SHARE = 0.25
# Copies of an answer that are looked at where there are more cells.
_MOST_COPIES = 20

_NOT_THIS = (
    "It has neither the cells of this problem set nor the functions that are asked for: "
    "it seems to be another notebook."
)
_NO_ANSWERS = "None of the answer cells is in it: it seems to be another notebook."


@dataclass(frozen=True)
class Rebuilt:
    """A hand-in put right, as plain data.

    Attributes
    ----------
    notebook : dict or None
        In nbformat 4.5; None if nothing could be made of the file.
    findings : tuple of Finding
        What was amiss in its cells.
    review : str or None
        Why a person must look at it, in a sentence.
    written : tuple of str
        Names of the answers that are not the stub any more.
    output_size : int
        Characters of all outputs that were handed in.
    """

    notebook: dict[str, Any] | None
    findings: tuple[Finding, ...] = ()
    review: str | None = None
    written: tuple[str, ...] = ()
    output_size: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found and put right, in sentences for the student."""
        return tuple(dict.fromkeys(finding.note for finding in self.findings))


@dataclass(frozen=True)
class Mended:
    """A hand-in put right, for nbgrader.

    Attributes
    ----------
    notebook : NotebookNode or None
        None if nothing could be made of the file; then ``review`` says why.
    notes : list of str
        What was found and put right, in sentences for the student.
    review : str or None
        Why a person must look at it, in a sentence. If there is a notebook, it is what could
        be made of the file, and can be graded; but its score may be too low.
    """

    notebook: NotebookNode | None
    notes: list[str]
    review: str | None = None


def mend(data: bytes, release: Mapping[str, Any], *, largest: int = LARGEST) -> Mended:
    """Rebuild a hand-in from the release.

    Nothing in ``data`` makes this raise or take long: a file that is no notebook, or is
    another one, comes back without a notebook.

    Parameters
    ----------
    data : bytes
        The file as it was handed in.
    release : NotebookNode or dict
        ``assignments/<set>/<set>.ipynb``; every cell is known to nbgrader.
    largest : int
        Bytes that are read at most.
    """
    from nbformat import from_dict

    rebuilt = rebuild(data, release, largest=largest)
    node = None if rebuilt.notebook is None else from_dict(rebuilt.notebook)
    return Mended(node, list(rebuilt.notes), rebuilt.review)


def rebuild(data: bytes, release: Mapping[str, Any], *, largest: int = LARGEST) -> Rebuilt:
    """Rebuild a hand-in, without needing nbformat; see :func:`mend`."""
    ours = released_cells(release)
    try:
        handed = read_cells(data, largest=largest)
    except Damaged as error:
        return Rebuilt(None, review=str(error))
    size = sum(cell.output_size for cell in handed)
    matching = match(handed, ours)
    if problem := _another(matching):
        return Rebuilt(None, review=problem, output_size=size)
    review = None
    if len(handed) > MOST_CELLS:
        review = f"It has {len(handed)} cells; those of the student's own were left out."
        matching.own.clear()
        for pieces in matching.claims.values():
            del pieces[:-_MOST_COPIES]
    answers = find_answers(matching)
    ambiguous = (finding.note for finding in matching.findings if finding.kind.ambiguous)
    return Rebuilt(
        _notebook(matching, answers, release),
        tuple(matching.findings),
        review or next(ambiguous, None),
        tuple(ours[j].name for j in sorted(answers) if answers[j].cell is not None),
        size,
    )


def _another(matching: Matching) -> str | None:
    """Say so if this is not a notebook of the problem set."""
    given = sum(cell.kind != "answer" for cell in matching.release)
    if matching.same > given * _A_SHARE:
        return None
    answers = [j for j, cell in enumerate(matching.release) if cell.kind == "answer"]
    claimed = [piece.cell for j in answers for piece in matching.claims[j]]
    stubs = [stub for j in answers if (stub := matching.release[j].stub).names]
    if not stubs:
        return None if claimed else _NO_ANSWERS
    cells = [*claimed, *(piece.cell for piece in matching.own)]
    asked = [name for stub in stubs for name in stub.names]
    there = {name for stub in stubs for cell in cells for name in progress_of(stub, cell)}
    # Another set may ask for a function of the same name.
    return None if len(there) > len(asked) * _A_SHARE else _NOT_THIS


def _notebook(
    matching: Matching, answers: Mapping[int, Answer], release: Mapping[str, Any]
) -> dict[str, Any]:
    """Put the release's cells, the answers and the student's own cells into one notebook."""
    found = matching.given | {j: a.place for j, a in answers.items() if a.place is not None}
    backbone = _in_order(sorted((place, j) for j, place in found.items()))
    places = [place for place, _ in backbone]
    following: dict[int, list[Piece]] = defaultdict(list)
    for piece in matching.own:
        i = bisect_right(places, piece.place)
        following[backbone[i - 1][1] if i else -1].append(piece)

    names = {cell.name for cell in matching.release}
    ids = (name for k in range(1, 10**6) if (name := f"own-{k}") not in names)

    def own(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
        return [_cell(piece.cell, next(ids), {}) for piece in pieces]

    cells = own(following[-1])
    for j, given in enumerate(release["cells"]):
        answer = answers.get(j, Answer())
        cells += own(answer.before)
        name, metadata = matching.release[j].name, copy.deepcopy(dict(given["metadata"]))
        released = matching.release[j]
        ours = HandedCell(released.cell_type, released.source)
        cells.append(_cell(answer.cell or ours, name, metadata))
        cells += own([*answer.after, *following[j]])
    return {
        "cells": cells,
        "metadata": copy.deepcopy(dict(release["metadata"])),
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(cell: HandedCell, name: str, metadata: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": name,
        "cell_type": cell.cell_type,
        "metadata": metadata,
        "source": cell.source,
    }
    if cell.cell_type == "code":
        made |= {"outputs": [], "execution_count": None}
    elif cell.attachments:
        made["attachments"] = {name: dict(bundle) for name, bundle in cell.attachments.items()}
    return made


def _in_order(pairs: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return the longest part in which the second entries increase as the first ones do."""
    ends: list[int] = []  # smallest last entry of an increasing part of each length
    which: list[int] = []
    before: list[int] = []
    for k, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(which[length - 1] if length else -1)
        ends[length:] = [j, *ends[length + 1 :]]
        which[length:] = [k, *which[length + 1 :]]
    chain: list[tuple[float, int]] = []
    k = which[-1] if which else -1
    while k >= 0:
        chain.append(pairs[k])
        k = before[k]
    return chain[::-1]
