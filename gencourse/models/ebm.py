"""Energy-based model: p ∝ e^{-V}, learned by contrastive divergence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from gencourse import nets, samplers
from gencourse._validate import at_most_one, below_one, not_negative, points, positive
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.training import History, averaged, exact, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["EnergyModel", "EnergySettings"]

LOG_2PI = math.log(2 * math.pi)
ACCEPTANCE = 0.6  # of Langevin proposals, at which the step size is held
ADAPTATION = 0.05  # change of the log step size for a step that is accepted always, or never


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
        k, the Langevin steps of a chain before each training step.
    width, depth : int
        Units and layers of the network; for images, channels at full resolution (``depth``
        follows from the images' size).
    batch : int
        Data, and chains that move, in each step.
    noise : float
        Standard deviation of Gaussian noise that is added to the data, in their units. The
        density is then that of the noised data, and samples are denoised. Images need it:
        without, their density lies on a few grey levels, between which no chain moves.
    regulariser : float
        Weight of the mean square of the network's values, which keeps them from drifting.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    beta1 : float
        Adam's momentum. The chains lag behind the network and answer to what it was; with
        momentum the two swing about the solution.
    clip : float
        Greatest norm of the gradient.
    averaging : float
        Rate of the moving average of the weights that define the density; 1 means none.
    sample_rounds : int
        Rounds of k Langevin steps between a stored chain and a sample.
    temperatures, particles : int
        Of the annealed importance sampling that estimates log Z after training.
    steps : int
        Training steps.
    """

    negatives: str = "pcd"
    chains: int = 1024
    langevin_steps: int = 4
    width: int = 128
    depth: int = 3
    batch: int = 256
    noise: float = 0.0
    regulariser: float = 0.0
    lr: float = 2e-3
    beta1: float = 0.0
    clip: float = 1.0
    averaging: float = 0.002
    sample_rounds: int = 25
    temperatures: int = 200
    particles: int = 2000
    steps: int = 4000

    def __post_init__(self) -> None:
        if self.negatives not in ("pcd", "cd"):
            raise ValueError(f"negatives must be 'pcd' or 'cd', not {self.negatives!r}")
        for name in (
            "chains", "langevin_steps", "width", "depth", "batch", "sample_rounds",
            "temperatures", "particles", "steps",
        ):  # fmt: skip
            positive(getattr(self, name), name, integer=True)
        for name in ("lr", "clip", "averaging"):
            positive(getattr(self, name), name)
        below_one(self.beta1, "beta1")
        for name in ("noise", "regulariser"):
            not_negative(getattr(self, name), name)
        at_most_one(self.averaging, "averaging")
        if self.batch > self.chains:
            raise ValueError(
                f"batch must be at most the number of chains, {self.chains}, not {self.batch}"
            )
        if self.particles < 2:
            raise ValueError(f"particles must be at least 2, not {self.particles}")


