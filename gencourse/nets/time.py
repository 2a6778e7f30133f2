"""Networks that know the time: a fully connected one, and the features they see time by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gencourse._validate import positive
from gencourse.nets.silu import by_parts, fused, silu_layer

__all__ = ["TimeFeatures", "TimeMLP"]


class TimeFeatures(nn.Module):
    r"""Sines and cosines of t, γ(t) = (cos ω₁t, …, cos ω_Kt, sin ω₁t, …, sin ω_Kt).

    The frequencies ω_k are spaced geometrically from 1 to ``highest``. With t in [0, 1] the
    lowest is a smooth function of the whole interval, and the highest tells apart times that
    are about 1 / ``highest`` from each other. This is the position encoding of Vaswani et al.
    (2017), which Ho, Jain & Abbeel (2020) use for the time of a diffusion.

    Parameters
    ----------
    frequencies : int
        K; there are 2K features.
    highest : float
        ω_K, in radians per unit of time; at least 1.

    Examples
    --------
    >>> import torch
    >>> TimeFeatures(4)(torch.tensor([0.0, 0.5])).shape
    torch.Size([2, 8])
    """

    omega: Tensor

    def __init__(self, frequencies: int = 16, *, highest: float = 100.0) -> None:
        super().__init__()
        positive(frequencies, "frequencies", integer=True)
        positive(highest, "highest")
        if highest < 1:
            raise ValueError(f"highest must be at least 1, the lowest frequency, not {highest!r}")
        exponents = torch.linspace(0, 1, frequencies)
        self.register_buffer("omega", torch.exp(math.log(highest) * exponents), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        r"""Return γ(t), shape ``(\*t.shape, 2K)``."""
        angle = t[..., None] * self.omega
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


class TimeMLP(nn.Module):
    """Fully connected network of a point and a time, (x, t) ↦ f(x, t).

    Each hidden layer sees the time: h_{l+1} = a(W_l h_l + b_l + U_l γ(t)), with the features γ of
    :class:`TimeFeatures` and a smooth activation a, so that f is smooth in x and in t.

    Parameters
    ----------
    inputs, outputs : int
        Dimensions of x and of f(x, t).
    width, depth : int
        Units in each hidden layer, and how many such layers.
    activation : type of nn.Module
        The nonlinearity a.
    frequencies : int
        K, half the number of time features.
    highest : float
        The highest frequency of the time features.

    Examples
    --------
    >>> import torch
    >>> velocity = TimeMLP(2, 2, width=16)
    >>> velocity(torch.zeros(5, 2), 0.3).shape  # one time for all, or one for each row
    torch.Size([5, 2])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int = 128,
        depth: int = 3,
        activation: type[nn.Module] = nn.SiLU,
        frequencies: int = 16,
        highest: float = 100.0,
    ) -> None:
        super().__init__()
        for name, size in {
            "inputs": inputs, "outputs": outputs, "width": width, "depth": depth
        }.items():  # fmt: skip
            positive(size, name, integer=True)
        self.width = width
        self.features = TimeFeatures(frequencies, highest=highest)
        # U_1, …, U_depth in one matrix: one product instead of many small ones.
        self.time = nn.Linear(2 * frequencies, width * depth, bias=False)
        self.hidden = nn.ModuleList(
            nn.Linear(inputs if layer == 0 else width, width) for layer in range(depth)
        )
        self.activation = activation()
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return f(x, t), shape ``(n, outputs)``.

        Parameters
        ----------
        x : Tensor of shape (n, inputs)
        t : float, or Tensor of shape () or (n,)
            One time for all rows, or one for each.
        """
        # A single time is a single row of features, and is broadcast over the batch.
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        shifts = self.time(self.features(t)).split(self.width, dim=-1)

        if t.ndim == 0 and type(self.activation) is nn.SiLU and fused(x, self.out, *self.hidden):
            return by_parts(lambda part: self._fused(part, shifts), x, self.width)
        h = x
        for layer, shift in zip(self.hidden, shifts, strict=True):
            h = self.activation(layer(h) + shift)
        return self.out(h)

    def _fused(self, h: Tensor, shifts: Sequence[Tensor]) -> Tensor:
        """The same without gradients, for one time: half of the work of sampling on a CPU."""
        for layer, shift in zip(self.hidden, shifts, strict=True):
            h = silu_layer(h, layer, shift)  # type: ignore[arg-type]
        return self.out(h)
