"""Which of a student's cells answers which task, and what else belongs to the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gencourse.grading.handin.code import Progress, Stub, code_of, defines_something, normal, parsed
from gencourse.grading.handin.findings import Finding, Kind
from gencourse.grading.handin.matching import SOME_LETTERS, Matching, Piece, letters
from gencourse.grading.handin.reading import HandedCell

__all__ = ["Answer", "find_answers", "progress_of"]

# Letters that make a text elsewhere look like an answer that has lost its place.
_AN_ANSWER = 80


@dataclass
class Answer:
    """What was written for one task.

    Attributes
    ----------
    cell : HandedCell or None
        None if nothing was written: the stub stays.
    place : float or None
        Where its cell was found; None if it is missing.
    before, after : list of Piece
        Further cells that hold parts of the answer.
    """

    cell: HandedCell | None = None
    place: float | None = None
    before: list[Piece] = field(default_factory=list)
    after: list[Piece] = field(default_factory=list)


def find_answers(matching: Matching) -> dict[int, Answer]:
    """Choose a cell for each answer of the release, by index; take it from the student's own.

    Of several cells, the last of those that are furthest is the answer. A stub never takes the
    place of something written, wherever that stands.
    """
    asked = [j for j, cell in enumerate(matching.release) if cell.kind == "answer"]
    programs = [j for j in asked if matching.release[j].cell_type == "code"]
    answers = {j: _program(matching, j) for j in programs}
    answers |= {j: _text(matching, j) for j in asked if j not in answers}
    _together(matching, answers, programs)
    return answers


def progress_of(stub: Stub, cell: HandedCell) -> dict[str, Progress]:
    """Return how far a cell is, without parsing one that mentions none of the names."""
    if not any(name in cell.source for name in stub.names):
        return {}
    return stub.progress(code_of(cell.source))


def _program(matching: Matching, j: int) -> Answer:
    """Find an answer that is code."""
    stub, claims = matching.release[j].stub, matching.claims[j]
    left = [p for p in claims if p.cell.untouched or stub.is_left(code_of(p.cell.source))]
    written = [p for p in claims if p not in left]
    progress = {p.place: progress_of(stub, p.cell) for p in (*claims, *matching.own)}
    elsewhere = [p for p in matching.own if any(progress[p.place].values())]
    candidates = written or elsewhere
    if not candidates:
        return Answer(place=claims[-1].place) if claims else _unnamed(matching, j)

    best = max(candidates, key=lambda p: (sum(progress[p.place].values()), p.place))
    if not written:
        if claims or best not in matching.near(j):
            matching.note(Kind.MOVED, j)
    elif len(written) > 1:
        matching.note(Kind.COPIES, j)
    if best.cell.cell_type != "code":
        matching.note(Kind.RETYPED, j)
    code = replace(best.cell, cell_type="code", source=code_of(best.cell.source), attachments={})
    answer = Answer(code, best.place)

    kept: list[Piece] = []
    missing = {n for n in stub.names if not progress[best.place].get(n)}
    for piece in sorted([*written, *elsewhere], key=lambda p: p.place, reverse=True):
        if piece is best:
            continue
        parts = {n for n, far in progress[piece.place].items() if far}
        newer = piece in written and Progress.WRITTEN in progress[piece.place].values()
        if piece.place > best.place and (newer or parts & missing):
            answer.after.insert(0, piece)
        elif parts & missing:
            answer.before.insert(0, piece)
        elif piece in written and (piece.place < best.place or not progress[piece.place]):
            kept.append(piece)
        missing -= parts
    taken = set(map(id, [best, *answer.before, *answer.after]))
    matching.own[:] = [p for p in matching.own if id(p) not in taken]
    _keep(matching, kept, best)
    return answer


def _keep(matching: Matching, pieces: Sequence[Piece], best: Piece) -> None:
    """Let other cells of an answer be the student's own: the rest may need what they define."""
    text = normal(best.cell.source)
    matching.own += [p for p in pieces if normal(p.cell.source) != text]
    matching.own.sort(key=lambda p: p.place)


def _unnamed(matching: Matching, j: int) -> Answer:
    """Find an answer that has lost its name, and defines nothing by which to know it."""
    release, places = matching.release, matching.places()
    gap = range(
        max((i for i in places if i < j), default=-1) + 1,
        min((i for i in places if i > j), default=len(release)),
    )
    near: list[Piece] = []
    # Where several are missing, it could be any of them.
    if [i for i in gap if release[i].kind == "answer"] == [j]:
        stubs = [c.stub for c in release if c.kind == "answer"]
        near = [
            p
            for p in matching.near(j)
            if p.cell.cell_type == "code"
            and defines_something(p.cell.source)
            and not any(progress_of(stub, p.cell) for stub in stubs)
        ]
    if not near:
        matching.note(Kind.MISSING, j)
        return Answer()
    matching.note(Kind.RENAMED, j)
    matching.own.remove(near[-1])
    return Answer(near[-1].cell, near[-1].place)


def _is_prose(piece: Piece) -> bool:
    cell = piece.cell
    return letters(cell.source) >= SOME_LETTERS and (
        cell.cell_type != "code" or parsed(cell.source) is None
    )


def _text(matching: Matching, j: int) -> Answer:
    """Find an answer in words."""
    claims, stub = matching.claims[j], normal(matching.release[j].source)
    kind = matching.release[j].cell_type
    written = [
        p for p in claims if normal(p.cell.source) not in ("", stub) and not p.cell.untouched
    ]
    if written:
        *earlier, best = written
        if earlier:
            matching.note(Kind.COPIES, j)
            _keep(matching, earlier, best)
        if best.cell.cell_type != kind:
            matching.note(Kind.RETYPED, j)
        return Answer(replace(best.cell, cell_type=kind), best.place)

    place = claims[-1].place if claims else None
    beside = [p for p in matching.near(j) if _is_prose(p)]
    if beside:
        if claims or len(beside) > 1:
            matching.note(Kind.MOVED, j)
        matching.own[:] = [p for p in matching.own if p not in beside]
        return Answer(_joined([p.cell for p in beside], kind), beside[0].place)
    question = max((p for i, p in matching.places().items() if i < j), default=-1.0)
    later = (p for p in matching.own if p.place > question)
    if any(letters(p.cell.source) >= _AN_ANSWER and _is_prose(p) for p in later):
        matching.note(Kind.LOST_TEXT, j)
    elif not claims:
        matching.note(Kind.MISSING, j)
    return Answer(place=place)


def _joined(cells: Sequence[HandedCell], kind: str) -> HandedCell:
    if len(cells) == 1:
        return replace(cells[0], cell_type=kind)
    images = {name: bundle for cell in cells for name, bundle in cell.attachments.items()}
    source = "\n\n".join(cell.source.strip("\n") for cell in cells)
    return HandedCell(kind, source, attachments=images)


def _together(matching: Matching, answers: dict[int, Answer], programs: list[int]) -> None:
    """Where an answer stands in the cell of another task, don't let the stub undo it."""
    for j in programs:
        stub = matching.release[j].stub
        if answers[j].cell is not None or not stub.names:
            continue
        for i in programs:
            there = answers[i].cell
            if there is not None and all(progress_of(stub, there).get(n) for n in stub.names):
                finding = Finding(Kind.MISSING, matching.release[j].name)
                matching.findings[:] = [f for f in matching.findings if f != finding]
                matching.note(Kind.TOGETHER, j)
                comment = f"# Written in the cell of {matching.release[i].name}."
                answers[j].cell = HandedCell("code", comment)
                break
