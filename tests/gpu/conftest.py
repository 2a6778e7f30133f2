"""The small settings of every system, which the tests of models keep, and the devices."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test on the CPU, and once more on a GPU of CUDA if there is one."""
    monkeypatch.delenv("GENCOURSE_DEVICE", raising=False)
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA GPU")
    return request.param


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget what was compiled, and count anew."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()
