"""Vector fields v(z, t) for continuous flows, and their divergence at little extra cost.

The networks alternate linear maps and an activation σ, so the Jacobian ∂v/∂z is a product of
weights and of diagonal matrices of σ′, which are known once v is. The divergence is computed
from them forwards, along with v, and training needs no derivative of a derivative.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import positive
from gencourse.nets.time import TimeFeatures

__all__ = ["ConvField", "Instant", "MLPField", "VectorField"]


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

    def forward(self, z: Tensor, t: Tensor | float) -> Tensor:
        """v(z, t), shape ``(n, d)``, at one time for all rows."""
        (instant,) = self.at(torch.as_tensor(t, dtype=z.dtype, device=z.device).reshape(1))
        return instant(z)


class MLPField(VectorField):
    """Two hidden layers of tanh, whose divergence is exact at the price of one more layer.

    v = W₃ σ(a₂) + b₃(t) with a₂ = W₂ σ(a₁) + b₂(t) and a₁ = W₁ z + b₁(t). Hence, in any
    dimension d and with ∘ the product entry by entry::

        tr ∂v/∂z = tr W₃ diag(σ′(a₂)) W₂ diag(σ′(a₁)) W₁ = σ′(a₂)ᵀ (W₂ ∘ (W₁ W₃)ᵀ) σ′(a₁)

    where automatic differentiation would pass backwards d times.

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
        width, d = self.W1.shape
        rows = self.biases(self.features(times))
        paths = (self.W2 * (self.W1 @ self.W3).T).T
        return [MLPInstant(self, row.split([width, width, d]), paths) for row in rows]


class MLPInstant(Instant):
    """An :class:`MLPField` at one time."""

    def __init__(self, field: MLPField, biases: Sequence[Tensor], paths: Tensor) -> None:
        self.field, self.biases, self.paths = field, biases, paths

    def _layers(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b1, b2, b3 = self.biases
        h1 = torch.addmm(b1, z, self.field.W1.T).tanh()
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


class ConvField(VectorField):
    """Convolutions on images, whose divergence is estimated (Hutchinson 1989).

    With a random vector ε of independent signs, E[εᵀ (∂v/∂z) ε] = tr ∂v/∂z. The product
    (∂v/∂z) ε goes through the network beside the image: linear maps act on it as on the image,
    and where the image passes an activation it is multiplied by σ′ there.

    Images are cut into a coarser grid with more channels (as in Real-NVP) until that grid is
    at most 7 wide; the hidden layers are residual, h ← h + σ(W h + b(t)).

    Parameters
    ----------
    event_shape : (channels, height, width)
        Shape of an image; the field acts on flattened images.
    width : int
        Channels of the hidden layers.
    depth : int
        Hidden layers.
    frequencies : int
        Of the features by which the biases see the time, up to 2π.
    """

    estimates = True

    def __init__(
        self, event_shape: Sequence[int], *, width: int = 64, depth: int = 3, frequencies: int = 4
    ) -> None:
        super().__init__()
        positive(width, "width", integer=True)
        positive(depth, "depth", integer=True)
        channels, height, wide = event_shape
        self.event_shape = tuple(event_shape)
        self.block = 1  # side of the blocks of pixels that become channels
        while max(height, wide) > 7 and height % 2 == wide % 2 == 0:
            height, wide, self.block = height // 2, wide // 2, 2 * self.block
        channels *= self.block**2
        self.width = width
        sizes = [channels] + [width] * depth
        self.hidden = nn.ModuleList(
            nn.Conv2d(a, width, 3, padding=1, bias=False) for a in sizes[:-1]
        )
        self.last = nn.Conv2d(width, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.last.weight)  # the flow starts at rest
        self.features = TimeFeatures(frequencies, highest=2 * math.pi)
        self.biases = nn.Linear(2 * frequencies, width * depth)

    def at(self, times: Tensor) -> list[Instant]:
        """See :meth:`VectorField.at`."""
        rows = self.biases(self.features(times))
        return [ConvInstant(self, row[:, None, None].split(self.width)) for row in rows]


class ConvInstant(Instant):
    """A :class:`ConvField` at one time."""

    def __init__(self, field: ConvField, biases: Sequence[Tensor]) -> None:
        self.field, self.biases = field, biases

    def __call__(self, z: Tensor) -> Tensor:
        """See :meth:`Instant.__call__`."""
        field = self.field
        h = F.pixel_unshuffle(z.reshape(-1, *field.event_shape), field.block)
        for i, (layer, bias) in enumerate(zip(field.hidden, self.biases, strict=True)):
            s = F.softplus(layer(h) + bias)
            h = h + s if i else s
        return F.pixel_shuffle(field.last(h), field.block).flatten(1)

    def with_divergence(self, z: Tensor, probe: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :meth:`Instant.with_divergence`; the probe's entries should be ±1."""
        if probe is None:
            raise ValueError("the divergence of a convolutional field is estimated: give a probe")
        field, n = self.field, len(z)
        # The image and its tangent share a batch: the weights act on both in the same way.
        both = torch.cat([z, probe]).reshape(2 * n, *field.event_shape)
        both = F.pixel_unshuffle(both, field.block)
        for i, (layer, bias) in enumerate(zip(field.hidden, self.biases, strict=True)):
            a, tangent = layer(both).split(n)
            a = a + bias
            # softplus(a) = log(1 + e^a), and its derivative is the logistic function.
            step = torch.cat([F.softplus(a), a.sigmoid() * tangent])
            both = both + step if i else step
        v, jacobian_probe = F.pixel_shuffle(field.last(both), field.block).flatten(1).split(n)
        return v, (jacobian_probe * probe).sum(1, keepdim=True)
