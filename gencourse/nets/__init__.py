"""The networks that models are built from, one architecture in each file.

Most functions return a :class:`torch.nn.Sequential`, so that printing a model shows
the whole of it. Images have shape ``(channels, height, width)``.
"""

from __future__ import annotations

from gencourse.nets.autoencoder import decoder, encoder
from gencourse.nets.critics import AutoencoderCritic
from gencourse.nets.dcgan import dcgan_discriminator, dcgan_generator
from gencourse.nets.energy import energy_network
from gencourse.nets.image_to_image import UNet, Upscaler, patch_discriminator
from gencourse.nets.masked import MaskedLinear, MaskedMLP
from gencourse.nets.masked_convolution import Dropout, MaskedConv2d, MaskedConvolutions
from gencourse.nets.mixtures import DiscretisedLogistics, MixtureOfGaussians, cooled, spread_out
from gencourse.nets.mlp import mlp
from gencourse.nets.parameters import frozen, parameter_count, weights_from
from gencourse.nets.relu import ReLUNetwork
from gencourse.nets.residual import ResidualConvolutions
from gencourse.nets.spectral import SpectralNormalisation, spectral_norm
from gencourse.nets.time import TimeFeatures, TimeMLP
from gencourse.nets.unet import TimeUNet
from gencourse.nets.vector_field import MLPField, UNetField

__all__ = [
    "AutoencoderCritic",
    "DiscretisedLogistics",
    "Dropout",
    "MLPField",
    "MaskedConv2d",
    "MaskedConvolutions",
    "MaskedLinear",
    "MaskedMLP",
    "MixtureOfGaussians",
    "ReLUNetwork",
    "ResidualConvolutions",
    "SpectralNormalisation",
    "TimeFeatures",
    "TimeMLP",
    "TimeUNet",
    "UNet",
    "UNetField",
    "Upscaler",
    "cooled",
    "dcgan_discriminator",
    "dcgan_generator",
    "decoder",
    "encoder",
    "energy_network",
    "frozen",
    "mlp",
    "parameter_count",
    "patch_discriminator",
    "spectral_norm",
    "spread_out",
    "weights_from",
]
