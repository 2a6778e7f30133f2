"""Fully connected networks whose outputs for one coordinate see only the earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gencourse.nets.kernels import linear

__all__ = ["Choose", "MaskedLinear", "MaskedMLP"]

#: What :meth:`MaskedMLP.ancestral` asks for a coordinate: ``choose(k, parameters)``, from its
#: number k in the flattened event and the outputs for it, shape ``(n, outputs)``, to its
#: values, shape ``(n,)``.
Choose = Callable[[int, Tensor], Tensor]


class MaskedLinear(nn.Linear):
    """Linear layer y = (M ⊙ W) x + b in which some connections do not exist.

    Parameters
    ----------
    mask : Tensor of shape (outputs, inputs)
        M: true where an output sees an input.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        outputs, inputs = mask.shape
        super().__init__(inputs, outputs)
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        self.full = bool(mask.all())  # as between the hidden layers for two coordinates

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        weight = self.weight if self.full else self.mask * self.weight
        return linear(x, weight, self.bias)


class MaskedMLP(nn.Module):
    """MADE (Germain et al. 2015): d coordinates to ``outputs`` numbers for each of them.

    Every coordinate has a rank in an order, every hidden unit a degree m between the ranks.
    A unit sees what has at most its degree, and the outputs for a coordinate see only units
    of lower degree than its rank (equations 8 and 9). So the outputs for the coordinate of
    rank r depend on the coordinates of ranks 0 … r-1, through as many layers as one likes.

    Parameters
    ----------
    d : int
        Coordinates.
    outputs : int
        Numbers for each coordinate, such as a scale and a shift.
    width, depth : int
        Hidden units and layers.
    order : sequence of int, optional
        The coordinates from first to last; by default 0, 1, …, d-1.
    activation : type of nn.Module
        The nonlinearity after each hidden layer.

    Raises
    ------
    ValueError
        If ``order`` is not a permutation of 0 … d-1.

    Examples
    --------
    >>> import torch
    >>> network = MaskedMLP(3, 2, order=[2, 0, 1])
    >>> network(torch.randn(5, 3)).shape
    torch.Size([5, 2, 3])
    """

    def __init__(
        self,
        d: int,
        outputs: int,
        *,
        width: int = 128,
        depth: int = 2,
        order: Sequence[int] | None = None,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.order = list(range(d)) if order is None else list(order)
        if sorted(self.order) != list(range(d)):
            raise ValueError(f"order must be a permutation of 0 … {d - 1}, not {self.order}")
        self.d, self.outputs = d, outputs
        rank = torch.tensor(self.order).argsort()
        # Degrees 0 … d-2 in turn: what sees the last coordinate too could feed no output.
        hidden = torch.arange(width) % max(d - 1, 1)
        layers: list[nn.Module] = []
        seen = rank
        for _ in range(depth):
            layers += [MaskedLinear(hidden[:, None] >= seen), activation()]
            seen = hidden
        last = rank.repeat(outputs)[:, None] > seen
        self.layers = nn.Sequential(*layers, MaskedLinear(last))

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape ``(n, d)`` to the outputs, shape ``(n, outputs, d)``, in one pass."""
        return self.layers(x).unflatten(1, (self.outputs, self.d))

    def bias_of_outputs(self) -> Tensor:
        """Return the bias of the last layer as ``(outputs, d)``, a view of the parameter's data."""
        bias = self.layers[-1].bias
        assert isinstance(bias, Tensor)
        return bias.data.view(self.outputs, self.d)

    def ancestral(self, n: int, choose: Choose) -> tuple[Tensor, Tensor]:
        """Choose the coordinates in turn, each in the light of the earlier ones: d passes.

        Parameters
        ----------
        n : int
            Rows.
        choose : callable (k, parameters) -> Tensor of shape (n,)
            Values of coordinate k from the outputs for it, shape ``(n, outputs)``. A draw
            from p(x_k | x_<k) makes this ancestral sampling; solving z_k = f(x_k; x_<k)
            makes it the inverse of an autoregressive transform.

        Returns
        -------
        x : Tensor of shape (n, d)
        parameters : Tensor of shape (n, outputs, d)
            The outputs for each coordinate. Both are differentiable.
        """
        bias = self.layers[-1].bias
        assert isinstance(bias, Tensor)
        x = [bias.new_zeros(n)] * self.d
        # No hidden unit feeds the outputs for the first coordinate: they are biases.
        parameters = [row.expand(n, -1) for row in bias.view(self.outputs, self.d).T]
        for rank, k in enumerate(self.order):
            if rank > 0:
                parameters[k] = self(torch.stack(x, dim=1))[:, :, k]
            x[k] = choose(k, parameters[k])
        return torch.stack(x, dim=1), torch.stack(parameters, dim=2)
