"""Batches that many tests look at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from batching import Batch, grade, group


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skip where no sandbox can be had: nothing here may run without one."""
    from gencourse.grading.sandbox import NoSandbox, best

    try:
        best()
    except NoSandbox as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def batch_of(sandbox: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Batch]:
    """Grade a group of the corpus the first time it is asked for.

    All but those that wait for limits are graded as one class: attacks beside honest work.
    """
    batches: dict[str, Batch] = {}

    def get(name: str) -> Batch:
        groups = ("limits",) if name == "limits" else ("honest", "forging", "files")
        if groups[0] not in batches:
            batches[groups[0]] = grade(
                tmp_path_factory.mktemp("attacks"), [c for each in groups for c in group(each)]
            )
        return batches[groups[0]]

    return get
