"""Hard constraints on the critic's weights."""

from __future__ import annotations

import torch
from torch import nn

from gencourse.nets import spectral_norm
from gencourse.objectives.base import Constraint

__all__ = ["Clip", "SpectralNorm"]


class Clip(Constraint):
    """Every weight stays in [-c, c] (Arjovsky, Chintala & Bottou 2017).

    The critic is then Lipschitz, with a constant that nobody knows: it depends on c, on the
    width and on the depth.

    Parameters
    ----------
    bound : float
        c.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound

    @torch.no_grad()
    def enforce(self, critic: nn.Module) -> None:
        """Clip the weights."""
        torch._foreach_clamp_min_(list(critic.parameters()), -self.bound)
        torch._foreach_clamp_max_(list(critic.parameters()), self.bound)


class SpectralNorm(Constraint):
    """Every weight matrix has spectral norm K^(1/layers), so that the critic is K-Lipschitz.

    T. Miyato et al. 2018, *Spectral normalization for generative adversarial networks*, with
    K = 1. The activations must be 1-Lipschitz, as ReLU is.

    Parameters
    ----------
    bound : float
        K.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def prepare(self, critic: nn.Module) -> None:
        """Normalise every layer of the network."""
        layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for layer in layers:
            spectral_norm(layer, bound=self.bound ** (1 / len(layers)))
