"""The four flows of the lectures, put together from the layers of this package.

Each function returns a :class:`Compose` from data to noise, for points of shape (d,) or
images of shape (channels, height, width). Data are expected at a scale of about one; see
:class:`Standardise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from gencourse.flows.autoregressive import MaskedAffine
from gencourse.flows.base import Inverse, Transform
from gencourse.flows.compose import Compose
from gencourse.flows.coupling import AdditiveCoupling, AffineCoupling, halves
from gencourse.flows.elementwise import DiagonalScaling
from gencourse.flows.images import CheckerboardCoupling, OnHalf, Squeeze
from gencourse.flows.permutation import Permutation, Reverse
from gencourse.nets import MaskedConvolutions, MaskedMLP, ResidualConvolutions, mlp

__all__ = ["iaf", "maf", "nice", "realnvp"]

Network = TypeVar("Network", bound=nn.Module)

FINE = 16  # images from this size on have several scales
# The pixels of a 2 × 2 square, numbered in reading order: the first two of them and the last two
# are a checkerboard, rows, and columns.
SPLITS = ((0, 3, 1, 2), (0, 1, 2, 3), (0, 2, 1, 3))


def nice(event_shape: tuple[int, ...], *, layers: int, width: int, depth: int) -> Compose:
    """NICE (Dinh, Krueger & Bengio 2015): additive couplings, and one diagonal scaling.

    Parameters
    ----------
    event_shape : tuple of int
    layers : int
        Couplings; of images, at each size.
    width, depth : int
        Hidden units (channels) and layers (residual blocks) of each coupling's network.

    Raises
    ------
    ValueError
        If the points have one coordinate, which has no halves.
    """
    couplings = _couplings(event_shape, layers, width, depth, bound=None)
    return Compose(*couplings, DiagonalScaling(event_shape))


def realnvp(
    event_shape: tuple[int, ...], *, layers: int, width: int, depth: int, bound: float
) -> Compose:
    """Real-NVP (Dinh, Sohl-Dickstein & Bengio 2017): affine couplings.

    Images are coupled by checkerboards, rows and columns in turn; those of 16 pixels and more
    leave half of the numbers behind and do so again at half the size.
    Parameters and errors are those of :func:`nice`; ``bound`` is that of
    :class:`AffineCoupling`.
    """
    return Compose(*_couplings(event_shape, layers, width, depth, bound=bound))


def maf(
    event_shape: tuple[int, ...], *, layers: int, width: int, depth: int, bound: float
) -> Compose:
    """Masked autoregressive flow (Papamakarios et al. 2017): layers in alternating orders.

    ``depth`` of images counts residual blocks of :class:`gencourse.nets.MaskedConvolutions`.
    """
    transforms: list[Transform] = []
    for i in range(layers):
        if len(event_shape) == 3:
            pixels = MaskedConvolutions(event_shape, 2, width=width, depth=depth)
            transforms += [MaskedAffine(_quiet(pixels), bound=bound), Reverse()]
        else:
            (d,) = event_shape
            order = range(d) if i % 2 == 0 else range(d - 1, -1, -1)
            network = MaskedMLP(d, 2, width=width, depth=depth, order=order)
            transforms.append(MaskedAffine(_quiet(_in_place(network)), bound=bound))
    return Compose(*transforms)


def iaf(
    event_shape: tuple[int, ...], *, layers: int, width: int, depth: int, bound: float
) -> Compose:
    """Inverse autoregressive flow (Kingma et al. 2016): :func:`maf` the other way round.

    Samples take one pass through each layer, densities d passes; so does each step of
    training by maximum likelihood. It is offered for points only.
    """
    if len(event_shape) != 1:
        raise ValueError(
            f"an inverse autoregressive flow takes points of shape (d,), not images "
            f"{tuple(event_shape)}: the density of an image would cost one pass for each pixel"
        )
    layers_of_maf = maf(event_shape, layers=layers, width=width, depth=depth, bound=bound)
    return Compose(*(Inverse(layer) for layer in layers_of_maf))


def _couplings(
    event_shape: tuple[int, ...], layers: int, width: int, depth: int, bound: float | None
) -> list[Transform]:
    """Couplings that take turns in which half moves; additive ones where ``bound`` is None."""
    if len(event_shape) == 3:
        return _scale(event_shape, layers, width, depth, bound)
    (d,) = event_shape
    if d < 2:
        raise ValueError(
            "a coupling needs two coordinates, one to move and one to say how; "
            "points with a single one can be learned by 'maf'"
        )

    def network(a: int, b: int) -> nn.Module:
        net = _in_place(mlp(a, b, width=width, depth=depth))
        # Shifts that all start small leave NICE near a saddle on symmetric data: with
        # E[x_b | x_a] = 0 no layer has a gradient to leave by. So they start as they are drawn.
        return net if bound is None else _quiet(net)

    transforms: list[Transform] = []
    for i in range(layers):
        transforms.append(_halved(d, network, swap=i % 2 == 1, bound=bound))
        if d > 2 and i % 2 == 1:
            # Other halves than before. With two coordinates there are no others.
            transforms.append(Permutation([*range(1, d), 0]))
    return transforms


def _halved(
    d: int, network: Callable[[int, int], nn.Module], *, swap: bool, bound: float | None
) -> Transform:
    """One coupling between halves of ``d`` coordinates, or channels."""
    stay, move = halves(d, swap)
    if bound is None:
        return AdditiveCoupling(network(stay, move), swap=swap)
    return AffineCoupling(network(stay, 2 * move), swap=swap, bound=bound)


def _scale(
    event_shape: tuple[int, ...], layers: int, width: int, depth: int, bound: float | None
) -> list[Transform]:
    """Couplings of images at one size, and at the smaller sizes within.

    Squeezed, the four pixels of each 2 × 2 square are channels. Halves of the channels are
    then a checkerboard, rows, or columns of the image, and convolutions cost a quarter.
    """
    c, h, w = event_shape
    if h % 2 or w % 2:
        return _checkerboards(event_shape, layers, width, depth, bound)
    smaller = (4 * c, h // 2, w // 2)

    def network(a: int, b: int) -> nn.Module:
        return _quiet(ResidualConvolutions((a, *smaller[1:]), b, width=width, depth=depth))

    transforms: list[Transform] = [Squeeze()]
    for i in range(layers):
        square = SPLITS[i // 2 % len(SPLITS)]
        split = Permutation([4 * channel + pixel for pixel in square for channel in range(c)])
        coupling = _halved(4 * c, network, swap=i % 2 == 1, bound=bound)
        transforms += [split, coupling, Inverse(split)]
    if min(h, w) >= FINE:
        rest = _scale((2 * c, *smaller[1:]), layers, width, depth, bound)
        transforms.append(OnHalf(Compose(*rest)))
    return [*transforms, Inverse(Squeeze())]


def _checkerboards(
    event_shape: tuple[int, ...], layers: int, width: int, depth: int, bound: float | None
) -> list[Transform]:
    """Couplings of images that cannot be squeezed."""
    outputs = event_shape[0] if bound is None else 2 * event_shape[0]
    return [
        CheckerboardCoupling(
            event_shape,
            _quiet(ResidualConvolutions(event_shape, outputs, width=width, depth=depth)),
            swap=i % 2 == 1,
            bound=bound,
        )
        for i in range(layers)
    ]


def _quiet(network: Network) -> Network:
    """Let a network start small, so that its layer starts near the identity."""
    last = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
    last.weight.data.mul_(0.1)
    if last.bias is not None:
        last.bias.data.zero_()
    return network


def _in_place(network: Network) -> Network:
    """Let ReLUs overwrite their input, which saves memory traffic."""
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    return network
