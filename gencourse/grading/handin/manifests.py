"""The problem sets as they were released, shipped with the package so that checks work offline.

``make release`` writes them. A manifest is the release itself without what only nbgrader needs:
its cells with their names and sources, so a hand-in can be rebuilt from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["load_manifest", "manifest_names", "to_manifest"]

_FOLDER = files("gencourse.grading") / "manifests"
# Of nbgrader's entry of a cell: who has the last word on it, and what it is worth.
_KEPT = ("grade_id", "grade", "solution", "points")


def to_manifest(release: Mapping[str, Any]) -> bytes:
    """Return the manifest of a release notebook as JSON."""
    cells = []
    for cell in release["cells"]:
        grader = cell["metadata"]["nbgrader"]
        source = cell["source"]
        cells.append(
            {
                "cell_type": cell["cell_type"],
                "metadata": {"nbgrader": {key: grader[key] for key in _KEPT if key in grader}},
                "source": source if isinstance(source, str) else "".join(source),
            }
        )
    metadata = {k: v for k, v in release["metadata"].items() if k == "gencourse"}
    return (
        json.dumps({"metadata": metadata, "cells": cells}, indent=1, ensure_ascii=False) + "\n"
    ).encode()


def manifest_names() -> list[str]:
    """Return the problem sets that have a manifest."""
    return sorted(
        entry.name.removesuffix(".json")
        for entry in _FOLDER.iterdir()
        if entry.name.endswith(".json")
    )


def load_manifest(name: str) -> dict[str, Any]:
    """Return the manifest of a problem set.

    Raises
    ------
    KeyError
        If this version of the course has no such set.
    """
    if name not in manifest_names():
        known = ", ".join(manifest_names()) or "none"
        raise KeyError(f"this version of the course has no problem set {name!r}; it has: {known}")
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
