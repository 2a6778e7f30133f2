"""Pairs of laws that a discriminator is to tell apart, with the accuracy that is possible.

Deck C's question is what happens with the generator held fixed. On supports that hardly meet a
perfect discriminator exists (theorems 3 and 4 there, 2.1 and 2.2 of Arjovsky & Bottou 2017,
*Towards principled methods for training generative adversarial networks*); where densities overlap
none does, and the best is right with probability ½ + ½ TV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse._validate import positive, unknown_name
from gencourse.data import ImageDataset, load
from gencourse.data.toys import ParallelLine

__all__ = ["PAIRS", "Pair", "pair"]

Sampler = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Pair:
    r"""Two laws on the same space.

    Attributes
    ----------
    name : str
        What it is called.
    real, fake : callable (n, generator) -> Tensor of shape (n, \*event_shape)
        Draw samples of the data, and of a generator that stays as it is.
    bayes : float
        Accuracy of the best discriminator there is, ½ + ½ TV.
    held_out : callable, optional
        Draws real samples that no discriminator was trained on, where ``real`` draws from a
        finite set.
    """

    name: str
    real: Sampler
    fake: Sampler
    bayes: float
    held_out: Sampler | None = None

    def with_noise(self, sigma: float, bayes: float = math.nan) -> Pair:
        """Return the same pair with N(0, σ² I) added to both laws, *instance noise*.

        Parameters
        ----------
        sigma : float
            Standard deviation of the noise.
        bayes : float
            The accuracy that is possible then, where it is known.

        References
        ----------
        C. K. Sønderby et al. 2017, *Amortised MAP inference for image super-resolution*;
        Arjovsky & Bottou 2017, section 3; deck E.
        """
        positive(sigma, "sigma")

        def noisy(sample: Sampler) -> Sampler:
            def draw(n: int, generator: torch.Generator) -> Tensor:
                x = sample(n, generator)
                return x + sigma * torch.randn(x.shape, generator=generator)

            return draw

        return Pair(
            f"{self.name}, noise {sigma:g}",
            noisy(self.real),
            noisy(self.fake),
            bayes,
            None if self.held_out is None else noisy(self.held_out),
        )


def lines(theta: float = 0.5) -> Pair:
    """Two parallel segments at distance θ: example 1 of the Wasserstein GAN paper."""
    positive(theta, "theta")
    here, there = ParallelLine(0.0), ParallelLine(theta)
    return Pair(
        "lines",
        lambda n, generator: here.sample(n, generator=generator),
        lambda n, generator: there.sample(n, generator=generator),
        bayes=1.0,
    )


def manifolds(intrinsic: int = 2, dimension: int = 20) -> Pair:
    """Two surfaces in a space of many dimensions, each the image of a random network.

    They may meet, but in a set without mass.
    """
    positive(intrinsic, "intrinsic", integer=True)
    positive(dimension, "dimension", integer=True)
    if 2 * intrinsic >= dimension:
        raise ValueError("2 · intrinsic must be below dimension, or the surfaces meet everywhere")
    surfaces = [
        untrained(lambda: nets.mlp(intrinsic, dimension, width=64, depth=2, activation=nn.Tanh), i)
        for i in (0, 1)
    ]

    def surface(network: nn.Module) -> Sampler:
        @torch.no_grad()
        def draw(n: int, generator: torch.Generator) -> Tensor:
            z = torch.rand(n, intrinsic, generator=generator) * 2 - 1
            return 5 * network(z)  # about unit size

        return draw

    return Pair("manifolds", surface(surfaces[0]), surface(surfaces[1]), bayes=1.0)


def digits(latent: int = 16) -> Pair:
    """Handwritten digits against what an untrained generator makes of noise."""
    positive(latent, "latent", integer=True)
    data = load("digits")
    assert isinstance(data, ImageDataset)
    test = data.images("test")
    network = untrained(lambda: nets.dcgan_generator(latent, data.event_shape, width=32), 0)

    @torch.no_grad()
    def fake(n: int, generator: torch.Generator) -> Tensor:
        return network(torch.randn(n, latent, generator=generator))

    def held_out(n: int, generator: torch.Generator) -> Tensor:
        return test[torch.randint(len(test), (n,), generator=generator)]

    return Pair(
        "digits",
        lambda n, generator: data.sample(n, generator=generator),
        fake,
        bayes=1.0,
        held_out=held_out,
    )


def gaussians(distance: float = 1.0) -> Pair:
    """N(0, I) and N(distance · e₁, I) in the plane; the best accuracy is Φ(distance / 2)."""
    positive(distance, "distance")

    def fake(n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, 2, generator=generator) + torch.tensor([distance, 0.0])

    return Pair(
        "gaussians",
        lambda n, generator: torch.randn(n, 2, generator=generator),
        fake,
        bayes=normal_cdf(distance / 2),
    )


def normal_cdf(x: float) -> float:
    """Return Φ(x), the distribution function of the standard normal law."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def untrained(build: Callable[[], nn.Sequential], seed: int) -> nn.Sequential:
    """Build a network with weights of this seed; torch's global generator stays as it was."""
    with nets.weights_from(seed):
        return build().eval()


#: The pairs by name; each function's arguments are its options.
PAIRS: Mapping[str, Callable[..., Pair]] = MappingProxyType(
    {"lines": lines, "manifolds": manifolds, "digits": digits, "gaussians": gaussians}
)


def pair(name: str, **options: float) -> Pair:
    """Return a pair of laws by name.

    Parameters
    ----------
    name : str
        ``"lines"``, ``"manifolds"``, ``"digits"``, whose supports hardly meet, or
        ``"gaussians"``, which overlap.
    **options
        ``theta`` of the lines, ``intrinsic`` and ``dimension`` of the manifolds, ``latent`` of the
        digits, ``distance`` of the Gaussians.

    Raises
    ------
    KeyError
        If there is no such pair.

    Examples
    --------
    >>> round(pair("gaussians", distance=1.0).bayes, 4)
    0.6915
    """
    if name not in PAIRS:
        raise unknown_name("pair", name, PAIRS)
    return PAIRS[name](**options)
