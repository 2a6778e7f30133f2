"""What a notebook knows about where it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gencourse.grading import fresh, reference, running


def test_running_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in ((None, False), ("", False), ("0", False), ("1", True)):
        if value is None:
            monkeypatch.delenv("GENCOURSE_GRADING", raising=False)
        else:
            monkeypatch.setenv("GENCOURSE_GRADING", value)
        assert running() is expected


def test_every_grading_draws_its_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENCOURSE_GRADING_SEED", raising=False)
    draws = {torch.rand((), generator=fresh(), dtype=torch.float64).item() for _ in range(8)}
    assert len(draws) == 8
    monkeypatch.setenv("GENCOURSE_GRADING_SEED", "7")
    assert torch.equal(torch.rand(3, generator=fresh()), torch.rand(3, generator=fresh()))
    monkeypatch.setenv("GENCOURSE_GRADING_SEED", "seven")
    with pytest.raises(ValueError, match="seven"):
        fresh()


def test_students_are_told_kindly_that_references_stay_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GENCOURSE_COURSE", raising=False)
    (tmp_path / "assignments" / "ps5").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "assignments" / "ps5")
    with pytest.raises(LookupError, match=r"stay with the instructor.*visible checks"):
        reference("ps5")


def test_references_are_found_from_the_environment_or_from_below(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "solutions" / "ps0"
    folder.mkdir(parents=True)
    (folder / "reference.py").write_text("import math\ndef f(x):\n    return math.sqrt(x)\n")
    monkeypatch.delenv("GENCOURSE_COURSE", raising=False)
    monkeypatch.chdir(folder)
    assert reference("ps0").f(4) == 2
    monkeypatch.chdir("/")
    monkeypatch.setenv("GENCOURSE_COURSE", str(tmp_path))
    assert reference("ps0").f(9) == 3
    assert not list(folder.glob("__pycache__"))  # nothing is written into the course
