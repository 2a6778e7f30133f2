"""The recorded comparison: complete, and what training gives."""

from __future__ import annotations

import pytest
import torch

import gencourse
from gencourse import tables


def test_every_system_that_learns_points_has_a_row_and_samples() -> None:
    table, samples = tables.comparison("ring8"), tables.comparison_samples("ring8")
    expected = [s.slug for s in gencourse.systems() if "points" in s.kinds]
    assert list(table.index) == expected == list(samples)
    assert all(x.shape == (400, 2) and x.isfinite().all() for x in samples.values())
    assert (table["seconds"] >= 0).all()
    assert table[["w1", "quality", "modes"]].notna().all().all()
    has_density = [s.slug for s in gencourse.systems() if "points" in s.kinds and s.has_log_prob]
    assert set(table.index[table["nll"].notna()]) == set(has_density)
    assert "seed 0" in table.attrs["caption"]


@pytest.mark.parametrize("slug", ["histogram", "gmm", "cholesky"])
def test_a_row_can_be_had_again(slug: str) -> None:
    """The same seed gives the same model; other processors add in another order."""
    data = gencourse.data.load("ring8")
    model = gencourse.build(slug, data, seed=0, device="cpu")
    model.fit(data, seed=0, progress=False)
    found = gencourse.evaluate(model, data, n=2048, seed=0)
    row = tables.comparison("ring8").loc[slug]
    for name in ("w1", "quality", "nll"):
        assert found[name] == pytest.approx(row[name], rel=0.02, abs=2e-3), name


def test_the_samples_are_those_that_were_measured() -> None:
    """The share of the 400 that is kept within three deviations, by the binomial law."""
    data = gencourse.data.load("ring8")
    assert data.modes is not None
    table = tables.comparison("ring8")
    for slug, x in tables.comparison_samples("ring8").items():
        near = (torch.cdist(x, data.modes).amin(1) < 3 * float(data.mode_std)).float().mean().item()
        q = table.loc[slug, "quality"]
        assert near == pytest.approx(q, abs=5 * (max(q * (1 - q), 1e-3) / 400) ** 0.5 + 0.01), slug


def test_unknown_data_are_named() -> None:
    with pytest.raises(KeyError, match="ring8"):
        tables.comparison("ring9")
