"""Measure and write the tables.

    python -m benchmarks                     # everything but what takes long
    python -m benchmarks gan flows           # some themes
    python -m benchmarks --device cuda       # on a GPU, with all systems compiled and not
    python -m benchmarks --full              # also 100 000 points against 100 000, and the like
    python -m benchmarks grading book_build  # of the instructor's side, some ten minutes each
    python -m benchmarks --draw              # nothing but the tables and plots of what is there

Results go to ``benchmarks/results/``: a JSON file for each theme, which is written as its rows
come, and one table and plots of them all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from . import report
from .harness import Options, machine, measure

LONG = ("grading", "book_build")  # only when they are named
THEMES = tuple(theme for theme in report.THEMES if theme not in LONG)


def run(theme: str, options: Options) -> Iterator[dict[str, Any]]:
    """Measure one theme, row by row."""
    module = importlib.import_module(f"{__package__}.{theme}")
    if hasattr(module, "rows"):
        yield from module.rows(options)
        return
    for comparison in module.comparisons(options):
        yield from measure(comparison, options)


def told(row: dict[str, Any]) -> str:
    """What is said of a row as it comes."""
    if "ratio" in row:
        return f"{row['work']}: {row['peer']} / ours = {row['ratio']:.2f}"
    return row.get("work") or f"{row['system']}, {row['data']}, compiled {row['compiled']}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("themes", nargs="*", metavar="theme", help=f"of {', '.join(report.THEMES)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=report.RESULTS)
    given = parser.parse_args(arguments)
    if unknown := set(given.themes) - set(report.THEMES):
        parser.error(f"no theme {sorted(unknown)}; there are {', '.join(report.THEMES)}")
    torch.set_num_threads(given.threads)
    options = Options(torch.device(given.device), given.rounds, given.small, given.full)
    given.out.mkdir(parents=True, exist_ok=True)
    for theme in () if given.draw else given.themes or THEMES:
        torch.manual_seed(0)
        found: dict[str, Any] = {"machine": machine(options.device), "rows": []}
        path = given.out / f"{options.device.type}-{theme}.json"
        for row in run(theme, options):
            print(told(row), flush=True)
            found["rows"].append(row)
            text = json.dumps(found, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")
    print(report.write(options.device.type, given.out))


if __name__ == "__main__":
    main()
