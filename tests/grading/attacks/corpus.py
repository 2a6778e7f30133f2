"""All hand-ins of the corpus, by name."""

from __future__ import annotations

import forging
import hogging
import honest
import misfiled
from corpus_case import CASES, Case

__all__ = ["CASES", "Case", "forging", "hogging", "honest", "misfiled"]
