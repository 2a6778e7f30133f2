"""What all tests share: one thread each, the CPU unless asked otherwise, and no surprises."""

from __future__ import annotations

import os

# Before torch is imported. Tests run side by side, and more threads would only wait for each
# other; numbers are then also the same on every machine. GENCOURSE_DEVICE=cuda runs them there.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GENCOURSE_DEVICE", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import settings

# A loaded machine must not fail a property test that is merely slow.
settings.register_profile("gencourse", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("gencourse")


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name this machine's GPU, or skip; tests that use it carry the mark ``gpu``."""
    import torch

    monkeypatch.delenv("GENCOURSE_DEVICE", raising=False)
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    pytest.skip("this machine has neither a CUDA nor an Apple GPU")
