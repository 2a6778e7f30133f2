"""Train the classifiers that judge samples of digits and glyphs: ``make features``.

Each takes a minute or two on one CPU core, with fixed seeds, and ends in a file of about
100 KB in ``gencourse/metrics/`` that ships with the package. A judge of samples must know new
images of its classes *and* must not take anything else for one. So it is also shown things that
are not characters, for which the right answer is that all classes are equally likely (outlier
exposure, Hendrycks, Mazeika & Dietterich 2019). Samples of a full-covariance
Gaussian, the baseline of the image models, are not among them: what the judge says of those
tells how far its doubt reaches.
"""

from __future__ import annotations

import argparse
import copy
import io
import math
import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import gencourse
from gencourse._files import write_atomically
from gencourse.metrics.features import SIDES, Classifier

__all__ = ["main", "serialise", "train"]

FOLDER = Path(__file__).resolve().parent.parent / "gencourse" / "metrics"
STEPS = {"digits": 2500, "glyphs": 1500}
BATCH = 128  # characters in a batch
OUTLIERS = 48  # blends of two characters; then a quarter as many of each kind of noise
OUTLIER_WEIGHT = 0.5
RATE = 2e-3
WEIGHT_DECAY = 1e-2
AVERAGING = 0.005  # of the averaged weights, which are what is kept
HELD_OUT = 8  # every eighth training image chooses the temperature

# How characters are moved about, for half of them; noise of up to NOISE for all.
SHIFT = 0.075  # standard deviation, in sides of the image
ROTATION = math.radians(4.0)  # largest
SCALE = 0.06  # standard deviation
NOISE = 0.1  # standard deviation, where grey runs from -1 to 1


def train(name: str, *, steps: int | None = None, seed: int = 0) -> Classifier:
    """Train the classifier of a data set, and set its temperature.

    Parameters
    ----------
    name : str
        ``"digits"`` or ``"glyphs"``.
    steps : int, optional
        Fewer make a worse judge sooner.
    seed : int
        Of everything random; the same seed on the same machine gives the same weights.
    """
    steps = STEPS[name] if steps is None else steps
    data = gencourse.data.load(name)
    images, labels = data.images("train"), data.labels("train")
    held_out = torch.arange(len(images)) % HELD_OUT == HELD_OUT - 1
    x, y = images[~held_out], labels[~held_out]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(SIDES[name])
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        index = torch.randint(len(x), (BATCH,), generator=generator)
        outliers = _outliers(x, y, generator)
        logits = network(torch.cat([_disturb(x[index], generator), outliers]))
        right = F.cross_entropy(logits[:BATCH], y[index])
        # Cross-entropy against the uniform distribution, less than its least value log 10.
        doubt = -F.log_softmax(logits[BATCH:], dim=1).mean()
        loss = right + OUTLIER_WEIGHT * doubt
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, AVERAGING)
    _calibrate(average, images[held_out], labels[held_out])
    return average.half().float()  # as it will be read from the file


def serialise(network: Classifier) -> bytes:
    """Return the file: plain tensors in half precision."""
    buffer = io.BytesIO()
    torch.save({key: value.half() for key, value in network.state_dict().items()}, buffer)
    return buffer.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Train, say how good the judges are, and write their files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(SIDES), help="digits, glyphs, or both")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write the files")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(SIDES):
        parser.error(f"no classifier is called {', '.join(sorted(unknown))}; choose {list(SIDES)}")
    for name in options.names:
        network = train(name)
        data = gencourse.data.load(name)
        with torch.no_grad():
            p = network(data.images("test")).softmax(dim=1)
        accuracy = (p.argmax(dim=1) == data.labels("test")).double().mean()
        sure = (p.amax(dim=1) > 0.9).double().mean()
        content = serialise(network)
        write_atomically(options.folder / f"{name}.pt", content)
        print(
            f"{name}: accuracy {accuracy:.4f}, recognised {sure:.4f} of {len(p)} test images; "
            f"{len(content) / 1000:.0f} kB"
        )
    return 0


def _disturb(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move, turn and scale every second image a little, and add noise to all."""
    n = len(x)

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator)

    angle, scale = ROTATION * (2 * uniform() - 1), 1 + SCALE * normal()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    shift = 2 * SHIFT * normal(2)  # coordinates run over [-1, 1]
    rows = [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    # Black, -1, is what lies outside; grid_sample pads with 0.
    moved = F.grid_sample(x + 1, grid, align_corners=False) - 1
    x = torch.where(uniform(1, 1, 1) < 0.5, moved, x)
    return (x + NOISE * uniform(1, 1, 1) * normal(*x.shape[1:])).clamp(-1, 1)


def _outliers(x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Draw images that are no characters: blends, pixels on their own, noise, clouds."""
    n = OUTLIERS // 4

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    # Two characters over each other, neither much stronger, of different classes: every
    # class has a tenth, so that of twice as many pairs far more than enough are left.
    i, j = torch.randint(len(x), (2, 2 * OUTLIERS), generator=generator)
    different = y[i] != y[j]
    i, j = i[different][:OUTLIERS], j[different][:OUTLIERS]
    weight = 0.4 + 0.2 * rand(len(i), 1, 1, 1)
    blends = weight * x[i] + (1 - weight) * x[j]

    # Each pixel from an image of its own, or Gaussian with the mean and variance it has.
    pixels = x.flatten(1)
    d = pixels.shape[1]
    own = pixels[torch.randint(len(x), (n, d), generator=generator), torch.arange(d)]
    std, mean = torch.std_mean(pixels, dim=0)
    gaussian = mean + std * torch.randn(n, d, generator=generator)

    # White noise and smooth clouds around every grey, in every strength down to none.
    def around_any_grey(noise: Tensor) -> Tensor:
        return (2 * rand(n, 1) - 1) + 1.5 * rand(n, 1) * noise.reshape(n, d)

    white = around_any_grey(torch.randn(n, d, generator=generator))
    coarse = torch.randn(n, 1, 3, 3, generator=generator)
    clouds = around_any_grey(F.interpolate(coarse, x.shape[2:], mode="bicubic"))
    noise = torch.cat([own, gaussian, white, clouds]).clamp(-1, 1)
    return torch.cat([blends, noise.reshape(-1, *x.shape[1:])])


@torch.no_grad()
def _calibrate(network: Classifier, images: Tensor, labels: Tensor) -> None:
    """Scale the log odds so that held-out images are likeliest (Guo et al. 2017).

    Training against outliers leaves too little confidence in real images.
    """
    logits = network(images)
    factors = torch.linspace(1, 3, 201)
    losses = torch.stack([F.cross_entropy(factor * logits, labels) for factor in factors])
    best = factors[losses.argmin()]
    network.output.weight.mul_(best)
    network.output.bias.mul_(best)


if __name__ == "__main__":
    sys.exit(main())
