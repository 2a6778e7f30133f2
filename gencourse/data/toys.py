"""Distributions in the plane whose truth is known: what a model should have learned.

Each class below is one kind of distribution with its exact density; each function at the
end is a named data set, whose keyword arguments are its options.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gencourse._precision import BLOCK, double, log_sum_exp
from gencourse._validate import points, positive
from gencourse.data.base import Dataset

__all__ = [
    "Checkerboard",
    "Circles",
    "Gaussian",
    "GaussianMixture",
    "NoisyCurve",
    "ParallelLine",
    "Pinwheel",
    "checkerboard",
    "circles",
    "gaussian",
    "grid25",
    "moons",
    "parallel_lines",
    "pinwheel",
    "ring8",
    "swiss_roll",
    "two_gaussians",
]

LOG_2PI = math.log(2 * math.pi)


def _finite_number(value: float, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")


class _Toy(Dataset):
    """Checks and devices in one place; a subclass draws and evaluates."""

    event_shape = (2,)

    @abstractmethod
    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        """Draw ``(n, d)`` float32 samples on the generator's device."""

    def _log_density(self, x: Tensor) -> Tensor:
        """Log density, shape ``(n,)``, at float64 points of shape ``(n, d)``."""
        raise NotImplementedError

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        device: str | torch.device | None = None,
    ) -> Tensor:
        """Draw ``n`` points; see :meth:`gencourse.data.Dataset.sample`."""
        positive(n, "n", integer=True)
        where = generator.device if generator is not None else torch.device("cpu")
        return self._draw(n, generator, where).to(device or where)

    def log_prob(self, x: Tensor) -> Tensor | None:
        """Return the log density in nats, shape ``(n,)``; see :meth:`Dataset.log_prob`."""
        points(x, "x", self.event_shape)
        return self._log_density(double(x)).to(device=x.device, dtype=x.dtype)


class GaussianMixture(_Toy):
    """Isotropic Gaussians of equal width around given centres.

    Parameters
    ----------
    modes : Tensor of shape (K, d)
        The centres.
    std : float
        Standard deviation of each component, in every direction.
    weights : sequence of K floats, optional
        Probabilities of the components; the default is equal ones.
    name : str
        What the data set calls itself.
    """

    def __init__(
        self,
        modes: Tensor,
        std: float,
        weights: Sequence[float] | None = None,
        *,
        name: str = "gaussian_mixture",
    ) -> None:
        positive(std, "std")
        self.name = name
        self.modes: Tensor = points(modes, "modes").float()
        self.mode_std: float = float(std)
        if self.modes.ndim != 2:
            raise ValueError(f"modes must have shape (K, d), not {tuple(modes.shape)}")
        self.event_shape = (self.modes.shape[1],)
        k = len(self.modes)
        self.weights = torch.full((k,), 1 / k, dtype=torch.float64)
        if weights is not None:
            self.weights = torch.as_tensor(weights, dtype=torch.float64)
            if self.weights.shape != (k,) or not (self.weights > 0).all():
                raise ValueError(f"weights must be {k} positive numbers, one for each mode")
            if abs(float(self.weights.sum()) - 1) > 1e-9:
                raise ValueError(f"weights must sum to 1, not {float(self.weights.sum()):g}")

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        weights = self.weights.float().to(device)
        component = torch.multinomial(weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, *self.event_shape, generator=generator, device=device)
        return self.modes.to(device)[component] + self.mode_std * noise

    def _log_density(self, x: Tensor) -> Tensor:
        d = x.shape[1]
        modes, weights = self.modes.to(x), self.weights.to(x)
        squares = (x[:, None] - modes).square().sum(-1)
        log_kernel = -0.5 * squares / self.mode_std**2 - d * (math.log(self.mode_std) + LOG_2PI / 2)
        return torch.logsumexp(weights.log() + log_kernel, dim=1)


