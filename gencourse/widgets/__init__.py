"""Things to play with in a notebook; on a static page each becomes a figure."""

from __future__ import annotations

from gencourse.widgets.two_alternative import TwoAlternativeTest, TwoAlternativeTrials

__all__ = ["TwoAlternativeTest", "TwoAlternativeTrials"]
