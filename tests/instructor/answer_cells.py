"""How ``<set>_answers.py`` makes whole cells of answers that are written down in short."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import dedent

Wrong = list[tuple[str, str]]


def dedented(answers: Mapping[str, list[str]], task: str) -> list[str]:
    """The right answers to a task, as whole cells."""
    return [dedent(code) for code in answers[task]]


def filled(code: str, short: Mapping[str, str]) -> str:
    """Code in which each ``{name}`` stands for what the mapping has, in its order."""
    for name, long in short.items():
        code = code.replace("{" + name + "}", long)
    return code


def framed(frame: str, parts: Sequence[str], short: Mapping[str, str]) -> str:
    """A frame with its ``{}`` filled one after the other, and then what is written in short."""
    for part in parts:
        frame = frame.replace("{}", part, 1)
    return filled(frame, short)


def beside_its_half(right: tuple[str, str], wrong: str, *, second: bool) -> list[str]:
    """Two parts of a frame: one is wrong, the other one right."""
    return [right[0], wrong] if second else [wrong, right[1]]


def of_each_function(
    answers: Mapping[str, Wrong], task: str, wrong: Callable[[str], Wrong]
) -> Wrong:
    """All that is wrong with any of the functions of a task, listed as ``task-function``."""
    return [answer for key in answers if key.split("-")[0] == task for answer in wrong(key)]
