"""Names of handed-in files, as students, browsers and Colab write them."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from gencourse.grading.collect import HandInName, hand_in_name


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ada_ps5.ipynb", "ada"),
        ("ada_lovelace_ps5.ipynb", "ada_lovelace"),
        ("x/y/1234567_ps5.ipynb", "1234567"),
        ("Copy of ada_ps5.ipynb", "ada"),
        ("ada_ps5 (1).ipynb", "ada"),
        ("ada_ps5(2).ipynb", "ada"),
        ("ada_PS5.ipynb", "ada"),
        ("ada@uni.example_ps5.ipynb", "ada@uni.example"),
        ("jörg-müller_ps5.ipynb", "jörg-müller"),
        ("ada/ps5.ipynb", "ada"),
        ("ada/Copy of ps5.ipynb", "ada"),
    ],
)
def test_student_and_set_are_read(path: str, student: str) -> None:
    assert hand_in_name(PurePath(path)) == HandInName(student, "ps5")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("ada_ps5.pdf", "not a notebook"),
        ("ps5.ipynb", "should be called"),
        ("Untitled.ipynb", "should be called"),
        ("_ps5.ipynb", "should be called"),
        (".._ps5.ipynb", "should be called"),
        ("a+b_ps5.ipynb", "should be called"),  # nbgrader uses + itself
        ("ada_ps5.ipynb.txt", "not a notebook"),
        ("ada lovelace_ps5.ipynb", "should be called"),
    ],
)
def test_other_names_say_what_is_wrong(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hand_in_name(PurePath(path))
