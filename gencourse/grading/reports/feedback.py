"""The page a student gets back: points, the sentence on each loss, and their notebook.

One file that loads nothing and runs nothing. What a student wrote is shown as text, cleaned
Markdown (:mod:`.markdown`) or a PNG; of check cells only what students may see is shown: what
they printed, the visible part of their source, and a sentence where they were stopped.

``nbgrader generate_feedback`` makes these pages through :class:`FeedbackPage`. What happened while
a hand-in ran is read from ``metadata["gencourse"]``; see :mod:`gencourse.grading.course.outputs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup
from nbconvert.exporters import Exporter
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import GetGrades
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import Python3Lexer

from gencourse.grading.reports.markdown import safe_markdown
from gencourse.grading.reports.outputs import Shown, shown_outputs
from gencourse.grading.reports.page import template

__all__ = ["FeedbackPage", "Grades", "Task", "sentences", "tasks"]

_HIDDEN = re.compile(
    r"^[^\n]*### BEGIN (HIDDEN TESTS|MARK SCHEME)[^\n]*\n?.*?(?:^[^\n]*### END \1[^\n]*\n?|\Z)",
    re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^#{2,3}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_POINTS = re.compile(r"\s*\(\d+(?:\.\d+)? points?\b[^()]*\)\s*$")
_STOPPED = "The checks in this cell took too long and were stopped; they give no points."
_NOT_RUN = (
    "The checks in this cell could not be run; they give no points. "
    "Does your notebook run from top to bottom after a restart?"
)


class Grades(GetGrades):
    """nbgrader's own, which also notes what still waits for a marker: its score reads as 0."""

    def _get_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        super()._get_score(cell, resources)
        grade = self.gradebook.find_grade(
            cell.metadata.nbgrader.grade_id, self.notebook_id, self.assignment_id, self.student_id
        )
        cell.metadata.nbgrader["waiting"] = bool(grade.needs_manual_grade)


