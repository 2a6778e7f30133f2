"""Which cell of a hand-in is which cell of the release.

A cell is known by its text if that is the release's own, else by a name that it still carries,
else (:mod:`~gencourse.grading.handin.answers`) by the functions that it defines, else by where
it stands. What is not known is the student's own.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from gencourse.grading.handin.code import additions, code_of, normal
from gencourse.grading.handin.findings import Finding, Kind
from gencourse.grading.handin.reading import HandedCell
from gencourse.grading.handin.released import ReleasedCell

__all__ = ["Matching", "Piece", "letters", "match"]

#: Letters and digits that make a text somebody's writing, not a slip of the keyboard.
SOME_LETTERS = 20
# A given cell that was changed and has lost its name is at least so like the release's, and is
# looked for among so many cells at most.
_ALIKE = 0.6
_NEIGHBOURS = 40
# Letters of a given cell that nobody else would write.
_A_BLOCK = 60


@dataclass(frozen=True, eq=False)
class Piece:
    """A cell of the student's.

    Attributes
    ----------
    place : float
        Where it stands in the hand-in; what was split off a cell stands just before or after it.
    cell : HandedCell
    """

    place: float
    cell: HandedCell


_Pieces = dict[int, list[Piece]]


@dataclass
class Matching:
    """The cells of a hand-in, sorted.

    Attributes
    ----------
    release : sequence of ReleasedCell
    length : int
        Number of cells that were handed in.
    given : dict of int to float
        Where the given cells and the checks were found, by their index in the release.
    claims : dict of int to list of Piece
        Cells that have the text or the name of an answer.
    own : list of Piece
        All others, in order, without those that hold nothing.
    findings : list of Finding
    same : int
        How many given cells and checks are as they were given.
    """

    release: Sequence[ReleasedCell]
    length: int
    given: dict[int, float] = field(default_factory=dict)
    claims: dict[int, list[Piece]] = field(default_factory=lambda: defaultdict(list))
    own: list[Piece] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    same: int = 0

    def note(self, kind: Kind, j: int) -> None:
        """Add a finding on one cell of the release."""
        self.findings.append(Finding(kind, self.release[j].name))

    def places(self) -> dict[int, float]:
        """Return where each cell of the release was found, by its index."""
        return self.given | {j: pieces[-1].place for j, pieces in self.claims.items() if pieces}

    def near(self, j: int) -> Iterator[Piece]:
        """Yield the student's own cells between the neighbours of a cell of the release."""
        places = {i: place for i, place in self.places().items() if i != j}
        low = max((i for i in places if i < j), default=None)
        high = min((i for i in places if i > j), default=None)
        first = -1.0 if low is None else places[low]
        last = float(self.length) if high is None else places[high]
        return (piece for piece in self.own if first < piece.place < last)


def letters(text: str) -> int:
    """Count letters and digits."""
    return sum(map(str.isalnum, text))


def match(handed: Sequence[HandedCell], release: Sequence[ReleasedCell]) -> Matching:
    """Tell given cells, claims to answers and the student's own cells apart."""
    matching = Matching(release, len(handed))
    copies, changed = _by_text_and_name(handed, matching)
    _cut_out(matching, copies, changed)
    for j, cell in enumerate(release):
        if copies[j]:
            matching.given[j] = copies[j][0].place
            matching.same += 1
            # What carries the name beside an untouched copy grew from another copy.
            matching.own += changed[j]
        elif changed[j]:
            first, *rest = changed[j]
            matching.own += rest
            _take_back(matching, j, first)
        elif cell.kind == "answer":
            _drop_false_claims(matching, j)
    matching.own.sort(key=lambda piece: piece.place)
    _find_lost(matching)
    return matching


def _by_text_and_name(handed: Sequence[HandedCell], matching: Matching) -> tuple[_Pieces, _Pieces]:
    """Sort cells by text and name; return those equal to, and those called as, given cells."""
    release, claims = matching.release, matching.claims
    index = {cell.name: j for j, cell in enumerate(release)}
    texts: dict[str, list[int]] = defaultdict(list)
    for j, cell in enumerate(release):
        texts[normal(cell.source)].append(j)
    copies: _Pieces = defaultdict(list)
    changed: _Pieces = defaultdict(list)
    for i, theirs in enumerate(handed):
        piece, text = Piece(i, theirs), normal(theirs.source)
        named = next((index[name] for name in theirs.names if name in index), None)
        if alike := texts.get(text):
            j = named if named in alike else min(alike, key=lambda j: len(copies[j] + claims[j]))
            (claims if release[j].kind == "answer" else copies)[j].append(piece)
        elif named is not None and release[named].kind == "answer":
            claims[named].append(piece)
        elif text:
            (matching.own if named is None else changed[named]).append(piece)
    return copies, changed


