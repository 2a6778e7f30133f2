"""The two sides of every comparison in benchmarks/ do the same, on small inputs."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
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


@pytest.mark.parametrize("theme", ["gan", "flows", "metrics", "transport", "particles"])
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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The runner sets the number of threads."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_the_runner_writes_a_table(tmp_path: Path) -> None:
    main(["transport", "--small", "--rounds", "2", "--out", str(tmp_path)])
    written = json.loads((tmp_path / "cpu-transport.json").read_text(encoding="utf-8"))
    assert written["machine"]["cores"] >= 1
    assert len(written["rows"]) == 2
    text = (tmp_path / "cpu.md").read_text(encoding="utf-8")
    assert "| sliced W2, 50 points, 10 projections | POT |" in text
    assert "POT" in (tmp_path / "cpu-ratios.svg").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["no-such-theme", "--out", str(tmp_path)])


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_growth_imports_and_systems(tmp_path: Path) -> None:
    main(["growth", "imports", "systems", "--small", "--out", str(tmp_path)])
    results = report.load("cpu", tmp_path)
    exact = [r for r in results["growth"]["rows"] if r["work"] == "exact W2"]
    assert [r["variable"] for r in exact] == ["n", "d"]
    assert results["imports"]["rows"][0]["seconds"] < 1
    trained = {r["system"]: r for r in results["systems"]["rows"]}
    assert len(trained) == 5
    assert trained["gmm"]["steps a second"] > 0
    text = (tmp_path / "cpu.md").read_text(encoding="utf-8")
    assert "| `gmm` | ring8 | " in text
    assert "| exact W2 | n = 100 … 200 | n^" in text


@pytest.mark.nightly
@pytest.mark.skipif(not (ROOT / "solutions").is_dir(), reason="this is the tree that students see")
def test_grading_beside_nbgrader() -> None:
    from benchmarks import grading

    one, two, grown = grading.rows(harness.Options(rounds=1, small=True))
    assert one["difference"] == two["difference"] == 0  # the same points for all
    assert one["theirs"] > 0
    assert two["ours"] > 0
    assert grown["variable"] == "hand-ins"
    assert min(grown["megabytes"]) > 0


@pytest.mark.slow
def test_chapters_side_by_side_draw_the_same(tmp_path: Path) -> None:
    from benchmarks import book_build

    (row,) = book_build.rows(SMALL)
    assert row["difference"] == 0
    assert row["ratio"] == row["theirs"] / row["ours"]


def made(compiled: bool | str, **found: object) -> dict[str, object]:
    return {"system": "gan", "data": "ring8", "compiled": compiled, **found}


def test_ways_to_compile_stand_side_by_side() -> None:
    rows = [
        made(False, **{"steps a second": 90.2, "megabytes": 4.1}),
        made("cudagraphs", **{"steps a second": 410.0, "megabytes": 6.4}),
        made(True, error="OutOfMemoryError: none is left"),
    ]
    text = report.trained({"systems": {"rows": rows}})
    assert "| system | data | steps a second | peak MB | with CUDA graphs | peak MB |" in text
    assert "| `gan` | ring8 | 90 | 4 | 410 | 6 | fails |  |" in text
    assert "- `gan`, ring8, compiled: OutOfMemoryError: none is left" in text


def test_what_is_committed_belongs_together(tmp_path: Path) -> None:
    """Tables are those of the numbers beside them, and the book shows all of them."""
    book = (ROOT / "book" / "performance.md").read_text(encoding="utf-8")
    for path in report.RESULTS.glob("*.md"):
        assert path.read_text(encoding="utf-8") == report.table(report.load(path.stem))
        assert f"results/{path.name}" in book
    for path in report.RESULTS.glob("*.svg"):
        assert f"results/{path.name}" in book


def test_the_same_numbers_give_the_same_files(tmp_path: Path) -> None:
    for path in report.RESULTS.glob("cpu-*.json"):
        shutil.copy(path, tmp_path)
    found = []
    for _ in range(2):
        report.write("cpu", tmp_path)
        found.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert found[0] == found[1]
    assert {"cpu.md", "cpu-ratios.svg", "cpu-growth.svg"} <= found[0].keys()