class FeedbackPage(Exporter):
    """nbconvert's exporter of a graded notebook, named in ``nbgrader_config.py``."""

    file_extension = ".html"
    output_mimetype = "text/html"

    def from_notebook_node(  # type: ignore[override]  # as nbconvert's own exporters do
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the page of a notebook into which :class:`Grades` has put the points."""
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        about = resources["nbgrader"]
        late = float(about["late_penalty"] or 0.0)
        summary = tasks(nb)
        page = template("feedback.html.j2").render(
            problem_set=about["assignment"],
            student=about["student"],
            score=max(0.0, float(about["score"])),
            max_score=float(about["max_score"]),
            late=late,
            notes=nb.metadata.get("gencourse", {}).get("notes", []),
            tasks=summary,
            waiting=sum(task.waiting for task in summary),
            cells=[_Cell.of(cell) for cell in nb.cells],
        )
        return page, resources


@dataclass(frozen=True)
class Task:
    """One line of the table at the top of the page.

    Attributes
    ----------
    title : str
        The heading above the task's cells; the name of its first graded cell if there is none.
    anchor : str
        Where to go.
    score, points : float
        Of all its checks and answers together.
    waiting : float
        Points of answers that a marker has still to read.
    sentences : tuple of str
        The first sentence on each loss.
    """

    title: str
    anchor: str
    score: float
    points: float
    waiting: float
    sentences: tuple[str, ...]


def tasks(notebook: NotebookNode) -> list[Task]:
    """Collect the graded cells of a notebook under the headings they follow."""
    groups: dict[str, list[NotebookNode]] = {}
    stopped: dict[str, list[str]] = {}  # why an answer cell ended early, by its heading
    title = ""
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "markdown" and meta.get("locked"):
            found = _HEADING.search(cell.source)
            title = _POINTS.sub("", found[1]) if found else title
        if utils.is_grade(cell):
            groups.setdefault(title or meta["grade_id"], []).append(cell)
        elif note := _note(cell):
            stopped.setdefault(title, []).append(note)
    return [_task(title, cells, stopped.get(title, [])) for title, cells in groups.items()]


def _task(title: str, cells: list[NotebookNode], stopped: list[str]) -> Task:
    metas = [cell.metadata.nbgrader for cell in cells]
    lost = [m.grade_id for m in metas if _score(m) < float(m.points)]
    # What stopped the answer explains what its checks then say.
    found = dict.fromkeys(stopped if lost else [])
    found |= dict.fromkeys(s for cell in cells for s in list(sentences(cell))[:1])
    return Task(
        title=title,
        anchor=(lost or [metas[0].grade_id])[0],
        score=sum(map(_score, metas)),
        points=sum(float(m.points) for m in metas),
        waiting=sum(float(m.points) for m in metas if m.get("waiting")),
        sentences=tuple(found),
    )


def _score(meta: Mapping[str, Any]) -> float:
    return float(meta.get("score") or 0.0)


def sentences(cell: NotebookNode) -> Iterable[str]:
    """Yield what the checks of a cell say about lost points, the first mistake first."""
    meta = cell.metadata.nbgrader
    if cell.cell_type != "code" or meta.get("solution") or _score(meta) >= float(meta.points):
        return
    if note := _note(cell):
        yield note
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            lines = [line.strip() for line in output.text.splitlines()]
            for line, following in zip(lines, [*lines[1:], ""], strict=True):
                if line == "Not attempted yet.":
                    yield line
                elif line.startswith("✗") and following:
                    yield following


def _note(cell: NotebookNode) -> str:
    """Say what stopped a cell, or return nothing."""
    if note := cell.metadata.get("gencourse", {}).get("note", ""):
        return str(note)
    if utils.is_grade(cell) and not utils.is_solution(cell):
        for output in cell.outputs:
            if output.output_type == "error":
                stopped = output.ename in ("CellTimeoutError", "KeyboardInterrupt")
                return _STOPPED if stopped else _NOT_RUN
    return ""


@dataclass(frozen=True)
class _Cell:
    """One cell, ready for the template."""

    kind: str  # "text", "given", "checks", "answer" or "extra"
    name: str
    body: Markup
    label: str
    is_code: bool
    outputs: tuple[Shown, ...]
    note: str
    graded: bool
    score: float
    points: float
    waiting: bool
    comment: Markup | None

    @classmethod
    def of(cls, cell: NotebookNode) -> _Cell:
        meta = cell.metadata.get("nbgrader", {})
        kind = _kind(cell)
        is_code = cell.cell_type == "code"
        source = cell.source
        if kind in ("text", "given", "checks"):
            source = _HIDDEN.sub("", source)
        comment = meta.get("comment")
        return cls(
            kind=kind,
            name=meta.get("grade_id", ""),
            body=_code(source) if is_code else _markdown(cell, source),
            label=_label(source) if is_code else "",
            is_code=is_code,
            outputs=shown_outputs(cell, checks=kind == "checks") if is_code else (),
            note=_note(cell),
            graded=utils.is_grade(cell),
            score=_score(meta),
            points=float(meta.get("points") or 0.0),
            waiting=bool(meta.get("waiting")),
            comment=safe_markdown(comment) if comment else None,
        )


def _kind(cell: NotebookNode) -> str:
    if utils.is_solution(cell) or utils.is_task(cell):
        return "answer"
    if utils.is_grade(cell):
        return "checks"
    if utils.is_locked(cell):
        return "given" if cell.cell_type == "code" else "text"
    return "extra"


def _markdown(cell: NotebookNode, source: str) -> Markup:
    if cell.cell_type == "markdown":
        return safe_markdown(source, cell.get("attachments"))
    return Markup("<pre>{}</pre>").format(source)


def _label(source: str) -> str:
    """Return what a folded cell is about: its first comment, or the first thing it defines."""
    for line in source.splitlines():
        if line.startswith("# "):
            return re.split(r"[.:;] ", line.removeprefix("# "))[0].rstrip(".:")
        if found := re.match(r"(?:def|class) (\w+)", line):
            return f"{found[1]} …"
    return ""


@lru_cache(maxsize=1024)
def _code(source: str) -> Markup:
    """Return code in colours; the given cells are the same in every hand-in."""
    if len(source) > 200_000:
        return Markup("<pre>{}</pre>").format(source[:200_000])
    return Markup(highlight(source, Python3Lexer(), HtmlFormatter(cssclass="highlight")))
