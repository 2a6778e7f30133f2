"""Networks: shapes, the number of parameters by hand, initial weights, and freezing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gencourse import nets

SIZES = (8, 16, 28, 32, 64)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_the_convolutional_pair_fits_images(size: int, channels: int) -> None:
    shape = (channels, size, size)
    g = nets.dcgan_generator(5, shape, width=4)
    d = nets.dcgan_discriminator(shape, width=4)
    images = g(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    logits = d(images)
    assert logits.shape == (3, 1)
    # Every parameter of both takes part.
    logits.sum().backward()
    for p in [*g.parameters(), *d.parameters()]:
        assert p.grad is not None
        assert p.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("shape", "coarse"),
    [((1, 8, 8), 2), ((1, 12, 12), 3), ((1, 28, 28), 7), ((3, 32, 32), 4), ((1, 64, 64), 4)],
)
def test_the_coarsest_feature_map(shape: tuple[int, int, int], coarse: int) -> None:
    unflatten = next(m for m in nets.dcgan_generator(5, shape) if isinstance(m, nn.Unflatten))
    assert tuple(unflatten.unflattened_size)[1:] == (coarse, coarse)


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((1, 9, 9), "size 9 cannot be halved"),
        ((1, 30, 30), "size 30 cannot be halved"),
        ((1, 30, 28), "square images"),
        ((1, 28, 30), "square images"),
        ((2,), "square images"),
        ((28, 28), "square images"),
        ((1, 1, 28, 28), "square images"),
        ((1, 4, 4), "size 4 are too small"),
        ((1, 0, 0), "size 0 are too small"),
        ((1, 1, 1), "size 1 cannot be halved"),
    ],
)
def test_images_that_cannot_be_convolved(shape: tuple[int, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        nets.dcgan_generator(5, shape)
    with pytest.raises(ValueError, match=complaint):
        nets.dcgan_discriminator(shape)


def test_parameter_counts_by_hand() -> None:
    # Weights and biases of 3 → 7 → 7 → 2.
    assert nets.parameter_count(nets.mlp(3, 2, width=7, depth=2)) == 3 * 7 + 7 + 49 + 7 + 14 + 2
    # No hidden layer: a linear map.
    assert nets.parameter_count(nets.mlp(3, 2, depth=0)) == 3 * 2 + 2
    # z (10) → 8 channels of 2 × 2, normalised → 4 channels, normalised → 1 channel with bias.
    assert nets.parameter_count(nets.dcgan_generator(10, (1, 8, 8), width=4)) == (
        10 * 8 * 4 + 2 * 8 + 8 * 4 * 16 + 2 * 4 + 4 * 1 * 16 + 1
    )
    # 1 → 4 → 8 channels with biases, then 8 · 2 · 2 numbers → 1.
    assert nets.parameter_count(nets.dcgan_discriminator((1, 8, 8), width=4)) == (
        1 * 4 * 16 + 4 + 4 * 8 * 16 + 8 + 8 * 4 + 1
    )


def test_parameters_that_are_not_learnt_do_not_count() -> None:
    network = nets.mlp(2, 1, width=4, depth=1)
    network[0].weight.requires_grad_(False)
    assert nets.parameter_count(network) == 4 + 4 + 1


def test_initial_weights_of_the_dcgan_paper() -> None:
    for network in (nets.dcgan_generator(32, (1, 32, 32)), nets.dcgan_discriminator((3, 32, 32))):
        for module in network:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                n = module.weight.numel()
                # Standard errors of a mean and of a standard deviation: σ/√n and σ/√(2n).
                assert abs(module.weight.mean()) < 5 * 0.02 / n**0.5
                assert abs(module.weight.std() - 0.02) < 5 * 0.02 / (2 * n) ** 0.5
                assert module.bias is None or (module.bias == 0).all()
            elif isinstance(module, nn.BatchNorm2d):
                assert abs(module.weight.mean() - 1) < 5 * 0.02 / len(module.weight) ** 0.5
                assert (module.bias == 0).all()


def test_the_discriminator_judges_each_image_alone() -> None:
    """It has no batch normalisation, so real and fake can share a batch."""
    d = nets.dcgan_discriminator((1, 8, 8), width=4).double()
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(d(x)[:3], d(x[:3]), rtol=1e-12, atol=1e-14)


def test_freezing_passes_gradients_through_and_collects_none() -> None:
    network = nets.mlp(2, 1, width=4, depth=1)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network(x).sum().backward()
    assert x.grad is not None
    free, x.grad = x.grad, None
    network.zero_grad(set_to_none=True)
    with nets.frozen(network):
        network(x).sum().backward()
    assert torch.equal(x.grad, free)
    assert all(p.grad is None for p in network.parameters())
    assert all(p.requires_grad for p in network.parameters())


def test_freezing_ends_even_after_an_error() -> None:
    network = nets.mlp(2, 1)
    network[0].bias.requires_grad_(False)  # and this one stays as it was
    wanted = [p.requires_grad for p in network.parameters()]

    def fails() -> None:
        with nets.frozen(network), nets.frozen(network):
            assert not any(p.requires_grad for p in network.parameters())
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fails()
    assert [p.requires_grad for p in network.parameters()] == wanted


def test_weights_of_a_seed_leave_the_global_generator_alone() -> None:
    """An integer or a generator decides; two uses of one generator differ."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    source = torch.Generator().manual_seed(1)
    weights = []
    for seed in (1, 1, 2, source, source):
        with nets.weights_from(seed):
            weights.append(nets.mlp(2, 1, width=3).state_dict()["0.weight"])
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(weights[0], weights[1])
    assert len({tuple(w.flatten().tolist()) for w in weights}) == 4
