"""Every hand-in of the corpus gets what is right for it, when all are graded in one batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from batching import Batch, group
from corpus import CASES, Case
from corpus_case import BREACH
from small_course import SECRETS

pytestmark = pytest.mark.xdist_group("attacks")

BatchOf = Callable[[str], Batch]


def right(batch: Batch, case: Case) -> None:
    """Assert that a hand-in got its points, its sentences, and nothing it must not have."""
    row = batch.rows.get(case.name)
    assert row is not None, f"no row; printed:\n{batch.printed[-3000:]}"
    page, text = batch.page(case.name), batch.text(case.name)
    if case.points is None:
        assert (row["status"], row["score"]) == ("needs review", "")
    else:
        assert row["status"] == "graded", text or batch.printed[-3000:]
        assert float(row["score"]) == case.points, text
        assert float(row["max_score"]) == 10
        for sentence in case.says:
            assert sentence.lower() in text.lower(), text
    for where in (page, text, batch.graded_notebook(case.name)):
        assert BREACH not in where, [x for x in where.splitlines() if BREACH in x][:5]
    for secret in SECRETS:
        assert secret not in text
    assert "steal()</script>" not in page
    assert len(page) < 3_000_000


@pytest.mark.parametrize("name", [c.name for c in group("honest")])
def test_honest(batch_of: BatchOf, name: str) -> None:
    right(batch_of("honest"), CASES[name])


@pytest.mark.parametrize("name", [c.name for c in group("forging")])
def test_forging(batch_of: BatchOf, name: str) -> None:
    right(batch_of("forging"), CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [c.name for c in group("limits")])
def test_limits(batch_of: BatchOf, name: str) -> None:
    right(batch_of("limits"), CASES[name])
