"""Diffusion Schrödinger bridge: two chains between data and noise that learn to undo each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gencourse import nets
from gencourse._validate import points, positive
from gencourse.models._standardise import centre_and_scale
from gencourse.models.base import GenerativeModel
from gencourse.training import History, adam, averaged, descend, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["DiffusionBridge", "DiffusionBridgeSettings", "step_sizes"]


def step_sizes(N: int, T: float) -> Tensor:
    """Return γ_0, …, γ_{N-1}, which grow linearly from the data on and sum to T; float64.

    γ_k = T (2k + 1) / N²: small steps where the data have details, large ones in the noise.

    Examples
    --------
    >>> step_sizes(4, 1.6).tolist()
    [0.1, 0.30000000000000004, 0.5, 0.7000000000000001]
    """
    positive(N, "N", integer=True)
    positive(T, "T")
    return T * (2 * torch.arange(N, dtype=torch.float64) + 1) / N**2


@dataclass(frozen=True)
class DiffusionBridgeSettings:
    """Hyperparameters of a diffusion Schrödinger bridge.

    Attributes
    ----------
    N : int
        Steps of the chains.
    T : float
        Duration of the reference process, which forgets a share 1 - e^{-T} of where it started.
        It need not forget all: the rounds make up for that.
    rounds : int
        Rounds of iterative proportional fitting, each of which trains the backward chain and
        then, half as long, the forward chain.
    width, depth : int
        Units and layers of the networks.
    batch : int
        Steps of paths in each training step.
    paths, refresh : int
        How many paths are drawn at a time, and for how many training steps they are used.
    lr : float
        Learning rate of Adam, decayed to 0 along a cosine.
    clip : float
        Greatest norm of the gradient.
    averaging : float
        Rate of the moving average of the weights that paths are drawn with; 1 means none.
    steps : int
        Training steps in all.
    """

    N: int = 20
    T: float = 1.0
    rounds: int = 3
    width: int = 128
    depth: int = 3
    batch: int = 768
    paths: int = 4000
    refresh: int = 500
    lr: float = 2e-3
    clip: float = 1.0
    averaging: float = 0.01
    steps: int = 8000

    def __post_init__(self) -> None:
        for name in ("N", "rounds", "width", "depth", "batch", "paths", "refresh", "steps"):
            positive(getattr(self, name), name, integer=True)
        for name in ("T", "lr", "clip", "averaging"):
            positive(getattr(self, name), name)
        if self.averaging > 1:
            raise ValueError(f"averaging must be at most 1, not {self.averaging!r}")
        if float(step_sizes(self.N, self.T)[-1]) >= 1:
            raise ValueError(
                f"the last step, T (2N - 1) / N², must be below 1: T = {self.T} needs more than "
                f"N = {self.N} steps"
            )


class DiffusionBridge(GenerativeModel):
    r"""A forward chain from data to noise and a backward chain from noise to data.

    In standardised coordinates, and with ξ ~ N(0, I) drawn anew in each step,

        x_{k+1} = F_k(x_k) + √(2γ_k) ξ,   k = 0, …, N-1,   x_0 ~ data,
        x_k = B_k(x_{k+1}) + √(2γ_k) ξ,   k = N-1, …, 0,   x_N ~ N(0, I).

    Both start as the reference, an Ornstein–Uhlenbeck process: F_k(x) = B_k(x) = (1 - γ_k) x.
    Iterative proportional fitting then takes turns. The backward chain learns to reverse the
    paths of the forward one, from data; so it has their law, but its start has been replaced
    by noise. The forward chain learns to reverse those, with its start replaced by data. What
    they converge to is the Schrödinger bridge: of all laws of paths from data to noise the
    nearest to the reference, whose ends are right although the reference's are not.

    To reverse paths is to regress on them (proposition 3 of the paper)::

        B_k minimises E ‖B(x_{k+1}) - (x_{k+1} + F_k(x_k) - F_k(x_{k+1}))‖²,
        F_k minimises E ‖F(x_k) - (x_k + B_k(x_{k+1}) - B_k(x_k))‖².

    Step k joins x_k and x_{k+1}, and both networks know it by k, in training and in sampling.

    De Bortoli, Thornton, Heng & Doucet 2021, *Diffusion Schrödinger bridge with applications
    to score-based generative modeling*; deck A.

    Attributes
    ----------
    forward_network, backward_network : nn.Module
        What F_k and B_k add to (1 - γ_k) x, in units of √(2γ_k).
    forward_average, backward_average : AveragedModel
        The same with averaged weights, by which chains are run.
    gamma : Tensor of shape (N,)
        γ.
    centre, scale : Tensor
        Mean and standard deviation by which the data are standardised.
    """

    Settings = DiffusionBridgeSettings
    settings: DiffusionBridgeSettings
    gamma: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: DiffusionBridgeSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        s = settings
        (d,) = event_shape
        self.forward_network = nets.TimeMLP(d, d, width=s.width, depth=s.depth)
        self.backward_network = nets.TimeMLP(d, d, width=s.width, depth=s.depth)
        for network in (self.forward_network, self.backward_network):
            # Zero before training: both chains start as the reference.
            nn.init.zeros_(network.out.weight)
            nn.init.zeros_(network.out.bias)
        self.forward_average = averaged(self.forward_network, s.averaging)
        self.backward_average = averaged(self.backward_network, s.averaging)
        self.register_buffer("gamma", step_sizes(s.N, s.T).float())
        self.register_buffer("centre", torch.zeros(d))
        self.register_buffer("scale", torch.tensor(1.0))

    def _pair(self, direction: str) -> tuple[nn.Module, AveragedModel]:
        """The network of a direction, and the one with averaged weights."""
        if direction == "forward":
            return self.forward_network, self.forward_average
        return self.backward_network, self.backward_average

    def mean(self, network: nn.Module, x: Tensor, k: int | Tensor) -> Tensor:
        """F_k(x) or B_k(x), by a network of that direction; k is one step, or one for each row."""
        γ = self.gamma[k].reshape(-1, 1)
        k = k if isinstance(k, Tensor) else torch.full((), k, device=x.device)
        time = k / self.settings.N
        return (1 - γ) * x + (2 * γ).sqrt() * network(x, time)

    # ------------------------------------------------------------- training

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        steps = steps or s.steps
        self.centre, self.scale = centre_and_scale(x)
        data = (x - self.centre) / self.scale
        optimisers = {
            "forward": adam(self.forward_network, s.lr),
            "backward": adam(self.backward_network, s.lr),
        }
        paths = _Paths(x.device)

        def step(i: int) -> dict[str, Tensor]:
            # Two thirds of a round for the backward chain, which makes the samples.
            third = 3 * s.rounds * i // steps
            if third % 3 < 2:
                learned, run, turn = "backward", "forward", third - third % 3
            else:
                learned, run, turn = "forward", "backward", third
            first = math.ceil(turn * steps / (3 * s.rounds))
            if (i - first) % s.refresh == 0:
                if run == "forward":
                    rows = torch.randint(
                        len(data), (s.paths,), generator=generator, device=x.device
                    )
                    begin = data[rows]
                else:
                    begin = self.noise(s.paths, *self.event_shape, generator=generator)
                paths.states, paths.targets = self._reversed(run, begin, generator)

            network, average = self._pair(learned)
            optimiser = optimisers[learned]
            k = torch.randint(s.N, (s.batch,), generator=generator, device=x.device)
            which = torch.randint(s.paths, (s.batch,), generator=generator, device=x.device)
            error = self.mean(network, paths.states[k, which], k) - paths.targets[k, which]
            # In units of the step's noise all steps matter alike.
            loss = (error.square().mean(1) / (2 * self.gamma[k])).mean()

            # Later rounds have less to learn.
            for group in optimiser.param_groups:
                group["lr"] = s.lr * 0.5 * (1 + math.cos(math.pi * i / steps))
            descend(loss, optimiser, clip=s.clip)
            average.update_parameters(network)
            return {"loss": loss.detach()}

        self.train()
        try:
            return train(
                step,
                steps=steps,
                state={"model": self, "paths": paths, **optimisers},
                generator=generator,
                description=self.system.slug,
                **loop,
            )
        finally:
            self.eval()

    @torch.no_grad()
    def _reversed(
        self, direction: str, x: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Run a chain; return its states, and what a reversed chain should make of them.

        Both of shape (N, n, d): entry k of the first is where step k arrived, y, and that
        of the second y + mean(x) - mean(y), where x is where it had come from.
        """
        _, network = self._pair(direction)
        states, targets = [x] * self.settings.N, [x] * self.settings.N
        for k in self._order(direction):
            mean = self.mean(network, x, k)
            y = mean + (2 * self.gamma[k]).sqrt() * self.noise(*x.shape, generator=generator)
            states[k], targets[k] = y, y + mean - self.mean(network, y, k)
            x = y
        return torch.stack(states), torch.stack(targets)

    def _order(self, direction: str) -> Iterable[int]:
        N = self.settings.N
        return range(N) if direction == "forward" else range(N - 1, -1, -1)

    # ------------------------------------------------------------- the chains

    def to_noise(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Run the forward chain from data.

        Parameters
        ----------
        x : Tensor of shape (n, d)
        generator : torch.Generator, optional
            Source of randomness, on any device.

        Returns
        -------
        Tensor of shape (N + 1, n, d)
            x_0 = x, x_1, …, x_N, in units of the data: the last is about N(centre, scale² I).

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite.
        """
        return self._chain("forward", points(x, "x", self.event_shape), generator)

    def to_data(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Run the backward chain from noise.

        Parameters
        ----------
        x : Tensor of shape (n, d)
            Draws from N(centre, scale² I).
        generator : torch.Generator, optional
            Source of randomness, on any device.

        Returns
        -------
        Tensor of shape (N + 1, n, d)
            x_0, x_1, …, x_N = x, in units of the data. The last step, to x_0, has no noise.

        Raises
        ------
        ValueError
            If x has the wrong shape or is not finite.
        """
        return self._chain("backward", points(x, "x", self.event_shape), generator).flip(0)

    @torch.no_grad()
    def _chain(self, direction: str, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """States of a chain in the order in which it visits them, in units of the data."""
        y = (x.to(self.scale) - self.centre) / self.scale
        states = [y]
        _, network = self._pair(direction)
        for k in self._order(direction):
            y = self.mean(network, y, k)
            if not (direction == "backward" and k == 0):
                y = y + (2 * self.gamma[k]).sqrt() * self.noise(*y.shape, generator=generator)
            states.append(y)
        return (self.centre + self.scale * torch.stack(states)).to(x.dtype)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: noise, and the backward chain from there."""
        positive(n, "n", integer=True)
        noise = self.noise(n, *self.event_shape, generator=generator)
        return self.to_data(self.centre + self.scale * noise, generator=generator)[0]


class _Paths:
    """Paths that are in use, so that a run can be resumed between two refreshes."""

    def __init__(self, device: torch.device) -> None:
        self.states = self.targets = torch.empty(0, device=device)

    def state_dict(self) -> dict[str, Tensor]:
        return {"states": self.states, "targets": self.targets}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        where = self.states.device
        self.states, self.targets = state["states"].to(where), state["targets"].to(where)
