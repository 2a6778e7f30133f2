"""Networks of a point and a time, and scalar energies: what they see, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gencourse import nets


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator())


def shaken(network: nn.Module) -> nn.Module:
    """Give every parameter a value, also those that start at zero."""
    g = generator(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=g))
    return network.double()


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "mlp": (shaken(nets.TimeMLP(3, 3, width=8, depth=2)), (3,)),
    "digits": (shaken(nets.TimeUNet((1, 8, 8), width=8)), (1, 8, 8)),
    "once": (shaken(nets.TimeUNet((2, 10, 6), width=4)), (2, 10, 6)),
}


def test_time_features_by_hand() -> None:
    features = nets.TimeFeatures(3, highest=100.0).double()
    torch.testing.assert_close(features.omega, torch.tensor([1.0, 10.0, 100.0]).double())
    t = torch.tensor([0.0, 0.3], dtype=torch.float64)
    expected = torch.stack(
        [torch.tensor([f(w * u) for f in (torch.cos, torch.sin) for w in (1, 10, 100)]) for u in t]
    )
    torch.testing.assert_close(features(t), expected.double(), rtol=1e-5, atol=1e-5)
    assert features(torch.zeros(2, 5).double()).shape == (2, 5, 6)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_time_or_one_for_each(name: str) -> None:
    network, shape = NETWORKS[name]
    x = some(4, *shape).double()
    t = torch.tensor([0.0, 0.2, 0.2, 0.9]).double()
    rows = network(x, t)
    assert rows.shape == x.shape
    for i in range(4):
        for same in (t[i], float(t[i]), t[i : i + 1]):
            torch.testing.assert_close(network(x[i : i + 1], same), rows[i : i + 1])
    torch.testing.assert_close(network(x, 0.5), network(x, torch.full((4,), 0.5).double()))


@pytest.mark.parametrize("name", NETWORKS)
def test_time_and_place_both_matter(name: str) -> None:
    network, shape = NETWORKS[name]
    x = some(2, *shape).double()
    at_once = network(x, 0.1)
    assert (network(x, 0.12) - at_once).abs().max() > 1e-5
    assert (network(x + 0.01, 0.1) - at_once).abs().max() > 1e-5
    # A sample does not see the others of its batch.
    torch.testing.assert_close(network(x[:1], 0.1), at_once[:1])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_takes_part(name: str) -> None:
    network, shape = NETWORKS[name]
    network.zero_grad()
    network(
        some(3, *shape).double(), torch.tensor([0.1, 0.5, 0.7]).double()
    ).square().sum().backward()
    for label, p in network.named_parameters():
        assert p.grad is not None, label
        assert p.grad.abs().sum() > 0, label


def test_the_mlp_is_smooth() -> None:
    """Second derivatives in x and in t, by central differences of autograd's first ones."""
    network, _ = NETWORKS["mlp"]
    x = some(2, 3).double().requires_grad_()
    t = torch.tensor([0.3, 0.6]).double().requires_grad_()
    assert torch.autograd.gradcheck(network, (x, t))
    assert torch.autograd.gradgradcheck(network, (x, t))


def test_an_image_is_seen_whole() -> None:
    """Each pixel of the output depends on each of the input: the middle spans the image."""
    network = NETWORKS["digits"][0]
    x = some(1, 1, 8, 8).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x, 0.3), x)
    assert (jacobian.reshape(64, 64).abs() > 0).all()


def test_the_untrained_u_net_is_zero() -> None:
    assert (nets.TimeUNet((1, 28, 28), width=4)(some(2, 1, 28, 28), 0.1) == 0).all()


@pytest.mark.parametrize("size", [2, 4, 8, 10, 28, 32])
def test_sizes_of_images(size: int) -> None:
    x = some(2, 1, size, size)
    assert nets.TimeUNet((1, size, size), width=4)(x, 0.5).shape == x.shape


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((1, 9, 9), "size 9 × 9 cannot be halved"),
        ((1, 8, 7), "size 8 × 7 cannot be halved"),
        ((8, 8), "needs images of shape"),
        ((1, 0, 0), "needs images of shape"),
        ((2,), "needs images of shape"),
    ],
)
def test_images_that_a_u_net_cannot_take(shape: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        nets.TimeUNet(shape)


@given(st.one_of(st.integers(max_value=0), st.floats(), st.text(), st.none(), st.booleans()))
def test_sizes_that_make_no_sense(size: Any) -> None:
    for call in (
        lambda: nets.TimeMLP(size, 2),
        lambda: nets.TimeMLP(2, size),
        lambda: nets.TimeMLP(2, 2, width=size),
        lambda: nets.TimeMLP(2, 2, depth=size),
        lambda: nets.TimeFeatures(size),
        lambda: nets.TimeUNet((1, 8, 8), width=size),
        lambda: nets.energy_network((2,), width=size),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
    with pytest.raises(ValueError, match="highest must be"):
        nets.TimeFeatures(3, highest=0.5)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 28, 28)])
def test_energies(shape: tuple[int, ...]) -> None:
    """Zero at first; then smooth, and of each sample alone."""
    network = nets.energy_network(shape, width=4, depth=2)
    x = some(3, *shape)
    assert torch.equal(network(x), torch.zeros(3, 1))
    network = shaken(network)
    x = x.double().requires_grad_()
    values = network(x)
    assert values.shape == (3, 1)
    torch.testing.assert_close(network(x[:1]), values[:1])
    if shape == (2,):
        assert torch.autograd.gradgradcheck(network, (x,))
    values.sum().backward()
    for p in network.parameters():
        assert p.grad is not None
        assert p.grad.abs().sum() > 0
