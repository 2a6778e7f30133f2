"""The first cell of a notebook makes a bare machine ready, as on Colab."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nbformat
import pytest
from bare import ROOT, build_wheel, make_bare, printed, run_notebook

import gencourse

NOTEBOOKS = sorted([*ROOT.glob("assignments/*/*.ipynb"), *ROOT.glob("book/*.ipynb")])


@pytest.mark.slow
def test_it_installs_the_course_once_and_says_what_it_found(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "wheel")
    python = make_bare(tmp_path)
    missing = subprocess.run([python, "-c", "import gencourse"], capture_output=True, cwd=tmp_path)
    assert b"No module named 'gencourse'" in missing.stderr
    query = [python, "-c", "import torch; print(torch.__version__, torch.__file__)"]
    before = subprocess.run(query, check=True, capture_output=True, cwd=tmp_path).stdout

    source = nbformat.read(NOTEBOOKS[0], as_version=4).cells[1].source
    cells = [nbformat.v4.new_code_cell(source) for _ in range(2)]
    # The second run finds the course installed; it could not install this.
    cells[1].source = "os.environ['GENCOURSE_INSTALL'] = '/nowhere.whl'\n" + source
    notebook = nbformat.v4.new_notebook(cells=cells)
    run_notebook(notebook, python, tmp_path, f"--no-index '{wheel}'")
    for cell in notebook.cells:
        assert printed(cell).startswith(f"gencourse {gencourse.__version__}, torch ")

    assert subprocess.run(query, check=True, capture_output=True, cwd=tmp_path).stdout == before
    where = "import gencourse; print(gencourse.__file__)"
    found = subprocess.run([python, "-c", where], check=True, capture_output=True, cwd=tmp_path)
    assert str(tmp_path).encode() in found.stdout  # and not this tree


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_begins_with_button_and_set_up(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    title, first = notebook.cells[:2]
    where = path.relative_to(ROOT).as_posix()
    assert "https://colab.research.google.com/github/" in title.source
    assert title.source.split("colab-badge.svg")[1].splitlines()[0].endswith(f"/{where})")
    assert first.cell_type == "code"
    assert "setup" in first.metadata.tags
    assert f'"{gencourse.__version__}"' in first.source
    compile(first.source, str(path), "exec")
