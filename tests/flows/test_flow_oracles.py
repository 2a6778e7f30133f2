"""The same weights in zuko's flows give the same densities."""

from __future__ import annotations

import math

import pytest
import torch
from flow_checks import normal, shaken
from torch import nn

from gencourse import flows, nets
from gencourse.flows import Compose, log_density

zuko = pytest.importorskip("zuko")

SLOPE = 1e-3  # zuko's softclip s = v / (1 + |v / log slope|)


def scale_as_zuko_has_it(shift: torch.Tensor, u: torch.Tensor) -> torch.distributions.Transform:
    """Zuko's affine transform with our log-scale s = 2 tanh u: v = s / (1 - |s / log slope|)."""
    s = 2 * u.tanh()
    v = s / (1 - (s / math.log(SLOPE)).abs())
    return zuko.transforms.MonotonicAffineTransform(shift, v, slope=SLOPE)


def copy(ours: nn.Module, theirs: nn.Module, rows: list[int]) -> None:
    """Copy the linear layers; row i of zuko's last one is row ``rows[i]`` of ours."""
    a, b = ([m for m in net.modules() if hasattr(m, "weight")] for net in (ours, theirs))
    assert len(a) == len(b)
    with torch.no_grad():
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            take = rows if i == len(a) - 1 else list(range(len(x.weight)))
            y.weight.copy_(x.weight[take])
            y.bias.copy_(x.bias[take])
            if isinstance(x, nets.MaskedLinear):
                y.mask.copy_(x.mask[take].bool())


def flow_of(transforms: list[nn.Module], d: int) -> zuko.flows.Flow:
    base = zuko.flows.UnconditionalDistribution(
        zuko.distributions.DiagNormal,
        torch.zeros(d, dtype=torch.float64),
        torch.ones(d, dtype=torch.float64),
        buffer=True,
    )
    return zuko.flows.Flow(transforms, base).double()


def interleaved(d: int) -> list[int]:
    """Zuko wants (t_1, u_1, t_2, u_2, …) of what we have as (u_1, …, u_d, t_1, …, t_d)."""
    return [row for k in range(d) for row in (d + k, k)]


@pytest.mark.parametrize("d", [2, 5])
def test_couplings(d: int) -> None:
    ours, theirs = [], []
    for i in range(3):
        swap = i % 2 == 1
        first = d - d // 2
        stay, move = (d - first, first) if swap else (first, d - first)
        network = nets.mlp(stay, 2 * move, width=16, depth=2)
        ours.append(flows.AffineCoupling(network, swap=swap, bound=2.0))
        mask = [(k < first) != swap for k in range(d)]
        theirs.append(
            zuko.flows.coupling.GeneralCouplingTransform(
                d, 0, mask, univariate=scale_as_zuko_has_it, hidden_features=(16, 16)
            )
        )
    f = shaken(Compose(*ours))
    reference = flow_of(theirs, d)
    for x, y in zip(f, theirs, strict=True):
        copy(x, y, interleaved((len(y.hyper[-1].bias)) // 2))
    x = 2 * normal(50, d)
    expected = reference().log_prob(x)
    assert expected.std() > 0.5
    torch.testing.assert_close(log_density(f, x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("d", [2, 4])
def test_masked_autoregressive_layers(d: int) -> None:
    ours, theirs = [], []
    for i in range(2):
        order = list(range(d)) if i == 0 else list(range(d - 1, -1, -1))
        ours.append(
            flows.MaskedAffine(nets.MaskedMLP(d, 2, width=18, depth=2, order=order), bound=2.0)
        )
        theirs.append(
            zuko.flows.autoregressive.MaskedAutoregressiveTransform(
                d, 0, order=order, univariate=scale_as_zuko_has_it, shapes=((), ()),
                hidden_features=(18, 18),
            )
        )  # fmt: skip
    f = shaken(Compose(*ours))
    reference = flow_of(theirs, d)
    for x, y in zip(f, theirs, strict=True):
        copy(x, y, interleaved(d))
    x = 2 * normal(50, d)
    expected = reference().log_prob(x)
    assert expected.std() > 0.5
    torch.testing.assert_close(log_density(f, x), expected, rtol=1e-10, atol=1e-10)
    # And the d sequential passes of both arrive at the same samples.
    z = normal(20, d, seed=4)
    torch.testing.assert_close(f.inverse(z)[0], reference().transform.inv(z), rtol=1e-9, atol=1e-9)
