"""Density estimation by composed simple maps, each found by ascent of the likelihood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from gencourse._precision import double
from gencourse._validate import positive
from gencourse.models.cholesky import gaussian_fit
from gencourse.models.pushforward import LOG_2PI, PushForward
from gencourse.training import History, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["RadialFlow", "RadialMap", "RadialSettings"]

NEWTON_STEPS = 3  # for β; the function is concave, and the first step does most


@dataclass(frozen=True)
class RadialSettings:
    """Hyperparameters of a flow of radial maps.

    Attributes
    ----------
    candidates : int
        Random balls of which each step takes the best.
    smallest : float
        Least share of N(0, I) that a ball may hold; the largest holds about all of it.
    furthest : float
        Standard deviation of the balls' centres.
    strength : float
        Most that |β| may be, below 1: small moves leave more for later steps to choose.
    batch : int
        Samples by which candidates are compared.
    ridge : float
        Added to the diagonal of the covariance that the first, linear map takes out.
    steps : int
        How many balls are looked for.
    """

    candidates: int = 32
    smallest: float = 1e-3
    furthest: float = 1.3
    strength: float = 0.3
    batch: int = 8192
    ridge: float = 1e-6
    steps: int = 3000

    def __post_init__(self) -> None:
        for name in ("candidates", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("smallest", "furthest", "strength", "ridge"):
            positive(getattr(self, name), name)
        for name in ("smallest", "strength"):
            if getattr(self, name) >= 1:
                raise ValueError(f"{name} must be below 1, not {getattr(self, name)!r}")


class RadialMap(NamedTuple):
    r"""Moves points of the ball of radius α around c along its radii, and no others.

    φ(y) = y + β f(r) (y - c) with r = ‖y - c‖ and f(r) = max(0, 1 - r/α). For \|β\| < 1 it is
    increasing along each radius, and leaves the centre and the surface where they are. Its
    Jacobian stretches by 1 + β f across the radius, in d - 1 directions, and by 1 + β g along
    it, with g(r) = f + r f′ = 1 - 2r/α inside the ball. Several maps at once have their
    numbers along further dimensions.
    """

    centre: Tensor
    radius: Tensor
    beta: Tensor

    def shape(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y - c, f and g at the points ``y`` of shape ``(..., d)``."""
        offset = y - self.centre
        s = offset.norm(dim=-1) / self.radius
        inside = s < 1
        return offset, torch.where(inside, 1 - s, 0.0), torch.where(inside, 1 - 2 * s, 0.0)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return φ(y), ``(n, d)``, and log|det ∂φ/∂y|, ``(n,)``."""
        offset, f, g = self.shape(y)
        d = y.shape[-1]
        log_det = (d - 1) * torch.log1p(self.beta * f) + torch.log1p(self.beta * g)
        return y + (self.beta * f)[:, None] * offset, log_det

    def inverse(self, y: Tensor) -> Tensor:
        """Solve R = r + β r (1 - r/α), the distance after the map, for r; shape ``(n, d)``."""
        offset = y - self.centre
        R = offset.norm(dim=-1)
        a = 1 + self.beta
        # The smaller root of a quadratic, written so that nothing cancels as β or R goes to 0.
        root = (a.square() - 4 * self.beta * R / self.radius).clamp_min(0).sqrt()
        shrink = torch.where(self.radius > R, 2 / (a + root), 1.0)  # r / R
        return self.centre + shrink[:, None] * offset


class Particles(nn.Module):
    """The training samples as the maps found so far have moved them.

    Attributes
    ----------
    y : Tensor of shape (n, d)
    log_likelihood : Tensor
        Mean log density of the samples, in nats.
    """

    y: Tensor
    log_likelihood: Tensor

    def __init__(self, y: Tensor, log_likelihood: Tensor) -> None:
        super().__init__()
        self.register_buffer("y", y)
        self.register_buffer("log_likelihood", log_likelihood)


class RadialFlow(PushForward):
    """Maps φ_t ∘ ... ∘ φ_1 that carry the data, step by step, to N(0, I).

    Tabak & Vanden-Eijnden (2010), with the local radial maps and the length scales of Tabak &
    Turner (2013). The first map is linear, y = T⁻¹(x - m), and makes mean and covariance right.
    Each further step is greedy: of a few random balls it takes the one whose map raises the
    likelihood most, with β from Newton's method, moves all samples by it, and forgets where
    they came from. Nothing is ever differentiated through the composition.

    The mean log density after a map with parameter β is L(β) = mean of -½‖φ(y)‖² + log det, a
    concave function. A map whose gain in all n samples is below the number of its parameters,
    d + 2, tells of chance rather than of the data (Akaike 1974), and is left out.

    Attributes
    ----------
    mean, factor : Tensor of shape (d,) and (d, d)
        m and T.
    centres, radii, betas : Tensor of shape (t, d), (t,) and (t,)
        The maps, in the order in which data go through them.
    """

    Settings = RadialSettings
    settings: RadialSettings
    mean: Tensor
    factor: Tensor
    centres: Tensor
    radii: Tensor
    betas: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: RadialSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        (d,) = event_shape
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("factor", torch.eye(d))
        self._register_maps(torch.empty(0))

    def _register_maps(self, betas: Tensor) -> None:
        """Make room for as many maps as there are ``betas``."""
        t = len(betas)
        self.register_buffer("centres", betas.new_zeros(t, self.dimension))
        self.register_buffer("radii", betas.new_ones(t))
        self.register_buffer("betas", betas)

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        steps = steps or self.settings.steps
        n, d = x.shape
        mean, factor = gaussian_fit(double(x), self.settings.ridge)
        self.mean, self.factor = mean.to(x), factor.to(x)
        self._register_maps(x.new_zeros(steps))
        z, log_det = self.pull(double(x))
        start = log_det.mean() - 0.5 * z.square().sum(1).mean() - 0.5 * d * LOG_2PI
        particles = Particles(z.to(x), start.to(x))

        def step(i: int) -> dict[str, Tensor]:
            y = particles.y
            index = torch.randint(n, (self.settings.batch,), generator=generator, device=x.device)
            best = self.best_ball(y[index], generator)
            phi = best._replace(beta=self.best_beta(best, y))
            moved, log_det = phi.forward(y)
            gain = (log_det + 0.5 * (y.square() - moved.square()).sum(1)).mean()
            kept = gain * n > d + 2
            particles.y = torch.where(kept, moved, y)
            particles.log_likelihood = particles.log_likelihood + torch.where(kept, gain, 0.0)
            self.centres[i], self.radii[i] = phi.centre, phi.radius
            self.betas[i] = torch.where(kept, phi.beta, 0.0)
            return {"log_likelihood": particles.log_likelihood}

        history = train(
            step,
            steps=steps,
            state={"model": self, "particles": particles},
            generator=generator,
            description=self.system.slug,
            **loop,
        )
        kept = self.betas != 0
        self.centres, self.radii = self.centres[kept], self.radii[kept]
        self.betas = self.betas[kept]
        return history

    def best_ball(self, y: Tensor, generator: torch.Generator) -> RadialMap:
        """Return the map, with β = 0, that promises most for the points ``y``, ``(m, d)``.

        With a = L′(0) and b = -L″(0), Newton's step is β = a/b and its gain about a²/2b.
        """
        s, d = self.settings, y.shape[1]
        centre = s.furthest * self.noise(s.candidates, d, generator=generator)
        u = torch.rand(s.candidates, generator=generator, device=y.device)
        share = s.smallest**u
        # A ball of volume V around c holds about V (2π)^(-d/2) exp(-‖c‖²/2) of N(0, I). Far out
        # that would make it larger than all the data, so the exponent is bounded.
        log_unit_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
        log_density = -0.5 * centre.square().sum(1).clamp(max=4.6 * d) - 0.5 * d * LOG_2PI
        radius = ((share.log() - log_density - log_unit_ball) / d).exp()
        offset, f, g = RadialMap(centre, radius, torch.zeros_like(radius)).shape(y[:, None])
        a = ((d - 1) * f + g - f * (y[:, None] * offset).sum(2)).mean(0)
        b = ((d - 1) * f.square() + g.square() + f.square() * offset.square().sum(2)).mean(0)
        # A ball without samples has a = b = 0, and promises nothing.
        promise = a.square() / b.clamp_min(torch.finfo(b.dtype).tiny)
        # A vector of one index: to look up a single number would wait for the device.
        k = promise.argmax(0, keepdim=True)
        return RadialMap(centre[k][0], radius[k][0], torch.zeros_like(radius[k][0]))

    def best_beta(self, ball: RadialMap, y: Tensor) -> Tensor:
        """Maximise L(β) over the points ``y`` of shape ``(n, d)`` by Newton's method."""
        d, most = y.shape[1], self.settings.strength
        offset, f, g = ball.shape(y)
        linear = (f * (y * offset).sum(1)).mean()
        quadratic = (f * offset.norm(dim=1)).square().mean()
        beta = ball.beta
        for _ in range(NEWTON_STEPS):
            across, along = f / (1 + beta * f), g / (1 + beta * g)
            first = ((d - 1) * across + along).mean() - linear - beta * quadratic
            second = ((d - 1) * across.square() + along.square()).mean() + quadratic
            tiny = torch.finfo(y.dtype).tiny
            beta = (beta + first / second.clamp_min(tiny)).clamp(-most, most)
        return beta

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved tensors, whatever their number of maps."""
        betas = state.get("betas")
        if isinstance(betas, Tensor) and betas.ndim == 1:
            self._register_maps(self.betas.new_zeros(len(betas)))
        super().restore(state)

    def _maps(self, like: Tensor) -> list[RadialMap]:
        parts = (self.centres, self.radii, self.betas)
        return [RadialMap(*p) for p in zip(*(part.to(like) for part in parts), strict=True)]

    def working(self, x: Tensor) -> Tensor:
        """Return ``x`` in float64: thousands of maps in a row would add up roundings."""
        return double(x)

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Whiten, then φ_1, ..., φ_t; see :meth:`PushForward.pull`."""
        T = self.factor.to(x)
        y = torch.linalg.solve_triangular(T, (x - self.mean.to(x)).T, upper=False).T
        total = -T.diagonal().log().sum().expand(len(x))
        for phi in self._maps(x):
            y, log_det = phi.forward(y)
            total = total + log_det
        return y, total

    def push(self, z: Tensor) -> Tensor:
        """Undo φ_t, ..., φ_1, then colour; see :meth:`PushForward.push`."""
        for phi in reversed(self._maps(z)):
            z = phi.inverse(z)
        return (self.mean.to(z) + z @ self.factor.to(z).T).to(self.mean)
