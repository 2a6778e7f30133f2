"""Every system on the same data: a table that was measured once, at full length, and is kept.

Training all of them takes some twenty minutes of one processor, too long for a page that is built
again and again. ``python tools/record_comparison.py ring8`` measures the table anew and replaces
the files in ``gencourse/tables/recorded``; it calls what ``gencourse compare`` calls.
"""

from __future__ import annotations

import io
import json
from importlib.resources import files

import numpy as np
import pandas
import torch
from torch import Tensor

from gencourse._validate import unknown_name

__all__ = ["comparison", "comparison_samples"]

#: The data sets for which there is a recorded comparison.
RECORDED = ("ring8",)


def _recorded(data: str, suffix: str) -> bytes:
    if data not in RECORDED:
        raise unknown_name("recorded comparison", data, list(RECORDED))
    name = f"{data}{suffix}"
    return files("gencourse.tables").joinpath("recorded", name).read_bytes()


def comparison(data: str = "ring8") -> pandas.DataFrame:
    """Return the recorded comparison of all systems that learn such data.

    Parameters
    ----------
    data : str
        ``"ring8"``.

    Returns
    -------
    pandas.DataFrame
        One row for each system, by its slug: ``title``, ``family``, what
        :func:`gencourse.evaluate` measures, and ``seconds`` of processor time that training
        took, on one thread. ``attrs["caption"]`` says on what machine and when.

    Raises
    ------
    KeyError
        If nothing is recorded for these data.
    """
    found = json.loads(_recorded(data, ".json"))
    table = pandas.DataFrame.from_dict(found["rows"], orient="index")
    table.index.name = "system"
    table.attrs["title"] = f"All systems on {data}"
    table.attrs["caption"] = found["about"]
    return table


def comparison_samples(data: str = "ring8") -> dict[str, Tensor]:
    """Return samples of every system in the recorded comparison, to three digits.

    Returns
    -------
    dict of str to Tensor
        By slug, float32 and of shape ``(400, *event_shape)``; not selected.

    Raises
    ------
    KeyError
        If nothing is recorded for these data.
    """
    with np.load(io.BytesIO(_recorded(data, ".npz"))) as kept:
        return {slug: torch.from_numpy(kept[slug].astype(np.float32)) for slug in kept.files}
