"""The last cell of a problem set, in Jupyter, in Colab, and where nobody answers."""

from __future__ import annotations

import builtins
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from filled import ANSWERS, cell, filled, markdown, to_bytes

from gencourse.grading.handin import hand_in
from gencourse.grading.handin.check import LARGE_OUTPUTS
from gencourse.grading.handin.last_cell import own_notebook, without_large_outputs
from gencourse.grading.handin.manifests import load_manifest
from gencourse.grading.handin.mend import rebuild


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.delenv("GENCOURSE_GRADING", raising=False)


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let ``input`` give these answers, and then raise; return what it is asked."""
    asked: list[str] = []
    left = list(answers)

    def answer(prompt: str) -> str:
        asked.append(prompt)
        if not left:
            raise EOFError
        return left.pop(0)

    monkeypatch.setattr(builtins, "input", answer)
    return asked


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Colab's page, which has a notebook and takes downloads."""
    page = types.SimpleNamespace(notebook=filled(), downloads=[], broken=False)

    def blocking_request(kind: str, request: Any = "", timeout_sec: float = 5) -> dict[str, Any]:
        assert (kind, request) == ("get_ipynb", "")
        if page.broken:
            raise TimeoutError
        return {"ipynb": json.loads(json.dumps(page.notebook))}

    package = types.ModuleType("google.colab")
    package._message = types.SimpleNamespace(blocking_request=blocking_request)  # type: ignore[attr-defined]
    package.files = types.SimpleNamespace(download=page.downloads.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    return page


def test_colab_sends_its_page_and_takes_the_file(
    colab: types.SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = answering(monkeypatch, "ada lovelace", " ada ")
    hand_in("ps5", run=False)
    assert asked == ["Your student id: "] * 2
    (path,) = colab.downloads
    assert Path(path).name == "ada_ps5.ipynb"
    assert json.loads(Path(path).read_bytes()) == colab.notebook
    said = capsys.readouterr().out
    assert "'ada lovelace' can't be a student id" in said
    assert "Hand in this file" in said


def test_colab_that_does_not_answer(
    colab: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    colab.broken = True
    Path("ada_ps5.ipynb").write_bytes(to_bytes(filled()))  # of an earlier session
    hand_in("ps5")
    assert "gencourse check yourid_ps5.ipynb" in capsys.readouterr().out
    assert colab.downloads == []


def test_jupyter_says_which_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Path("work.ipynb").absolute()
    work.write_bytes(to_bytes(filled()))
    mine = Path("ada_ps5.ipynb")
    mine.write_bytes(b"precious")  # not the notebook that is handed in
    monkeypatch.setenv("JPY_SESSION_NAME", str(work))
    answering(monkeypatch, "ada")
    hand_in("ps5", run=False)
    assert mine.read_bytes() == b"precious"
    assert Path("hand-in", "ada_ps5.ipynb").read_bytes() == work.read_bytes()
    said = capsys.readouterr().out
    assert "work.ipynb, as it was saved at" in said
    assert "hand-in" in said


def test_a_file_under_its_right_name_is_handed_in_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("ada_ps5.ipynb").absolute()
    path.write_bytes(to_bytes(filled()))
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    asked = answering(monkeypatch)
    hand_in("ps5", run=False)
    assert asked == []
    assert f"Hand in this file: {path}\n" in capsys.readouterr().out
    assert not Path("hand-in").exists()


def test_where_nothing_says_the_file_the_newest_of_the_set_is_taken() -> None:
    assert own_notebook("ps5") is None
    for name, notebook, when in (
        ("old.ipynb", filled({}), 1),
        ("mine.ipynb", filled(), 2),
        ("other.ipynb", {"cells": [markdown("x")]}, 3),
    ):
        Path(name).write_bytes(to_bytes(notebook))
        os.utime(name, (when, when))
    own = own_notebook("ps5")
    assert own is not None
    assert own.path is not None
    assert own.path.name == "mine.ipynb"


def test_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("work.ipynb").write_bytes(to_bytes(filled(ANSWERS | {"task8": ""})))
    answering(monkeypatch)
    hand_in("ps5", run=False)
    said = capsys.readouterr().out
    assert "! Not written yet: task8." in said
    assert "call the file yourid_ps5.ipynb" in said
    assert not Path("hand-in").exists()


def test_another_notebook_is_not_offered(
    colab: types.SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    colab.notebook = {"cells": [markdown("# A chapter")]}
    hand_in("ps5", "ada")
    assert "✗ This is not a notebook of ps5" in capsys.readouterr().out
    assert colab.downloads == []


@pytest.mark.parametrize("student", ["", "../x", "ada lovelace", "a/b", "a+b", "-a", "a\0"])
def test_ids_that_are_none(student: str, colab: types.SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="can't be a student id"):
        hand_in("ps5", student or " ", run=False)
    assert colab.downloads == []


def test_nothing_happens_while_grading(
    monkeypatch: pytest.MonkeyPatch, colab: types.SimpleNamespace
) -> None:
    monkeypatch.setenv("GENCOURSE_GRADING", "1")
    colab.broken = True
    asked = answering(monkeypatch)
    hand_in("ps5")
    assert asked == []


def test_outputs_too_large_to_upload_stay_behind(colab: types.SimpleNamespace) -> None:
    small = {"output_type": "stream", "name": "stdout", "text": "small"}
    large = {"output_type": "stream", "name": "stdout", "text": "x" * LARGE_OUTPUTS}
    cell(colab.notebook, "task1")["outputs"] = [small]
    assert without_large_outputs(to_bytes(colab.notebook)) == to_bytes(colab.notebook)
    cell(colab.notebook, "task2")["outputs"] = [large]
    hand_in("ps5", "ada", run=False)
    data = Path(colab.downloads[0]).read_bytes()
    assert len(data) < LARGE_OUTPUTS
    notebook = json.loads(data)
    assert cell(notebook, "task1")["outputs"] == [small]
    assert cell(notebook, "task2")["outputs"] == []
    manifest = load_manifest("ps5")
    assert rebuild(data, manifest).notebook == rebuild(to_bytes(filled()), manifest).notebook


PAGE = """
import json, sys, types
package = types.ModuleType("google.colab")
page = json.load(open("ps5.ipynb"))
package._message = types.SimpleNamespace(
    blocking_request=lambda kind, request="", timeout_sec=5: {"ipynb": page})
package.files = types.SimpleNamespace(download=lambda path: print("downloading", path))
sys.modules["google.colab"] = package
"""


@pytest.mark.slow
def test_in_a_kernel_as_a_student_runs_it(tmp_path: Path) -> None:
    from jupyter_client.manager import start_new_kernel

    Path("ps5.ipynb").write_bytes(to_bytes(filled()))
    source = cell(filled(), "hand-in-check")["source"]
    environment = {**os.environ, "JPY_SESSION_NAME": str(Path("ps5.ipynb").absolute())}
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=environment)
    try:

        def run(code: str, answer: str | None) -> tuple[str, str]:
            printed: list[str] = []

            def show(message: dict[str, Any]) -> None:
                content = message["content"]
                printed.append(content.get("text") or str(content.get("data", "")))

            reply = client.execute_interactive(
                code,
                allow_stdin=answer is not None,
                stdin_hook=lambda message: client.input(answer),
                output_hook=lambda m: (
                    show(m) if m["msg_type"] in ("stream", "display_data") else None
                ),
                timeout=120,
            )
            return reply["content"]["status"], "".join(printed)

        status, said = run(source, None)
        assert status == "ok"
        assert "ps5.ipynb, as it was saved at" in said
        assert "✓ It runs from top to bottom.\n" in said
        assert "Visible checks: " in said
        assert "call the file yourid_ps5.ipynb" in said
        status, said = run(source.replace(")", ", run=False)"), "ada")
        assert status == "ok"
        assert f"Hand in this file: {tmp_path / 'hand-in' / 'ada_ps5.ipynb'}" in said
        assert "hand-in/ada_ps5.ipynb" in said.split("Hand in this file")[1]  # a link
        assert run(PAGE, None)[0] == "ok"
        status, said = run(source.replace(")", ", run=False)"), "emmy")
        assert status == "ok"
        assert "downloading hand-in/emmy_ps5.ipynb" in said
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert {p.name for p in Path("hand-in").iterdir()} == {"ada_ps5.ipynb", "emmy_ps5.ipynb"}
