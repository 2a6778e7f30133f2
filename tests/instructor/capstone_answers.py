"""Answers to the capstone: samples of real systems, and what is handed in instead of samples.

The samples of the systems are in ``capstone_samples.json``, as they were packed: a diffusion model
of 2500 steps, two sets of one training and one of another, and a mixture of Gaussians, all of the
library. The others are made here.
"""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path

import torch
from answer_cells import dedented
from torch import Tensor

import gencourse
from gencourse.grading.samples import pack, unpack
from gencourse.grading.session import reference

#: Points of the whole set.
TOTAL = 100

_FILE = Path(__file__).with_name("capstone_samples.json")
#: The text of each system's samples, by its name.
SYSTEMS = {name: "\n".join(lines) for name, lines in json.loads(_FILE.read_text()).items()}


@cache
def data() -> tuple[Tensor, Tensor]:
    """Training and test images."""
    digits = gencourse.data.load("digits")
    return digits.images("train"), digits.images("test")


def some(images: Tensor) -> Tensor:
    """A thousand of these images, in an order of their own."""
    generator = torch.Generator().manual_seed(7)
    return images[torch.randperm(len(images), generator=generator)[:1000]]


def noisy(images: Tensor, size: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(8))
    return (images + size * noise).clamp(-1, 1)


def moved(images: Tensor, share: float) -> Tensor:
    """Images moved to the right by this share of a pixel."""
    beside = torch.nn.functional.pad(images, (1, 0), value=-1.0)[..., :-1]
    return (1 - share) * images + share * beside


def with_a_neighbour(images: Tensor) -> Tensor:
    """The mean of each image and the one that is nearest to it."""
    x = images.flatten(1)
    nearest = torch.cdist(x, x).topk(2, dim=1, largest=False).indices[:, 1]
    return (images + images[nearest]) / 2


def gaussian() -> Tensor:
    """The plain baseline of the notebook."""
    flat = data()[0].flatten(1)
    values, vectors = torch.linalg.eigh(flat.T.cov())
    noise = torch.randn(1000, 64, generator=torch.Generator().manual_seed(0))
    plain = flat.mean(0) + (noise * values.clamp_min(0).sqrt()) @ vectors.T
    return plain.clamp(-1, 1).reshape(-1, 1, 8, 8)


@cache
def made(name: str) -> str:
    """What is handed in instead of a system's samples, packed."""
    train, test = data()
    uniform = torch.rand(1000, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    few = unpack(SYSTEMS["ddpm"])[:3].repeat(334, 1, 1, 1)[:1000]
    images = {
        "training images": lambda: some(train),
        "test and training images": lambda: torch.cat([test, some(train)])[:1000],
        "hidden images": lambda: some(reference("capstone").hidden()),
        "moved by a pixel": lambda: moved(some(train), 1.0),
        "moved by half a pixel": lambda: moved(some(train), 0.5),
        "moved by a quarter": lambda: moved(some(train), 0.25),
        "with a neighbour": lambda: with_a_neighbour(train)[:1000],
        **{
            f"noise of {size}": lambda size=size: noisy(some(train), size)
            for size in (0.05, 0.1, 0.2, 0.3)
        },
        "one image": lambda: some(train)[:1].repeat(1000, 1, 1, 1),
        "one of mine": lambda: few[:1].repeat(1000, 1, 1, 1),
        "three of mine, with noise": lambda: noisy(few, 0.1),
        "black": lambda: torch.full((1000, 1, 8, 8), -1.0),
        "noise": lambda: 2 * uniform - 1,
        "a Gaussian": gaussian,
    }
    return pack(images[name]())


_TEXT = 'def samples():\n    return """\n{}\n"""\n'

RIGHT: dict[str, list[str]] = {
    "task1": [
        "def card():\n    return 'Ada', 'ddpm'\n",
        "card = lambda: ['a < b', 'W-GAN & friends']\n",
        "NAME = 'é' * 40\ndef card():\n    return (NAME, str(17))\n",
    ],
    "task2": [
        _TEXT.format(SYSTEMS["ddpm"]),
        f'SAMPLES = """{SYSTEMS["ddpm-again"]}"""\ndef samples():\n    return SAMPLES\n',
        f"PARTS = {SYSTEMS['ddpm-seed1'].split()!r}\nsamples = lambda: ' '.join(PARTS)\n",
    ],
}

_DDPM = SYSTEMS["ddpm"]
WRONG: dict[str, list[tuple[str, str]]] = {
    "task1": [
        ("def card():\n    return 'Ada'\n", "2 values"),
        ("def card():\n    return 'Ada', 17\n", "texts"),
        ("def card():\n    return 'Ada', ''\n", "empty"),
        ("def card():\n    return '  ', 'ddpm'\n", "empty"),
        ("def card():\n    return 'Ada', 'x' * 41\n", "longer than 40"),
        ("def card():\n    return 'Ada\\nBob', 'ddpm'\n", "line break"),
        ("def card():\n    return 'Ada\\u202e', 'ddpm'\n", "don't print"),
        ("def card():\n    'Ada', 'ddpm'\n", "None"),
        ("def card():\n    print('Leaderboard: {}')\n    return {}\n", "2 values"),
    ],
    "task2": [
        (_TEXT.format(_DDPM[:5000]), "damaged"),
        (_TEXT.format(_DDPM[:-8] + _DDPM[-4:]), "Make it again"),
        (_TEXT.format(_DDPM.replace(_DDPM.split()[1], "0" * 8)), "was changed"),
        (_TEXT.format(_DDPM.partition("\n")[2]), "does not begin"),
        (_TEXT.format(""), "does not begin"),
        (_TEXT.format(_DDPM.split()[0]), "cut off"),
        (_TEXT.format(3 * _DDPM + 100_000 * " "), "longer"),
        ("def samples():\n    return torch.zeros(1000, 1, 8, 8)\n", "not a Tensor"),
        ("def samples():\n    return None\n", "not a NoneType"),
        ("def samples():\n    return 'samples.txt'\n", "does not begin"),
        (_TEXT.format(SYSTEMS["gmm"]), "FID is 4.86; 40 earns nothing and 3.6 all"),
        (_TEXT.format(made("a Gaussian")), "recognised is 0"),
        (_TEXT.format(made("noise")), "recognised is 0"),
        (_TEXT.format(made("black")), "100% repeat"),
        (_TEXT.format(made("one of mine")), "100% repeat"),
        (_TEXT.format(made("three of mine, with noise")), "repeat one before"),
        (_TEXT.format(made("training images")), "100% of the samples are copies"),
        (_TEXT.format(made("noise of 0.1")), "of the samples are copies"),
        (_TEXT.format(made("noise of 0.3")), "near is 0.6"),
        (_TEXT.format(made("moved by half a pixel")), "100% of the samples are copies"),
        (_TEXT.format(made("with a neighbour")), "near is 0.9"),
    ],
}

right = partial(dedented, RIGHT)


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    return WRONG[task]
