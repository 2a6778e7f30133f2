"""Draw the picture at the top of the site and of README.md: a GAN learning the ring.

Run by hand when the model or the palette changes: ``.venv/bin/python tools/draw_pictures.py``.
The result is committed, so that the README has its picture without a build.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import torch
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

import gencourse
from gencourse import plots
from gencourse._files import write_atomically

__all__ = ["main"]

TARGET = Path(__file__).resolve().parent.parent / "book" / "images" / "ring8-gan.png"
MOMENTS = (0, 50, 300, 1000, 4000)
SAMPLES = 1200
LIMITS = 2.7


def main() -> int:
    """Train, draw samples and discriminator at each of the moments, and save the figure."""
    data = gencourse.data.load("ring8")
    model = gencourse.build("gan", data, seed=0, device="cpu")
    real = data.sample(SAMPLES, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(SAMPLES, model.settings.latent, generator=torch.Generator().manual_seed(2))
    plots.use_style()
    figure = Figure(figsize=(3 * len(MOMENTS), 3.35), layout="constrained")
    panels = dict(zip(MOMENTS, figure.subplots(1, len(MOMENTS)), strict=True))

    @torch.no_grad()
    def look(step: int) -> None:
        if step not in panels:
            return
        ax = panels[step]
        belief = model.discriminator
        plots.surface(
            lambda x: torch.sigmoid(belief(x)), ax=ax, limits=LIMITS, center=0.5, colorbar=False
        )
        ax.collections[0].set_norm(Normalize(0, 1))  # one scale for all panels
        generator = model.average if step == MOMENTS[-1] else model.generator
        plots.scatter(generator(noise), real, ax=ax, limits=LIMITS, legend=False)
        ax.set(xticks=(), yticks=(), xlabel="", ylabel="")
        ax.set_title(f"{step:,} steps" if step else "before training", fontsize=16)
        ax.spines[:].set_visible(False)

    model.fit(data, steps=MOMENTS[-1], callback=look, every=50, progress=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    # 128 colours are indistinguishable here, and a third of the size.
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        small, format="PNG", optimize=True
    )
    write_atomically(TARGET, small.getvalue())
    print(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
