"""What a cell prints and shows, collected with a limit, in the form that notebooks have."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from typing import Any

__all__ = ["Outputs", "last_state", "png_of"]

_PNG = b"\x89PNG\r\n\x1a\n"
_ERROR_LINES = 60
_LINE = 2000
# Entries of one cell: an empty one takes room in the notebook and on the page, too.
_ENTRIES = 1000
_ENTRY = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")


class Outputs:
    """Outputs of one cell, of which at most ``limit`` bytes are kept.

    Whatever a student's process reports is looked at: only text, PNG images and errors of
    bounded size are taken.

    Attributes
    ----------
    size, kept : int
        Bytes that came, and those of them that were kept.
    heard : int
        Bytes of reports, counted by whoever hands them over; clearing does not undo them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.entries: list[dict[str, Any]] = []
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")
        }
        self.kept = 0
        self.heard = 0
        self._left_out = False

    @property
    def cut(self) -> bool:
        """Whether something was left out."""
        return self._left_out or self.size > self.limit

    def stream(self, name: str, data: bytes) -> None:
        """Take what was written to ``stdout`` or ``stderr``."""
        room = max(self.limit - self.kept, 0)
        self.size += len(data)
        self.kept += min(len(data), room)
        text = self._decoders[name].decode(data[:room])
        if not text:
            return
        last = self.entries[-1] if self.entries else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["parts"].append(text)
        elif len(self.entries) < _ENTRIES:
            self.entries.append({"output_type": "stream", "name": name, "parts": [text]})
        else:
            self._left_out = True

    def report(self, output: Any) -> None:
        """Take something that the shell reported; nothing if it is malformed."""
        kind = output.get("output_type") if isinstance(output, dict) else None
        if kind == "clear":
            self.entries.clear()
            self.size = self.kept = 0
        elif kind == "left out":
            self.size += self.limit + 1
        elif kind == "error":
            self._take(_error(output))
        elif kind in ("display_data", "execute_result"):
            bundle = _bundle(output.get("data"))
            if bundle:
                entry: dict[str, Any] = {"output_type": kind, "data": bundle, "metadata": {}}
                if kind == "execute_result":
                    entry["execution_count"] = None
                self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        size = _ENTRY + _size(entry)
        self.size += size
        if len(self.entries) >= _ENTRIES:
            self._left_out = True
        elif entry["output_type"] == "error" or self.kept + size <= self.limit:
            self.kept += size
            self.entries.append(entry)

    def finished(self) -> tuple[dict[str, Any], ...]:
        """Return the outputs as a notebook has them."""
        outputs = []
        for entry in self.entries:
            if entry["output_type"] == "stream":
                text = last_state("".join(entry["parts"]))
                entry = {"output_type": "stream", "name": entry["name"], "text": _clean(text)}
            outputs.append(entry)
        return tuple(outputs)

    def text(self, most: int) -> str:
        """Return what was printed, without errors of the streams, up to ``most`` characters."""
        parts = [e["parts"] for e in self.entries if e.get("name") == "stdout"]
        return _clean("".join(part for each in parts for part in each)[:most])


def last_state(text: str) -> str:
    """Return what a reader would see in the end: a progress bar writes over its own line."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _clean(text: str) -> str:
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode()


def _size(entry: dict[str, Any]) -> int:
    if entry["output_type"] == "error":
        return sum(map(len, entry["traceback"])) + len(entry["evalue"])
    return sum(map(len, entry["data"].values()))


def _string(value: Any, most: int) -> str:
    return _clean(value[:most]) if isinstance(value, str) else ""


def _error(output: dict[str, Any]) -> dict[str, Any]:
    lines = output.get("traceback")
    lines = lines if isinstance(lines, list) else []
    if len(lines) > _ERROR_LINES:
        lines = [*lines[: _ERROR_LINES // 2], "…", *lines[-_ERROR_LINES // 2 :]]
    return {
        "output_type": "error",
        "ename": _string(output.get("ename"), 100) or "Error",
        "evalue": _string(output.get("evalue"), _LINE),
        "traceback": [_string(line, _LINE) for line in lines],
    }


def _bundle(data: Any) -> dict[str, str]:
    if not isinstance(data, dict):
        return {}
    bundle = {}
    text, image = data.get("text/plain"), data.get("image/png")
    if isinstance(text, str):
        bundle["text/plain"] = _clean(text)
    if isinstance(image, str) and (png := png_of(image)):
        bundle["image/png"] = png
    return bundle


def png_of(encoded: str) -> str | None:
    """Return base64 as base64 again, with nothing else in it; None if it is no PNG."""
    try:
        content = base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(content).decode() if content.startswith(_PNG) else None
