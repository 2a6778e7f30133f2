"""Measure and write the tables.

    python -m benchmarks                     # everything but what takes long
    python -m benchmarks gan flows           # some themes
    python -m benchmarks --device cuda       # on a GPU, with all systems compiled and not
    python -m benchmarks --full              # also 100 000 points against 100 000, and the like

Results go to ``benchmarks/results/``: a JSON file for each theme, and one table of them all.
Grading and the build of the book have scripts of their own, ``benchmarks/grading.py`` and
``benchmarks/book_build.py``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from . import report
from .harness import Options, machine, measure

THEMES = ("gan", "flows", "metrics", "transport", "particles", "imports", "growth", "systems")


def run(theme: str, options: Options) -> list[dict[str, Any]]:
    """Measure one theme and say what was found as it comes."""
    module = importlib.import_module(f"{__package__}.{theme}")
    if hasattr(module, "rows"):
        return module.rows(options)
    found = []
    for comparison in module.comparisons(options):
        rows = measure(comparison, options)
        for r in rows:
            print(f"{r['work']}: {r['peer']} / ours = {r['ratio']:.2f}", flush=True)
        found += rows
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("themes", nargs="*", metavar="theme", help=f"of {', '.join(THEMES)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, default=report.RESULTS)
    given = parser.parse_args(arguments)
    if unknown := set(given.themes) - set(THEMES):
        parser.error(f"no theme {sorted(unknown)}; there are {', '.join(THEMES)}")
    torch.set_num_threads(given.threads)
    options = Options(torch.device(given.device), given.rounds, given.small, given.full)
    given.out.mkdir(parents=True, exist_ok=True)
    for theme in given.themes or THEMES:
        torch.manual_seed(0)
        described = machine(options.device)
        rows = run(theme, options)
        path = given.out / f"{options.device.type}-{theme}.json"
        text = json.dumps({"machine": described, "rows": rows}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
    text = report.table(report.load(options.device.type, given.out))
    (given.out / f"{options.device.type}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
