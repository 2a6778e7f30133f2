"""The increasing triangular map (Knothe–Rosenblatt), learned by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse._precision import double
from gencourse._validate import points, positive
from gencourse.models.pushforward import LOG_2PI, PushForward
from gencourse.training import History, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["TriangularMap", "TriangularSettings"]

HALVINGS = 60  # of an interval: more than a float64 has digits to tell apart


@dataclass(frozen=True)
class TriangularSettings:
    """Hyperparameters of a triangular map.

    Attributes
    ----------
    components : int
        Number J of Gaussians in each conditional law.
    width, depth : int
        Hidden units and layers of the networks that make a conditional depend on the
        coordinates before it.
    narrowest : float
        The least standard deviation of a component, in those of the data: on samples that
        lie on a line the likelihood would have no maximum without it.
    batch : int
        Samples in each step.
    lr : float
        Adam's learning rate, decayed to 0 along a cosine.
    clip : float
        Greatest norm of the gradient.
    steps : int
        Steps of a full training run.
    """

    components: int = 8
    width: int = 64
    depth: int = 2
    narrowest: float = 1e-3
    batch: int = 512
    lr: float = 5e-3
    clip: float = 5.0
    steps: int = 3000

    def __post_init__(self) -> None:
        for name in ("components", "width", "depth", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("narrowest", "lr", "clip"):
            positive(getattr(self, name), name)


class Mixture(NamedTuple):
    """A law of one number for each row: Σ_j w_j N(μ_j, σ_j²); all of shape ``(n, J)``."""

    log_w: Tensor
    mu: Tensor
    sigma: Tensor

    def log_density(self, u: Tensor) -> Tensor:
        """Log p(u), shape ``(n,)``."""
        v = (u[:, None] - self.mu) / self.sigma
        return torch.logsumexp(self.log_w - 0.5 * v.square() - self.sigma.log(), 1) - LOG_2PI / 2

    def log_tail(self, u: Tensor, side: Tensor | float) -> Tensor:
        """Log probability, ``(n,)``, of falling below u (``side`` -1) or above it (+1)."""
        v = (u[:, None] - self.mu) / self.sigma
        return torch.logsumexp(self.log_w + torch.special.log_ndtr(-side * v.T).T, 1)


class TriangularMap(PushForward):
    """S(x) = z ~ N(0, I), where z_k depends on x_1, ..., x_k and increases in x_k.

    For every density there is exactly one such map (deck B), and it is known::

        z_k = S_k(x_1, ..., x_k) = Φ⁻¹(F_k(x_k | x_1, ..., x_(k-1)))

    with F_k the distribution function of a coordinate given those before it, and Φ that of
    N(0, 1) (Rosenblatt 1952; Knothe 1957). Here each conditional law is a mixture of Gaussians
    whose parameters a network computes from the coordinates before it; any increasing S_k can
    be approximated so (as in Huang et al. 2018, with the logistic function in place of Φ), and
    a linear one is met exactly, by J equal Gaussians. The Jacobian is lower triangular, so its
    determinant is the product of the ∂S_k/∂x_k = p_k(x_k | ...) / φ(z_k).

    Maximum likelihood minimises the KL divergence between what S makes of the data and
    N(0, I), the criterion of Baptista, Marzouk & Zahm (2023). The sampling map T = S⁻¹ is
    solved for one coordinate after the other.

    Attributes
    ----------
    conditioners : nn.ModuleList
        For each coordinate the network from a constant 1 and the coordinates before it to
        the 3 J parameters of its conditional law.
    centre, scale : Tensor of shape (d,)
        Mean and standard deviation of the training data; u = (x - centre) / scale.
    """

    Settings = TriangularSettings
    settings: TriangularSettings
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: TriangularSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        (d,) = event_shape
        J = settings.components
        self.register_buffer("centre", torch.zeros(d))
        self.register_buffer("scale", torch.ones(d))
        self.conditioners = nn.ModuleList()
        for k in range(d):
            network = nets.mlp(k + 1, 3 * J, width=settings.width, depth=settings.depth)
            # The Gaussians start side by side, and together cover the standardised data.
            last: Any = network[-1]
            nn.init.normal_(last.weight, std=0.01)
            with torch.no_grad():
                last.bias.copy_(torch.cat([torch.zeros(J), spread(J), -torch.ones(J)]))
            self.conditioners.append(network)

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self.centre = x.mean(0)
        scale = x.std(0, correction=0)
        # A coordinate that never changes keeps its unit.
        self.scale = torch.where(scale > 0, scale, 1.0)
        return minimise(
            lambda batch: -self._log_conditionals(batch).sum(1).mean(),
            self,
            x,
            steps=steps or s.steps,
            batch=s.batch,
            lr=s.lr,
            clip=s.clip,
            generator=generator,
            state={"model": self},
            description=self.system.slug,
            **loop,
        )

    def _conditional(self, k: int, before: Tensor) -> Mixture:
        """The law of u_k given the k coordinates before it, ``(n, k)``."""
        one = before.new_ones(len(before), 1)
        raw_w, mu, raw_sigma = self.conditioners[k](torch.cat([one, before], 1)).chunk(3, 1)
        sigma = nn.functional.softplus(raw_sigma) + self.settings.narrowest
        return Mixture(raw_w.log_softmax(1), mu, sigma)

    def _log_conditionals(self, x: Tensor) -> Tensor:
        """Log p_k(x_k | x_1, ..., x_(k-1)), shape ``(n, d)``."""
        u = (x - self.centre) / self.scale
        columns = [self._conditional(k, u[:, :k]).log_density(u[:, k]) for k in range(u.shape[1])]
        return torch.stack(columns, 1) - self.scale.log()

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density Σ_k log p_k in nats, shape ``(n,)``, in the dtype of ``x``.

        The change of variables gives the same, log φ(z_k) + log ∂S_k/∂x_k, but needs Φ⁻¹.
        """
        x = points(x, "x", self.event_shape)
        return self._log_conditionals(self.working(x)).sum(1).to(x)

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """S(x) = Φ⁻¹(F(x)), coordinate by coordinate; see :meth:`PushForward.pull`."""
        u = (x - self.centre) / self.scale
        columns = []
        for k in range(u.shape[1]):
            law = self._conditional(k, u[:, :k])
            columns.append(probit(law.log_tail(u[:, k], -1.0), law.log_tail(u[:, k], 1.0)))
        z = torch.stack(columns, 1)
        log_phi = -0.5 * z.square() - LOG_2PI / 2
        return z, (self._log_conditionals(x) - log_phi).sum(1)

    @torch.no_grad()
    def push(self, z: Tensor) -> Tensor:
        """T(z): solve S_k(x_1, ..., x_k) = z_k for x_k, in turn; see :meth:`PushForward.push`."""
        u = z[:, :0]
        for k in range(z.shape[1]):
            law = Mixture(*(double(part) for part in self._conditional(k, u)))
            u = torch.cat([u, quantile(law, double(z[:, k])).to(z)[:, None]], 1)
        return self.centre + self.scale * u


