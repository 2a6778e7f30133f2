"""Continuous normalizing flow: noise becomes data along the solution of an equation in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gencourse._validate import at_most_one, positive, unknown_name
from gencourse.data.quantisation import FINEST, dequantise, grey_level, quantise
from gencourse.models._standardise import centre_and_scale
from gencourse.models.pushforward import LOG_2PI, PushForward
from gencourse.nets.vector_field import Instant, MLPField, UNetField, VectorField
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["ContinuousFlow", "ContinuousSettings", "rk4"]

OBJECTIVES = ("likelihood", "matching")


@dataclass(frozen=True)
class ContinuousSettings:
    """Hyperparameters of a continuous normalizing flow.

    Attributes
    ----------
    objective : "likelihood" or "matching"
        What training minimises: the negative log-likelihood, for which the equation is solved
        in each step, or the squared distance of the field from one that is known to carry
        noise to data; see :meth:`ContinuousFlow.matching_loss`.
    width : int
        Hidden units of the vector field; for images, channels.
    solver_steps : int
        Steps of the Runge–Kutta method while training.
    fine_steps : int
        Its steps for sampling and for the density, where nothing is differentiated.
    probes : int
        Random vectors by which ``log_prob`` estimates the divergence of an image.
    energy : float
        Weight of the kinetic energy ∫ ‖v‖² dt, which is least where the paths are straight,
        beside the likelihood.
    error : float
        Weight of the solver's own estimate of its error in the log density, in nats, beside
        the likelihood.
    batch : int
        Samples in each step.
    lr : float
        Adam's learning rate, decayed to 0 along a cosine.
    clip : float
        Greatest norm of the gradient.
    averaging : float
        Rate of the moving average of the weights, which samples and densities use.
    steps : int
        Steps of a full training run.
    """

    objective: str = "likelihood"
    width: int = 64
    solver_steps: int = 4
    fine_steps: int = 16
    probes: int = 4
    energy: float = 0.01
    error: float = 3.0
    batch: int = 256
    lr: float = 1e-2
    clip: float = 10.0
    averaging: float = 0.01
    steps: int = 1500

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise unknown_name("objective", self.objective, OBJECTIVES)
        for name in ("width", "solver_steps", "fine_steps", "probes", "batch", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("energy", "error", "lr", "clip", "averaging"):
            positive(getattr(self, name), name)
        at_most_one(self.averaging, "averaging")


class ContinuousFlow(PushForward):
    """dz/dt = v(z, t) from z(0) ~ N(0, I) to x = z(1) (Chen et al. 2018).

    Along a path the log density changes by minus the divergence of the field::

        log p(x) = log q(z(0)) - ∫₀¹ tr ∂v/∂z (z(t), t) dt

    For points the trace is exact; for images it is estimated (Grathwohl et al. 2019).

    Gradients are those of the numerical solution, by backpropagation through the solver's
    steps. The adjoint equation of Chen et al. needs less memory, but integrates backwards in
    time to a gradient that belongs to no solution, and costs a second one; at these sizes
    memory is no concern (Onken & Ruthotto 2020 compare the two).

    With four steps a solver can be cheated: between the points where it looks, the field may
    contract without being charged for it, and the likelihood that it reports grows without
    bound. So two penalties are added. The kinetic energy keeps the paths straight (Finlay et
    al. 2020). And each step carries an estimate of its own error, as used for choosing step
    sizes; its size, in nats, is a price on fields that the solver cannot follow (Pal et al.
    2021).

    Images are learned by *flow matching* instead (Lipman et al. 2023): it regresses the field on
    the velocity of straight lines from noise to data and solves no equation, so a step costs
    one pass through the network. The model is the same, and so is its density.

    Attributes
    ----------
    field : VectorField
        v, on standardised data.
    average : AveragedModel
        The field with averaged weights, from which samples and densities are computed.
    centre, scale : Tensor of shape (d,) and ()
        What data are standardised by; see ``centre_and_scale``.
    level : Tensor
        Width of a grey level of images; measured when the model is fitted.
    """

    Settings = ContinuousSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "objective": "matching",
        "width": 32,
        "fine_steps": 8,
        "batch": 64,
        "lr": 2e-3,
        "clip": 1.0,
        "averaging": 0.005,
        "steps": 8000,
    }
    settings: ContinuousSettings
    centre: Tensor
    scale: Tensor
    level: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: ContinuousSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        d = self.dimension
        self.register_buffer("centre", torch.zeros(d))
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("level", torch.tensor(FINEST))
        self.images = len(event_shape) == 3
        self.field: VectorField
        if self.images:
            self.field = UNetField(event_shape, width=settings.width)
        else:
            self.field = MLPField(d, width=settings.width)
        self.average = averaged(self.field, settings.averaging)

    def networks(self) -> list[nn.Module]:
        """Return the field where it is regressed on velocities.

        A likelihood stays in float32: it integrates a divergence, and the error of the solver is
        a difference of nearly equal numbers.
        """
        return [self.field] if self.settings.objective == "matching" else []

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        level = grey_level(x) if self.images else 0.0
        self.level.fill_(level)
        centre, self.scale = centre_and_scale(x)
        self.centre = centre.expand(self.dimension).clone()

        def loss(batch: Tensor) -> dict[str, Tensor]:
            if self.images:
                batch = dequantise(batch, level, generator=generator)
            if s.objective == "matching":
                return {"loss": self.matching_loss(batch.flatten(1), generator=generator)}
            return self.loss(batch.flatten(1), generator=generator)

        return minimise(
            loss,
            self.field,
            x,
            steps=steps or s.steps,
            batch=s.batch,
            lr=s.lr,
            clip=s.clip,
            average=self.average,
            generator=generator,
            state={"model": self},
            description=self.system.slug,
            **loop,
        )

    def loss(self, x: Tensor, *, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Negative log-likelihood, kinetic energy and error of the rows of ``x``, ``(n, d)``.

        Returns
        -------
        dict of str to Tensor
            Means over the rows: ``nll`` in nats, ``energy``, ``error`` in nats, and ``loss``,
            their weighted sum.
        """
        s, d = self.settings, self.dimension
        u = (x - self.centre) / self.scale
        path, errors = self._backwards(self.field, u, s.solver_steps, generator)
        z, log_det = path[-1].split([d, 1], 1)
        log_q = -0.5 * z.square().sum(1) - 0.5 * d * LOG_2PI
        nll = d * self.scale.log() - (log_q + log_det[:, 0]).mean()
        # ∫ ‖v‖² dt along chords: Σ ‖z_{i+1} - z_i‖² / h, with h = 1 / solver_steps.
        moves = torch.stack(path)[:, :, :d].diff(dim=0)
        energy = s.solver_steps * moves.square().sum((0, 2)).mean()
        error = torch.stack(errors)[:, :, d].abs().sum(0).mean()
        loss = nll + s.energy * energy + s.error * error
        return {"loss": loss, "nll": nll, "energy": energy, "error": error}

    def matching_loss(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        r"""Return the squared error of the field as a velocity from noise to the rows of ``x``.

        With noise z_0 ~ N(0, I), u the standardised row and t uniform in [0, 1],

        .. math:: \mathbb{E}\, \tfrac1d \|v(z_t, t) - (u - z_0)\|^2, \qquad
                  z_t = (1 - t) z_0 + t u.

        The minimiser is v(z, t) = E[u - z_0 | z_t = z], and the equation with this field
        gives z(t) the law of z_t: noise at time 0, data at time 1 (Lipman et al. 2023, theorem 1;
        Liu, Gong & Liu 2023; Albergo & Vanden-Eijnden 2023).

        Parameters
        ----------
        x : Tensor of shape (n, d)
        generator : torch.Generator, optional
            Source of noise and times, on any device.
        """
        u = (x - self.centre) / self.scale
        noise = self.noise(*u.shape, generator=generator).to(u)
        t = self.uniform(len(u), generator=generator).to(u)
        z = torch.lerp(noise, u, t[:, None])
        return (self.field(z, t) - (u - noise)).square().mean()

    def _backwards(
        self, field: VectorField, u: Tensor, steps: int, generator: torch.Generator | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Solve for z(t) and -∫ₜ¹ tr ∂v/∂z from t = 1, where z = u, to t = 0; see :func:`rk4`."""
        d = self.dimension
        # Independent signs; a single vector for the whole path (Grathwohl et al. 2019).
        probe = self.noise(*u.shape, generator=generator).sign().to(u) if field.estimates else None
        times = torch.linspace(1, 0, 2 * steps + 1, dtype=u.dtype, device=u.device)

        def slope(instant: Instant) -> Callable[[Tensor], Tensor]:
            return lambda y: torch.cat(instant.with_divergence(y[:, :d], probe), 1)

        y = torch.cat([u, u.new_zeros(len(u), 1)], 1)
        return rk4([slope(instant) for instant in field.at(times)], y, -1 / steps)

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Solve backwards in time; see :meth:`PushForward.pull`.

        For images log|det| is an unbiased estimate. Its random vectors come from a fixed seed:
        the same rows in the same order give the same number.
        """
        field, steps = self._averaged, self.settings.fine_steps
        u = (x - self.centre) / self.scale
        generator = torch.Generator().manual_seed(0)
        probes = self.settings.probes if field.estimates else 1
        path, _ = self._backwards(field, u.repeat(probes, 1), steps, generator)
        z, log_det = path[-1].split([self.dimension, 1], 1)
        log_det = log_det.reshape(probes, len(x)).mean(0)
        return z[: len(x)], log_det - self.dimension * self.scale.log()

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples x = T(z); images are rounded to their grey levels."""
        x = super().sample(n, generator=generator)
        return quantise(x, self.level) if self.images else x

    def push(self, z: Tensor) -> Tensor:
        """Solve forwards in time; see :meth:`PushForward.push`."""
        return self.paths(z)[-1]

    def paths(self, z: Tensor) -> list[Tensor]:
        """Return the solution from z(0) = ``z`` at the solver's ``fine_steps`` + 1 times.

        Each has shape ``(n, d)`` and data units, so the last one is x.
        """
        steps = self.settings.fine_steps
        times = torch.linspace(0, 1, 2 * steps + 1, dtype=z.dtype, device=z.device)
        path, _ = rk4(self._averaged.at(times), z, 1 / steps)
        return [self.centre + self.scale * u for u in path]

    @property
    def _averaged(self) -> VectorField:
        field = self.average.module
        assert isinstance(field, VectorField)
        return field


def rk4(
    fields: Sequence[Callable[[Tensor], Tensor]], y: Tensor, h: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Solve dy/dt = f(y, t) by the classical Runge–Kutta method of order 4.

    Parameters
    ----------
    fields : sequence of 2 m + 1 callables
        y ↦ f(y, t) at the times where the m steps begin, have their middles, and end.
    y : Tensor
        Where the solution starts.
    h : float
        Length of a step; negative to go backwards in time.

    Returns
    -------
    path : list of m + 1 Tensors
        The solution where steps begin and end.
    errors : list of m Tensors
        For each step its difference from a method of order 2, h/2 (k₂ + k₃): an estimate,
        from above as long as steps are small, of its error.

    Examples
    --------
    >>> import torch
    >>> growth = [lambda y: y] * 9  # dy/dt = y, four steps
    >>> path, _ = rk4(growth, torch.ones(1), 0.25)
    >>> round(path[-1].item(), 3)  # e
    2.718
    """
    path, errors = [y], []
    for begin, middle, end in zip(fields[:-1:2], fields[1::2], fields[2::2], strict=True):
        k1 = begin(y)
        k2 = middle(torch.add(y, k1, alpha=h / 2))
        k3 = middle(torch.add(y, k2, alpha=h / 2))
        k4 = end(torch.add(y, k3, alpha=h))
        outer, inner = k1 + k4, k2 + k3
        y = y + h / 6 * (outer + 2 * inner)
        path.append(y)
        errors.append(h / 6 * (outer - inner))
    return path, errors
