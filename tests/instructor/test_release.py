"""assignments/ is what solutions/ gives, and nothing in it is the instructor's."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import release
import setup_cell
from leaks import find_leaks
from notebook_cells import ROOT, source
from notebook_cells import release as released

from gencourse.grading.handin.manifests import to_manifest


@pytest.mark.parametrize("name", release.problem_sets())
def test_the_release_is_up_to_date(name: str) -> None:
    committed = (ROOT / "assignments" / name / f"{name}.ipynb").read_bytes()
    assert committed == release.release(name), "run: make release"
    manifest = ROOT / "gencourse" / "grading" / "manifests" / f"{name}.json"
    assert manifest.read_bytes() == to_manifest(json.loads(committed)), "run: make release"


@pytest.mark.parametrize("name", release.problem_sets())
def test_the_release_has_the_signatures_and_the_prose_of_the_source(name: str) -> None:
    def heads(code: str) -> list[str]:
        return [
            f"{ast.unparse(node.args)} {ast.get_docstring(node)}"
            for node in ast.parse(code).body
            if isinstance(node, ast.FunctionDef)
        ]

    for given, kept in zip(source(name).cells, released(name).cells, strict=True):
        assert given.id == kept.id
        if given.metadata.nbgrader.solution and given.cell_type == "code":
            assert heads(given.source) == heads(kept.source) != []
        elif given.cell_type == "markdown" and "MARK SCHEME" not in given.source:
            assert given.metadata.nbgrader.solution or given.source == kept.source


@pytest.mark.parametrize("name", release.problem_sets())
def test_no_cell_is_longer_than_a_screen(name: str) -> None:
    for cell in released(name).cells:
        assert len(cell.source.splitlines()) <= 50, cell.id


def test_assignments_do_not_leak() -> None:
    assert find_leaks(ROOT / "assignments", ROOT / "solutions") == []


def test_set_up_cells_are_up_to_date() -> None:
    stale = [path for path in setup_cell.notebooks() if setup_cell.apply(path, check=True)]
    assert stale == [], "run: python tools/setup_cell.py"


def test_check_says_what_is_stale_and_writes_nothing(course: Path, tmp_path: Path) -> None:
    for folder in ("tools", "gencourse"):
        shutil.copytree(
            ROOT / folder, course / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    assignment = course / "assignments" / "ps5" / "ps5.ipynb"

    def tool(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(course / "tools" / "release.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    changed = assignment.read_text(encoding="utf-8").replace("Value of the game", "Value", 1)
    assignment.write_text(changed, encoding="utf-8")
    stale = tool("--check")
    assert stale.returncode == 1
    assert "out of date: assignments/ps5/ps5.ipynb" in stale.stdout
    assert assignment.read_text(encoding="utf-8") == changed
    assert tool("ps5").stdout == "wrote: assignments/ps5/ps5.ipynb\n"
    assert assignment.read_bytes() == (ROOT / assignment.relative_to(course)).read_bytes()
    unknown = tool("ps99")
    assert unknown.returncode == 2
    known = ", ".join(release.problem_sets())
    assert f"no problem set 'ps99'; there are: {known}" in unknown.stderr
    assert not (course / "gradebook.db").exists()
    assert sorted(p.name for p in (course / "assignments" / "ps5").iterdir()) == ["ps5.ipynb"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda cells: cells[5]["metadata"].pop("nbgrader"), "no nbgrader entry"),
        (lambda cells: cells[5]["metadata"]["nbgrader"].update(grade_id="x"), "use one name"),
        (lambda cells: cells.append({**cells[5], "id": "x"}), "two cells are called task1"),
        (lambda cells: cells[6].update(source="task.score()\nprint()"), "must end with"),
        (lambda cells: cells[6].update(execution_count=1), "has outputs"),
        (lambda cells: cells.pop(), 'code that calls hand_in("ps5")'),
    ],
)
def test_a_source_that_is_not_fit_is_explained(damage, words, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    notebook = json.loads((ROOT / "solutions" / "ps5" / "ps5.ipynb").read_text(encoding="utf-8"))
    damage(notebook["cells"])
    path = tmp_path / "ps5.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert words in "; ".join(release.lint(path))


def test_the_address_comes_from_one_place(tmp_path: Path) -> None:
    config = "repository:\n  url: https://github.com/someone/their-course/\n  branch: public\n"
    (tmp_path / "_config.yml").write_text(config)
    (tmp_path / "book").mkdir()
    path = tmp_path / "book" / "gan.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# A title\n\nSome text.", id="a")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert setup_cell.apply(path, tmp_path)
    assert not setup_cell.apply(path, tmp_path)  # the second time there is nothing to do
    title, setup = nbformat.read(path, as_version=4).cells
    where = "someone/their-course/blob/public/book/gan.ipynb"
    assert f"https://colab.research.google.com/github/{where})" in title.source
    assert title.source.startswith("# A title\n\n[![Open in Colab]")
    assert title.source.endswith("Some text.")
    assert "git+https://github.com/someone/their-course@v" in setup.source

    (tmp_path / "_config.yml").write_text("repository:\n  url: https://gitlab.com/a/b\n")
    with pytest.raises(ValueError, match="Colab opens notebooks from GitHub"):
        setup_cell.apply(path, tmp_path)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    (tmp_path / "_config.yml").write_text(config)
    with pytest.raises(ValueError, match="begin with '# Title'"):
        setup_cell.apply(path, tmp_path)
