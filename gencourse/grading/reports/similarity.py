"""Which hand-ins resemble each other more than chance would have it.

Fingerprints are ``copydetect``'s, after Schleimer, Wilkerson and Aiken, "Winnowing" (SIGMOD 2003),
the method of MOSS: code is reduced to its structure, names and comments drop out, and every run
of :data:`K` characters that is left is a fingerprint. Not counted is what the release
contains, and, as in MOSS, what many hand-ins have in common: a task of two lines has few
right answers. Beside it stand the lines that two hand-ins alone share to the letter.

The result is a list of pairs to read, not a verdict.
"""

from __future__ import annotations

import io
import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from copydetect import CodeFingerprint, compare_files
from copydetect.utils import get_token_coverage
from nbformat import NotebookNode

__all__ = [
    "OWN_CELLS",
    "Answers",
    "Match",
    "Pair",
    "Report",
    "answers_of",
    "compare",
    "read_answers",
]

#: Length of a fingerprint, in characters of reduced code.
K = 25
#: Cells that a student added are compared as one, under this name.
OWN_CELLS = "own cells"
#: Shorter lines than this are shared by chance.
_LINE = 12
#: Overlaps shorter than this, in characters of reduced code, say nothing.
_LEAST_OVERLAP = 60
#: So many lines to the letter make a pair worth reading, whatever its structure.
_MANY_LINES = 4

#: What a student wrote: {name of the cell: (source, whether it is code)}.
Answers = Mapping[str, tuple[str, bool]]


@dataclass(frozen=True)
class Match:
    """What two hand-ins have in common in one cell.

    Attributes
    ----------
    cell : str
        Name of the cell.
    left, right : tuple of (str, bool)
        The source of each in pieces, and whether the other has the piece too.
    """

    cell: str
    left: tuple[tuple[str, bool], ...]
    right: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Pair:
    """Two hand-ins that resemble each other.

    Attributes
    ----------
    left, right : str
        The students.
    shares : tuple of float
        Share of what the left one wrote that the right one has too, and the other way round.
    matches : tuple of Match
        Cell by cell.
    lines : tuple of str
        Lines that these two have to the letter and nobody else has.
    """

    left: str
    right: str
    shares: tuple[float, float]
    matches: tuple[Match, ...]
    lines: tuple[str, ...]

    @property
    def similarity(self) -> float:
        """The larger share: a part that was copied whole is a whole copy."""
        return max(self.shares)


@dataclass(frozen=True)
class Report:
    """The result of :func:`compare`.

    Attributes
    ----------
    pairs : tuple of Pair
        The most similar first.
    hand_ins : int
        How many were compared.
    common : int
        What more hand-ins than this share was not counted.
    """

    pairs: tuple[Pair, ...]
    hand_ins: int
    common: int


def answers_of(notebook: NotebookNode) -> dict[str, tuple[str, bool]]:
    """Return what a student wrote into a graded notebook: answer cells, and cells they added."""
    answers: dict[str, tuple[str, bool]] = {}
    own: list[str] = []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if meta.get("solution"):
            answers[meta["grade_id"]] = (cell.source, cell.cell_type == "code")
        elif not meta and cell.cell_type == "code":
            own.append(cell.source)
    if own:
        answers[OWN_CELLS] = ("\n\n".join(own), True)
    return answers


