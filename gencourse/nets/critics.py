"""A critic that is an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gencourse.nets.autoencoder import decoder, encoder

__all__ = ["AutoencoderCritic"]


class AutoencoderCritic(nn.Module):
    r"""How badly an autoencoder restores a sample: the energy of EBGAN and of BEGAN.

    Parameters
    ----------
    event_shape : (d,) or (channels, size, size)
        Shape of one sample.
    code : int
        k, the length of a code.
    width, depth : int
        As in :func:`gencourse.nets.encoder`.
    """

    def __init__(
        self, event_shape: Sequence[int], code: int, *, width: int = 128, depth: int = 3
    ) -> None:
        super().__init__()
        self.encoder = encoder(event_shape, code, width=width, depth=depth)
        self.decoder = decoder(code, event_shape, width=width, depth=depth)

    def forward(self, x: Tensor) -> Tensor:
        r"""Return L(x) = ‖x - x̂‖ / √d, followed by the code of x, shape ``(n, 1 + k)``."""
        code = self.encoder(x)
        error = (x - self.decoder(code)).flatten(1)
        distance = error.square().mean(dim=1, keepdim=True).add(1e-12).sqrt()
        return torch.cat([distance, code], dim=1)