def spread(J: int) -> Tensor:
    """Return J numbers evenly across the bulk of a standardised law; a single one is 0."""
    return torch.linspace(-1.5, 1.5, J) if J > 1 else torch.zeros(1)


def probit(log_below: Tensor, log_above: Tensor) -> Tensor:
    """Φ⁻¹(F), of the same shape, from log F and log(1 - F), the smaller of which is used.

    Near F = 1 the distance from 1 counts, which F itself no longer holds. Beyond where even
    the smaller of them underflows, at 13 standard deviations in float32 and 37 in float64, the
    result stays at that number.
    """
    tiny = torch.finfo(log_below.dtype).tiny
    tail = torch.minimum(log_below, log_above).exp().clamp(tiny, 0.5)
    z = torch.special.ndtri(tail)  # at most 0
    return torch.where(log_below <= log_above, z, -z)


def quantile(law: Mixture, z: Tensor) -> Tensor:
    """Solve Φ⁻¹(F(u)) = z for u, shape ``(n,)``, by bisection.

    Each Gaussian alone would have the solution μ_j + σ_j z; that of their mixture lies between
    the least and the greatest of these.
    """
    alone = law.mu + law.sigma * z[:, None]
    low, high = alone.amin(1), alone.amax(1)
    # For z > 0 the upper tails are compared, which keep their digits there.
    side = torch.where(z > 0, 1.0, -1.0).to(z)
    log_tail = torch.special.log_ndtr(-z.abs())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # The tail shrinks away from the centre of the law, on either side.
        further = (law.log_tail(middle, side) > log_tail) == (side > 0)
        low, high = torch.where(further, middle, low), torch.where(further, high, middle)
    return (low + high) / 2
