"""Which layers of isolation this machine has, and which one to grade with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

__all__ = ["Finding", "Isolation", "NoSandbox", "available", "best"]


class Isolation(StrEnum):
    """How a student's code is kept in, the strongest first."""

    NAMESPACES = "namespaces"
    LANDLOCK = "landlock"
    NONE = "none"


class NoSandbox(RuntimeError):
    """No sandbox on this machine would hold; the message says what to do about it."""


@dataclass(frozen=True)
class Finding:
    """Whether one layer can be had.

    Attributes
    ----------
    ok : bool
    reason : str
        What was found.
    remedy : str
        What to do about it, if it can't be had.
    """

    ok: bool
    reason: str
    remedy: str = ""


def available() -> dict[str, Finding]:
    """Try each layer and say what was found."""
    from gencourse.grading.sandbox import probe

    return probe.findings()


def best() -> Isolation:
    """Return the strongest isolation of this machine; it is tried once, and remembered.

    Raises
    ------
    NoSandbox
        If there is none.
    """
    found = _found()
    for isolation in (Isolation.NAMESPACES, Isolation.LANDLOCK):
        if found[isolation].ok:
            return isolation
    raise NoSandbox(_no_sandbox(found))


@cache
def _found() -> dict[str, Finding]:
    return available()


def _no_sandbox(found: dict[str, Finding]) -> str:
    walls = {str(name): found[name] for name in (Isolation.NAMESPACES, Isolation.LANDLOCK)}
    if len({finding.remedy for finding in walls.values()}) == 1:
        finding = walls[str(Isolation.LANDLOCK)]
        return f"There is no sandbox on this machine. {finding.reason} {finding.remedy}"
    sentences = [f"{name}: {f.reason} {f.remedy}" for name, f in walls.items()]
    return "There is no sandbox on this machine.\n" + "\n".join(sentences)
