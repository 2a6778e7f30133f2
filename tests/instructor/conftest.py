"""A copy of the course to grade in, and the pieces that several of these tests need."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
for folder in ("tools", "tests/colab"):
    sys.path.insert(0, str(ROOT / folder))


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of its own: configuration, sources and releases, no hand-ins, no grades."""
    folder = tmp_path / "course"
    for name in ("solutions", "assignments"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    return folder


@pytest.fixture
def own_jupyter(tmp_path: Path) -> dict[str, str]:
    """An environment without the settings of whoever runs the tests."""
    environment = dict(os.environ)
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        environment[name] = str(tmp_path / name.lower())
    for name in ("GENCOURSE_GRADING", "GENCOURSE_COURSE", "GENCOURSE_GRADING_SEED"):
        environment.pop(name, None)
    return environment
