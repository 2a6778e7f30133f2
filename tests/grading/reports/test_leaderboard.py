"""The leaderboard: in order, under no one's name, and safe whatever is on a card."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat import NotebookNode

from gencourse.grading.reports.leaderboard import (
    entry_of,
    leaderboard_page,
    pseudonym,
    ranked,
    read_entries,
)
from gencourse.grading.samples import Judged, entry_line, pack

pytest.importorskip("nbgrader")
KEY = b"k" * 32
HOSTILE = '"><script>alert(1)</script>', "<img src=x onerror=alert(2)>"


def judged(fid: float) -> Judged:
    own = torch.ones(1000, dtype=torch.bool)
    return Judged(own, 0.0, 0.01, 0.9, 10, 0.8, fid, 0.2)


def graded(
    card: object, points: float = 40.0, fid: float = 3.0, *, text: bool = True
) -> NotebookNode:
    """A graded notebook, as it lies in ``autograded/``."""
    seed = torch.Generator().manual_seed(int(fid))
    images = torch.randint(17, (1000, 1, 8, 8), generator=seed) / 8 - 1
    v4 = nbformat.v4
    answer = v4.new_code_cell(f'SAMPLES = """\n{pack(images)}\n"""' if text else "SAMPLES = made()")
    shown = v4.new_code_cell("task.score()")  # a visible check, in which the student's code printed
    hidden = v4.new_code_cell("print(entry_line(a, b, c))\ntask.score()")
    forged = entry_line(images, judged(0.1), ("forged", "")) + "\n"
    line = "Task: …\n" + entry_line(images, judged(fid), card) + "\n"
    for cell, printed in ((shown, forged), (hidden, line)):
        cell.metadata["nbgrader"] = {"grade": True, "solution": False, "points": 48}
        value = v4.new_output("execute_result", {"text/plain": repr(points)})
        cell.outputs = [v4.new_output("stream", name="stdout", text=printed), value]
    return v4.new_notebook(cells=[answer, shown, hidden])


def test_entries_are_ordered_and_have_names_of_their_own(tmp_path: Path) -> None:
    hand_ins = {
        "ada": graded(("Teapot", "ddpm"), 40, 5),
        "emmy": graded(("teapot", "gmm"), 40, 3),
        "zoe": graded(("Zoë the great", "x"), 48, 9),
        "carl": graded(("Friedrich G.", "x"), 1, 9),
        "otto": graded(None, 12, 9),
    }
    for student, notebook in hand_ins.items():
        folder = tmp_path / "autograded" / student / "capstone"
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / "capstone.ipynb")
    entries = read_entries(
        tmp_path, "capstone", key=KEY, names={"carl": ["Carl Friedrich", "Friedrich"]}
    )
    assert [e.student for e in entries] == ["zoe", "emmy", "ada", "otto", "carl"]
    names = {e.student: e.name for e in entries}
    assert names["emmy"] == "teapot"
    assert names["ada"] == "Teapot 2"
    for student in ("zoe", "carl", "otto"):  # their own, or none: made up
        assert names[student] == pseudonym(student, KEY)
    page = leaderboard_page(entries, "capstone")
    for student in (*hand_ins, "Friedrich"):
        assert not re.search(rf"\b{student}\b", page, re.IGNORECASE)
    assert page.count("data:image/png;base64,") == 5


def test_hostile_cards_are_text() -> None:
    entry = entry_of(graded(HOSTILE), "ada")
    assert entry is not None
    page = leaderboard_page(ranked([entry], key=KEY), "capstone")
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "default-src 'none'" in page
    assert not re.findall(r"""<[^>]+(?:src|href)=["']?(?!["']?data:image/png)""", page)
    entry = entry_of(graded(("a\u202eb\x1b[31m\nc\u0000", "\u2066x\u200f")), "ada")
    assert entry is not None
    assert (entry.name, entry.system) == ("a b [31m c", "x")


def test_what_a_student_prints_is_no_entry() -> None:
    notebook = graded(("Teapot", "ddpm"))
    entry = entry_of(notebook, "ada")
    assert entry is not None
    assert entry.name == "Teapot"
    del notebook.cells[-1]
    assert entry_of(notebook, "ada") is None
    assert entry_of(nbformat.v4.new_notebook(), "ada") is None


def test_without_its_text_an_entry_has_no_images() -> None:
    entry = entry_of(graded(("Teapot", "ddpm"), text=False), "ada")
    assert entry is not None
    assert entry.images is None
    page = leaderboard_page(ranked([entry], key=KEY), "capstone")
    assert "does not hold the images" in page
    assert "Nobody" in leaderboard_page([], "capstone")
