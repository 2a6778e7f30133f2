"""Messages over a socket: a letter, the length of the JSON, the length of the raw bytes, both.

A child reads and writes one frame at a time and waits for it (:class:`Line`). The owner of the
children, who trusts neither, moves bytes without waiting (:class:`Link`) and closes the link
at the first frame that is no frame.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from typing import Any, NamedTuple

from gencourse.grading.kernel.agreed import BYTES_LIMIT, TEXT_LIMIT, Payload

__all__ = ["Broken", "Frame", "Line", "Link", "message"]

_HEADER = struct.Struct(">cIQ")
_CHUNK = 1 << 18


class Broken(Exception):
    """The other end is gone, or speaks something else."""


class Frame(NamedTuple):
    """One message.

    Attributes
    ----------
    kind : bytes
        One letter.
    text, data : bytes
        JSON, and raw bytes that it refers to.
    """

    kind: bytes
    text: bytes = b"null"
    data: bytes = b""

    @property
    def payload(self) -> Payload:
        """The two parts that :mod:`~gencourse.grading.kernel.wire` reads."""
        return self.text, self.data

    def to_bytes(self) -> bytes:
        """Return the frame as it is sent."""
        return _HEADER.pack(self.kind, len(self.text), len(self.data)) + self.text + self.data

    def read(self) -> Any:
        """Return the JSON alone.

        Raises
        ------
        Broken
            If it is not JSON.
        """
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            raise Broken("a message that is not JSON") from None


def message(kind: bytes, content: Any) -> Frame:
    """Make a frame of something that JSON has."""
    return Frame(kind, json.dumps(content).encode())


def _sizes(header: bytes | bytearray) -> tuple[bytes, int, int]:
    kind, text, data = _HEADER.unpack(header)
    if text > TEXT_LIMIT or data > BYTES_LIMIT:
        raise Broken("a message is too large")
    return kind, text, data


class Line:
    """A child's end, which waits."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(True)

    def send(self, frame: Frame) -> None:
        """Send one frame."""
        self._end.sendall(frame.to_bytes())

    def receive(self) -> Frame:
        """Wait for one frame.

        Raises
        ------
        EOFError
            If the owner is gone.
        """
        kind, text, data = _sizes(self._exactly(_HEADER.size))
        return Frame(kind, self._exactly(text), self._exactly(data))

    def _exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self._end.recv(min(size, _CHUNK))
            if not part:
                raise EOFError("the other end is gone")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class Link:
    """The owner's end, which never waits: see :attr:`wants_write`, and poll."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        self.closed = False

    def fileno(self) -> int:
        """For ``select``."""
        return self._end.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._out)

    def put(self, frame: Frame) -> None:
        """Send a frame as soon as the other end takes it."""
        self._out.append(memoryview(frame.to_bytes()))
        self.write()

    def write(self) -> None:
        """Send what can be sent now."""
        while self._out and not self.closed:
            try:
                sent = self._end.send(self._out[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.closed = True
                return
            if sent == len(self._out[0]):
                self._out.popleft()
            else:
                self._out[0] = self._out[0][sent:]

    def read(self) -> None:
        """Take in what is there now, but not much more than one frame."""
        while not self.closed and len(self._in) < self._wanted():
            try:
                part = self._end.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                part = b""
            if not part:
                self.closed = True
                return
            self._in += part

    def _wanted(self) -> int:
        if len(self._in) < _HEADER.size:
            return _HEADER.size
        _, text, data = _sizes(self._in[: _HEADER.size])
        return _HEADER.size + text + data

    def get(self) -> Frame | None:
        """Return the next whole frame, if there is one.

        Raises
        ------
        Broken
            If what came is no frame, or nothing more can come.
        """
        try:
            self.read()
        except Broken:
            self.closed = True
            raise
        wanted = self._wanted()
        if len(self._in) < wanted or wanted == _HEADER.size > len(self._in):
            if self.closed:
                raise Broken("the other end is gone")
            return None
        kind, text, _ = _sizes(self._in[: _HEADER.size])
        body = _HEADER.size + text
        frame = Frame(kind, bytes(self._in[_HEADER.size : body]), bytes(self._in[body:wanted]))
        del self._in[:wanted]
        return frame

    def close(self) -> None:
        """Close the socket."""
        self.closed = True
        self._end.close()
