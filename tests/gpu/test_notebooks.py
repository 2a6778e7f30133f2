"""Every chapter and problem set runs where the models are on a GPU, as in Colab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
NOTEBOOKS = [*ROOT.glob("book/*.ipynb"), *ROOT.glob("solutions/*/*.ipynb")]
RUNNER = Path(__file__).with_name("as_notebook.py")


def run(where: str, path: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "GENCOURSE_DEVICE"}
    environment |= {"MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
    command = [sys.executable, str(RUNNER), where, str(path)]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("where", ["pretended", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("path", sorted(NOTEBOOKS), ids=lambda path: path.stem)
def test_a_notebook_runs(where: str, path: Path, tmp_path: Path) -> None:
    if where == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA GPU")
    found = run(where, path, tmp_path)
    assert found.returncode == 0, found.stderr[-3000:]


def test_a_cell_that_mixes_devices_is_told(tmp_path: Path) -> None:
    import nbformat

    cells = ["import torch, gencourse\ndevice = gencourse.device()", "torch.ones(2, device=device)",
             "torch.ones(2, device=device) + torch.ones(2)"]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbformat.write(notebook, tmp_path / "mixed.ipynb")
    found = run("pretended", tmp_path / "mixed.ipynb", tmp_path)
    assert found.returncode == 1
    assert "to be on the same device" in found.stderr
    assert "in code cell 2 of" in found.stderr
