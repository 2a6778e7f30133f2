"""What these tests have in common: a gradebook without students, and where to find it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def empty_gradebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty gradebook; nbgrader calls ``alembic`` by its bare name to make one."""
    from nbgrader.api import Gradebook

    folder = tmp_path_factory.mktemp("empty")
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        Gradebook(f"sqlite:///{folder / 'gradebook.db'}").close()
    finally:
        os.environ["PATH"] = before
    return folder / "gradebook.db"


@pytest.fixture
def books(empty_gradebook: Path, tmp_path: Path) -> Path:
    """A folder of its own with an empty ``gradebook.db``."""
    folder = tmp_path / "books"
    folder.mkdir()
    shutil.copy(empty_gradebook, folder)
    return folder