class Gaussian(_Toy):
    """A single Gaussian with any covariance, and its entropy in closed form.

    Parameters
    ----------
    mean : Tensor of shape (d,)
    covariance : Tensor of shape (d, d)
        Symmetric positive definite.
    name : str
        What the data set calls itself.
    """

    def __init__(self, mean: Tensor, covariance: Tensor, *, name: str = "gaussian") -> None:
        self.name = name
        self.mean, self.covariance = mean.double(), covariance.double()
        d = len(self.mean)
        if self.mean.shape != (d,) or self.covariance.shape != (d, d):
            raise ValueError(
                f"mean must have shape (d,) and covariance (d, d), not {tuple(mean.shape)} "
                f"and {tuple(covariance.shape)}"
            )
        factor, failed = torch.linalg.cholesky_ex(self.covariance)
        if failed or not torch.equal(self.covariance, self.covariance.T):
            raise ValueError("covariance must be symmetric and positive definite")
        self._factor = factor  # covariance = factor factorᵀ, lower triangular
        self.event_shape = (d,)

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        noise = torch.randn(n, *self.event_shape, generator=generator, device=device)
        return self.mean.float().to(device) + noise @ self._factor.float().to(device).T

    def _log_density(self, x: Tensor) -> Tensor:
        factor = self._factor.to(x)
        white = torch.linalg.solve_triangular(factor, (x - self.mean.to(x)).T, upper=False)
        log_det = factor.diagonal().log().sum()
        return -0.5 * white.square().sum(0) - log_det - len(white) * LOG_2PI / 2

    def entropy(self, n: int = 1, *, generator: torch.Generator | None = None) -> float:
        """½ log det(2πe Σ), exactly; the arguments are not needed."""
        d = self.event_shape[0]
        return (d * (1 + LOG_2PI) / 2 + self._factor.diagonal().log().sum()).item()


