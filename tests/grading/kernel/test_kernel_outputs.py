"""What is kept of what a cell shows: text and PNG images, within limits."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from two_kernels import by_name, hand_in, text

from gencourse.grading.job import Limits, Outcome
from gencourse.grading.kernel.execute import execute
from gencourse.grading.kernel.outputs import Outputs


def show(server, code: str, **limits: float):  # type: ignore[no-untyped-def]
    job = replace(hand_in(f"# student a\n{code}"), limits=Limits(**limits))  # type: ignore[arg-type]
    result = execute(job, server)
    assert result.problem == ""
    return by_name(result)["a"]


def test_prints_values_and_subprocesses_come_in_order(server) -> None:  # type: ignore[no-untyped-def]
    cell = show(
        server,
        """
import os, sys, subprocess
print("one")
os.system("echo two")
subprocess.run(["sh", "-c", "echo three; echo four >&2"])
!echo five
display({"six": 6})
print("seven", file=sys.stderr)
8;
9
""",
    )
    assert cell.outcome is Outcome.OK
    kinds = [(o["output_type"], o.get("name", "")) for o in cell.outputs]
    assert kinds[-1] == ("execute_result", "")
    stdout = "".join(o["text"] for o in cell.outputs if o.get("name") == "stdout")
    stderr = "".join(o["text"] for o in cell.outputs if o.get("name") == "stderr")
    assert stdout == "one\ntwo\nthree\nfive\n"
    assert stderr == "four\nseven\n"
    assert [o["data"] for o in cell.outputs if "data" in o] == [
        {"text/plain": "{'six': 6}"},
        {"text/plain": "9"},
    ]


def test_figures_are_png(server) -> None:  # type: ignore[no-untyped-def]
    for code in (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "%matplotlib notebook\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    ):
        cell = show(server, code)
        assert cell.outcome is Outcome.OK, text(cell)
        (png,) = [o["data"]["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
        assert base64.b64decode(png).startswith(b"\x89PNG")


def test_html_and_scripts_are_not_taken(server) -> None:  # type: ignore[no-untyped-def]
    cell = show(
        server,
        "from IPython.display import *\ndisplay(HTML('<script>1</script>'))\n"
        "display(Javascript('1'))\n%%html\n<b>",
    )
    cell = show(
        server,
        "from IPython.display import *\ndisplay(HTML('<script>1</script>'))\n"
        "publish_display_data({'text/html': '<script>', 'application/javascript': '1'})\n"
        "Javascript('alert(1)')",
    )
    assert cell.outcome is Outcome.OK
    assert all(set(o["data"]) <= {"text/plain", "image/png"} for o in cell.outputs)
    assert "script>" not in text(cell)


def test_a_progress_bar_is_its_last_state(server) -> None:  # type: ignore[no-untyped-def]
    cell = show(
        server,
        "import sys\nfor i in range(100):\n    print(f'\\r{i} %', end='', file=sys.stderr)\n"
        "print('\\r\\ndone', file=sys.stderr)",
    )
    assert "".join(o["text"] for o in cell.outputs) == "99 %\ndone\n"


def test_cleared_output_is_gone(server) -> None:  # type: ignore[no-untyped-def]
    cell = show(
        server, "from IPython.display import clear_output\nprint(1)\nclear_output()\nprint(2)"
    )
    assert text(cell).strip() == "2"


def test_much_output_is_cut_and_said_so(server) -> None:  # type: ignore[no-untyped-def]
    cell = show(server, "for i in range(1000): print('x' * 100)\n'the end'", output_kb=10)
    assert cell.outcome is Outcome.OUTPUT
    assert "longer than 10 kB" in cell.note
    assert len(text(cell)) < 11_000


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x' * 1000)",
        "!yes",
        "import sys\nwhile True: sys.stderr.write('x' * 1000)",
        "while True: display('x' * 1000)",
    ],
)
def test_endless_output_is_stopped(server, code: str) -> None:  # type: ignore[no-untyped-def]
    cell = show(server, code, output_kb=10, cell_seconds=30)
    assert cell.outcome is Outcome.OUTPUT
    assert "much longer than 10 kB" in cell.note
    assert cell.seconds < 15
    assert len(text(cell)) < 11_000


def test_a_giant_display_is_left_out(server) -> None:  # type: ignore[no-untyped-def]
    cell = show(server, "display(type('A', (), {'__repr__': lambda self: 'x' * (1 << 24)})())\n1")
    assert cell.outcome is Outcome.OUTPUT
    assert text(cell).strip() == "1"


REPORTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["output_type", "data", "text/plain", "image/png", "ename", "evalue", "traceback"]
            ),
            x | st.sampled_from(["error", "clear", "display_data", "execute_result"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.lists(REPORTS, max_size=6), st.binary(max_size=40))
def test_whatever_is_reported_becomes_valid_outputs(reports: list[object], raw: bytes) -> None:
    import nbformat

    outputs = Outputs(1000)
    for report in reports:
        outputs.report(report)
        outputs.stream("stdout", raw)
    cell = nbformat.v4.new_code_cell()
    cell.outputs = [nbformat.from_dict(o) for o in outputs.finished()]
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))


@given(st.lists(st.binary(max_size=50), max_size=30))
def test_no_more_than_the_limit_is_kept(parts: list[bytes]) -> None:
    outputs = Outputs(100)
    for part in parts:
        outputs.stream("stdout", part)
    kept = sum(len(o["text"]) for o in outputs.finished())
    assert kept <= 101  # one character may stand for a byte that was cut
    assert outputs.cut == (sum(map(len, parts)) > 100)