def read_answers(course: Path, problem_set: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """Return the answers of all graded hand-ins of a course, by student."""
    found = {}
    for path in sorted(course.glob(f"autograded/*/{problem_set}/{problem_set}.ipynb")):
        found[path.parts[-3]] = answers_of(nbformat.read(path, as_version=4))
    return found


def read_release(course: Path, problem_set: str) -> NotebookNode:
    """Return what students were given.

    Raises
    ------
    FileNotFoundError
        If ``assignments/`` has no such problem set.
    """
    path = course / "assignments" / problem_set / f"{problem_set}.ipynb"
    if not path.is_file():
        raise FileNotFoundError(f"there is no release of {problem_set}: {path} is missing")
    return nbformat.read(path, as_version=4)


def compare(
    hand_ins: Mapping[str, Answers],
    release: NotebookNode,
    *,
    earlier: Mapping[str, Answers] | None = None,
    common: int | None = None,
    least: float = 0.5,
) -> Report:
    """Compare every hand-in with every other.

    Parameters
    ----------
    hand_ins : mapping
        {student: answers}.
    release : NotebookNode
        What students were given; nothing in it counts.
    earlier : mapping, optional
        Hand-ins of earlier years, compared with this year's but not among themselves.
    common : int, optional
        What more hand-ins than this share is not counted; by default a fifth of them, and at
        least four.
    least : float
        Pairs below this similarity are left out.
    """
    everyone = {**hand_ins, **(earlier or {})}
    if common is None:
        common = max(4, len(everyone) // 5)
    given = _given(release)
    given_lines = {_normal(line) for c in release.cells for line in c.source.splitlines()}
    prints = {
        student: {cell: _fingerprint(*answer) for cell, answer in answers.items()}
        for student, answers in everyone.items()
    }
    holders = _holders(prints)
    ignored = given | {mark for mark, students in holders.items() if len(students) > common}
    for cells in prints.values():
        for fingerprint in cells.values():
            _forget(fingerprint, ignored)
    lines = _lines_of_two(everyone, given_lines)
    candidates = {
        pair
        for mark, students in holders.items()
        if mark not in ignored
        for pair in itertools.combinations(sorted(students), 2)
    }
    new = set(hand_ins)
    pairs = [
        _pair(left, right, prints, lines.get((left, right), ()), given_lines)
        for left, right in sorted(candidates | lines.keys())
        if left in new or right in new
    ]
    kept = [p for p in pairs if p.similarity >= least or len(p.lines) >= _MANY_LINES]
    kept.sort(key=lambda p: (-round(p.similarity, 2), -len(p.lines), p.left, p.right))
    return Report(tuple(kept), len(everyone), common)


def _fingerprint(source: str, is_code: bool) -> CodeFingerprint:
    """Return all fingerprints of a source, not a sample of them: the same ones on every run."""
    if is_code:
        made = CodeFingerprint("answer.py", K, 1, fp=io.StringIO(source), language="python")
        if len(made.offsets):
            # The offset after a class' name is recorded too small, which shifts what is marked.
            made.offsets[:, 1] = np.maximum.accumulate(made.offsets[:, 1])
        return made
    # Words in any case; one character stays one, so that places in the text are the same.
    text = "".join(c.lower() if len(c.lower()) == 1 else c for c in source)
    return CodeFingerprint("answer.txt", K, 1, filter=False, fp=io.StringIO(text))


def _given(release: NotebookNode) -> set[int]:
    return {
        mark
        for cell in release.cells
        for mark in _fingerprint(cell.source, cell.cell_type == "code").hashes
    }


def _holders(prints: Mapping[str, Mapping[str, CodeFingerprint]]) -> dict[int, set[str]]:
    """Return who has each fingerprint, in any cell."""
    holders: dict[int, set[str]] = defaultdict(set)
    for student, cells in prints.items():
        for fingerprint in cells.values():
            for mark in fingerprint.hashes:
                holders[mark].add(student)
    return holders


def _forget(fingerprint: CodeFingerprint, ignored: set[int]) -> None:
    # copydetect's own way with boilerplate also drops what a source has twice.
    gone = fingerprint.hashes & ignored
    fingerprint.hashes -= gone
    for mark in gone:
        del fingerprint.hash_idx[mark]
    fingerprint.token_coverage = get_token_coverage(
        fingerprint.hash_idx, fingerprint.k, len(fingerprint.filtered_code)
    )


def _normal(line: str) -> str:
    return " ".join(line.split())


def _lines(answers: Answers) -> set[str]:
    return {
        _normal(line)
        for source, _ in answers.values()
        for line in source.splitlines()
        if len(line.strip()) >= _LINE
    }


def _lines_of_two(
    everyone: Mapping[str, Answers], given: set[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the lines that exactly two hand-ins have, by pair."""
    holders: dict[str, list[str]] = defaultdict(list)
    for student in sorted(everyone):
        for line in _lines(everyone[student]) - given:
            holders[line].append(student)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line, students in sorted(holders.items()):
        if len(students) == 2:
            found[students[0], students[1]].append(line)
    return {pair: tuple(lines) for pair, lines in found.items()}


def _pair(
    left: str,
    right: str,
    prints: Mapping[str, Mapping[str, CodeFingerprint]],
    lines: tuple[str, ...],
    given: set[str],
) -> Pair:
    ours, theirs = prints[left], prints[right]
    overlaps = np.zeros(2)
    matches = []
    for cell in (name for name in ours if name in theirs):
        a, b = ours[cell], theirs[cell]
        overlap, shares, slices = compare_files(a, b)
        if overlap == 0:
            continue
        overlaps += shares[0] * a.token_coverage, shares[1] * b.token_coverage
        matches.append(Match(cell, _pieces(a, slices[0], given), _pieces(b, slices[1], given)))
    written = [sum(float(f.token_coverage) for f in cells.values()) for cells in (ours, theirs)]
    if overlaps.max() < _LEAST_OVERLAP:
        shares = (0.0, 0.0)
    else:
        shares = tuple(
            min(1.0, float(o) / w) if w else 0.0 for o, w in zip(overlaps, written, strict=True)
        )
    return Pair(left, right, shares, tuple(matches), lines)


def _pieces(
    fingerprint: CodeFingerprint, slices: np.ndarray, given: set[str]
) -> tuple[tuple[str, bool], ...]:
    """Cut a source where what is shared begins and ends; lines of the release are not marked."""
    source = fingerprint.raw_code
    shared = np.zeros(len(source) + 1, dtype=bool)
    for begin, end in zip(*slices.astype(int).clip(0), strict=True):
        shared[begin:end] = True
    start = 0
    for line in source.splitlines(keepends=True):
        if _normal(line) in given:
            shared[start : start + len(line)] = False
        start += len(line)
    cuts = [0, *(np.flatnonzero(np.diff(shared[:-1].astype(int))) + 1).tolist(), len(source)]
    return tuple(
        (source[begin:end], bool(shared[begin]))
        for begin, end in itertools.pairwise(cuts)
        if begin < end
    )
