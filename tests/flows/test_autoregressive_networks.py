"""Masked networks: who sees whom, by autograd; and coordinates that are chosen in turn."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from flow_checks import case, generator, jacobian, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gencourse import flows, nets


def seeded(make: type[nn.Module], *args: object, **options: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(*args, **options).double().eval()


# ----------------------------------------------------------------- MADE


@given(
    order=st.integers(1, 6).flatmap(lambda d: st.permutations(list(range(d)))),
    depth=st.integers(0, 3),
    width=st.integers(1, 9),
)
@settings(max_examples=30)
def test_outputs_see_the_earlier_coordinates_only(order: list[int], depth: int, width: int) -> None:
    """∂ outputs of k / ∂ x_j = 0 unless j comes before k in the order."""
    d = len(order)
    network = seeded(
        nets.MaskedMLP, d, 2, width=width, depth=depth, order=order, activation=nn.Tanh
    )
    J = jacobian_of(network, normal(d))
    rank = torch.tensor(order).argsort()
    earlier = rank[None, :] < rank[:, None]
    assert (J[:, ~earlier] == 0).all()


def jacobian_of(network: nn.Module, x: Tensor) -> Tensor:
    """∂ output_{o,k} / ∂ x_j, shape ``(outputs, d, d)``."""
    J = torch.autograd.functional.jacobian(lambda r: network(r[None])[0], x)
    return J.reshape(J.shape[0], x.numel(), x.numel())


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_outputs_see_all_the_earlier_coordinates(order: tuple[int, ...]) -> None:
    network = seeded(nets.MaskedMLP, 3, 2, width=24, depth=2, order=order, activation=nn.Tanh)
    J = jacobian_of(network, normal(3))
    rank = torch.tensor(order).argsort()
    assert ((J != 0) == (rank[None, :] < rank[:, None])).all()


def test_every_connection_that_exists_can_learn() -> None:
    """No gradient through the mask, some through every unmasked weight of a wide layer."""
    network = seeded(nets.MaskedMLP, 4, 2, width=30, depth=1, activation=nn.Tanh)
    network(normal(50, 4)).square().sum().backward()
    for layer in network.layers:
        if isinstance(layer, nets.MaskedLinear):
            assert (layer.weight.grad[layer.mask == 0] == 0).all()
            assert (layer.weight.grad[layer.mask == 1] != 0).all()


@pytest.mark.parametrize("order", [[0, 1], [0, 0, 1], [1, 2, 3], []])
def test_bad_orders(order: list[int]) -> None:
    with pytest.raises(ValueError, match="order must be a permutation of 0"):
        nets.MaskedMLP(3, 2, order=order)


# ----------------------------------------------------------------- PixelCNN


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("radius", [1, 7])
def test_pixels_see_the_pixels_before_them_only(colours: int, radius: int) -> None:
    """Reading order: row, column, channel. With a wide first kernel they see all of those."""
    shape = (colours, 4, 5)
    network = seeded(nets.MaskedConvolutions, shape, 2, width=6, depth=2, radius=radius)
    J = jacobian_of(network, normal(*shape))
    index = torch.arange(math.prod(shape)).reshape(shape).permute(1, 2, 0).flatten()
    in_reading_order = J[:, index][:, :, index]
    assert (in_reading_order.triu() == 0).all()
    seen = (in_reading_order != 0).any(0)
    before = torch.ones_like(seen).tril(-1)
    if radius == 7:
        assert (seen == before).all()
    else:
        assert (seen != before).any()  # the blind spot
    assert seen.any()


def test_one_masked_convolution_is_a_convolution() -> None:
    """Against a full kernel with zeros below and to the right, by torch's own padding."""
    for strict in (True, False):
        layer = seeded(nets.MaskedConv2d, 3, 6, radius=2, colours=3, strict=strict)
        kernel = torch.zeros(6, 3, 5, 5, dtype=torch.float64)
        kernel[:, :, :3] = layer.weight.detach()
        kernel[:, :, 2, 3:] = 0
        for out in range(6):
            for into in range(3):
                sees = into < out // 2 if strict else into <= out // 2
                kernel[out, into, 2, 2] *= float(sees)
        x = normal(2, 3, 6, 7)
        expected = nn.functional.conv2d(x, kernel, layer.bias, padding=2)
        torch.testing.assert_close(layer(x), expected)


