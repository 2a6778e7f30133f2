"""What the cells of a hand-in printed and drew, as a page may show it: text and PNG, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from gencourse.grading.kernel.outputs import last_state, png_of

__all__ = ["Line", "Shown", "shown_outputs"]

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# Of one cell. A page stays one that a phone can open.
_MOST_TEXT = 20_000
_MOST_OF_ERROR = 8_000
_MOST_PICTURES = 2_000_000


@dataclass(frozen=True)
class Line:
    """A line that checks printed: ``passed``, ``failed``, ``why`` or ``plain``."""

    kind: str
    text: str


@dataclass(frozen=True)
class Shown:
    """One output.

    Attributes
    ----------
    kind : str
        ``"text"``, ``"stderr"``, ``"error"``, ``"png"`` or ``"checks"``.
    text : str
        The text; for a picture its bytes in base64.
    lines : tuple of Line
        What checks printed.
    """

    kind: str
    text: str = ""
    lines: tuple[Line, ...] = ()


def shown_outputs(cell: NotebookNode, *, checks: bool) -> tuple[Shown, ...]:
    """Return the outputs of a code cell; of checks what they printed and nothing else.

    A traceback in a check cell goes through hidden checks, and so could a value: neither is shown.
    """
    if checks:
        printed = "".join(
            o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"
        )
        lines = tuple(map(_line, _plain(printed)[:_MOST_TEXT].splitlines()))
        return (Shown("checks", lines=lines),) if lines else ()
    return tuple(_bounded(cell))


def _bounded(cell: NotebookNode) -> Iterator[Shown]:
    text_left, pictures_left = _MOST_TEXT, _MOST_PICTURES
    for output in cell.outputs:
        shown = _shown(output)
        if shown is None:
            continue
        if shown.kind == "png":
            if len(shown.text) > pictures_left:
                yield Shown("text", "(A picture is left out here: it is too large.)")
                continue
            pictures_left -= len(shown.text)
        elif shown.kind == "error":
            # What went wrong stands at the end, and is told however much was printed before.
            shown = Shown("error", shown.text[-_MOST_OF_ERROR:])
        else:
            if len(shown.text) > text_left:
                rest = len(shown.text) - text_left
                kept = f"{shown.text[:text_left]}\n… and {rest:,} more characters"
                shown = Shown(shown.kind, kept)
            text_left = max(0, text_left - len(shown.text))
        yield shown


def _shown(output: NotebookNode) -> Shown | None:
    if output.output_type == "stream":
        return Shown("stderr" if output.name == "stderr" else "text", _plain(output.text))
    if output.output_type == "error":
        trace = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
        return Shown("error", _plain(trace))
    data = output.get("data", {})
    if "image/png" in data and (picture := png_of(data["image/png"])):
        return Shown("png", picture)
    return Shown("text", _plain(data["text/plain"])) if "text/plain" in data else None


def _plain(text: str) -> str:
    """Return text as a terminal leaves it: no colours, and of a progress bar the last state."""
    return _CONTROL.sub("", last_state(_ANSI.sub("", text).replace("\r\n", "\n")))


def _line(text: str) -> Line:
    bare = text.strip()
    if bare.startswith("✓"):
        return Line("passed", bare[1:].strip())
    if bare.startswith("✗"):
        return Line("failed", bare[1:].strip())
    return Line("why" if text.startswith("   ") else "plain", bare)
