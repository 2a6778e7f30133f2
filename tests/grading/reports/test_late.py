"""The penalty for lateness, against the rule in words, and through nbgrader's own preprocessor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from gradebooks import add_hand_in, new_gradebook
from hypothesis import given
from hypothesis import strategies as st
from nbgrader.preprocessors import AssignLatePenalties
from traitlets import TraitError
from traitlets.config import Config

from gencourse.grading.reports.late import LatePolicy
from gencourse.grading.reports.times import times_of

MINUTE, HOUR, DAY = 60, 3600, 86_400


def policy(**traits: object) -> LatePolicy:
    return LatePolicy(
        **{"grace_minutes": 15.0, "percent_per_day": 10.0, "most_percent": 50.0} | traits
    )


@pytest.mark.parametrize(
    ("late", "percent"),
    [
        (0, 0),
        (15 * MINUTE, 0),
        (15 * MINUTE + 1, 10),
        (DAY, 10),
        (DAY + 1, 20),
        (4 * DAY + HOUR, 50),
        (100 * DAY, 50),
    ],
)
def test_each_day_begun_costs_and_the_cap_holds(late: float, percent: float) -> None:
    assert policy().percentage(late) == percent
    expected = None if percent == 0 else 0.8 * percent
    assert policy().late_submission_penalty("ada", 80.0, late) == expected


def test_without_a_rule_nothing_is_taken_off() -> None:
    assert LatePolicy().late_submission_penalty("ada", 80.0, 30 * DAY) is None


@given(
    st.floats(0, 1e7), st.floats(0, 1e7), st.floats(0, 1000), st.floats(0, 100), st.floats(0, 100)
)
def test_later_never_costs_less_nor_more_than_the_cap(
    a: float, b: float, grace: float, day: float, most: float
) -> None:
    rule = policy(grace_minutes=grace, percent_per_day=day, most_percent=most)
    sooner, later = sorted((a, b))
    assert 0 <= rule.percentage(sooner) <= rule.percentage(later) <= most


@pytest.mark.parametrize(
    "wrong",
    [
        {"percent_per_day": 101},
        {"most_percent": -1},
        {"grace_minutes": -0.5},
        {"percent_of": "all"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TraitError):
        policy(**wrong)


@pytest.mark.parametrize(("percent_of", "penalty"), [("reached", 12.0), ("possible", 20.0)])
def test_nbgrader_stores_the_penalty(books: Path, percent_of: str, penalty: float) -> None:
    due = datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None)
    with new_gradebook(books, {"task": 100.0}, duedate=due) as gradebook:
        add_hand_in(gradebook, "ada", {"task": 60.0}, timestamp=due + timedelta(hours=25))
    config = Config()
    config.LatePolicy.update({"percent_per_day": 10, "percent_of": percent_of})
    step = AssignLatePenalties(plugin_class=LatePolicy, config=config)
    about = {
        "notebook": "ps5",
        "assignment": "ps5",
        "student": "ada",
        "db_url": f"sqlite:///{books / 'gradebook.db'}",
    }
    step.preprocess(nbformat.v4.new_notebook(), {"nbgrader": about})
    with new_gradebook(books) as gradebook:
        submission = gradebook.find_submission("ps5", "ada")
        assert submission.late_submission_penalty == penalty


def test_times_come_from_a_table(tmp_path: Path) -> None:
    assert times_of(tmp_path, "ps5") == {}
    (tmp_path / "rosters").mkdir()
    table = tmp_path / "rosters" / "ps5-times.csv"
    table.write_text(
        "student,section,time\nada,A,2026-11-25 23:58+01:00\nbob,A,\ncyd,B,2026-11-26T10:00:00Z\n",
        encoding="utf-8-sig",
    )
    assert times_of(tmp_path, "ps5") == {
        "ada": "2026-11-25 22:58:00 UTC",
        "cyd": "2026-11-26 10:00:00 UTC",
    }
    table.write_text("student,time\nada,last Tuesday\n")
    with pytest.raises(ValueError, match="line 2: 'last Tuesday' is no time"):
        times_of(tmp_path, "ps5")
    table.write_text("name,when\n")
    with pytest.raises(ValueError, match="needs a column 'student'"):
        times_of(tmp_path, "ps5")
