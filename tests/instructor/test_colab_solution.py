"""The release, with the solutions put in, runs on a bare machine from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest
from bare import build_wheel, make_bare, printed, run_notebook
from notebook_cells import answers, handed_in


@pytest.mark.slow
def test_ps5_runs_with_full_marks_on_visible_checks(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "wheel")
    python = make_bare(tmp_path)
    notebook = handed_in("ps5", answers("ps5"))
    run_notebook(notebook, python, tmp_path, f"--no-index '{wheel}'")
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        assert not [o for o in cell.outputs if o.output_type == "error"], cell.id
        if cell.id.endswith("-visible"):
            (result,) = (o for o in cell.outputs if o.output_type == "execute_result")
            assert float(result.data["text/plain"]) == cell.metadata.nbgrader.points
        if cell.id.endswith("-hidden"):
            assert cell.outputs == []
    by_name = {cell.id: cell for cell in notebook.cells}
    # It trains here, and finds most of the ring: the lesson is in what it does not find.
    assert "at the end:" in printed(by_name["train"])
    assert int(printed(by_name["train"]).split()[3]) >= 4
    drawn = [f"task{i}-see" for i in (3, 4, 5, 9, 10, 11, 12)]
    for name in (*drawn, "look-samples", "look-curves"):
        assert any("image/png" in o.get("data", {}) for o in by_name[name].outputs), name
