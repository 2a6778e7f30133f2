r"""Which points are near which: squared distances, in float32 where that is enough to decide.

A product of matrices in float32 takes half the time of one in float64, and on most GPUs a
thirtieth. In many dimensions distances are therefore computed roughly at first, with a bound on
their rounding; those that the bound leaves in doubt, a few in a hundred thousand, are computed
again. What is decided is what float64 decides.

The bound: with u = 2⁻²⁴, rounding x and y to float32 and summing d products in any order gives
x·y to within (d + 2) u ‖x‖ ‖y‖, to first order in u (Higham 2002, *Accuracy and stability of
numerical algorithms*, section 3.1), so that ‖x - y‖² = ‖x‖² + ‖y‖² - 2 x·y is known to within
(d + 2) u (‖x‖² + ‖y‖²).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double

__all__ = ["Cloud", "decided", "kth_neighbour", "slices"]

MANY = 256  # dimensions from which the products are what takes the time
ROUNDING = 2.0**-24
UNDERFLOW = 2.0**-126  # of a product in float32
LARGEST = 1e30  # squared norm for which nothing overflows there
SPARE = 4  # candidates for the k-th neighbour beyond k
DOUBTFUL = 0.01  # share of a tile from which all of it is better computed again

# A squared distance below this share of the two squared norms is rounding: points that coincide
# must be found at distance 0, whatever matrix product the distance came from.
COINCIDE = 1e-13


class Cloud:
    """Points around a centre, their squared norms, and a copy for fast products.

    Parameters
    ----------
    points : Tensor of shape (n, d)
    centre : Tensor of shape (d,)
        In float64, near the points: an offset would cost digits.

    Attributes
    ----------
    rough : bool
        Whether the copy is in float32, and no copy in float64 is kept.
    copy : Tensor of shape (n, d)
        The points less the centre.
    norms : Tensor of shape (n,)
        Their squared norms, in float64.
    """

    def __init__(self, points: Tensor, centre: Tensor) -> None:
        self.points, self.centre = points, centre
        some = list(slices(len(points), max(1, BLOCK // points.shape[1])))
        self.norms = torch.cat([self.exact(i).square().sum(dim=1) for i in some])
        self.rough = (
            points.shape[1] >= MANY
            and torch.get_float32_matmul_precision() == "highest"  # no bfloat16, no TF32
            and self.norms.max().item() < LARGEST
        )
        precision = torch.float32 if self.rough else torch.float64
        self.copy = torch.empty(points.shape, dtype=precision, device=centre.device)
        for i in some:
            self.copy[i] = self.exact(i)

    def __len__(self) -> int:
        return len(self.points)

    def exact(self, rows: slice | Tensor) -> Tensor:
        """Return some of the points less the centre, in float64."""
        return double(self.points[rows]) - self.centre


def slices(n: int, size: int) -> Iterator[slice]:
    """Cut 0, …, n - 1 into slices of this size, and a last one that may be shorter."""
    return (slice(i, min(i + size, n)) for i in range(0, n, size))


def squares(x: Cloud, rows: slice | Tensor, y: Cloud, columns: slice) -> Tensor:
    """Squared distances; those that are rounding become 0."""
    norms = x.norms[rows, None] + y.norms[columns]
    a, b = (z.exact(i) if z.rough else z.copy[i] for z, i in ((x, rows), (y, columns)))
    found = torch.addmm(norms, a, b.T, alpha=-2)
    return found.masked_fill_(found < norms.mul_(COINCIDE), 0.0)


def rough_squares(x: Cloud, rows: slice, y: Cloud, columns: slice) -> tuple[Tensor, Tensor]:
    """Squared distances from products in float32, and by how much they may be wrong."""
    norms = x.norms[rows, None] + y.norms[columns]
    with torch.autocast(norms.device.type, enabled=False):
        products = x.copy[rows] @ y.copy[columns].T
    found = torch.sub(norms, products, alpha=2)
    d = x.points.shape[1]  # and twice the bound, for terms of higher order
    return found, norms.mul_(2 * (d + 2) * ROUNDING).add_(2 * d * UNDERFLOW)


def pairs(x: Cloud, i: Tensor, y: Cloud, j: Tensor) -> Tensor:
    """Squared distances of x_i and y_j for lists of i and j, from their differences."""
    size = max(1, BLOCK // x.points.shape[1])
    parts = [
        double(x.points[a]).sub_(double(y.points[b])).square_().sum(dim=1)
        for a, b in zip(i.split(size), j.split(size), strict=True)
    ]
    return torch.cat(parts)


def decided(x: Cloud, rows: slice, y: Cloud, columns: slice, *radii: Tensor) -> Tensor:
    """Squared distances that are on the right side of each of these squared radii."""
    if not (x.rough and y.rough):
        return squares(x, rows, y, columns)
    found, slack = rough_squares(x, rows, y, columns)
    doubtful = torch.zeros_like(found, dtype=torch.bool)
    for radius in radii:
        doubtful |= (found - radius).abs_() <= slack
    i, j = doubtful.nonzero(as_tuple=True)
    if len(i) > DOUBTFUL * found.numel():
        return squares(x, rows, y, columns)
    found[i, j] = pairs(x, i + rows.start, y, j + columns.start)
    return found


class Smallest:
    """The k smallest numbers in each of n rows, whose columns come a few at a time."""

    def __init__(self, n: int, k: int, device: torch.device) -> None:
        self.values = torch.full((n, k), math.inf, dtype=torch.float64, device=device)
        self.indices = torch.zeros(n, k, dtype=torch.int64, device=device)

    def update(self, some: Tensor, start: int) -> None:
        """Look at the columns from ``start`` on."""
        k = self.values.shape[1]
        values, at = some.topk(min(k, some.shape[1]), dim=1, largest=False, sorted=False)
        values, at = torch.cat([self.values, values], 1), torch.cat([self.indices, at + start], 1)
        self.values, chosen = values.topk(k, dim=1, largest=False, sorted=False)
        self.indices = at.gather(1, chosen)


def nearest(x: Cloud, k: int, side: int) -> tuple[Tensor, Tensor]:
    """The k smallest squared distances from each point, or lower bounds of them, and to where.

    From the tiles on the diagonal of their matrix and above it: below is the mirror image.
    """
    tiles = list(slices(len(x), side))
    found = [Smallest(tile.stop - tile.start, k, x.norms.device) for tile in tiles]
    for a, rows in enumerate(tiles):
        for b, columns in enumerate(tiles[a:], a):
            if x.rough:
                low, slack = rough_squares(x, rows, x, columns)
                low -= slack
            else:
                low = squares(x, rows, x, columns)
            if a == b:
                low.fill_diagonal_(math.inf)  # no point is its own neighbour
            else:
                found[b].update(low.T, rows.start)
            found[a].update(low, columns.start)
    return torch.cat([s.values for s in found]), torch.cat([s.indices for s in found])


def kth_neighbour(x: Cloud, k: int, side: int) -> Tensor:
    """Squared distance of each point to its k-th nearest neighbour, shape (n,).

    Rough tiles find a few more neighbours than k, of which the lower bounds of the distances are
    smallest. The true distances of these decide where the k-th is below the bounds of all others.
    """
    n, device = len(x), x.norms.device
    if not x.rough:
        return nearest(x, k, side)[0].amax(dim=1)
    kept = min(k + SPARE, n - 1)
    low, j = nearest(x, kept, side)
    i = torch.arange(n, device=device)
    radius = pairs(x, i.repeat_interleave(kept), x, j.flatten()).reshape(n, kept)
    radius = radius.kthvalue(k, dim=1).values
    undecided = i[(radius > low.amax(dim=1)) & (kept < n - 1)]
    for some in slices(len(undecided), side):
        rows = undecided[some]
        smallest = Smallest(len(rows), k, device)
        for columns in slices(n, side):
            found = squares(x, rows, x, columns)
            found.masked_fill_(rows[:, None] == i[columns], math.inf)
            smallest.update(found, columns.start)
        radius[rows] = smallest.values.amax(dim=1)
    return radius
