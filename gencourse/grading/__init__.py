"""What the check cells of an assignment are written with, and what grades a class of them.

Check cells need only torch and the standard library, so they run on a student's machine
and in Colab. They speak to a student's code in values alone (numbers, tensors, the state
of a network): never its objects' own ``==`` or types. :mod:`gencourse.grading.checks` shows
one whole check cell.

The instructor's half (:mod:`~gencourse.grading.course` and
:mod:`~gencourse.grading.reports`, whose plugins ``nbgrader_config.py`` names) needs
``pip install 'gencourse[grading]'`` and is imported only where it is used. Names are looked up
on first use, so that each nbgrader command need not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gencourse.grading.checks import Task
    from gencourse.grading.helpers import (
        Step,
        beside,
        grad_of,
        is_module,
        lend,
        raises,
        run_step,
        state_of,
    )
    from gencourse.grading.session import fresh, reference, running
    from gencourse.grading.values import (
        CheckFailed,
        close,
        same,
        tensor_of,
        that,
        tuple_of,
        unchanged,
    )

_HOME = {
    "CheckFailed": "values",
    "Step": "helpers",
    "Task": "checks",
    "beside": "helpers",
    "close": "values",
    "fresh": "session",
    "grad_of": "helpers",
    "is_module": "helpers",
    "lend": "helpers",
    "raises": "helpers",
    "reference": "session",
    "run_step": "helpers",
    "running": "session",
    "same": "values",
    "state_of": "helpers",
    "tensor_of": "values",
    "that": "values",
    "tuple_of": "values",
    "unchanged": "values",
}

__all__ = [
    "CheckFailed",
    "Step",
    "Task",
    "beside",
    "close",
    "fresh",
    "grad_of",
    "is_module",
    "lend",
    "raises",
    "reference",
    "run_step",
    "running",
    "same",
    "state_of",
    "tensor_of",
    "that",
    "tuple_of",
    "unchanged",
]


def __getattr__(name: str) -> Any:
    """Import a name from its module when it is first asked for."""
    if name in _HOME:
        value = getattr(import_module(f"gencourse.grading.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'gencourse.grading' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