def test_images_that_masked_convolutions_refuse() -> None:
    with pytest.raises(ValueError, match=r"need images \(channels, height, width\), not \(3,\)"):
        nets.MaskedConvolutions((3,), 2)
    with pytest.raises(ValueError, match="multiple of the images' 3 channels, but is 8"):
        nets.MaskedConvolutions((3, 4, 4), 2, width=8)


# ----------------------------------------------------------------- one coordinate at a time


@pytest.mark.parametrize("name", ["points", "grey", "colour"])
def test_ancestral_choices(name: str) -> None:
    """What is chosen was chosen from the outputs that the finished x has in one pass."""
    network = {
        "points": lambda: seeded(nets.MaskedMLP, 4, 2, width=9, order=[2, 0, 3, 1]),
        "grey": lambda: seeded(nets.MaskedConvolutions, (1, 4, 5), 2, width=4, depth=2, radius=2),
        "colour": lambda: seeded(nets.MaskedConvolutions, (3, 3, 4), 2, width=6, depth=2),
    }[name]()
    d = {"points": 4, "grey": 20, "colour": 36}[name]
    u = normal(6, d)
    asked = []

    def choose(k: int, parameters: Tensor) -> Tensor:
        assert parameters.shape == (6, 2)
        asked.append(k)
        return parameters[:, 0] + 0.3 * u[:, k]

    x, parameters = network.ancestral(6, choose)
    assert sorted(asked) == list(range(d))
    if name == "points":
        assert asked == [2, 0, 3, 1]
    if name == "colour":
        assert asked[:4] == [0, 12, 24, 1]
    torch.testing.assert_close(network(x), parameters)
    torch.testing.assert_close(x.flatten(1), parameters[:, 0].flatten(1) + 0.3 * u)


@pytest.mark.parametrize("name", ["masked affine", "masked image", "one coordinate"])
def test_autoregressive_jacobians_are_triangular(name: str) -> None:
    f, x = case(name)
    J = jacobian(lambda r: f(r)[0], x)
    if name == "masked affine":
        order = torch.tensor([2, 0, 3, 1])
    else:
        order = torch.arange(x[0].numel()).reshape(x[0].shape)
        order = order.permute(1, 2, 0).flatten() if order.ndim == 3 else order
    J = J[:, order][:, :, order]
    assert (J.triu(1) == 0).all()
    assert (J.diagonal(dim1=1, dim2=2) > 0).all()
    if name != "one coordinate":
        assert (J.tril(-1) != 0).any()


def test_an_inverse_autoregressive_flow_learns_through_its_inverse() -> None:
    """The density of IAF goes through `ancestral`; its gradient against central differences."""
    f, x = case("iaf")
    parameter = next(p for p in f.parameters() if p.ndim == 2)
    loss = flows.log_density(f, x).sum()
    (slope,) = torch.autograd.grad(loss, parameter)
    at = int(slope.abs().flatten().argmax())
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            parameter.view(-1)[at] += step
            values.append(flows.log_density(f, x).sum().item())
            parameter.view(-1)[at] -= step
    assert slope.flatten()[at].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


# ----------------------------------------------------------------- dropout by a generator


def test_dropout_draws_from_its_generator() -> None:
    layer = nets.Dropout(0.25)
    x = torch.ones(200, 500)
    state = torch.get_rng_state()
    layer.generator = generator(3)
    first = layer(x)
    assert torch.equal(torch.get_rng_state(), state)
    layer.generator = generator(3)
    assert torch.equal(layer(x), first)
    # 100,000 coins: standard error 0.0014. What is kept is scaled up, so the mean stays 1.
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.006)
    assert first.max().item() == pytest.approx(4 / 3)
    assert torch.equal(layer.eval()(x), x)
