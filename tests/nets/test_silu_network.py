"""Networks with SiLU compute the same with and without gradients, whatever runs them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse.nets.silu import SiLUNetwork


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network(inputs: int, outputs: int, width: int, depth: int) -> nn.Sequential:
    with nets.weights_from(0):
        return nets.mlp(inputs, outputs, width=width, depth=depth, activation=nn.SiLU)


# A sum of w products of order 1/√w: a few roundings of 6e-8 in each of few layers.
CLOSE = {"rtol": 1e-5, "atol": 2e-6}


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 1), (40, 30)])
@pytest.mark.parametrize("width", [8, 128])
@pytest.mark.parametrize("n", [0, 1, 5, 5000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_gradients(
    inputs: int, outputs: int, width: int, n: int, dtype: torch.dtype
) -> None:
    f = network(inputs, outputs, width, 3).to(dtype)
    assert type(f) is SiLUNetwork
    x = 3 * draw(n, inputs).to(dtype)
    expected = nn.Sequential(*f)(x)
    with torch.no_grad():
        torch.testing.assert_close(f(x), expected.detach(), **CLOSE)
    assert f(x).requires_grad
    assert torch.equal(f(x), expected)


def test_a_network_with_time_takes_one_time_as_one_for_each_row() -> None:
    with nets.weights_from(0):
        f = nets.TimeMLP(2, 2)
    x, t = draw(3000, 2), torch.tensor(0.3)
    expected = f(x, t)
    assert expected.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(f(x, t), expected.detach(), **CLOSE)
        torch.testing.assert_close(f(x, t.expand(3000)), expected.detach(), **CLOSE)
        torch.testing.assert_close(f(x, 0.3), expected.detach(), **CLOSE)


def test_what_was_put_on_a_layer_is_heeded() -> None:
    f, x = network(2, 1, 32, 2), draw(20, 2)
    seen: list[Tensor] = []
    f[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        f(x)
        assert len(seen) == 1
        nets.spectral_norm(f[2])
        torch.testing.assert_close(f(x), nn.Sequential(*f)(x), **CLOSE)
        f.insert(1, nn.Dropout(1.0))
        assert torch.equal(f(x), nn.Sequential(*f)(x))


def test_transforms_and_mixed_precision() -> None:
    f, x = network(2, 1, 32, 2), draw(20, 2)
    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(f)(x), f(x), **CLOSE)
        _, slope = torch.func.jvp(f, (x,), (torch.ones_like(x),))
        shifted = (f(x.double().float() + 1e-2) - f(x - 1e-2)) / 2e-2
        torch.testing.assert_close(slope, shifted, rtol=1e-2, atol=1e-3)
        with torch.autocast("cpu", torch.bfloat16):
            assert f(x).dtype == torch.bfloat16
