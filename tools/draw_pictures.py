"""Draw the picture at the top of the site and of README.md: a GAN learning the ring.

Run by hand when the model or the palette changes: ``.venv/bin/python tools/draw_pictures.py``.
The result is committed, so that the README has its picture without a build.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

import gencourse

__all__ = ["main"]

TARGET = Path(__file__).resolve().parent.parent / "book" / "images" / "ring8-gan.png"
MOMENTS = (0, 100, 500, 1500, 8000)
SAMPLES = 1200
LIMIT = 2.7


def main() -> int:
    """Train, draw the generator's samples at each of the moments, and save the figure."""
    data = gencourse.data.load("ring8")
    model = gencourse.build("gan", data, seed=0, device="cpu")
    axis = torch.linspace(-LIMIT, LIMIT, 120)
    grid = torch.cartesian_prod(axis, axis)
    real = data.sample(SAMPLES, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(SAMPLES, model.settings.latent, generator=torch.Generator().manual_seed(2))
    frames = {}

    @torch.no_grad()
    def look(step: int) -> None:
        if step in MOMENTS:
            generator = model.average if step == MOMENTS[-1] else model.generator
            frames[step] = generator(noise), torch.sigmoid(model.discriminator(grid))

    model.fit(data, callback=look, every=100, progress=False)
    figure = Figure(figsize=(3 * len(MOMENTS), 3.35), layout="constrained")
    for ax, step in zip(figure.subplots(1, len(MOMENTS)), MOMENTS, strict=True):
        fake, belief = frames[step]
        ax.imshow(
            belief.view(120, 120).T,
            origin="lower",
            extent=(-LIMIT, LIMIT, -LIMIT, LIMIT),
            cmap="PuOr_r",
            vmin=-0.35,
            vmax=1.35,
            alpha=0.55,
        )
        ax.plot(*real.T, ".", color="0.45", markersize=2.2, markeredgewidth=0)
        ax.plot(*fake.T, ".", color="#d1440c", markersize=3.2, markeredgewidth=0, alpha=0.8)
        ax.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), xticks=(), yticks=(), aspect="equal")
        ax.set_title(f"{step:,} steps" if step else "before training", fontsize=15)
        ax.spines[:].set_visible(False)
    temporary = TARGET.with_suffix(".tmp")
    figure.savefig(temporary, dpi=100, format="png", metadata={"Software": ""})
    os.replace(temporary, TARGET)
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
