"""The convolutional pair of Radford, Metz & Chintala (2016), for square images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

__all__ = ["dcgan_discriminator", "dcgan_generator", "downsampling", "upsampling"]


def _halvings(event_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (channels, coarsest size, number of halvings) for square images.

    The size is halved at least twice, and until it is below 8: 8 → 2, 28 → 7, 32 → 4.
    """
    if len(event_shape) != 3 or event_shape[1] != event_shape[2]:
        raise ValueError(
            "convolutional networks here need square images (channels, size, size), "
            f"not {tuple(event_shape)}"
        )
    channels, size, _ = event_shape
    coarse, halvings = size, 0
    while coarse >= 8 or halvings < 2:
        if coarse % 2:
            raise ValueError(
                f"images of size {size} cannot be halved down to a few pixels; resize or pad "
                "them to 8, 16, 28, 32 or 64"
            )
        coarse, halvings = coarse // 2, halvings + 1
    if coarse < 2:
        raise ValueError(f"images of size {size} are too small to convolve; use at least 8")
    return channels, coarse, halvings


def upsampling(
    latent: int, event_shape: Sequence[int], *, width: int = 64, normalised: bool = True
) -> list[nn.Module]:
    """Layers from a vector to an image, the last one linear: pixels are any real numbers.

    A linear layer makes the coarsest feature map; each transposed convolution doubles the
    resolution and halves the channels, with ReLU between.

    Parameters
    ----------
    latent : int
        Length of the vector, given with shape ``(n, latent)``.
    event_shape : (channels, size, size)
        Shape of an image; the size is any ``c·2^k``.
    width : int
        Channels of the finest hidden feature map.
    normalised : bool
        Whether each hidden feature map is normalised over the batch.

    Raises
    ------
    ValueError
        If images of this shape cannot be halved to a few pixels.
    """
    channels, coarse, halvings = _halvings(event_shape)
    features = width * 2 ** (halvings - 1)
    # Normalisation subtracts the mean, and with it any bias before it.
    bias = not normalised
    layers: list[nn.Module] = [
        nn.Linear(latent, features * coarse * coarse, bias=bias),
        nn.Unflatten(1, (features, coarse, coarse)),
        *([nn.BatchNorm2d(features)] if normalised else []),
        nn.ReLU(),
    ]
    for _ in range(halvings - 1):
        layers += [
            nn.ConvTranspose2d(features, features // 2, 4, stride=2, padding=1, bias=bias),
            *([nn.BatchNorm2d(features // 2)] if normalised else []),
            nn.ReLU(),
        ]
        features //= 2
    layers.append(nn.ConvTranspose2d(features, channels, 4, stride=2, padding=1))
    return layers


def downsampling(
    event_shape: Sequence[int], outputs: int, *, width: int = 64, normalised: bool = False
) -> list[nn.Module]:
    """Layers from an image to ``outputs`` numbers: the mirror image of :func:`upsampling`.

    Strided convolutions with leaky ReLU. Without normalisation over the batch each image is
    judged alone, whichever others come with it; with it, all feature maps but the first are.
    """
    channels, coarse, halvings = _halvings(event_shape)
    features = width
    layers: list[nn.Module] = [
        nn.Conv2d(channels, features, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
    ]
    for _ in range(halvings - 1):
        layers += [
            nn.Conv2d(features, 2 * features, 4, stride=2, padding=1, bias=not normalised),
            *([nn.BatchNorm2d(2 * features)] if normalised else []),
            nn.LeakyReLU(0.2),
        ]
        features *= 2
    return [*layers, nn.Flatten(), nn.Linear(features * coarse * coarse, outputs)]


def dcgan_generator(latent: int, event_shape: Sequence[int], *, width: int = 64) -> nn.Sequential:
    """Generator of Radford, Metz & Chintala (2016), for square images of any size ``c·2^k``.

    The layers of :func:`upsampling`, with batch normalisation, and ``tanh`` last.

    Parameters
    ----------
    latent : int
        Dimension of the noise ``z``, given with shape ``(n, latent)``.
    event_shape : (channels, size, size)
        Shape of an image; values come out in [-1, 1].
    width : int
        Channels of the finest hidden feature map.
    """
    return _dcgan_weights(nn.Sequential(*upsampling(latent, event_shape, width=width), nn.Tanh()))


def dcgan_discriminator(
    event_shape: Sequence[int], outputs: int = 1, *, width: int = 64, normalised: bool = False
) -> nn.Sequential:
    """Discriminator that mirrors :func:`dcgan_generator`; returns ``(n, outputs)``.

    The layers of :func:`downsampling`. Without batch normalisation real and fake images go
    through in one batch without seeing each other's statistics; with it, as in the paper, they
    must come in batches of their own.
    """
    layers = downsampling(event_shape, outputs, width=width, normalised=normalised)
    return _dcgan_weights(nn.Sequential(*layers))


def _dcgan_weights(network: nn.Sequential) -> nn.Sequential:
    """Initialise as in the DCGAN paper: weights N(0, 0.02²), scales N(1, 0.02²), no biases."""
    for module in network:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
    return network