def _cut_out(matching: Matching, copies: _Pieces, changed: _Pieces) -> None:
    """Find given cells that were merged into others, and leave them out there."""
    for j, cell in enumerate(matching.release):
        text = normal(cell.source)
        if cell.kind == "answer" or copies[j] or changed[j] or len(text) < _A_BLOCK:
            continue
        for pieces in (*matching.claims.values(), matching.own):
            for k, piece in enumerate(pieces):
                start, found, rest = normal(piece.cell.source).partition(text)
                if found and start[-1:] in ("", "\n") and rest[:1] in ("", "\n"):
                    matching.given.setdefault(j, piece.place + 0.125)
                    source = normal(f"{start.rstrip()}\n\n{rest.lstrip()}")
                    pieces[k] = replace(piece, cell=replace(piece.cell, source=source))
    matching.own[:] = [p for p in matching.own if normal(p.cell.source)]


def _drop_false_claims(matching: Matching, j: int) -> None:
    """Let go of cells that answer another task: copies that were written over."""
    stub = matching.release[j].stub
    if not stub.names:
        return
    others = [c.stub for c in matching.release if c.kind == "answer" and c.stub is not stub]
    for piece in list(matching.claims[j]):
        code = code_of(piece.cell.source)
        if not stub.progress(code) and any(other.progress(code) for other in others):
            matching.claims[j].remove(piece)
            matching.own.append(piece)


def _take_back(matching: Matching, j: int, piece: Piece) -> None:
    """Take a changed cell for the given one; what was added to it becomes the student's own."""
    cell, theirs = matching.release[j], piece.cell
    matching.given[j] = piece.place
    if theirs.untouched:  # the course has changed it, not the student
        return
    if theirs.cell_type != cell.cell_type and normal(code_of(theirs.source)) == normal(cell.source):
        matching.note(Kind.RETYPED, j)
        return
    matching.note(Kind.CHANGED, j)
    if cell.cell_type == "code":
        kind, added = "code", additions(code_of(theirs.source), cell.source)
    else:
        kind, added = "markdown", _added_words(theirs.source, cell.source)
    if added:
        # Before the checks, which may need it; after other cells, which it may need.
        place = piece.place + (-0.25 if cell.kind == "checks" else 0.25)
        matching.own.append(Piece(place, replace(theirs, cell_type=kind, source=added, names=())))


def _added_words(source: str, given: str) -> str:
    """Return the lines of a changed text that are new, and not only corrected."""
    known = [line.strip() for line in given.splitlines()]
    lines = [x for x in source.splitlines() if x.strip() not in known]
    if len(lines) <= _NEIGHBOURS:
        lines = [x for x in lines if not difflib.get_close_matches(x, known, n=1, cutoff=_ALIKE)]
    added = "\n".join(lines)
    return added if letters(added) >= SOME_LETTERS else ""


def _find_lost(matching: Matching) -> None:
    """Find given cells that have lost their name and were changed, by where they stand."""
    answers = [c.stub for c in matching.release if c.kind == "answer" and c.stub.names]
    for j, cell in enumerate(matching.release):
        if cell.kind == "answer" or j in matching.given:
            continue
        lines = normal(cell.source).splitlines()
        best, most = None, _ALIKE
        for piece in islice(matching.near(j), _NEIGHBOURS):
            theirs = normal(piece.cell.source).splitlines()
            alike = difflib.SequenceMatcher(None, theirs, lines, autojunk=False)
            if (
                piece.cell.cell_type == cell.cell_type
                and alike.real_quick_ratio() > most  # by length alone
                and alike.ratio() > most
                and not any(stub.progress(piece.cell.source) for stub in answers)
            ):
                best, most = piece, alike.ratio()
        if best is not None:
            matching.own.remove(best)
            _take_back(matching, j, best)
            matching.own.sort(key=lambda piece: piece.place)
        elif cell.kind == "checks":
            matching.note(Kind.MISSING_CHECKS, j)
        elif cell.cell_type == "code":
            matching.note(Kind.MISSING_GIVEN, j)
