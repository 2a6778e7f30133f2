"""Where a check cell runs: on a student's machine, or in the instructor's course while grading."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = [
    "COURSE_VARIABLE",
    "GRADING_VARIABLE",
    "SEED_VARIABLE",
    "STUB_MESSAGE",
    "fresh",
    "reference",
    "running",
]

#: Set to "1" by ``nbgrader_config.py``; training cells ask for it through :func:`running`.
GRADING_VARIABLE = "GENCOURSE_GRADING"
#: Folder of the course, set by ``nbgrader_config.py``: the one that holds ``solutions/``.
COURSE_VARIABLE = "GENCOURSE_COURSE"
#: Seed of :func:`fresh`, for repeating one grading exactly; unset, each grading draws its own.
SEED_VARIABLE = "GENCOURSE_GRADING_SEED"
#: What the stub in a release raises; ``nbgrader_config.py`` writes it there.
STUB_MESSAGE = "write your answer here"


def running() -> bool:
    """Say whether this notebook is being graded, so that cells which only train can be skipped."""
    return os.environ.get(GRADING_VARIABLE, "") not in ("", "0")


def fresh() -> torch.Generator:
    """Return a CPU generator with a new seed, so that no answer can be a remembered number.

    The environment variable ``GENCOURSE_GRADING_SEED`` fixes the seed.

    Raises
    ------
    ValueError
        If that variable is not a whole number.
    """
    import torch

    wanted = os.environ.get(SEED_VARIABLE)
    if wanted is None:
        return torch.Generator().manual_seed(secrets.randbits(48))
    try:
        return torch.Generator().manual_seed(int(wanted))
    except ValueError:
        raise ValueError(f"{SEED_VARIABLE}={wanted!r} is not a whole number") from None


def reference(name: str) -> SimpleNamespace:
    """Load the reference functions that hidden checks compare with.

    They live in ``solutions/<name>/reference.py`` of the instructor's course and are never
    published. While nbgrader runs, its configuration says where the course is; otherwise the
    working directory and the folders above it are looked at, so that an instructor can run
    the source notebook.

    Parameters
    ----------
    name : str
        The problem set, such as ``"ps5"``.

    Returns
    -------
    SimpleNamespace
        With the functions of ``reference.py`` as attributes.

    Raises
    ------
    LookupError
        If there is no such file: this is not the instructor's course.
    """
    here = Path.cwd()
    told = os.environ.get(COURSE_VARIABLE)
    for folder in [Path(told)] if told else [here, *here.parents]:
        path = folder / "solutions" / name / "reference.py"
        if path.is_file():
            namespace: dict[str, object] = {"__name__": f"reference_{name}", "__file__": str(path)}
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
            return SimpleNamespace(
                **{key: value for key, value in namespace.items() if not key.startswith("__")}
            )
    raise LookupError(
        f"the reference solutions of {name!r} stay with the instructor. The hidden checks run "
        "when your notebook is graded; the visible checks run here and are yours to use."
    )
