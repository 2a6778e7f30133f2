"""What a student is told before handing in."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path, PurePath
from typing import Any

import pytest
from filled import ANSWERS, RELEASE, STUB, at, cell, code, filled, markdown, text, to_bytes
from typer.testing import CliRunner

from gencourse.cli import app
from gencourse.grading.handin.check import Examination, Level, examine
from gencourse.grading.handin.manifests import load_manifest, manifest_names, to_manifest
from gencourse.grading.handin.mend import rebuild
from gencourse.grading.handin.rehearsal import rehearse


def looked_at(notebook: dict[str, Any], **options: Any) -> Examination:
    return examine(to_bytes(notebook), **{"run": False, "problem_set": "ps5", **options})


def sentences(result: Examination, level: Level = Level.LOOK) -> list[str]:
    return [remark.sentence for remark in result.remarks if remark.level >= level]


def own(*cells: dict[str, Any]) -> dict[str, Any]:
    """A notebook that runs in a moment: nothing of the release but its names."""
    return {
        "metadata": {},
        "cells": [{**c, "id": f"own-{i}", "metadata": {"x": 1}} for i, c in enumerate(cells)],
    }


def test_the_manifest_is_the_release() -> None:
    assert "ps5" in manifest_names()
    assert load_manifest("ps5") == json.loads(to_manifest(RELEASE))
    notebook = filled()
    ours, theirs = (
        rebuild(to_bytes(notebook), x).notebook for x in (RELEASE, load_manifest("ps5"))
    )
    assert ours is not None
    assert theirs is not None
    assert [c["source"] for c in ours["cells"]] == [c["source"] for c in theirs["cells"]]
    with pytest.raises(KeyError, match=r"no problem set 'ps99'; it has: .*ps5"):
        load_manifest("ps99")


def test_a_good_notebook_has_nothing_to_look_at() -> None:
    result = looked_at(filled(), name=PurePath("ada_ps5.ipynb"))
    assert (result.problem_set, result.level) == ("ps5", Level.FINE)
    assert sentences(result, Level.FINE) == ["Its name says ada and ps5."]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ps5.ipynb", "doesn't say whose"),
        ("Untitled3.ipynb", "doesn't say whose"),
        ("ada_ps5.pdf", "doesn't say whose"),
        ("ada_ps99.ipynb", "It is called ps99, and it is ps5."),
    ],
)
def test_wrong_names(name: str, words: str) -> None:
    for problem_set in ("ps5", ""):
        result = looked_at(filled(), name=PurePath("/home/me", name), problem_set=problem_set)
        (remark,) = result.remarks
        assert result.problem_set == "ps5"
        assert words in remark.sentence
        assert "yourid_ps5.ipynb" in remark.advice


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<html>", "web page"),
        (to_bytes(filled())[:-99], "cut off"),
        (to_bytes({"cells": [markdown("# Chapter"), code("import torch")]}), "not a notebook of"),
    ],
)
def test_what_can_not_be_graded(data: bytes, words: str) -> None:
    result = examine(data, problem_set="ps5")
    assert result.level is Level.STOP
    assert words in sentences(result)[0]


def test_a_notebook_of_no_set() -> None:
    result = examine(to_bytes({"cells": [markdown("# Chapter")]}))
    assert (result.problem_set, result.level) == ("", Level.STOP)
    assert "none of the problem sets" in sentences(result)[0]


@pytest.mark.parametrize("name", manifest_names())
def test_every_set_is_known_by_what_is_in_it(name: str) -> None:
    data = to_bytes(load_manifest(name))
    assert examine(data, run=False).problem_set == name
    for other in set(manifest_names()) - {name}:
        result = examine(data, problem_set=other, run=False)
        assert result.level is Level.STOP
        assert result.remarks[0].advice == f"It is {name}."


def test_what_costs_points() -> None:
    notebook = filled()
    for name in ("task1", "task8"):
        cell(notebook, name)["source"] = text(cell(RELEASE, name))
    half = ANSWERS["task3"].rpartition("return")[0] + STUB
    cell(notebook, "task3")["source"] = half
    cell(notebook, "task2")["source"] = "def optimal_discriminator(a, b)\n    return a"
    del notebook["cells"][at(notebook, "task4")]
    del notebook["cells"][at(notebook, "task4-visible")]
    notebook["cells"].append(copy.deepcopy(cell(notebook, "task6")) | {"id": "x"})
    notebook["cells"][-1]["source"] += "# again"
    cell(notebook, "imports")["source"] += "\nimport os"
    cell(notebook, "task5")["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "x" * 11 * 2**20}
    ]
    result = looked_at(notebook)
    assert sorted(sentences(result)) == sorted(
        [
            "There is no answer to task4: its cell is missing.",
            "The cell imports was changed; it counts as it was given, and what was added to it "
            "is taken for a cell of your own.",
            "Several cells answer task6; the last one that is written counts.",
            "Not written yet: task1, task8.",
            "Not finished in task3: criterion.",
            "There is an error of syntax in the cell task2.",
            "Its outputs take 11 MB.",
        ]
    )
    fine = set(sentences(result, Level.FINE)) - set(sentences(result))
    assert fine == {"The check cell task4-visible is missing; it is put back for grading."}
    assert result.level is Level.LOOK


def test_cells_run_as_they_will_when_graded() -> None:
    result = rehearse(
        own(
            code("import os, warnings\nfrom gencourse.grading import running\nx = running()"),
            code("warnings.warn('careful')\nprint('hello')\nx and input('?') == ''"),
            code("from google.colab import drive\ndrive.mount('/x')\n%pip install nothing\n2.5"),
            code("a = 1\nb = a / 0"),
            code("def f(:"),
            code("os.path.exists('ada_ps5.ipynb')"),
            code("b"),
        )
    )
    assert result.stopped == ""
    assert [run.error for run in result.cells] == [
        "",
        "",
        "",
        "ZeroDivisionError: division by zero (line 2)",
        "SyntaxError: invalid syntax (line 1)",
        "",
        "NameError: name 'b' is not defined (line 1)",
    ]
    assert [run.score for run in result.cells] == [None, 1.0, 2.5, None, None, 0.0, None]
    assert result.cells[1].printed.startswith("hello\n")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import time\nwhile True: time.sleep(1)", "still running after 25 seconds"),
        ("import ctypes; ctypes.string_at(0)", "the program ended"),
        (
            "import subprocess, os; subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
            "os._exit(1)",
            "the program ended",
        ),
    ],
)
def test_what_stops_it_is_named(source: str, why: str) -> None:
    seconds = 25 if "25" in why else 180
    started = time.monotonic()
    result = rehearse(own(code("x = 1"), code(source), code("y = 2")), seconds=seconds)
    assert time.monotonic() - started < seconds + 20
    assert [run.name for run in result.cells] == ["own-0"]
    assert result.stopped == "own-1"
    assert why in result.why


def test_the_whole_of_a_blank_notebook_runs(tmp_path: Path) -> None:
    """Through the command, in another folder, with nothing but what a student has."""
    path = tmp_path / "ada_ps5.ipynb"
    path.write_bytes(
        to_bytes(filled(ANSWERS | {"task1": "1 / 0", "task2": text(cell(RELEASE, "task2"))}))
    )
    blocked = ("nbgrader", "nbformat", "nbclient", "nbconvert", "jupyter_client", "yaml")
    guard = tmp_path / "sitecustomize.py"
    guard.write_text(f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n")
    done = subprocess.run(
        [sys.executable, "-m", "gencourse", "check", str(path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "! The cell task1 raises ZeroDivisionError: division by zero (line 1)" in done.stdout
    assert "! Not written yet: task2." in done.stdout
    assert "! task3-visible: 0 of 3 points.\n" in done.stdout
    assert "task2-visible" not in done.stdout  # it is not written yet, which was said
    assert "✓ Its name says ada and ps5." in done.stdout
    assert "It can be handed in as it is" in done.stdout


def test_the_command(tmp_path: Path) -> None:
    def command(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["check", *arguments])
        return result.exit_code, result.output

    path = tmp_path / "ada_ps5.ipynb"
    path.write_bytes(to_bytes(filled()))
    assert command(str(path), "--no-run") == (
        0,
        "✓ Its name says ada and ps5.\nReady to hand in.\n",
    )
    status, said = command(str(path), "--no-run", "--set", "ps99")
    assert status == 2
    assert said.startswith("this version of the course has no problem set 'ps99'; it has: ")
    status, said = command(str(tmp_path / "none.ipynb"))
    assert status == 2
    assert "can't be read: No such file" in said
    path.write_bytes(b"%PDF")
    status, said = command(str(path))
    assert status == 2
    assert "a PDF, not the notebook" in said
    assert "It can't be graded like this." in said
