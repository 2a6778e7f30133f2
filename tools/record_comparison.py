"""Train and measure every system on one data set, and keep the table for the book.

    python tools/record_comparison.py ring8        # some twenty minutes on one processor

Writes ``gencourse/tables/recorded/ring8.json`` and ``ring8.npz``, which
:func:`gencourse.tables.comparison` reads. Systems that were measured since the script was first
started are not trained again, so that a run can be taken up; ``--fresh`` forgets them.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import gencourse
from gencourse._files import write_atomically
from gencourse.tables.comparison import RECORDED

FOLDER = Path(gencourse.__file__).parent / "tables" / "recorded"
KEPT = 400  # samples of each system
N = 2048  # on each side of a distance, as in `gencourse compare`


def measured(slug: str, data: gencourse.data.Dataset) -> tuple[dict[str, float], torch.Tensor]:
    """Train a system with its default settings and seed 0."""
    model = gencourse.build(slug, data, seed=0, device="cpu")
    start = time.process_time()
    model.fit(data, seed=0, progress=False)
    seconds = time.process_time() - start
    result = gencourse.evaluate(model, data, n=N, seed=0)
    drawn = model.sample(KEPT, generator=torch.Generator().manual_seed(0)).cpu()
    return {**result, "seconds": seconds}, drawn


def processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":")[1].strip() for x in lines if "model name" in x), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", choices=RECORDED)
    parser.add_argument("--fresh", action="store_true", help="measure every system again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = gencourse.data.load(options.data)
    kind = "images" if len(data.event_shape) == 3 else "points"
    work = Path(tempfile.gettempdir()) / f"gencourse-comparison-{options.data}"
    work.mkdir(exist_ok=True)
    rows, samples = {}, {}
    for system in gencourse.systems():
        if kind not in system.kinds:
            continue
        done = work / f"{system.slug}.pt"
        if options.fresh or not done.exists():
            print(system.slug, end=" ", flush=True)
            torch.save(measured(system.slug, data), done)
        result, drawn = torch.load(done)
        print(f"{system.slug}: w1 {result['w1']:.3f}, {result['seconds']:.0f} s", flush=True)
        about = {"title": system.title, "family": system.family}
        rows[system.slug] = about | {k: float(f"{v:.5g}") for k, v in result.items()}
        samples[system.slug] = np.round(drawn.numpy(), 3).astype(np.float16)
    about = (
        f"Default settings, seed 0, {N} samples on each side. Seconds of one thread of "
        f"{processor()}; torch {torch.__version__.partition('+')[0]}, gencourse "
        f"{gencourse.__version__}, {datetime.date.today():%B %Y}."
    )
    FOLDER.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **samples)
    text = json.dumps({"about": about, "rows": rows}, indent=1) + "\n"
    write_atomically(FOLDER / f"{options.data}.npz", buffer.getvalue())
    write_atomically(FOLDER / f"{options.data}.json", text.encode())


if __name__ == "__main__":
    main()
