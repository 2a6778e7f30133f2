"""The passes of a ReLU network that are written down, beside those that torch finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse.nets import kernels
from gencourse.nets.relu import ReLUNetwork, gradient_of_relu_network, is_relu_network
from gencourse.objectives.penalties import gradient_in

# Sizes on either side of those that suit oneDNN, within a layer and along the network.
SIZES = [(2, 1, 128, 3), (40, 16, 24, 2), (3, 5, 8, 1)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def built(inputs: int, outputs: int, width: int, depth: int) -> ReLUNetwork:
    torch.manual_seed(0)
    network = nets.mlp(inputs, outputs, width=width, depth=depth)
    assert isinstance(network, ReLUNetwork)
    return network


def by_hand(y: Tensor) -> bool:
    return type(y.grad_fn).__name__ == "_ValuesBackward"


@pytest.fixture(params=[False, True], ids=["torch", "oneDNN"])
def onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not kernels.ONEDNN:
        pytest.skip("torch's own products are as fast on this processor")
    monkeypatch.setattr(kernels, "ONEDNN", request.param)
    monkeypatch.setattr(kernels, "LARGE", 0)  # the products of these tests are small


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 5e-6)], ids=str
)
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients_are_those_of_torch(
    sizes: tuple[int, int, int, int], dtype: torch.dtype, tolerance: float
) -> None:
    """For weights that learn from inputs, and for inputs that learn from weights at rest.

    Relative to the largest; products of up to 128 numbers are summed in another order.
    """
    network = built(*sizes).to(dtype)
    plain = nn.Sequential(*network)
    x = normal(50, sizes[0]).to(dtype)
    delta = normal(50, sizes[1], seed=1).to(dtype)
    for learns in (False, True):
        x = x.detach().requires_grad_(not learns)
        network.requires_grad_(learns)
        wanted = list(network.parameters()) if learns else [x]
        y = network(x)
        assert by_hand(y)
        ours = [y.detach(), *torch.autograd.grad(y, wanted, delta)]
        y = plain(x)
        theirs = [y.detach(), *torch.autograd.grad(y, wanted, delta)]
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            assert (a - b).abs().max() <= tolerance * b.abs().max()
    with torch.no_grad():
        assert (network(x) - ours[0]).abs().max() <= tolerance * ours[0].abs().max()


def test_it_can_be_differentiated_twice() -> None:
    network = built(3, 2, 8, 2).double()
    plain = nn.Sequential(*network)
    x, weights = normal(6, 3), list(network.parameters())

    def curvature(f: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        slope = torch.autograd.grad(f(x).square().sum(), weights, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in slope), weights)  # type: ignore[arg-type]

    assert by_hand(network(x))
    for a, b in zip(curvature(network), curvature(plain), strict=True):
        assert b.abs().max() > 1e-3
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_everything_else_is_left_to_torch() -> None:
    x = normal(5, 3).float()
    network = built(3, 1, 8, 2)
    assert by_hand(network(x))
    # Its inputs and its weights learn: either could be asked for alone.
    assert not by_hand(network(x.clone().requires_grad_()))
    # Hooks are called.
    seen: list[int] = []
    hook = network[1].register_forward_hook(lambda module, inputs, output: seen.append(1))
    assert not by_hand(network(x))
    assert seen == [1]
    hook.remove()
    # Transforms of functions, mixed precision, other shapes.
    weights = dict(network.named_parameters())
    slopes = torch.func.vmap(
        torch.func.grad(lambda w, x: torch.func.functional_call(network, w, (x,)).sum()), (None, 0)
    )(weights, x[:, None])
    total = torch.autograd.grad(network(x).sum(), list(weights.values()))
    for slope, whole in zip(slopes.values(), total, strict=True):
        torch.testing.assert_close(slope.sum(0), whole)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(x).dtype == torch.bfloat16
    assert network(x[0]).shape == (1,)
    assert network(x[:0]).shape == (0, 1)
    assert network(x[None]).shape == (1, 5, 1)
    # Another layer in place of one, and a part of the network.
    nets.spectral_norm(network[0])
    assert not by_hand(network(x))
    assert network[:2](x).shape == (5, 8)


@pytest.mark.usefixtures("onednn")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
@pytest.mark.parametrize("width", [8, 48])
def test_the_gradient_is_a_product_of_the_weights(
    width: int, dtype: torch.dtype, tolerance: float
) -> None:
    """The same slope, and the same step in the weights, as by differentiating twice."""
    critic = built(3, 1, width, 3).to(dtype)
    assert is_relu_network(critic)
    x = normal(50, 3).to(dtype)
    steps = []
    for gradient in (gradient_in(x, critic), gradient_of_relu_network(critic, x)):
        penalty = (gradient.norm(dim=1) - 1).square().mean()
        weights = [layer.weight for layer in critic if isinstance(layer, nn.Linear)]
        steps.append([gradient.detach(), *torch.autograd.grad(penalty, weights)])
    for a, b in zip(*steps, strict=True):
        assert b.abs().max() > 1e-4
        assert (a - b).abs().max() <= tolerance * b.abs().max()


def test_only_a_plain_relu_network_has_that_gradient() -> None:
    others: list[Any] = [
        nn.Linear(3, 1),
        nets.mlp(3, 1, activation=nn.Tanh),
        nets.mlp(3, 2),
        nn.Sequential(nn.Linear(3, 3), nn.ReLU()),
        nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3, 1)),
        nets.spectral_norm(nn.Linear(3, 3)),
        lambda x: x,
    ]
    normalised = nets.mlp(3, 1)
    for layer in normalised:
        if isinstance(layer, nn.Linear):
            nets.spectral_norm(layer)
    lowered = nets.mlp(3, 1)
    lowered.__dict__["forward"] = lowered.forward
    for critic in (*others, normalised, lowered):
        assert not is_relu_network(critic)
    assert is_relu_network(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
