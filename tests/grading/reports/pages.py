"""Graded notebooks as nbgrader leaves them, and the page made of one; nothing is run."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import nbformat
from nbformat import NotebookNode

from gencourse.grading.reports.feedback import FeedbackPage


def cell(
    source: str,
    name: str = "",
    kind: str = "",
    *,
    outputs: list[Any] | None = None,
    note: str = "",
    **meta: Any,
) -> NotebookNode:
    """Make a cell: kind "text", "given", "answer", "words", "checks", or "" for a student's own."""
    markdown = kind in ("text", "words")
    made = (nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell)(source)
    if kind:
        made.metadata["nbgrader"] = {
            "grade_id": name,
            "locked": kind in ("text", "given", "checks"),
            "solution": kind in ("answer", "words"),
            "grade": kind == "checks" or "points" in meta,
            "task": False,
            "schema_version": 3,
            "cell_type": made.cell_type,
            **meta,
        }
    if outputs:
        made.outputs = [nbformat.from_dict(output) for output in outputs]
    if note:
        made.metadata["gencourse"] = {"outcome": "time", "note": note}
    return made


def stream(text: str, name: str = "stdout") -> dict[str, str]:
    return {"output_type": "stream", "name": name, "text": text}


def error(*lines: str, ename: str = "ValueError") -> dict[str, Any]:
    return {"output_type": "error", "ename": ename, "evalue": "", "traceback": list(lines)}


def shows(**data: str) -> dict[str, Any]:
    by_type = {name.replace("_", "/", 1): value for name, value in data.items()}
    return {"output_type": "display_data", "data": by_type, "metadata": {}}


def page(
    *cells: NotebookNode,
    score: float = 0.0,
    late: float = 0.0,
    notes: tuple[str, ...] = (),
    student: str = "ada",
) -> str:
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    notebook.metadata["gencourse"] = {"isolation": "namespaces", "notes": list(notes)}
    about = {
        "assignment": "ps5",
        "notebook": "ps5",
        "student": student,
        "score": score,
        "max_score": 10.0,
        "late_penalty": late,
    }
    return FeedbackPage().from_notebook_node(notebook, {"nbgrader": about})[0]


def text_of(html: str) -> str:
    body = html.split("<body>")[1]
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", body)))
