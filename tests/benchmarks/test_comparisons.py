"""The two sides of every comparison in benchmarks/ do the same, on small inputs."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

for package in ("zuko", "torchdiffeq", "torchmetrics", "torch_fidelity", "prdc"):
    pytest.importorskip(package)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import growth, harness, report
from benchmarks.__main__ import main

SMALL = harness.Options(rounds=2, small=True)


@pytest.mark.parametrize("theme", report.COMPARED)
def test_both_sides_agree(theme: str) -> None:
    torch.manual_seed(0)
    comparisons = list(importlib.import_module(f"benchmarks.{theme}").comparisons(SMALL))
    assert len(comparisons) >= 2
    for comparison in comparisons:
        assert comparison.peers
        assert comparison.difference() <= comparison.tolerance


def sleepy(difference: float) -> harness.Comparison:
    """Work that takes a thousand products of matrices beside one, with results this far apart."""
    a = torch.ones(64, 64)
    return harness.Comparison(
        work="products",
        ours=lambda: [a @ a for _ in range(50)],
        peers={"slow": lambda: [a @ a for _ in range(1000)]},
        difference=lambda: difference,
        tolerance=1e-6,
        aim={"": 2},
    )


def test_a_comparison_tells_the_ratio() -> None:
    (row,) = harness.measure(sleepy(0.0), SMALL)
    assert 5 < row["ratio"] < 80
    assert row["lowest"] <= row["ratio"] <= row["highest"]
    assert row["aim"] == 2


@pytest.mark.parametrize("difference", [1e-3, float("nan")])
def test_nothing_is_timed_that_differs(difference: float) -> None:
    with pytest.raises(harness.Disagreement, match="products"):
        harness.measure(sleepy(difference), SMALL)


def test_peak_memory() -> None:
    """A tensor of 64 MB that is gone in the end has been there."""
    cpu = torch.device("cpu")
    used = harness.peak_memory(lambda: torch.ones(16, 2**20).sum(), cpu)
    if used == used:  # where the system tells
        assert 60 < used < 80
        assert harness.peak_memory(lambda: None, cpu) < 5


def test_exponents() -> None:
    sizes = [10, 20, 50, 100, 1000]
    assert growth.exponent(sizes, [3.0 * n**2 for n in sizes]) == pytest.approx(2)
    assert growth.exponent(sizes, [0.0] * 5) is None
    assert growth.exponent([10], [1.0]) is None


def test_the_runner_writes_a_table(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        main(["transport", "--small", "--rounds", "2", "--out", str(tmp_path)])
    finally:
        torch.set_num_threads(threads)
    written = json.loads((tmp_path / "cpu-transport.json").read_text(encoding="utf-8"))
    assert written["machine"]["cores"] >= 1
    assert len(written["rows"]) == 2
    text = (tmp_path / "cpu.md").read_text(encoding="utf-8")
    assert "| sliced W2, 50 points, 10 projections | POT |" in text
    figure = report.plot_ratios(report.load("cpu", tmp_path))
    assert len(figure.axes[0].get_yticks()) == 2
    with pytest.raises(SystemExit):
        main(["no-such-theme", "--out", str(tmp_path)])


def test_what_is_committed_can_be_shown() -> None:
    results = report.load()
    text = report.table(results)
    for row in report.compared(results):
        assert row["work"] in text
    if "growth" in results:
        assert report.plot_growth(results).axes
