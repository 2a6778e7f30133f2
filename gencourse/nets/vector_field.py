"""Vector fields v(z, t) for continuous flows, and their divergence along with them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gencourse._validate import positive
from gencourse.nets.kernels import linear
from gencourse.nets.time import TimeFeatures
from gencourse.nets.unet import TimeUNet

__all__ = ["Instant", "MLPField", "UNetField", "VectorField"]


class Instant(ABC):
    """A vector field at one time, z ↦ v(z, t), on rows of d numbers."""

    @abstractmethod
    def __call__(self, z: Tensor) -> Tensor:
        """Return v(z, t), shape ``(n, d)``."""

    @abstractmethod
    def with_divergence(self, z: Tensor, probe: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return v(z, t), ``(n, d)``, and tr ∂v/∂z or an estimate of it, ``(n, 1)``.

        Parameters
        ----------
        z : Tensor of shape (n, d)
        probe : Tensor of shape (n, d), optional
            ε, random with E[ε εᵀ] = I, for fields whose divergence is estimated.
        """


class VectorField(nn.Module, ABC):
    """A vector field v(z, t) for times t in [0, 1]."""

    #: Whether the divergence is an estimate, for which a probe has to be given.
    estimates: bool

    @abstractmethod
    def at(self, times: Tensor) -> Sequence[Instant]:
        """Return the field at each of ``times``, shape ``(m,)``.

        A solver knows all its times beforehand, and what depends on time alone is computed
        for all of them at once.
        """

    @abstractmethod
    def at_each(self, times: Tensor) -> Instant:
        """Return the field with a time for each row, ``times`` of shape ``(n,)``."""

    def forward(self, z: Tensor, t: Tensor | float) -> Tensor:
        """v(z, t), shape ``(n, d)``, at one time for all rows, or ``(n,)`` times, one for each."""
        times = torch.as_tensor(t, dtype=z.dtype, device=z.device)
        return self.at_each(times.expand(len(z)))(z)


class MLPField(VectorField):
    """Two hidden layers of tanh, whose divergence is exact at the price of one more layer.

    v = W₃ σ(a₂) + b₃(t) with a₂ = W₂ σ(a₁) + b₂(t) and a₁ = W₁ z + b₁(t). Hence, in any
    dimension d and with ∘ the product entry by entry::

        tr ∂v/∂z = tr W₃ diag(σ′(a₂)) W₂ diag(σ′(a₁)) W₁ = σ′(a₂)ᵀ (W₂ ∘ (W₁ W₃)ᵀ) σ′(a₁)

    where automatic differentiation would pass backwards d times, and training needs no derivative
    of a derivative.

    Parameters
    ----------
    dimension : int
        d.
    width : int
        Units in each hidden layer.
    frequencies : int
        Of the features by which the biases see the time, up to 2π.
    """

    estimates = False

    def __init__(self, dimension: int, *, width: int = 64, frequencies: int = 4) -> None:
        super().__init__()
        positive(dimension, "dimension", integer=True)
        positive(width, "width", integer=True)
        self.W1 = nn.Parameter(torch.randn(width, dimension) / math.sqrt(dimension))
        self.W2 = nn.Parameter(torch.randn(width, width) / math.sqrt(width))
        self.W3 = nn.Parameter(torch.zeros(dimension, width))  # the flow starts at rest
        self.features = TimeFeatures(frequencies, highest=2 * math.pi)
        self.biases = nn.Linear(2 * frequencies, 2 * width + dimension)
        with torch.no_grad():
            self.biases.weight[2 * width :] = 0
            self.biases.bias[2 * width :] = 0

    def at(self, times: Tensor) -> list[Instant]:
        """See :meth:`VectorField.at`."""
        return self._instants(self.biases(self.features(times)))

    def at_each(self, times: Tensor) -> Instant:
        """See :meth:`VectorField.at_each`."""
        (instant,) = self._instants(self.biases(self.features(times))[None])
        return instant

    def _instants(self, biases: Tensor) -> list[Instant]:
        width, d = self.W1.shape
        paths = (self.W2 * (self.W1 @ self.W3).T).T
        return [MLPInstant(self, b.split([width, width, d], dim=-1), paths) for b in biases]


class MLPInstant(Instant):
    """An :class:`MLPField` at one time, or at one for each row."""

    def __init__(self, field: MLPField, biases: Sequence[Tensor], paths: Tensor) -> None:
        self.field, self.biases, self.paths = field, biases, paths

    def _layers(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b1, b2, b3 = self.biases
        h1 = linear(z, self.field.W1, b1).tanh()
        h2 = torch.addmm(b2, h1, self.field.W2.T).tanh()
        return h1, h2, torch.addmm(b3, h2, self.field.W3.T)

    def __call__(self, z: Tensor) -> Tensor:
        """See :meth:`Instant.__call__`."""
        return self._layers(z)[2]

    def with_divergence(self, z: Tensor, probe: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :meth:`Instant.with_divergence`; a probe is not needed."""
        h1, h2, v = self._layers(z)
        d1, d2 = 1 - h1 * h1, 1 - h2 * h2  # tanh′ = 1 - tanh²
        return v, (d2 * (d1 @ self.paths)).sum(1, keepdim=True)


class UNetField(VectorField):
    """A U-Net on images, whose divergence is estimated (Hutchinson 1989).

    With a random vector ε of independent signs, E[εᵀ (∂v/∂z) ε] = tr ∂v/∂z. The product
    εᵀ (∂v/∂z) takes one pass backwards through the network.

    Parameters
    ----------
    event_shape : (channels, height, width)
        Shape of an image; the field acts on flattened images.
    width : int
        Channels at full resolution; see :class:`gencourse.nets.TimeUNet`.
    """

    estimates = True

    def __init__(self, event_shape: Sequence[int], *, width: int = 32) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.network = TimeUNet(event_shape, width=width)  # which starts at rest

    def at(self, times: Tensor) -> list[Instant]:
        """See :meth:`VectorField.at`."""
        return [UNetInstant(self, t) for t in times]

    def at_each(self, times: Tensor) -> Instant:
        """See :meth:`VectorField.at_each`."""
        return UNetInstant(self, times)


class UNetInstant(Instant):
    """A :class:`UNetField` at one time, or at one for each row."""

    def __init__(self, field: UNetField, t: Tensor) -> None:
        self.field, self.t = field, t

    def __call__(self, z: Tensor) -> Tensor:
        """See :meth:`Instant.__call__`."""
        images = z.reshape(-1, *self.field.event_shape)
        return self.field.network(images, self.t).flatten(1)

    def with_divergence(self, z: Tensor, probe: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :meth:`Instant.with_divergence`; the probe's entries should be ±1."""
        if probe is None:
            raise ValueError("the divergence of a U-Net is estimated: give a probe")
        v, pull_back, *_ = torch.func.vjp(self, z)
        (probe_jacobian,) = pull_back(probe)
        return v, (probe_jacobian * probe).sum(1, keepdim=True)
