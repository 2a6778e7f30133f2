"""Networks from image to image: what they are before training, and what each output depends on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gencourse.nets.image_to_image import UNet, Upscaler, patch_discriminator


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("size", [8, 28, 32])
def test_a_unet_keeps_the_size_and_its_range(size: int) -> None:
    y = UNet((2, size, size), 3, width=4).double()(10 * noise(5, 2, size, size))
    assert y.shape == (5, 3, size, size)
    assert (y.abs() <= 1).all()
    assert y.std() > 0.01


def test_every_weight_of_a_unet_matters() -> None:
    """A feature handed to nowhere would leave weights without a gradient."""
    network = UNet((1, 8, 8), 1, width=4).double()
    network(noise(5, 1, 8, 8)).square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        # Normalisation over the batch takes away constants, and with them biases before it.
        if not name.endswith("bias"):
            assert p.grad.abs().max() > 0, name


def test_the_untrained_upscaler_is_bicubic_interpolation() -> None:
    x = noise(3, 2, 7, 5)
    y = Upscaler(2, 4, width=8).double()(x)
    torch.testing.assert_close(y, F.interpolate(x, scale_factor=4.0, mode="bicubic"))


def test_every_weight_of_an_upscaler_matters() -> None:
    network = Upscaler(1, 2, width=8).double()
    torch.nn.init.normal_(network.last.weight)
    network(noise(2, 1, 4, 4)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_a_patch_is_18_pixels_wide() -> None:
    """The derivative of one logit with respect to the image is its patch: 3·4 + 2·2 + 2 = 18."""
    x = noise(1, 1, 48, 48).requires_grad_()
    logits = patch_discriminator(1, width=4).double()(x)
    assert logits.shape == (1, 12 * 12)
    (slope,) = torch.autograd.grad(logits[0, 6 * 12 + 6], x)
    rows = slope[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 18


def test_refusals() -> None:
    with pytest.raises(ValueError, match="square images"):
        UNet((1, 8, 12), 1)
    with pytest.raises(ValueError, match="power of two"):
        Upscaler(1, 3)
    with pytest.raises(ValueError, match="width"):
        patch_discriminator(1, width=0)
