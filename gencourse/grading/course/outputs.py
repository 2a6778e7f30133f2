"""Write the result of a hand-in into its notebook, so that nbgrader reads points off it.

For each check cell nbgrader looks at the outputs alone: an error is 0 points, a number is that
many, and nothing at all is **full** points. So a check cell gets exactly one of the first two
here, and a hand-in that has neither is not graded.

What happened is noted in the metadata, for the feedback: ``notebook.metadata["gencourse"]`` is
``{"isolation": str, "notes": [str, …]}``, and ``cell.metadata["gencourse"]`` is
``{"outcome": str, "note": str}``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import nbformat
from nbformat import NotebookNode

from gencourse.grading.course.jobs import named_cells
from gencourse.grading.course.store import failed_here
from gencourse.grading.job import CellResult, Outcome, Result

__all__ = ["NotGraded", "write_outputs"]


_NOT_RUN = (
    "The checks in this cell could not be run to their end; they give no points. "
    "Does your notebook run from top to bottom after a restart?"
)


class NotGraded(Exception):
    """A hand-in could not be graded, for a reason that is not the student's."""


def write_outputs(
    notebook: NotebookNode,
    result: Result,
    points: Mapping[str, float],
    *,
    notes: Iterable[str] = (),
) -> NotebookNode:
    """Put the outputs of a result into the cells of a notebook, in place.

    Parameters
    ----------
    notebook : NotebookNode
        What the job was made of.
    result : Result
        Of all its code cells.
    points : mapping of str to float
        What each check cell is worth.
    notes : iterable of str
        Further sentences for the student, such as what was mended.

    Raises
    ------
    NotGraded
        If something failed on our side, or a check has no score or an impossible one. The
        notebook must then not be graded at all.
    """
    if problem := failed_here(result):
        raise NotGraded(problem)
    results = {cell.name: cell for cell in result.cells}
    for count, (name, cell) in enumerate(named_cells(notebook), start=1):
        if name not in results:
            raise NotGraded(f"There is no result of {name}.")
        found = results[name]
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("grade") and not meta.get("solution"):
            cell.outputs = _of_checks(found, points[name])
        else:
            cell.outputs = [_output(entry) for entry in found.outputs]
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
        note = found.note
        if meta.get("grade") and found.outcome is not Outcome.OK:
            note = note or _NOT_RUN
        cell.metadata["gencourse"] = {"outcome": str(found.outcome), "note": note}
    notebook.metadata["gencourse"] = {
        "isolation": result.isolation,
        "notes": list(dict.fromkeys((*notes, *result.notes))),
    }
    return notebook


def _of_checks(found: CellResult, worth: float) -> list[NotebookNode]:
    """Return what a check cell printed, and its score as the only value."""
    score = found.score
    if score is None:
        if found.outcome is Outcome.OK:
            raise NotGraded(f"The checks {found.name} gave no score.")
        # The student's program was stopped, or never got there: these checks give no points.
        score = 0.0
    if not (math.isfinite(score) and 0 <= score <= worth + 1e-9):
        raise NotGraded(f"The checks {found.name} gave {score:g} of {worth:g} points.")
    printed = [
        _output(entry)
        for entry in found.outputs
        if entry.get("output_type") == "stream" and entry.get("name") == "stdout"
    ]
    value = {"text/plain": repr(min(float(score), worth))}
    return [*printed, nbformat.v4.new_output("execute_result", value)]


def _output(entry: Mapping[str, Any]) -> NotebookNode:
    """Return one output with nothing in it but text and PNG images."""
    kind = entry.get("output_type")
    if kind == "stream":
        name = "stderr" if entry.get("name") == "stderr" else "stdout"
        return nbformat.v4.new_output("stream", name=name, text=_text(entry.get("text", "")))
    if kind == "error":
        return nbformat.v4.new_output(
            "error",
            ename=_text(entry.get("ename", "")),
            evalue=_text(entry.get("evalue", "")),
            traceback=[_text(line) for line in entry.get("traceback", ())],
        )
    shown = entry.get("data", {})
    kept = {kind: _text(shown[kind]) for kind in ("text/plain", "image/png") if kind in shown}
    return nbformat.v4.new_output(
        "execute_result" if kind == "execute_result" else "display_data", kept
    )


def _text(value: Any) -> str:
    """Return text that can be written as UTF-8: a lone surrogate becomes a question mark."""
    joined = "".join(value) if isinstance(value, list) else str(value)
    return joined.encode("utf-8", "replace").decode("utf-8")
