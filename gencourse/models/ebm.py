"""Energy-based model: p ∝ e^{-V}, learned by contrastive divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gencourse import nets, samplers
from gencourse._validate import points, positive
from gencourse.models._noising import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["EnergyModel", "EnergySettings"]

ACCEPTANCE = 0.6  # of Langevin proposals, at which the step size is held


@dataclass(frozen=True)
class EnergySettings:
    """Hyperparameters of an energy-based model.

    Attributes
    ----------
    negatives : "pcd" or "cd"
        Where the chains of negative samples go on from: where they stopped (persistent
        contrastive divergence), or the data of the batch (contrastive divergence).
    chains : int
        Persistent chains that are kept.
    langevin_steps : int
        k, the Langevin steps of each chain before each training step.
    width, depth : int
        Units and layers of the network; for images, channels at full resolution (``depth``
        follows from the images' size).
    batch : int
        Data, and chains that move, in each step.
    noise : float
        Standard deviation of Gaussian noise added to the data, in data units; its density is
        what is learned, and it is removed from samples. 0 for points.
    regulariser : float
        Weight of the mean square of the energies, which keeps them from drifting.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    clip : float
        Greatest norm of the gradient.
    averaging : float
        Rate of the moving average of the weights that define the density; 1 means none.
    sample_steps : int
        Langevin steps between a stored chain and a sample.
    temperatures, particles : int
        Of the annealed importance sampling that estimates log Z.
    steps : int
        Training steps.
    """

    negatives: str = "pcd"
    chains: int = 1024
    langevin_steps: int = 10
    width: int = 128
    depth: int = 3
    batch: int = 256
    noise: float = 0.0
    regulariser: float = 0.0
    lr: float = 1e-3
    clip: float = 1.0
    averaging: float = 0.005
    sample_steps: int = 100
    temperatures: int = 200
    particles: int = 2000
    steps: int = 2000

    def __post_init__(self) -> None:
        if self.negatives not in ("pcd", "cd"):
            raise ValueError(f"negatives must be 'pcd' or 'cd', not {self.negatives!r}")
        for name in (
            "chains", "langevin_steps", "width", "depth", "batch", "sample_steps",
            "temperatures", "particles", "steps",
        ):  # fmt: skip
            positive(getattr(self, name), name, integer=True)
        for name in ("lr", "clip", "averaging"):
            positive(getattr(self, name), name)
        for name in ("noise", "regulariser"):
            if getattr(self, name) != 0:
                positive(getattr(self, name), name)
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")
        if self.batch > self.chains:
            raise ValueError(
                f"batch must be at most the number of chains, {self.chains}, not {self.batch}"
            )
        if self.particles < 2:
            raise ValueError(f"particles must be at least 2, not {self.particles}")


class EnergyModel(GenerativeModel):
    settings: EnergySettings
    Settings = EnergySettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "width": 32,
        "batch": 64,
        "noise": 0.15,
        "langevin_steps": 20,
    }
    chains: Tensor
    step_size: Tensor
    log_z: Tensor
    log_z_error: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: EnergySettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        self.network = nets.energy_network(event_shape, width=s.width, depth=s.depth)
        self.average = averaged(self.network, s.averaging)
        self.register_buffer("chains", torch.randn(s.chains, *event_shape))
        self.register_buffer("step_size", torch.tensor(0.1))
        d = math.prod(event_shape)
        self.register_buffer("log_z", torch.tensor(d / 2 * math.log(2 * math.pi)))
        self.register_buffer("log_z_error", torch.tensor(0.0))
        self.register_buffer("centre", torch.zeros(event_shape if len(event_shape) == 1 else ()))
        self.register_buffer("scale", torch.tensor(1.0))

    def _log_f(self, network: nn.Module, u: Tensor) -> Tensor:
        return -network(u)[:, 0] - 0.5 * u.square().flatten(1).sum(1)

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self.centre, self.scale = centre_and_scale(x)

        def loss(x: Tensor) -> dict[str, Tensor]:
            if s.noise:
                x = x + s.noise * self.noise(*x.shape, generator=generator)
            u = (x - self.centre) / self.scale
            with nets.frozen(self.network):
                if s.negatives == "pcd":
                    order = torch.randperm(s.chains, generator=generator, device=x.device)
                    index = order[: s.batch]
                    start = self.chains[index]
                else:
                    start = u
                v, acceptance, jumps = self._move(
                    self.network, start, s.langevin_steps, generator
                )
            if s.negatives == "pcd":
                self.chains[index] = v
            self.step_size *= (0.05 * (acceptance - ACCEPTANCE)).exp()
            f = self.network(torch.cat([u, v]))[:, 0]
            data, model = f.split([len(u), len(v)])
            gap = data.mean() - model.mean()
            return {
                "loss": gap + s.regulariser * f.square().mean(),
                "gap": gap, "acc": acceptance, "jumps": jumps, "h": self.step_size.clone(),
            }

        self.train()
        try:
            history = minimise(
                loss,
                self.network,
                x,
                steps=steps or s.steps,
                batch=s.batch,
                lr=s.lr,
                clip=s.clip,
                generator=generator,
                state={"model": self},
                average=self.average,
                description=self.system.slug,
                **loop,
            )
        finally:
            self.eval()
        self._normalise(generator)
        return history

    def _move(self, network, u, steps, generator):
        def log_f(u):
            return self._log_f(network, u)

        here = samplers.position(log_f, u)
        acceptance = torch.zeros_like(self.step_size)
        jumps = torch.zeros_like(self.step_size)
        for _ in range(steps):
            here, yes = samplers.mala_step(log_f, here, self.step_size, generator=generator)
            acceptance += yes.float().mean() / steps
            if JUMP and (JUMP=="all" or _==steps-1):
                where = u.device if generator is None else generator.device
                fresh = torch.randn(u.shape, generator=generator, device=where).to(u)
                there = samplers.position(log_f, fresh)
                r = -network(fresh)[:, 0] + network(here.x)[:, 0]
                ok = samplers.metropolis(r, generator=generator)
                here = samplers.chosen(ok, there, here)
                jumps += ok.float().mean() / (steps if JUMP=="all" else 1)
        return here.x, acceptance, jumps

    def _normalise(self, generator):
        s = self.settings
        beta = (torch.arange(1, s.temperatures + 1) / s.temperatures) ** POWER
        x = self.noise(s.particles, *self.event_shape, generator=generator)
        d = x[0].numel()
        eps = (2 * self.step_size).sqrt()
        eps = 1 / (1 + beta.to(eps) / eps**2).sqrt()
        self.ais = samplers.ais(
            lambda u: self._log_f(self.average, u),
            lambda u: -0.5 * u.square().flatten(1).sum(1) - d / 2 * math.log(2 * math.pi),
            x,
            temperatures=beta,
            step_size=eps,
            generator=generator,
        )
        self.log_z = self.ais.log_z.to(self.log_z)
        self.log_z_error = self.ais.standard_error.to(self.log_z)

    def log_prob(self, x: Tensor) -> Tensor:
        x = points(x, "x", self.event_shape)
        u = (x.to(self.scale) - self.centre) / self.scale
        d = math.prod(self.event_shape)
        log_p = self._log_f(self.average, u) - self.log_z - d * self.scale.log()
        return log_p.to(x.dtype)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        positive(n, "n", integer=True)
        where = self.device if generator is None else generator.device
        index = torch.randint(self.settings.chains, (n,), generator=generator, device=where)
        u, *_ = self._move(
            self.average, self.chains[index.to(self.device)], self.settings.sample_steps, generator
        )
        x = self.centre + self.scale * u
        return x
JUMP="all"
POWER=2
