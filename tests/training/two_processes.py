"""What two processes do when they train together: a script for ``torchrun``.

Each leaves what it found in ``<folder>/<rank>.pt``, and `test_processes.py` compares.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import gencourse
from gencourse import data
from gencourse.applications import SuperResolver
from gencourse.training import Engine, adam, descend, train
from gencourse.training.processes import Processes, join, leads

# (system, data, settings): networks with batch statistics, a chain of its own in each process,
# three phases of which the second is not shared, no network at all, a shape that training decides.
RUNS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gan": ("gan", "digits", {"width": 4, "batch": 8}),
    "ebm": ("ebm", "ring8", {"width": 4, "depth": 1, "batch": 8, "chains": 16, "langevin_steps": 2,
                             "particles": 8, "temperatures": 3}),
    "ae-ot-gan": ("ae-ot-gan", "ring8", {"width": 4, "depth": 1, "batch": 8, "targets": 20}),
    "realnvp": ("realnvp", "ring8", {"layers": 2, "width": 4, "depth": 1, "batch": 8}),
    "gmm-mcem": ("gmm-mcem", "ring8", {"components": 3}),
    "kde": ("kde", "ring8", {"centres": 60, "held_out": 20}),
    "tabak": ("tabak", "ring8", {"candidates": 4, "batch": 64}),
}  # fmt: skip


def one_step(rows: Tensor, processes: Processes, clip: float | None) -> Tensor:
    """Weights after two steps of Adam on the mean loss over ``rows``."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    optimiser = adam(network, 0.1)

    def step(i: int) -> dict[str, Tensor]:
        loss = (network(rows) - rows.sum(1, keepdim=True)).square().mean()
        descend(loss, optimiser, clip=clip)
        return {"loss": loss.detach()}

    train(step, steps=2, progress=False, engine=Engine(processes=processes))
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def fitted(name: str, **options: Any) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    slug, source, settings = RUNS[name]
    dataset = data.load(source)
    model = gencourse.build(slug, dataset, seed=1, device="cpu", **settings)
    history = model.fit(dataset, steps=7, seed=2, **{"progress": False, **options})
    return model.state_dict(), history.metrics


def enlarger(**options: Any) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """Train an application, which has its own ``fit``."""
    model = SuperResolver((1, 8, 8), seed=1, device="cpu", width=4, batch=8)
    history = model.fit(data.load("digits"), steps=4, seed=2, progress=False, **options)
    return model.state_dict(), history.metrics


def main(folder: Path) -> None:
    processes = join(torch.device("cpu"))
    rank, found = processes.rank, {}
    rows = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    for clip in (None, 0.01):
        found[f"step {clip}"] = one_step(rows[5 * rank : 5 * rank + 5], processes, clip)
    for name in RUNS:
        found[name] = fitted(name)
    found["application"] = enlarger()
    found["fp16"] = fitted("gan", precision="fp16")

    called: list[int] = []
    for name in ("gan", "ebm", "ae-ot-gan"):
        path, kept = folder / f"{name}.pt", folder / f"{name}-kept.pt"

        def keep(step: int, path: Path = path, kept: Path = kept) -> None:
            called.append(step)
            if step == 4:
                shutil.copy(path, kept)

        options = {"checkpoint_every": 2, "callback": keep, "every": 1}
        found[f"{name} whole"] = fitted(name, checkpoint=path, **options)
        found[f"{name} resumed"] = fitted(name, checkpoint=kept, checkpoint_every=2)
    found["called"] = called

    (folder / "damaged.pt").write_text("step,loss")
    try:
        fitted("gan", checkpoint=folder / "damaged.pt")
    except ValueError as error:
        found["damaged"] = str(error)
    model = gencourse.build("gan", data.load("ring8"), device="cpu")
    model.save(folder / f"saved by {rank}.pt")
    found["leads"] = leads()
    found["seed"] = processes.seed(7)
    torch.save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
