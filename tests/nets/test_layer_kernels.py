"""The linear layer of few inputs, beside torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gencourse.nets.kernels import linear


@pytest.mark.parametrize("inputs", [1, 2, 15, 16])
@pytest.mark.parametrize("rows", [(), (7,)], ids=["one bias", "a bias for each row"])
def test_values_and_gradients_are_those_of_torch(inputs: int, rows: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = (7, inputs), (5, inputs), (*rows, 5)
    x, W, b = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    )
    delta = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    ours, theirs = linear(x, W, b), F.linear(x, W) + b
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)
    for a, c in zip(
        torch.autograd.grad(ours, (x, W, b), delta),
        torch.autograd.grad(theirs, (x, W, b), delta),
        strict=True,
    ):
        torch.testing.assert_close(a, c, rtol=1e-13, atol=1e-13)
    if not rows:
        torch.testing.assert_close(linear(x[None, :3], W, b), theirs[None, :3])
