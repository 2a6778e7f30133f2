"""A bare Python as Colab has it: torch and Jupyter are there, the course is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]


def build_wheel(folder: Path) -> Path:
    """Build the course's wheel from a copy of the tree, leaving the tree as it is."""
    copy = folder / "tree"
    copy.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, copy)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "gencourse", copy / "gencourse", ignore=ignore)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_bare(folder: Path) -> Path:
    """Make an environment that sees every installed package but the course; return its Python."""
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    others = folder / "others"
    others.mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "gencourse" not in package.name.lower() and package.suffix != ".pth":
            (others / package.name).symlink_to(package)
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()
    Path(site, "others.pth").write_text(f"{others}\n")
    return python


def run_notebook(notebook: NotebookNode, python: Path, folder: Path, install: str) -> None:
    """Execute a notebook with that Python, in an empty folder; outputs go into the cells."""
    kernel = folder / "share" / "jupyter" / "kernels" / "bare"
    kernel.mkdir(parents=True, exist_ok=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "bare", "language": "python"})
    )
    work = folder / "work"
    work.mkdir(exist_ok=True)
    # Nothing of the test's own settings: MPLBACKEND, say, would keep figures out of the cells.
    ours = ("GENCOURSE", "PYTHON", "MPL")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment |= {"GENCOURSE_INSTALL": install, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    client = NotebookClient(
        notebook, timeout=300, kernel_name="bare", resources={"metadata": {"path": str(work)}}
    )
    client.km = client.create_kernel_manager()
    client.km.kernel_spec_manager.kernel_dirs = [str(kernel.parent)]
    client.execute(env=environment)


def printed(cell: NotebookNode) -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")
