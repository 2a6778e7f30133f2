"""What the check cells of an assignment are written with, and what grades a class of them.

Check cells need only torch and the standard library, so they run on a student's machine
and in Colab. They speak to a student's code in values alone (numbers, tensors, the state
of a network): never its objects' own ``==`` or types. :mod:`gencourse.grading.checks` shows
one whole check cell.

The instructor's half (:mod:`~gencourse.grading.batch`, :mod:`~gencourse.grading.command`
and the plugins that ``nbgrader_config.py`` names) needs ``pip install 'gencourse[grading]'``
and is imported only where it is used.
"""

from __future__ import annotations

from gencourse.grading.beside import Step, grad_of, raises, run_step
from gencourse.grading.checks import Task
from gencourse.grading.session import fresh, reference, running
from gencourse.grading.values import CheckFailed, close, same, tensor_of, that, tuple_of, unchanged

__all__ = [
    "CheckFailed",
    "Step",
    "Task",
    "close",
    "fresh",
    "grad_of",
    "raises",
    "reference",
    "run_step",
    "running",
    "same",
    "tensor_of",
    "that",
    "tuple_of",
    "unchanged",
]
