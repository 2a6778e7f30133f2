"""The tools are scripts, not a package: make them importable, and build the site once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built site, which is brought up to date first."""
    # A process of its own: building sets environment variables for its kernels.
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_book.py")], check=True, timeout=540)
    return ROOT / "_build" / "html"
