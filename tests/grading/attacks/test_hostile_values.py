"""Messages that no honest kernel writes: each is refused, at once, and takes no memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from gencourse.grading.kernel import wire
from gencourse.grading.kernel.outputs import Outputs

_COLLIDING = ",".join(str(k * (2**61 - 1)) for k in range(300_000))
_AGAIN = '{"$":"tensor","dtype":"uint8","shape":[1000000],"at":0,"n":1000000}'
HOSTILE = {
    "entries of no length": '{"$":"array","dtype":"<U0","shape":[1000000000000],"at":0,"n":0}',
    "more of them": '{"$":"array","dtype":"|S0","shape":[10000000000],"at":0,"n":0}',
    "a negative axis": '{"$":"array","dtype":"<f8","shape":[-1],"at":0,"n":8}',
    "an axis that is true": '{"$":"tensor","dtype":"uint8","shape":[true],"at":0,"n":1}',
    "an axis beyond numbers": '{"$":"tensor","dtype":"uint8","shape":[1e999],"at":0,"n":1}',
    "bytes from before": '{"$":"bytes","at":-5,"n":5}',
    "objects": '{"$":"array","dtype":"|O8","shape":[1],"at":0,"n":8}',
    "private methods": '{"$":"_init__"}',
    "an import": '{"$":"opaque","import":"os:system"}',
    "one hash": '{"$":"set","v":[' + _COLLIDING + "]}",
    "one hash, as keys": '{"$":"dict","v":[' + _COLLIDING.replace(",", ",0],[") + "]}",
    "bytes used twice": f"[{','.join([_AGAIN] * 1000)}]",
    "a deep nest": "[" * 100_000,
    "a closed nest": "[" * 900 + "]" * 900,
    "a long number": "9" * 100_000,
    "no number": "NaN",
    "nothing": "",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_values_that_are_none(what: str) -> None:
    text = HOSTILE[what].encode()
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(wire.WireError):
            wire.decode((text, bytes(1_000_000)))
        assert time.process_time() - start < 10
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_long_lines_take_no_time() -> None:
    outputs = Outputs(600_000)
    outputs.stream("stdout", b"x" * 300_000 + b"\r" * 100_000 + b"y" * 100_000)
    start = time.process_time()
    ((entry),) = outputs.finished()
    assert time.process_time() - start < 1
    assert entry["text"] == "y" * 100_000


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("one\rtwo", "two"),
        ("one\rtwo\n", "two\n"),
        ("10 %\r20 %\r\nnext", "20 %\nnext"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("loading\r", "loading"),
        ("no end", "no end"),
    ],
)
def test_progress_bars_show_their_last_state(printed: str, seen: str) -> None:
    outputs = Outputs(1000)
    outputs.stream("stdout", printed.encode())
    assert outputs.finished()[0]["text"] == seen


def test_outputs_are_few() -> None:
    outputs = Outputs(100_000)
    for _ in range(50_000):
        outputs.stream("stdout", b"x")
        outputs.stream("stderr", b"y")
        outputs.report({"output_type": "display_data", "data": {"text/plain": ""}})
        outputs.report({"output_type": "error", "ename": "", "evalue": "", "traceback": []})
    assert outputs.cut
    assert len(outputs.finished()) <= 1000
