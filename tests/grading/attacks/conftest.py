"""Batches that many tests look at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from batching import Batch, grade, group


@pytest.fixture(scope="session")
def batch_of() -> Callable[[str], Batch]:
    """Grade a group of the corpus the first time it is asked for."""
    batches: dict[str, Batch] = {}

    def get(name: str) -> Batch:
        if name not in batches:
            batches[name] = grade(group(name))
        return batches[name]

    return get
