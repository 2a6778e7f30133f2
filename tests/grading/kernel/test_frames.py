"""Frames arrive whole, whatever the pieces; what is no frame closes the link."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencourse.grading.kernel import wire
from gencourse.grading.kernel.frames import Broken, Frame, Line, Link, message

Pair = tuple[socket.socket, Link]


@pytest.fixture
def pair() -> Iterator[Pair]:
    theirs, ours = socket.socketpair()
    link = Link(ours)
    yield theirs, link
    theirs.close()
    link.close()


def all_frames(link: Link) -> list[Frame]:
    frames = []
    while (frame := link.get()) is not None:
        frames.append(frame)
    return frames


@given(
    st.lists(
        st.builds(
            Frame, st.sampled_from([b"a", b"b"]), st.binary(max_size=30), st.binary(max_size=30)
        ),
        max_size=5,
    ),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_frames_survive_being_cut_anywhere(frames: list[Frame], cuts: list[int]) -> None:
    theirs, ours = socket.socketpair()
    link, found = Link(ours), []
    data = b"".join(frame.to_bytes() for frame in frames)
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for a, b in itertools.pairwise(edges):
        theirs.sendall(data[a:b])
        found += all_frames(link)
    assert found == frames
    theirs.close()
    with pytest.raises(Broken, match="gone"):
        link.get()
    link.close()


def test_large_frames_go_both_ways(pair: Pair) -> None:
    theirs, link = pair
    frame = Frame(b"x", b'"text"', bytes(range(256)) * 20_000)
    line = Line(theirs)

    def echo() -> None:
        line.send(line.receive())

    thread = threading.Thread(target=echo)
    thread.start()
    link.put(frame)
    back = None
    while back is None:
        link.write()
        back = link.get()
    thread.join()
    assert back == frame
    assert back.read() == "text"


@pytest.mark.parametrize(
    ("text", "data"), [(wire.TEXT_LIMIT + 1, 0), (0, wire.BYTES_LIMIT + 1), (0, 2**64 - 1)]
)
def test_a_frame_that_promises_too_much_is_refused(pair: Pair, text: int, data: int) -> None:
    theirs, link = pair
    theirs.sendall(struct.pack(">cIQ", b"r", text, data) + b"x" * 100)
    with pytest.raises(Broken, match="too large"):
        link.get()
    assert link.closed


def test_what_is_not_json_is_refused() -> None:
    for text in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(Broken):
            Frame(b"x", text).read()
    assert message(b"x", {"a": "\ud800"}).read() == {"a": "\ud800"}


def test_a_reader_that_is_gone_ends_the_line(pair: Pair) -> None:
    theirs, link = pair
    link.close()
    with pytest.raises(EOFError):
        Line(theirs).receive()


def test_a_writer_does_not_wait_for_a_reader(pair: Pair) -> None:
    _, link = pair
    link.put(Frame(b"x", b"null", b"x" * (1 << 24)))
    assert link.wants_write
