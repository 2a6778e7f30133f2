"""Things to play with: in a notebook, and on a page that no kernel stands behind.

The functions here return a :class:`Demo`, which runs in the reader's browser wherever it is shown.
:class:`TwoAlternativeTest` needs a kernel, and is a figure on a static page.
"""

from __future__ import annotations

from gencourse.widgets.demo import Demo
from gencourse.widgets.demos import (
    bandwidth,
    conjugates,
    distances,
    em_steps,
    frames,
    langevin,
    manifold,
    push_forward,
    temperature,
    transport_plan,
)
from gencourse.widgets.two_alternative import TwoAlternativeTest, TwoAlternativeTrials

__all__ = [
    "Demo",
    "TwoAlternativeTest",
    "TwoAlternativeTrials",
    "bandwidth",
    "conjugates",
    "distances",
    "em_steps",
    "frames",
    "langevin",
    "manifold",
    "push_forward",
    "temperature",
    "transport_plan",
]