class EnergyModel(GenerativeModel):
    r"""A Gibbs density p(x) = e^{-V(x)} / Z with a network in its energy.

    In coordinates u = (x - m) / s, in which the data have unit variance,

        V(u) = ½ ‖u‖² + f_θ(u),

    where the square holds the mass together, so that Z = ∫ e^{-V} is finite. The gradient of the
    likelihood needs no Z:

        ∇_θ E[-log p(x)] = E_data[∇_θ f_θ] - E_p[∇_θ f_θ].

    The second mean is taken over chains that keep p invariant: Metropolis-adjusted Langevin
    steps (:func:`gencourse.samplers.mala_step`), and once in a round a proposal from N(0, I), by
    which chains in low dimension change modes. Persistent chains go on from where they stopped
    (Tieleman 2008), those of contrastive divergence from the data (Hinton 2002). Log Z comes
    after training from annealed importance sampling, starting at N(0, I).

    Hinton 2002, *Training products of experts by minimizing contrastive divergence*;
    Tieleman 2008, *Training restricted Boltzmann machines using approximations to the
    likelihood gradient*; for images Nijkamp et al. 2020, *On the anatomy of MCMC-based maximum
    likelihood learning of energy-based models*; deck D.

    Attributes
    ----------
    network : nn.Sequential
        f_θ in standardised coordinates; zero before training, so that p is N(m, s² I).
    average : AveragedModel
        The network with averaged weights, which defines the density.
    chains : Tensor of shape (chains, *event_shape)
        The persistent chains, in standardised coordinates.
    step_size : Tensor
        h of the Langevin steps, in the same coordinates; held where 60 % are accepted.
    log_z, log_z_error : Tensor
        Estimate of log Z in the same coordinates, and its standard error.
    centre, scale : Tensor
        m and s.
    """

    Settings = EnergySettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "width": 32,
        "batch": 64,
        "noise": 0.3,
        "langevin_steps": 10,
        "sample_rounds": 10,
        "temperatures": 500,
        "particles": 500,
        "steps": 3000,
    }
    settings: EnergySettings
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
        # Of the untrained density, the standard normal one, log Z is known.
        self.register_buffer("log_z", torch.tensor(math.prod(event_shape) / 2 * LOG_2PI))
        self.register_buffer("log_z_error", torch.tensor(0.0))
        self.register_buffer("centre", torch.zeros(event_shape if len(event_shape) == 1 else ()))
        self.register_buffer("scale", torch.tensor(1.0))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self.centre, self.scale = centre_and_scale(x)

        def loss(x: Tensor) -> dict[str, Tensor]:
            if s.noise:
                x = x + s.noise * self.noise(*x.shape, generator=generator)
            u = (x - self.centre) / self.scale
            order = torch.randperm(s.chains, generator=generator, device=x.device)
            index = order[: s.batch]
            v = self.chains[index] if s.negatives == "pcd" else u[: s.chains]
            # Rounded energies would be those of another density than the chains are to keep.
            with nets.frozen(self.network), exact(self.network):
                v, acceptance = self._round(self.network, v, generator)
            self.chains[index] = v
            self.step_size *= (ADAPTATION * (acceptance - ACCEPTANCE)).exp()
            f_data, f_model = self.network(torch.cat([u, v]))[:, 0].split([len(u), len(v)])
            gap = f_data.mean() - f_model.mean()
            square = f_data.square().mean() + f_model.square().mean()
            return {
                "loss": gap + s.regulariser * square,
                "energy_gap": gap,
                "acceptance": acceptance,
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
                betas=(s.beta1, 0.99),
                clip=s.clip,
                generator=generator,
                state={"model": self},
                average=self.average,
                description=self.system.slug,
                **loop,
            )
        finally:
            self.eval()
        found = self.estimate_log_z(generator=generator)
        self.log_z = found.log_z.to(self.log_z)
        self.log_z_error = found.standard_error.to(self.log_z)
        return history

    def _log_f(self, network: nn.Module, u: Tensor) -> Tensor:
        """-V(u), shape ``(n,)``."""
        return -0.5 * u.square().flatten(1).sum(1) - network(u)[:, 0]

    @torch.no_grad()
    def _round(
        self, network: nn.Module, u: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Move chains by one jump and k Langevin steps; return them and the steps' acceptance."""

        def log_f(u: Tensor) -> Tensor:
            return self._log_f(network, u)

        # The jump: an independent proposal q = N(0, I), for which p(u') q(u) / p(u) q(u') is
        # exp(f(u) - f(u')): the square in V is the log density of q.
        proposal = self._like(u, generator)
        f_here, f_there = network(torch.cat([u, proposal]))[:, 0].split(len(u))
        jumped = samplers.metropolis(f_here - f_there, generator=generator)
        u = torch.where(jumped.reshape(-1, *[1] * (u.ndim - 1)), proposal, u)

        here = samplers.position(log_f, u)
        acceptance = torch.zeros_like(self.step_size)
        for _ in range(self.settings.langevin_steps):
            here, accepted = samplers.mala_step(log_f, here, self.step_size, generator=generator)
            acceptance += accepted.to(acceptance).mean() / self.settings.langevin_steps
        return here.x, acceptance

    def _like(self, u: Tensor, generator: torch.Generator | None) -> Tensor:
        """Standard normal numbers in the shape and precision of ``u``."""
        return self.noise(*u.shape, generator=generator).to(u)

    def estimate_log_z(
        self, *, generator: torch.Generator | None = None
    ) -> samplers.AnnealedImportance:
        """Estimate log Z of e^{-V}, in standardised coordinates, by annealed importance sampling.

        Along p_0^{1-β} e^{-βV} with p_0 = N(0, I), whose widths shrink as β grows; the leapfrog
        step ε shrinks from that of N(0, I) to that of the trained chains as if the precisions,
        1 / ε², were mixed like the exponents. The temperatures are dense near β = 0, where the
        density changes fastest.
        """
        s = self.settings
        u = self._like(self.chains[:1].expand(s.particles, *self.event_shape), generator)
        constant = math.prod(self.event_shape) / 2 * LOG_2PI
        β = (torch.arange(1, s.temperatures + 1, dtype=torch.float64) / s.temperatures) ** 3
        final = (2 * self.step_size).sqrt()
        ε = 1 / (1 + β.to(final) * (1 / final.square() - 1)).sqrt()
        return samplers.ais(
            lambda u: self._log_f(self.average, u),
            lambda u: -0.5 * u.square().flatten(1).sum(1) - constant,
            u,
            temperatures=β,
            step_size=ε,
            generator=generator,
        )

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log density in nats, shape ``(n,)``, in the dtype of ``x``.

        Its error is that of the estimated constant, ``log_z_error``, and the same for all x. For
        images it is the density of images with noise of standard deviation
        ``settings.noise`` added.
        """
        x = points(x, "x", self.event_shape)
        u = (x.to(self.scale) - self.centre) / self.scale
        # dx = s^d du
        log_volume = math.prod(self.event_shape) * self.scale.log()
        return (self._log_f(self.average, u) - self.log_z - log_volume).to(x)

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, rounds: int | None = None
    ) -> Tensor:
        """Draw ``n`` samples: stored chains, moved on until they have forgotten each other.

        Where the data were noised, the mean of the data given the noised sample is returned,
        E[x | y] = y + σ² ∇log p(y) (Saremi & Hyvärinen 2019, *Neural empirical Bayes*).

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness, on any device.
        rounds : int, optional
            Rounds of Langevin steps, by default ``settings.sample_rounds``.
        """
        positive(n, "n", integer=True)
        rounds = self.settings.sample_rounds if rounds is None else rounds
        positive(rounds, "rounds", integer=True)
        where = self.device if generator is None else generator.device
        index = torch.randint(len(self.chains), (n,), generator=generator, device=where)
        u = self.chains[index.to(self.device)]
        for _ in range(rounds):
            u, _ = self._round(self.average, u, generator)
        if self.settings.noise:
            sigma = self.settings.noise / self.scale
            u = (
                u
                + sigma.square()
                * samplers.position(lambda u: self._log_f(self.average, u), u).score
            )
        x = self.centre + self.scale * u
        return x.clamp(-1, 1) if len(self.event_shape) == 3 else x
