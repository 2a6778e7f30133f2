"""Spectral normalisation of a layer by power iteration."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

__all__ = ["SpectralNormalisation", "spectral_norm"]

Layer = TypeVar("Layer", bound=nn.Module)
WARM_UP = 50  # power iterations when the layer is built; then one per training step is enough


class SpectralNormalisation(nn.Module):
    r"""W ↦ bound · W / σ(W), σ the largest singular value, followed by power iteration.

    .. math::

        v \leftarrow W^T u / \|W^T u\|, \qquad u \leftarrow W v / \|W v\|, \qquad
        \sigma(W) \approx u^T W v,

    where u and v are kept from step to step: the weights move little between two steps, and one
    iteration each keeps up with them. u and v count as constants in the gradient, since
    ∂σ/∂W = u vᵀ. The kernel of a convolution is the matrix of shape
    ``(out, in · height · width)``, as in the paper; σ of the convolution itself can be larger
    by up to the root of the number of kernel positions that overlap.

    Parameters
    ----------
    weight : Tensor of shape (out, ...)
        The weight as it starts.
    bound : float
        The spectral norm of what comes out.

    References
    ----------
    T. Miyato, T. Kataoka, M. Koyama & Y. Yoshida 2018, *Spectral normalization for generative
    adversarial networks*, algorithm 1; decks A and E.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, bound: float = 1.0) -> None:
        super().__init__()
        self.bound = bound
        W = weight.detach().flatten(1)
        self.register_buffer("u", normalize(torch.randn(len(W), device=W.device).to(W), dim=0))
        self.register_buffer("v", normalize(W.T @ self.u, dim=0))
        self.iterate(W, WARM_UP)

    @torch.no_grad()
    def iterate(self, W: Tensor, iterations: int = 1) -> None:
        """Turn u and v towards the leading singular vectors of the matrix ``W``."""
        for _ in range(iterations):
            self.v.copy_(normalize(W.T @ self.u, dim=0))
            self.u.copy_(normalize(W @ self.v, dim=0))

    def sigma(self, W: Tensor) -> Tensor:
        """uᵀ W v, a scalar."""
        # Copies: the next iteration writes into u and v, and the gradient needs them as they are.
        return self.u.clone() @ (W @ self.v.clone())

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with spectral norm ``bound``; in training, iterate first."""
        W = weight.flatten(1)
        if self.training:
            self.iterate(W.detach())
        return weight * (self.bound / self.sigma(W))


def spectral_norm(layer: Layer, *, bound: float = 1.0) -> Layer:
    """Normalise the weight of a linear or convolutional layer, in place; return the layer.

    Examples
    --------
    >>> import torch
    >>> layer = spectral_norm(torch.nn.Linear(5, 3)).eval()
    >>> torch.linalg.matrix_norm(layer.weight, 2).allclose(torch.tensor(1.0), atol=1e-2)
    True
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    parametrize.register_parametrization(layer, "weight", SpectralNormalisation(weight, bound))
    return layer
