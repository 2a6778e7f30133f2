"""Names of handed-in files, as students, browsers and learning platforms write them."""

from __future__ import annotations

import contextlib
import unicodedata
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencourse.grading.handin.names import hand_in_name, owner, readable, right_name


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ada_ps5.ipynb", "ada"),
        ("ada_lovelace_ps5.ipynb", "ada_lovelace"),
        ("x/y/1234567_ps5.ipynb", "1234567"),
        ("Copy of ada_ps5.ipynb", "ada"),
        ("Kopie von ada_ps5.ipynb", "ada"),
        ("Copy of Copy of ada_ps5 (1).ipynb", "ada"),
        ("ada_ps5 (1).ipynb", "ada"),
        ("ada_ps5(2).ipynb", "ada"),
        ("ada_ps5-Copy1.ipynb", "ada"),
        ("ada_ps5 - Copy.ipynb", "ada"),
        ("ada_ps5 - Kopie (2).ipynb", "ada"),
        ("ada_ps5 copy 2.ipynb", "ada"),
        ("ada_ps5.ipynb.txt", "ada"),
        ("ada_ps5.ipynb.json", "ada"),
        ("ada_ps5.ipynb.ipynb", "ada"),
        ("ada_PS5.IPYNB", "ada"),
        ("ada@uni.example_ps5.ipynb", "ada@uni.example"),
        ("jörg-müller_ps5.ipynb", "jörg-müller"),
        (unicodedata.normalize("NFD", "jörg_ps5.ipynb"), "jörg"),
        ("j\udcf6rg_ps5.ipynb", "jörg"),  # in the code page of a Windows machine
        ("ada/ps5.ipynb", "ada"),
        ("ada/Copy of ps5.ipynb", "ada"),
        ("submitted/ada/ps5/ps5.ipynb", "ada"),
        # Canvas
        ("lovelaceada_12345_67890_ps5.ipynb", "lovelaceada"),
        ("lovelaceada_LATE_12345_67890_ps5-1.ipynb", "lovelaceada"),
        ("lovelaceada_12345_67890_ada_ps5.ipynb", "ada"),
        ("lovelaceada_12345_67890_Copy of ada_ps5 (1).ipynb", "ada"),
        # Moodle
        ("Ada Lovelace_1234567_assignsubmission_file_/ps5.ipynb", "Ada-Lovelace"),
        ("Ada Lovelace_1234567_assignsubmission_file_/ada_ps5.ipynb", "ada"),
        ("Ada Lovelace_1234567_assignsubmission_file/ps5.ipynb", "Ada-Lovelace"),
        ("Ada Lovelace_1234567_assignsubmission_file_ps5.ipynb", "Ada-Lovelace"),
        # Blackboard
        ("ps5_ada_attempt_2026-11-25-10-00-00_ps5.ipynb", "ada"),
        ("ps5_ada_l_attempt_2026-11-25-10-00-00_whatever_ps5.ipynb", "whatever"),
        ("PS5_ada_l_attempt_2026-11-25-10-00-00_ps5.ipynb", "ada_l"),
        ("Problem Set 5_ada_attempt_2026-11-25-10-00-00_my work.ipynb", "ada"),
        # Brightspace
        ("12345-67890 - Ada Lovelace - Nov 25, 2026 1000 AM/ps5.ipynb", "Ada-Lovelace"),
    ],
)
def test_student_and_set_are_read(path: str, student: str) -> None:
    name = hand_in_name(PurePath(path))
    assert (name.student, name.problem_set) == (student, "ps5")


def test_what_a_platform_adds_is_kept() -> None:
    late = hand_in_name(PurePath("lovelaceada_LATE_12345_67890_ps5-1.ipynb"))
    assert (late.account, late.late, late.copy) == ("canvas 12345", True, 1)
    earlier = hand_in_name(PurePath("lovelaceada_12345_9999_ps5.ipynb"))
    assert late.attempt > earlier.attempt
    assert not earlier.late
    moodle = hand_in_name(PurePath("Ada Lovelace_77_assignsubmission_file_/ps5.ipynb"))
    assert moodle.account == "moodle 77"
    board = hand_in_name(PurePath("ps5_ada_attempt_2026-11-25-10-00-00_x.ipynb"))
    assert (board.attempt, board.problem_set) == ("2026-11-25-10-00-00", "ps5")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("ada_ps5.pdf", "not a notebook"),
        ("ada_ps5.py", "not a notebook"),
        ("ps5.ipynb", "should be called"),
        ("Untitled.ipynb", "should be called"),
        ("_ps5.ipynb", "should be called"),
        (".._ps5.ipynb", "should be called"),
        ("../ps5.ipynb", "should be called"),
        ("a+b_ps5.ipynb", "should be called"),  # nbgrader uses + itself
        ("ada lovelace_ps5.ipynb", "should be called"),
        ("ps5_final.ipynb", "should be called"),
        ("ps5/ps5.ipynb", "should be called"),
        ("ada_.ipynb", "should be called"),
    ],
)
def test_other_names_say_what_is_wrong(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hand_in_name(PurePath(path))


STUDENT = st.from_regex(
    r"[a-zA-Z0-9][\w.@-]{0,20}", fullmatch=True, alphabet=st.characters(codec="utf-8")
)


@given(STUDENT, st.integers(1, 20))
def test_the_right_name_is_read(student: str, number: int) -> None:
    student = unicodedata.normalize("NFC", student)
    name = hand_in_name(PurePath(right_name(student, f"ps{number}")))
    # A name with numbers in it may look like one that a platform has made.
    if not name.account:
        assert (name.student, name.problem_set) == (student, f"ps{number}")


@given(st.text(st.characters()))
def test_no_name_is_too_odd(text: str) -> None:
    path = PurePath(text.replace("\0", ""))
    readable(text).encode()
    owner(path)
    try:
        name = hand_in_name(path)
    except ValueError as error:
        str(error).encode()
    else:
        assert "/" not in name.student
        assert name.student.strip(".")


@pytest.mark.parametrize("text", [".ipynb", "(1)", "_1", " - Copy", "Copy of ", "_attempt_"])
def test_long_names_take_no_time(text: str) -> None:
    path = PurePath(text * 20_000 + ".ipynb")
    with pytest.raises(ValueError, match="characters"):
        hand_in_name(path)
    assert owner(path) is None
    owner(PurePath(text * 20_000, "ps5.ipynb"))
    with contextlib.suppress(ValueError):
        hand_in_name(PurePath((text * 80)[:240] + ".ipynb"))
