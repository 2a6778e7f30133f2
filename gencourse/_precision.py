"""Float64 where it matters: on machines that have it and on those that do not, and fast."""

from __future__ import annotations

from torch import Tensor

__all__ = ["BLOCK", "double", "log_sum_exp"]

#: Numbers that a blocked computation holds at once: 4 MB in float64, which stay in a cache.
BLOCK = 500_000

# e⁻⁷⁰⁰ ≈ 1e-304 vanishes beside the largest term, which is 1. Letting exponents fall further
# gives subnormal numbers, and those make exp several times slower.
NEGLIGIBLE = -700.0


def double(x: Tensor) -> Tensor:
    """Return ``x`` in float64, on its own device, or on the CPU where Apple's MPS has none.

    The conversion is differentiable, so a density evaluated in float64 still has a gradient
    with respect to a float32 input.
    """
    if x.device.type == "mps":
        return x.cpu().double()
    return x.double()


def log_sum_exp(x: Tensor) -> Tensor:
    """Return log Σ_j exp(x_ij) for each row of a finite float64 matrix, shape ``(n,)``."""
    largest = x.amax(dim=1, keepdim=True)
    return largest[:, 0] + (x - largest).clamp_min(NEGLIGIBLE).exp().sum(dim=1).log()
