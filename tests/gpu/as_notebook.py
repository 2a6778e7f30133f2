"""Run the code cells of a notebook where the models are on a GPU, there or pretended.

    python as_notebook.py pretended|cuda notebook.ipynb

Ends with an error that names the first cell that fails.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext

import nbformat
import torch
from IPython.display import display
from pretended import pretended_gpu

HIDDEN = "# The hidden checks of"  # reference solutions are not where a student works


def run(path: str) -> None:
    cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    scope = {"__name__": "__main__", "display": display}
    for i, source in enumerate(cells):
        if source.startswith(HIDDEN):
            continue
        code = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
        try:
            exec(compile(code, f"cell {i}", "exec"), scope)
        except Exception as error:
            error.add_note(f"in code cell {i} of {path}, counted from 0:\n{code}")
            raise


if __name__ == "__main__":
    where, path = sys.argv[1:]
    torch.set_num_threads(1)
    with pretended_gpu() if where == "pretended" else nullcontext():
        run(path)