class NoisyCurve(_Toy):
    """Points on curves, blurred by Gaussian noise: a one-dimensional set made a density.

    A curve is chosen with equal probability, then t ~ U[0, 1], then x = c(t) + σ ε. The
    density is the integral of N(x; c(t), σ² I) over t. It is evaluated by Gauss–Legendre
    quadrature with 8 nodes on panels along which the curve moves by at most σ, whose
    relative error is below 1e-8 within 6 σ of the curve and below 1e-4 within 12 σ.

    Parameters
    ----------
    curves : sequence of callable
        Each maps t in [0, 1], shape ``(m,)``, to points ``(m, 2)``; smooth in t.
    noise : float
        σ, the standard deviation of the noise.
    name : str
        What the data set calls itself.
    """

    def __init__(
        self,
        curves: Sequence[Callable[[Tensor], Tensor]],
        noise: float,
        *,
        name: str = "noisy_curve",
    ) -> None:
        positive(noise, "noise")
        self.name, self.curves, self.noise = name, tuple(curves), float(noise)
        self._nodes: Tensor | None = None  # (m, 2) and
        self._log_weights: Tensor | None = None  # (m,), made when a density is first wanted

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        t = torch.rand(n, generator=generator, device=device)
        which = torch.randint(len(self.curves), (n,), generator=generator, device=device)
        noise = torch.randn(n, 2, generator=generator, device=device)
        on_curve = torch.stack([curve(t) for curve in self.curves])
        return on_curve[which, torch.arange(n, device=device)] + self.noise * noise

    def _quadrature(self) -> tuple[Tensor, Tensor]:
        if self._nodes is None or self._log_weights is None:
            base, weight = map(torch.from_numpy, np.polynomial.legendre.leggauss(8))
            base, weight = (base + 1) / 2, weight / 2  # from [-1, 1] to [0, 1]
            nodes, weights = [], []
            fine = torch.linspace(0, 1, 10_001, dtype=torch.float64)
            for curve in self.curves:
                speed = curve(fine).diff(dim=0).norm(dim=1).max() * (len(fine) - 1)
                panels = max(1, math.ceil(float(speed) / self.noise))
                t = (torch.arange(panels)[:, None] + base).flatten() / panels
                nodes.append(curve(t))
                weights.append(weight.repeat(panels) / (panels * len(self.curves)))
            self._nodes, self._log_weights = torch.cat(nodes), torch.cat(weights).log()
        return self._nodes, self._log_weights

    def _log_density(self, x: Tensor) -> Tensor:
        nodes, log_weights = (part.to(x) for part in self._quadrature())
        # |x - c|² = |x|² - 2 x·c + |c|² turns the work into one matrix product.
        offset = log_weights - 0.5 * nodes.square().sum(1) / self.noise**2
        rows = max(1, BLOCK // len(nodes))
        log_sums = [
            log_sum_exp(block @ nodes.T / self.noise**2 + offset) for block in x.split(rows)
        ]
        squares = x.square().sum(1) / self.noise**2
        return torch.cat(log_sums) - 0.5 * squares - LOG_2PI - 2 * math.log(self.noise)


class Circles(_Toy):
    """Concentric circles blurred by Gaussian noise; the density is a Bessel function.

    On a circle of radius R the angle integrates out:
    p(x) = exp(-(r² + R²) / 2σ²) I₀(r R / σ²) / (2πσ²) with r = ‖x‖ (the Rice distribution).

    Parameters
    ----------
    radii : sequence of float
        One circle for each, chosen with equal probability.
    noise : float
        σ, the standard deviation of the noise.
    name : str
        What the data set calls itself.
    """

    def __init__(self, radii: Sequence[float], noise: float, *, name: str = "circles") -> None:
        positive(noise, "noise")
        for radius in radii:
            positive(radius, "radius")
        self.name, self.radii, self.noise = name, tuple(map(float, radii)), float(noise)

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        angle = 2 * math.pi * torch.rand(n, generator=generator, device=device)
        which = torch.randint(len(self.radii), (n,), generator=generator, device=device)
        noise = torch.randn(n, 2, generator=generator, device=device)
        radius = torch.tensor(self.radii, device=device)[which]
        direction = torch.stack([angle.cos(), angle.sin()], dim=1)
        return radius[:, None] * direction + self.noise * noise

    def _log_density(self, x: Tensor) -> Tensor:
        variance = self.noise**2
        radii = torch.tensor(self.radii).to(x)
        # The tiny constant keeps the gradient of the root finite at the centre.
        r = (x.square().sum(1, keepdim=True) + 1e-300).sqrt()
        # I₀(z) = e^z i0e(z), so that nothing overflows.
        log_bessel = torch.special.i0e(r * radii / variance).log()
        log_circle = log_bessel - 0.5 * (r - radii).square() / variance
        return torch.logsumexp(log_circle, dim=1) - math.log(
            2 * math.pi * variance * len(self.radii)
        )


class Pinwheel(_Toy):
    """Gaussian arms, twisted by an angle that grows with the radius.

    After Johnson et al. 2016 (*Composing graphical models with neural networks*), with one
    change: the twist depends on the distance from the origin, so that it preserves area
    and can be undone, which makes the density exact.

    Parameters
    ----------
    arms : int
    radius, radial_std, tangential_std : float
        Mean distance of an arm's points from the origin, their spread along the arm, and
        across it.
    twist : float
        Angle in radians by which points turn for each unit of distance.
    name : str
        What the data set calls itself.
    """

    def __init__(
        self,
        arms: int,
        radius: float,
        radial_std: float,
        tangential_std: float,
        twist: float,
        *,
        name: str = "pinwheel",
    ) -> None:
        positive(arms, "arms", integer=True)
        positive(radius, "radius")
        positive(radial_std, "radial_std")
        positive(tangential_std, "tangential_std")
        _finite_number(twist, "twist")
        self.name, self.arms, self.radius, self.twist = name, arms, float(radius), float(twist)
        self.std = (float(radial_std), float(tangential_std))

    def _rotate(self, x: Tensor, angle: Tensor) -> Tensor:
        cos, sin = angle.cos(), angle.sin()
        a, b = x.unbind(-1)
        return torch.stack([cos * a - sin * b, sin * a + cos * b], dim=-1)

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        arm = torch.randint(self.arms, (n,), generator=generator, device=device)
        noise = torch.randn(n, 2, generator=generator, device=device)
        straight = noise * torch.tensor(self.std, device=device)
        straight[:, 0] += self.radius
        angle = 2 * math.pi * arm / self.arms + self.twist * straight.norm(dim=1)
        return self._rotate(straight, angle)

    def _log_density(self, x: Tensor) -> Tensor:
        # Undo the twist for every arm the point may belong to; rotations keep the volume.
        r = (x.square().sum(1, keepdim=True) + 1e-300).sqrt()
        arm = torch.arange(self.arms, device=x.device).to(x)
        straight = self._rotate(x[:, None], -(2 * math.pi * arm / self.arms + self.twist * r))
        radial, tangential = straight.unbind(-1)
        log_arm = -0.5 * (
            ((radial - self.radius) / self.std[0]).square() + (tangential / self.std[1]).square()
        )
        constant = LOG_2PI + math.log(self.std[0] * self.std[1] * self.arms)
        return torch.logsumexp(log_arm, dim=1) - constant


class Checkerboard(_Toy):
    """Uniform on the dark squares of a board that covers [-half, half]².

    Parameters
    ----------
    cells : int
        Squares along one side; even, so that half of them are dark.
    half : float
        Half the side of the board.
    name : str
        What the data set calls itself.
    """

    def __init__(self, cells: int, half: float, *, name: str = "checkerboard") -> None:
        positive(cells, "cells", integer=True)
        positive(half, "half")
        if cells % 2:
            raise ValueError(f"cells must be even, so that half of them are dark, not {cells}")
        self.name, self.cells, self.half = name, cells, float(half)

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        column = torch.randint(self.cells, (n,), generator=generator, device=device)
        pair = torch.randint(self.cells // 2, (n,), generator=generator, device=device)
        row = 2 * pair + column % 2  # dark where row and column have the same parity
        inside = torch.rand(n, 2, generator=generator, device=device)
        corner = torch.stack([column, row], dim=1)
        return (corner + inside) * (2 * self.half / self.cells) - self.half

    def _log_density(self, x: Tensor) -> Tensor:
        cell = torch.floor((x + self.half) * (self.cells / (2 * self.half)))
        on_board = ((cell >= 0) & (cell < self.cells)).all(dim=1)
        dark = on_board & (cell.sum(dim=1) % 2 == 0)
        level = -math.log(2 * self.half**2)  # dark squares cover half of the board
        outside = torch.full_like(x[:, 0], -math.inf)
        return torch.where(dark, torch.full_like(outside, level), outside)

    def entropy(self, n: int = 1, *, generator: torch.Generator | None = None) -> float:
        """Log of the dark area, exactly; the arguments are not needed."""
        return math.log(2 * self.half**2)


class ParallelLine(_Toy):
    """The distribution P_θ of (θ, Z) with Z ~ U[0, 1]: uniform on a vertical segment.

    Example 1 of Arjovsky, Chintala & Bottou 2017 (*Wasserstein GAN*), as on deck C: for
    θ ≠ 0 the distributions P_0 and P_θ have disjoint supports, so JS = log 2 and KL = ∞
    whatever θ is, while W₁ and W₂ are the distance of the lines. It has no density in the
    plane, so ``log_prob`` returns ``None``.

    Parameters
    ----------
    theta : float
        Where the line stands.
    name : str
        What the data set calls itself.
    """

    def __init__(self, theta: float, *, name: str = "parallel_lines") -> None:
        if (
            isinstance(theta, bool)
            or not isinstance(theta, int | float)
            or not math.isfinite(theta)
        ):
            raise ValueError(f"theta must be a finite number, not {theta!r}")
        self.name, self.theta = name, float(theta)

    def _draw(self, n: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
        z = torch.rand(n, generator=generator, device=device)
        return torch.stack([torch.full_like(z, self.theta), z], dim=1)

    def log_prob(self, x: Tensor) -> None:
        """Return ``None``: a line has no density in the plane."""
        points(x, "x", self.event_shape)


def ring8(*, radius: float = 2.0, std: float = 0.1, k: int = 8) -> GaussianMixture:
    """``k`` Gaussians evenly on a circle: the mode-collapse test of every GAN lecture."""
    positive(radius, "radius")
    positive(k, "k", integer=True)
    angle = 2 * math.pi * torch.arange(k, dtype=torch.float64) / k
    centres = radius * torch.stack([angle.cos(), angle.sin()], dim=1)
    return GaussianMixture(centres, std, name="ring8")


def grid25(*, spacing: float = 1.0, std: float = 0.05, k: int = 5) -> GaussianMixture:
    """``k`` × ``k`` Gaussians on a square grid around the origin."""
    positive(spacing, "spacing")
    positive(k, "k", integer=True)
    ticks = spacing * (torch.arange(k, dtype=torch.float64) - (k - 1) / 2)
    return GaussianMixture(torch.cartesian_prod(ticks, ticks), std, name="grid25")


def two_gaussians(
    *, separation: float = 3.0, std: float = 0.5, weight: float = 0.5
) -> GaussianMixture:
    """Two Gaussians side by side; ``weight`` is the probability of the left one."""
    positive(separation, "separation")
    if not 0 < weight < 1:
        raise ValueError(f"weight must lie between 0 and 1, not {weight!r}")
    centres = torch.tensor([[-separation / 2, 0.0], [separation / 2, 0.0]], dtype=torch.float64)
    return GaussianMixture(centres, std, [weight, 1 - weight], name="two_gaussians")


def gaussian(*, dimension: int = 2, std: float = 1.0, correlation: float = 0.0) -> Gaussian:
    """One Gaussian at the origin; every pair of coordinates has the same correlation."""
    positive(dimension, "dimension", integer=True)
    positive(std, "std")
    lowest = -1 / (dimension - 1) if dimension > 1 else -1
    if not lowest < correlation < 1:
        raise ValueError(
            f"correlation must lie between {lowest:g} and 1 in {dimension} dimensions, "
            f"not {correlation!r}"
        )
    eye = torch.eye(dimension, dtype=torch.float64)
    covariance = std**2 * ((1 - correlation) * eye + correlation)
    covariance.diagonal().fill_(std**2)
    data = Gaussian(torch.zeros(dimension, dtype=torch.float64), covariance, name="gaussian")
    if correlation == 0 or dimension == 1:
        data.modes, data.mode_std = torch.zeros(1, dimension), float(std)
    return data


def swiss_roll(*, radius: float = 2.0, noise: float = 0.08) -> NoisyCurve:
    """A spiral of one and a half turns, blurred; ``radius`` is where it ends.

    The curve of :func:`sklearn.datasets.make_swiss_roll` without its third dimension:
    (s cos s, s sin s) with s = 3π/2 (1 + 2t), scaled.
    """
    positive(radius, "radius")

    def spiral(t: Tensor) -> Tensor:
        s = 1.5 * math.pi * (1 + 2 * t)
        scale = radius / (4.5 * math.pi)
        return scale * torch.stack([s * s.cos(), s * s.sin()], dim=1)

    return NoisyCurve([spiral], noise, name="swiss_roll")


def moons(*, noise: float = 0.1) -> NoisyCurve:
    """Two interleaving half circles, those of :func:`sklearn.datasets.make_moons`."""

    def upper(t: Tensor) -> Tensor:
        return torch.stack([(math.pi * t).cos(), (math.pi * t).sin()], dim=1)

    def lower(t: Tensor) -> Tensor:
        return torch.stack([1 - (math.pi * t).cos(), 0.5 - (math.pi * t).sin()], dim=1)

    return NoisyCurve([upper, lower], noise, name="moons")


def circles(*, radius: float = 2.0, factor: float = 0.5, noise: float = 0.08) -> Circles:
    """Two concentric circles; ``factor`` is the inner radius over the outer one."""
    positive(radius, "radius")
    if not 0 < factor < 1:
        raise ValueError(f"factor must lie between 0 and 1, not {factor!r}")
    return Circles([radius, factor * radius], noise, name="circles")


def pinwheel(
    *,
    arms: int = 5,
    radius: float = 1.5,
    radial_std: float = 0.4,
    tangential_std: float = 0.1,
    twist: float = 0.8,
) -> Pinwheel:
    """A pinwheel of twisted Gaussian arms."""
    return Pinwheel(arms, radius, radial_std, tangential_std, twist, name="pinwheel")


def checkerboard(*, cells: int = 4, half: float = 2.0) -> Checkerboard:
    """Uniform on the dark squares of a board: a density with edges, hard for smooth maps."""
    return Checkerboard(cells, half, name="checkerboard")


def parallel_lines(*, theta: float = 0.0) -> ParallelLine:
    """The vertical segment at ``theta``: load two of them to compare, as deck C does."""
    return ParallelLine(theta, name="parallel_lines")
