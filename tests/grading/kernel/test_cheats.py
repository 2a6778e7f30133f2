"""Handing in the library's own implementation earns nothing and says so: a hand-in for each set."""

from __future__ import annotations

import pytest
from test_sets import SETS, Session, answers, job, source
from two_kernels import by_name, text

from gencourse.grading.kernel.execute import execute

SAID = "is what this set asks you to write"

# Calls what is withheld in every way there is, and then hands the first of it in by another name.
CHEAT = """
import importlib
things = []
for name in {names}:
    module, _, attribute = name.rpartition(".")
    things.append(getattr(importlib.import_module(module), attribute))
    try:
        things[-1]()
        print("not refused:", name)
    except NotImplementedError as error:
        assert "is what this set asks you to write" in str(error), error
        print("refused:", name)
    except Exception as error:
        print("not refused:", name, error)
"""


def cheats(name: str) -> dict[str, str]:
    """Answers to all coding tasks of a set that, between them, use every withheld name."""
    withheld = source(name).metadata.get("gencourse", {}).get("withheld", [])
    solved = {task: code for task, code in answers(name).items() if task_of_code(name, task)}
    changes = {}
    for number, (task, code) in enumerate(solved.items()):
        names = withheld[number :: len(solved)] or withheld[:1]
        aliases = "\n".join(f"{asked} = things[0]" for asked in Session.defined(code))
        changes[task] = CHEAT.format(names=names) + aliases
    return changes


def task_of_code(name: str, task: str) -> bool:
    return any(cell.id == f"{task}-hidden" for cell in source(name).cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in SETS if source(name).metadata.get("gencourse", {}).get("withheld")]
)
def test_the_librarys_own_implementation_earns_nothing_and_is_named(server, name: str) -> None:  # type: ignore[no-untyped-def]
    changes = cheats(name)
    result = by_name(execute(job(name, answers(name) | changes), server))
    for task in changes:
        tried = text(result[task])
        assert "refused: " in tried
        assert "not refused" not in tried, tried
        for cell in (f"{task}-visible", f"{task}-hidden"):
            assert result[cell].score == 0, (cell, text(result[cell]))
            assert SAID in text(result[cell]), (cell, text(result[cell]))
