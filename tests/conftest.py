"""What all tests share: one thread each, the CPU unless asked otherwise, and no surprises."""

from __future__ import annotations

import os
from collections import Counter

# Before torch is imported. Tests run side by side, and more threads would only wait for each
# other; numbers are then also the same on every machine. GENCOURSE_DEVICE=cuda runs them there.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GENCOURSE_DEVICE", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from _pytest.terminal import TerminalReporter
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


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print how many answers to each problem set were tried, and how many were misjudged."""
    tried: Counter[tuple[str, str]] = Counter()
    misjudged: Counter[tuple[str, str]] = Counter()
    tasks: dict[str, set[str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, value in getattr(report, "user_properties", []):
                if key == "answer" and report.when == "call":
                    name, task, kind = value
                    tasks.setdefault(name, set()).add(task)
                    tried[name, kind] += 1
                    misjudged[name, kind] += outcome == "failed"
    if not tried:
        return
    terminalreporter.section("answers to the problem sets")
    row = "{:<10} {:>5} {:>13} {:>14} {:>13} {:>14}".format
    heads = ("set", "tasks", "right answers", "false rejects", "wrong answers", "false accepts")
    terminalreporter.write_line(row(*heads))
    for name in sorted(tasks):
        numbers = [count[name, k] for k in ("right", "wrong") for count in (tried, misjudged)]
        terminalreporter.write_line(row(name, len(tasks[name]), *numbers))
