"""Look at a notebook before it is handed in: what can't be graded, and what would cost points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import PurePath
from typing import Any

from gencourse.grading.handin.code import Progress, normal, parsed
from gencourse.grading.handin.manifests import load_manifest, manifest_names
from gencourse.grading.handin.mend import Rebuilt, rebuild
from gencourse.grading.handin.names import hand_in_name
from gencourse.grading.handin.reading import Damaged, read_cells
from gencourse.grading.handin.rehearsal import CellRun, Rehearsal, rehearse
from gencourse.grading.handin.released import ReleasedCell, released_cells

__all__ = ["LARGE_OUTPUTS", "Examination", "Level", "Remark", "examine"]

#: Characters of outputs that learning platforms still take without trouble.
LARGE_OUTPUTS = 10 * 1024 * 1024


class Level(IntEnum):
    """How serious a remark is."""

    FINE = 0
    LOOK = 1
    STOP = 2


@dataclass(frozen=True)
class Remark:
    """One sentence on a hand-in.

    Attributes
    ----------
    level : Level
        ``STOP`` for what can't be graded, ``LOOK`` for what may cost points, ``FINE`` for what is
        as it should be.
    sentence : str
    advice : str
        What to do; empty if nothing.
    """

    level: Level
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        sign = {Level.FINE: "✓", Level.LOOK: "!", Level.STOP: "✗"}[self.level]
        return f"{sign} {self.sentence}" + (f"\n  {self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Examination:
    """What there is to say about a hand-in.

    Attributes
    ----------
    problem_set : str
        Such as ``"ps5"``; empty if it is of none.
    remarks : tuple of Remark
        The most serious first.
    """

    problem_set: str
    remarks: tuple[Remark, ...]

    @property
    def level(self) -> Level:
        """The most serious of all."""
        return max((remark.level for remark in self.remarks), default=Level.FINE)


def examine(
    data: bytes,
    *,
    problem_set: str = "",
    name: PurePath | None = None,
    run: bool = True,
    seconds: float = 300.0,
) -> Examination:
    """Look at a notebook as grading will.

    Parameters
    ----------
    data : bytes
        The notebook's file.
    problem_set : str
        Which set it should be; by default its file name, or else what is in it, says.
    name : path, optional
        Of the file, to be looked at too; not of its folder, which is the student's own.
    run : bool
        Whether to run it from top to bottom.
    seconds : float
        That running it may take.

    Raises
    ------
    KeyError
        If this version of the course has no such problem set.
    """
    name = None if name is None else PurePath(name.name)
    try:
        read_cells(data)
    except Damaged as error:
        return Examination(problem_set, (Remark(Level.STOP, str(error)),))
    named = _named_set(name)
    wanted = problem_set or (named if named in manifest_names() else "") or _most_alike(data)
    if not wanted:
        known = ", ".join(manifest_names())
        sentence = f"This is none of the problem sets that this version of the course has: {known}."
        return Examination("", (Remark(Level.STOP, sentence, "Is it the right file?"),))
    manifest = load_manifest(wanted)
    rebuilt = rebuild(data, manifest)
    if rebuilt.notebook is None:
        other = _most_alike(data)
        advice = f"It is {other}." if other and other != wanted else "Is it the right file?"
        sentence = f"This is not a notebook of {wanted}, so it can't be graded."
        return Examination(wanted, (Remark(Level.STOP, sentence, advice),))
    release = released_cells(manifest)
    remarks = [*_of_the_name(name, wanted), *_of_the_cells(rebuilt, release)]
    if run:
        rehearsal = rehearse(rebuilt.notebook, seconds=seconds)
        remarks += _of_the_run(rehearsal, rebuilt.notebook, release)
    else:
        remarks += _of_the_code(rebuilt.notebook)
    remarks.sort(key=lambda remark: -remark.level)
    return Examination(wanted, tuple(remarks))


def _named_set(name: PurePath | None) -> str:
    if name is None:
        return ""
    try:
        return hand_in_name(name).problem_set
    except ValueError:
        stem = name.stem.lower()
        return stem if stem in manifest_names() else ""


def _most_alike(data: bytes) -> str:
    """Return the problem set that has the most cells in common with a notebook; or nothing."""
    handed = {normal(cell.source) for cell in read_cells(data)}
    best, most = "", 2  # a set-up cell or two may be the same in all of them
    for name in manifest_names():
        manifest = load_manifest(name)
        common = sum(normal(cell["source"]) in handed for cell in manifest["cells"])
        if common > most and rebuild(data, manifest).notebook is not None:
            best, most = name, common
    return best


def _of_the_name(name: PurePath | None, problem_set: str) -> Iterable[Remark]:
    if name is None:
        return
    advice = f"Call the file that you hand in yourid_{problem_set}.ipynb, with your student id."
    try:
        said = hand_in_name(name)
    except ValueError:
        yield Remark(Level.LOOK, f"Its name, {name.name}, doesn't say whose it is.", advice)
        return
    if said.problem_set not in ("", problem_set):
        sentence = f"It is called {said.problem_set}, and it is {problem_set}."
        yield Remark(Level.LOOK, sentence, advice)
    else:
        yield Remark(Level.FINE, f"Its name says {said.student} and {problem_set}.")


def _of_the_cells(rebuilt: Rebuilt, release: list[ReleasedCell]) -> Iterable[Remark]:
    for finding in rebuilt.findings:
        level = Level.LOOK if finding.advice else Level.FINE
        yield Remark(level, finding.note, finding.advice)
    if rebuilt.review and rebuilt.review not in rebuilt.notes:
        yield Remark(Level.LOOK, rebuilt.review)
    if rebuilt.output_size > LARGE_OUTPUTS:
        yield Remark(
            Level.LOOK,
            f"Its outputs take {rebuilt.output_size / 2**20:.0f} MB.",
            "Clear the outputs of cells that print or draw much: grading makes them anew.",
        )
    assert rebuilt.notebook is not None
    sources = {cell["id"]: cell["source"] for cell in rebuilt.notebook["cells"]}
    answers = [cell for cell in release if cell.kind == "answer"]
    missing = {f.cell for f in rebuilt.findings if "MISSING" in f.kind.name}
    blank = [c.name for c in answers if c.name not in rebuilt.written and c.name not in missing]
    if blank:
        yield Remark(Level.LOOK, f"Not written yet: {', '.join(blank)}.")
    for cell in answers:
        if cell.cell_type != "code" or cell.name not in rebuilt.written:
            continue
        if parsed(sources[cell.name]) is None:
            continue
        progress = cell.stub.progress(sources[cell.name])
        if stuck := [name for name, far in progress.items() if far < Progress.WRITTEN]:
            sentence = f"Not finished in {cell.name}: {', '.join(stuck)}."
            yield Remark(Level.LOOK, sentence, "Remove the line raise NotImplementedError().")


def _of_the_code(notebook: Mapping[str, Any]) -> Iterable[Remark]:
    names = _names_for_people(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and parsed(cell["source"]) is None:
            yield Remark(Level.LOOK, f"There is an error of syntax in {names[cell['id']]}.")


def _of_the_run(
    rehearsal: Rehearsal, notebook: Mapping[str, Any], release: list[ReleasedCell]
) -> Iterable[Remark]:
    names = _names_for_people(notebook)
    kinds = {cell.name: cell for cell in release}
    failed = False
    scored, most = 0.0, 0.0
    lost = []
    for run in rehearsal.cells:
        cell = kinds.get(run.name)
        if cell is not None and cell.kind == "checks":
            if run.score is not None:
                scored, most = scored + run.score, most + cell.points
                if run.score < cell.points and _reason(run) != "Not attempted yet.":
                    lost.append((cell, run))
        elif run.error:
            failed = True
            where = names[run.name]
            yield Remark(Level.LOOK, f"{where[0].upper()}{where[1:]} raises {run.error}")
    if rehearsal.stopped:
        failed = True
        where = names.get(rehearsal.stopped, rehearsal.stopped)
        sentence = f"Run from the top, it stops in {where}: {rehearsal.why}."
        yield Remark(Level.LOOK, sentence, "What comes after it could not be run.")
    for cell, run in lost:
        reason = _reason(run)
        sentence = f"{cell.name}: {run.score:g} of {cell.points:g} points."
        yield Remark(Level.LOOK, sentence, reason)
    if not failed:
        yield Remark(Level.FINE, "It runs from top to bottom.")
    if most:
        yield Remark(Level.FINE, f"Visible checks: {scored:g} of {most:g} points.")


def _reason(run: CellRun) -> str:
    """Return the first line that a check cell printed about a mistake."""
    lines = [line.strip() for line in run.printed.splitlines()]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line == "Not attempted yet.":
            return line
        if line.startswith("✗"):
            return following
    return ""


def _names_for_people(notebook: Mapping[str, Any]) -> dict[str, str]:
    """Say which cell is meant: by its name, or by the one it follows if it is the student's own."""
    names: dict[str, str] = {}
    last = ""
    for cell in notebook["cells"]:
        if cell["metadata"]:
            last = cell["id"]
            names[last] = f"the cell {last}"
        else:
            first = next((x.strip() for x in cell["source"].splitlines() if x.strip()), "")
            after = f"after {last}" if last else "at the top"
            names[cell["id"]] = f"your cell {after} ({first[:40]})"
    return names
