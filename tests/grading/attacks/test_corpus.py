"""Every hand-in of the corpus gets what is right for it, when all are graded in one batch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from batching import Batch, group
from corpus import CASES, Case
from corpus_case import BREACH
from small_course import NAME, SECRETS

pytestmark = pytest.mark.xdist_group("attacks")

BatchOf = Callable[[str], Batch]


# Anything that a browser would run or fetch.
_ACTIVE = re.compile(
    r"<(script|iframe|object|embed|form|link|base)\b|<[^>]*\son\w+\s*=|javascript:|http-equiv=.?refresh"
    r"|<(img|source)\b[^>]*\bsrc\s*=\s*.?(?!data:image/|.?data:image/)\w",
    re.IGNORECASE,
)
#: Whom a platform's file name means, where that is not the name of the case.
STUDENTS = {"ada-lovelace": "Ada-Lovelace"}


def shown(name: str) -> str:
    """A name without what a terminal would take for more than letters."""
    return name.encode("unicode_escape").decode() if not name.isprintable() else name


def right(batch: Batch, case: Case) -> None:
    """Assert that a hand-in got its points, its sentences, and nothing it must not have."""
    student = STUDENTS.get(case.name, case.name)
    row = batch.rows.get(student)
    assert row is not None, f"no row; printed:\n{batch.printed[-3000:]}"
    page, text = batch.page(student), batch.text(student)
    if case.points is None:
        assert (row["status"], row["score"]) == ("needs review", "")
    else:
        assert row["status"] == "graded", text or batch.printed[-3000:]
        assert float(row["score"]) == case.points, text
        assert float(row["max_score"]) == 10
        for sentence in case.says:
            assert sentence.lower() in text.lower(), text
    for where in (page, text, batch.graded_notebook(student)):
        assert BREACH not in where, [x for x in where.splitlines() if BREACH in x][:5]
    for secret in SECRETS:
        assert secret not in text
    assert not _ACTIVE.search(page), _ACTIVE.search(page)
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


@pytest.mark.parametrize("name", [c.name for c in group("files") if c.points is not None])
def test_files_as_they_come(batch_of: BatchOf, name: str) -> None:
    right(batch_of("files"), CASES[name])


@pytest.mark.parametrize("name", [c.name for c in group("files") if c.points is None])
def test_files_that_a_person_must_see(batch_of: BatchOf, name: str) -> None:
    """They are named in what is printed, with a reason, and nobody gets a 0 for them."""
    batch, case = batch_of("files"), CASES[name]
    printed = " ".join(batch.printed.split())
    for path in case.files:
        told = Path(path).name.partition(f"_{NAME}")[0]
        assert shown(told)[:8] in printed
    row = batch.rows.get(name)
    if row is not None:
        assert (row["status"], row["score"]) == ("needs review", "")
    assert not [r for r in batch.rows.values() if r["status"] != "needs review" and not r["score"]]


def test_nothing_is_written_where_a_zip_points(batch_of: BatchOf) -> None:
    course = batch_of("files").course
    for place in (course, *list(course.parents)[:4], Path("/tmp")):
        assert not [p for p in place.iterdir() if "climbed" in p.name]
    assert not [p for p in (course / "submitted").rglob("*") if p.is_symlink()]


def test_names_of_files_reach_the_terminal_as_text(batch_of: BatchOf) -> None:
    printed = batch_of("files").printed
    assert "\x1b]0;" not in printed
    assert "\u202e" not in printed
    assert "\nline_ps99.ipynb: " not in printed
