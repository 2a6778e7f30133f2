"""A hand-in's bytes as a list of cells, whatever wrote them; nothing else of the file is kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LARGEST", "Damaged", "HandedCell", "read_cells"]

#: Bytes of a hand-in that are read at most.
LARGEST = 100 * 1024 * 1024
#: Characters of images that a text cell may carry.
_IMAGES = 8 * 1024 * 1024
_KINDS = ("code", "markdown", "raw")


class Damaged(ValueError):
    """The file is no notebook; the message is a sentence that says what it is instead."""


@dataclass(frozen=True)
class HandedCell:
    """What is kept of a cell that somebody handed in.

    Attributes
    ----------
    cell_type : {"code", "markdown", "raw"}
    source : str
        With line ends of one character, and no character that a file could not hold.
    names : tuple of str
        By which the cell may be known, the most trusted first: nbgrader's ``grade_id``,
        Colab's ``metadata.id``, and the id of nbformat 4.5.
    output_size : int
        Characters of its outputs, which are dropped.
    attachments : mapping
        Images that were pasted into a text.
    untouched : bool
        Whether it is as some release gave it out, by nbgrader's checksum; perhaps an older one.
    """

    cell_type: str
    source: str
    names: tuple[str, ...] = ()
    output_size: int = 0
    attachments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    untouched: bool = False


def read_cells(data: bytes, *, largest: int = LARGEST) -> list[HandedCell]:
    """Return the cells of a notebook of nbformat 3 or 4.

    Raises
    ------
    Damaged
        If it is no notebook.
    """
    if len(data) > largest:
        raise Damaged(
            f"The file has {len(data) / 2**20:.0f} MB; more than {largest / 2**20:.0f} MB are "
            "not read. Clear the outputs and save it again."
        )
    try:
        notebook = json.loads(_decoded(data))
    except (ValueError, RecursionError) as error:
        raise Damaged(_what_it_is(data)) from error
    if not isinstance(notebook, dict):
        raise Damaged("The file is no notebook: it has another structure.")
    cells = notebook.get("cells")
    if cells is None and isinstance(notebook.get("worksheets"), list):  # nbformat 3
        sheets = [s for s in notebook["worksheets"] if isinstance(s, dict)]
        cells = [c for s in sheets if isinstance(s.get("cells"), list) for c in s["cells"]]
    if not isinstance(cells, list):
        raise Damaged("The file is no notebook: it has no cells.")
    return [_cell(cell) for cell in cells if isinstance(cell, dict)]


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # An editor on Windows that saves in its own code page, which has every byte but five.
        return data.decode("cp1252", errors="replace")


def _what_it_is(data: bytes) -> str:
    """Say what a file that is no JSON seems to be."""
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "The file is empty."
    for magic, what in (
        (b"%PDF", "a PDF, not the notebook"),
        (b"PK\x03\x04", "a zip archive, not the notebook"),
        (b"<", "a web page, not the notebook; perhaps it asked for a login"),
        (b"\x89PNG", "a picture, not the notebook"),
    ):
        if start.startswith(magic):
            return f"The file is {what}."
    if start.startswith(b"{"):
        if b"\n<<<<<<< " in data:
            return "The file is damaged: a merge of two versions was left unfinished in it."
        return "The file is damaged: it is cut off, or was changed by hand."
    return "The file is no notebook. In Colab, choose File, Download, Download .ipynb."


def _cell(cell: dict[str, Any]) -> HandedCell:
    kind = cell.get("cell_type")
    source = _text(cell.get("source", cell.get("input")))  # nbformat 3 calls code "input"
    if kind == "heading":  # nbformat 3
        level = cell.get("level")
        source = "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1) + " " + source
        kind = "markdown"
    if kind not in _KINDS:
        kind = "markdown" if kind == "html" else "raw"
    meta = cell.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    grader = meta.get("nbgrader")
    grade_id = grader.get("grade_id") if isinstance(grader, dict) else None
    names = [n for n in (grade_id, meta.get("id"), cell.get("id")) if isinstance(n, str) and n]
    outputs = cell.get("outputs")
    return HandedCell(
        kind,
        source,
        tuple(dict.fromkeys(names)),
        _size(outputs) if isinstance(outputs, list) else 0,
        _images(cell.get("attachments")) if kind == "markdown" else {},
        isinstance(grader, dict) and _as_given_out(kind, source, grader),
    )


def _as_given_out(kind: str, source: str, grader: dict[str, Any]) -> bool:
    """Compute nbgrader's checksum of a cell, and compare it with the one it carries."""
    parts = [source, kind, *(str(grader.get(key)) for key in ("grade", "solution", "locked"))]
    parts.append(str(grader.get("grade_id")))
    points = grader.get("points")
    if grader.get("grade") and isinstance(points, int | float):
        parts.append(str(float(points)))
    found = hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()
    return found == grader.get("checksum")


_UNFIT = re.compile("[\x00\ud800-\udfff]")


def _text(value: Any) -> str:
    """Return a string, or a list of them, as one text that can be written to a file."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    return _UNFIT.sub("\ufffd", value).replace("\r\n", "\n").replace("\r", "\n")


def _size(value: Any) -> int:
    """Count the characters in outputs, about as many as they take in the file."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list):
            rest.extend(item)
        elif isinstance(item, dict):
            rest.extend(item.values())
    return total


_IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif")
_FILE_NAME = re.compile(r"[\w. ()-]{1,200}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


def _images(value: Any) -> dict[str, dict[str, str]]:
    """Return the attachments that are images, and not too large."""
    found: dict[str, dict[str, str]] = {}
    left = _IMAGES
    for name, bundle in value.items() if isinstance(value, dict) else ():
        if not _FILE_NAME.fullmatch(name) or not isinstance(bundle, dict):
            continue
        for mime in _IMAGE_TYPES:
            image = _text(bundle.get(mime))
            if image and len(image) <= left and _BASE64.fullmatch(image):
                left -= len(image)
                found[name] = {mime: image}
                break
    return found
