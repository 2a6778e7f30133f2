"""gencourse: deep generative models, from the equations of the course to running code.

Start with ``gencourse.data.load("ring8")``, ``gencourse.build("gan", data)`` and
``model.fit(data)``; ``gencourse.systems()`` lists every model with its lecture and paper.

Submodules are imported on first use (PEP 562), so that ``import gencourse`` costs little
over ``import torch`` and a student's first cell answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_SUBMODULES = (
    "applications",
    "cli",
    "data",
    "divergences",
    "failures",
    "flows",
    "grading",
    "metrics",
    "models",
    "nets",
    "objectives",
    "plots",
    "samplers",
    "tables",
    "training",
    "transport",
    "widgets",
)
_ATTRIBUTES = {
    "device": "gencourse._device",
    "describe": "gencourse._device",
    "systems": "gencourse.models",
    "build": "gencourse.models",
    "load": "gencourse.models",
    "System": "gencourse.models",
    "GenerativeModel": "gencourse.models",
    "History": "gencourse.training",
    "show_source": "gencourse._source",
    "evaluate": "gencourse.evaluation",
}

__all__ = [
    "GenerativeModel",
    "History",
    "System",
    "__version__",
    "applications",
    "build",
    "cli",
    "data",
    "describe",
    "device",
    "divergences",
    "evaluate",
    "failures",
    "flows",
    "grading",
    "load",
    "metrics",
    "models",
    "nets",
    "objectives",
    "plots",
    "samplers",
    "show_source",
    "systems",
    "tables",
    "training",
    "transport",
    "widgets",
]

if TYPE_CHECKING:
    from gencourse import (
        applications,
        cli,
        data,
        divergences,
        failures,
        flows,
        grading,
        metrics,
        models,
        nets,
        objectives,
        plots,
        samplers,
        tables,
        training,
        transport,
        widgets,
    )
    from gencourse._device import describe, device
    from gencourse._source import show_source
    from gencourse.evaluation import evaluate
    from gencourse.models import GenerativeModel, System, build, load, systems
    from gencourse.training import History


def __getattr__(name: str) -> Any:
    """Import a submodule, or the function of that name, when it is first asked for."""
    if name in _SUBMODULES:
        return import_module(f"gencourse.{name}")
    if name in _ATTRIBUTES:
        value = getattr(import_module(_ATTRIBUTES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'gencourse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
