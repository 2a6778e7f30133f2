"""Tables of the lectures, ours beside theirs, each by one call or one command.

``gencourse table vae-split`` measures on data that ship; ``--data mnist`` on the papers' own,
where they can be downloaded. Every result is a :class:`pandas.DataFrame` whose ``attrs`` hold a
``title``, and a ``caption`` that says which numbers are whose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pandas

from gencourse.tables.comparison import comparison, comparison_samples
from gencourse.tables.fid import fid, fid_cifar
from gencourse.tables.parzen import parzen
from gencourse.tables.vae_split import vae_split

__all__ = [
    "TABLES",
    "comparison",
    "comparison_samples",
    "fid",
    "fid_cifar",
    "parzen",
    "vae_split",
]

#: Every table by the name that the command line knows it under.
TABLES: Mapping[str, Callable[..., pandas.DataFrame]] = MappingProxyType(
    {"vae-split": vae_split, "parzen": parzen, "fid": fid, "fid-cifar": fid_cifar}
)
