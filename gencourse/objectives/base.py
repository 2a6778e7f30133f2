"""What makes one adversarial model differ from another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Constraint", "Objective", "Regulariser", "Turn", "identity"]


@dataclass(frozen=True)
class Turn:
    r"""What lies on the table when it is the critic's turn.

    Attributes
    ----------
    critic : callable (x) -> Tensor of shape (n, outputs)
        The critic's network.
    real, fake : Tensor of shape (n, \*event_shape)
        Samples x of the data, and G(z), which does not pass gradients on.
    at_real, at_fake : Tensor of shape (n, outputs)
        The critic's outputs there.
    generator : torch.Generator or None
        Source of randomness.
    """

    critic: Callable[[Tensor], Tensor]
    real: Tensor
    fake: Tensor
    at_real: Tensor
    at_fake: Tensor
    generator: torch.Generator | None = None


class Regulariser(nn.Module):
    """What is added to the critic's loss, with its weight λ.

    A module, so that one that adapts (the multiplier of Sobolev GAN, the balance of BEGAN) keeps
    its state in buffers and goes into checkpoints.

    Attributes
    ----------
    weight : float
        λ.
    """

    #: Whether it differentiates the critic in x, and the loss then differentiates once more.
    twice_differentiable = False

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, loss: Tensor, turn: Turn) -> Tensor:
        """Return the critic's loss with the regulariser."""
        raise NotImplementedError


class Constraint:
    """What keeps the critic within a class of functions."""

    def prepare(self, critic: nn.Module) -> None:
        """Change the network when it is built."""

    def enforce(self, critic: nn.Module) -> None:
        """Bring the weights back after a step."""


def identity(v: Tensor) -> Tensor:
    """The output activation of critics whose value is the network's output."""
    return v


@dataclass(frozen=True)
class Objective:
    """An adversarial game: what its critic and its generator minimise.

    Attributes
    ----------
    name : str
        The key in :data:`gencourse.objectives.OBJECTIVES`, and the slug of the system.
    title : str
        What it is called in words.
    decks : str
        The lectures that teach it, one letter each.
    paper : str
        Where it comes from.
    critic_loss : callable (real, fake) -> Tensor
        From the critic's outputs on real and on fake samples, each of shape ``(n, outputs)``.
    generator_loss : callable (fake, ...) -> Tensor
        From the critic's outputs on fakes, and whatever ``generator_needs``.
    generator_needs : tuple of "real" or "samples"
        What else the generator's loss takes: ``"real"``, the critic's outputs on real samples;
        ``"samples"``, the fakes themselves.
    activation : callable (v) -> Tensor
        From the network's output v to what the paper calls D(x), T(x) or f(x).
    regulariser : callable (weight) -> Regulariser, optional
        What is added to the critic's loss.
    constraint : callable (bound) -> Constraint, optional
        What keeps the critic within a class of functions.
    critic : "score", "features", "energy" or "autoencoder"
        What the critic's network returns for a sample: one number; many; one number, as a smooth
        function; or how badly an autoencoder restores it, followed by its code.
    settings, image_settings : dict
        Where this game is played with other settings than
        :class:`gencourse.models.gan.AdversarialSettings` has; on images, the second over the
        first.
    """

    name: str
    title: str
    decks: str
    paper: str
    critic_loss: Callable[[Tensor, Tensor], Tensor]
    generator_loss: Callable[..., Tensor]
    generator_needs: tuple[str, ...] = ()
    # A factory, or the function would become a method of the class.
    activation: Callable[[Tensor], Tensor] = field(default_factory=lambda: identity)
    regulariser: Callable[[float], Regulariser] | None = None
    constraint: Callable[[float], Constraint] | None = None
    critic: str = "score"
    settings: Mapping[str, Any] = field(default_factory=dict)
    image_settings: Mapping[str, Any] = field(default_factory=dict)
