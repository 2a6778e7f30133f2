"""The training loop, and what goes on in one step of it.

A model supplies ``step(i)`` to :func:`train`, or one loss to :func:`minimise`, and takes its
steps with :func:`descend`. Both are then checkpointed and resumed, run in mixed precision, and
are shared among several GPUs, without a line in the model.
"""

from __future__ import annotations

from gencourse.training.accelerator import Accelerator
from gencourse.training.checkpoints import Stateful
from gencourse.training.data import resident
from gencourse.training.descent import Engine, adam, averaged, descend, momentum
from gencourse.training.history import History
from gencourse.training.loop import minimise, train
from gencourse.training.precision import exact

__all__ = [
    "Accelerator",
    "Engine",
    "History",
    "Stateful",
    "adam",
    "averaged",
    "descend",
    "exact",
    "minimise",
    "momentum",
    "resident",
    "train",
]
