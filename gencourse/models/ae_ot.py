"""AE-OT: noise transported onto the codes of an autoencoder (An et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse._validate import positive
from gencourse.models.autoencoder import BLOCK, AutoencoderSettings, LatentModel
from gencourse.training import History, Stateful, adam, descend, exact, train
from gencourse.transport import SemiDiscreteMap, SemiDiscreteSolver

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["TransportAutoencoder", "TransportSettings"]

ROUNDS = 20  # of drawing anew what was discarded


@dataclass(frozen=True)
class TransportSettings(AutoencoderSettings):
    """Hyperparameters of an autoencoder with semi-discrete transport.

    Attributes
    ----------
    latent, width, depth, batch, lr, jitter
        As in :class:`gencourse.models.autoencoder.AutoencoderSettings`.
    steps : int
        Steps of a full training run, both phases together.
    transport_share : float
        Which share of the steps the transport gets, between 0 and 1; it stops early once the
        cells have their masses.
    targets : int
        At most so many codes that noise is transported onto.
    angle : float or None
        Greatest angle in radians between the planes of two neighbouring cells across which
        codes are interpolated. Where it is larger the map jumps, from mode to mode: what lies
        between belongs to neither. ``None`` interpolates everywhere, and mixes modes.
    """

    steps: int = 3000
    transport_share: float = 0.4
    targets: int = 1000
    angle: float | None = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.targets, "targets", integer=True)
        if self.targets < 2:
            raise ValueError("targets must be at least 2, to interpolate between")
        positive(self.transport_share, "transport_share")
        if self.transport_share >= 1:
            raise ValueError(f"transport_share must be below 1, not {self.transport_share!r}")
        if self.angle is not None:
            positive(self.angle, "angle")


class Measurements:
    """The latest value of everything that any phase measures, so that each step has them all."""

    def __init__(self, **values: Tensor) -> None:
        self.values = values

    def update(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take over new values, and return all."""
        self.values |= {name: values[name] for name in self.values if name in values}
        return dict(self.values)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the values, for a checkpoint."""
        return dict(self.values)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over the values of a checkpoint."""
        self.values |= {name: v.to(self.values[name]) for name, v in state.items()}


class LateSolver:
    """The solver of a map that exists only once the codes do, in a form that checkpoints carry."""

    def __init__(self, model: TransportAutoencoder) -> None:
        self.model = model
        self.solver: SemiDiscreteSolver | None = None

    def begin(self) -> None:
        """Start to fit the model's present map."""
        self.solver = SemiDiscreteSolver(self.model.transport)

    def step(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Improve the heights of the map; return what was measured."""
        assert self.solver is not None
        return self.solver.step(generator=generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the solver, or nothing before its phase."""
        return {} if self.solver is None else self.solver.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state; the model has its map back by then."""
        if state:
            self.begin()
            assert self.solver is not None
            self.solver.load_state_dict(state)


class TransportAutoencoder(LatentModel):
    r"""An autoencoder, and the optimal transport T from uniform noise onto its codes.

    Training has two phases. The first minimises E‖x - G(E(x))‖². The second encodes the data,
    standardises the codes y_i and finds the map T(w) = y_{i(w)} from w uniform on
    [-½, ½]^d onto them; see :class:`gencourse.transport.SemiDiscreteMap`.

    T is discontinuous, and that is the point: data with several modes need a map that jumps,
    which no network is (deck C, *mode mixture*). New samples come from its piecewise linear
    extension. With i and j the two highest planes over w,

    .. math:: z = \lambda y_i + (1 - \lambda) y_j, \qquad \lambda \sim U[0, 1],

    is decoded, unless the angle between the planes exceeds ``angle``: there T jumps from one
    mode to another, and w is discarded.

    Attributes
    ----------
    transport : SemiDiscreteMap
        T, onto the standardised codes.
    code_mean : Tensor of shape (latent,)
    code_scale : Tensor
        Mean of the codes, and root of their mean squared coordinate about it.

    References
    ----------
    D. An, Y. Guo, N. Lei, Z. Luo, S.-T. Yau & X. Gu 2020, *AE-OT: a new generative model based
    on extended semi-discrete optimal transport*; deck C.
    """

    Settings = TransportSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "latent": 8,
        "width": 32,
        "batch": 128,
        "targets": 2000,
        "angle": 0.7,
    }
    settings: TransportSettings
    code_mean: Tensor
    code_scale: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: TransportSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        # Until the codes are known, a few that stand for the standard normal law.
        self.transport = SemiDiscreteMap(torch.randn(min(settings.targets, 100), settings.latent))
        self.register_buffer("code_mean", torch.zeros(settings.latent))
        self.register_buffer("code_scale", torch.ones(()))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        self._check_data(x)
        steps = steps or s.steps
        first = max(1, round(steps * (1 - s.transport_share)))
        pair = nn.ModuleList([self.encoder, self.decoder])
        optimiser = adam(pair, s.lr)
        schedule = CosineAnnealingLR(optimiser, first)
        solver = LateSolver(self)
        # Before there is a map, all mass is in the wrong place: ‖P[cell] - w‖ is at most 1.
        measurements = Measurements(reconstruction=x.new_zeros(()), residual=x.new_ones(()))

        def step(i: int) -> dict[str, Tensor]:
            if i < first:
                batch = self._batch(x, generator)
                measured = self._autoencoder_step(batch, optimiser)
                schedule.step()
            else:
                if i == first:
                    self._collect_codes(x, generator)
                    solver.begin()
                measured = solver.step(generator)
            return measurements.update(measured)

        state: dict[str, Stateful] = {
            "model": self,
            "optimiser": optimiser,
            "schedule": schedule,
            "solver": solver,
            "measurements": measurements,
        }
        return train(
            step,
            steps=steps,
            state=state,
            generator=generator,
            description=self.system.slug,
            **loop,
        )

    def _check_data(self, x: Tensor) -> None:
        """Raise ``ValueError`` if there are too few data to interpolate between."""
        if len(x) < 2:
            raise ValueError("codes are interpolated, which takes at least 2 samples; give more")

    def _batch(self, x: Tensor, generator: torch.Generator) -> Tensor:
        index = torch.randint(len(x), (self.settings.batch,), generator=generator, device=x.device)
        return self._jittered(x[index], generator)

    def _autoencoder_step(self, x: Tensor, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
        """Phase 1: improve encoder and decoder on a batch; return what it cost."""
        loss = (x - self.decoder(self.encoder(x))).square().flatten(1).sum(1).mean()
        descend(loss, optimiser)
        return {"reconstruction": loss.detach()}

    @torch.no_grad()
    def _collect_codes(self, x: Tensor, generator: torch.Generator) -> None:
        """Between the phases: make the standardised codes of the data the targets."""
        order = torch.randperm(len(x), generator=generator, device=x.device)
        chosen = x[order[: self.settings.targets]]
        with exact(self.encoder):
            codes = torch.cat([self.encoder(block) for block in chosen.split(BLOCK)])
        self.code_mean = codes.mean(0)
        centred = codes - self.code_mean
        # Codes that are all the same stay so, and are not divided by zero.
        tiny = torch.finfo(codes.dtype).tiny
        self.code_scale = centred.square().mean().sqrt().clamp_min(tiny)
        self.transport = SemiDiscreteMap(centred / self.code_scale)

    def transported(
        self, n: int, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw codes from the piecewise linear extension of the map.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness, on any device; the default is torch's global one.

        Returns
        -------
        codes : Tensor of shape (n, latent)
            Interpolated within a mode; where the map jumps, simply T(w).
        within : Tensor of shape (n,), bool
            Which are interpolated. AE-OT keeps only those.
        """
        positive(n, "n", integer=True)
        map_ = self.transport
        with torch.no_grad():
            w = map_.sample_source(n, generator=generator)
            i, j = map_.top_cells(w, 2).unbind(1)
            weight = self.uniform(n, 1, generator=generator).to(w)
            y_i, y_j = map_.targets[i], map_.targets[j]
            within = torch.ones_like(i, dtype=torch.bool)
            if self.settings.angle is not None:
                within = map_.angle(i, j) < self.settings.angle
            y = torch.where(within[:, None], weight * y_i + (1 - weight) * y_j, y_i)
            return self.code_mean + self.code_scale * y, within

    def _sample_codes(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw codes, discarding those where the map jumps.

        If hardly any are left after some rounds, because ``angle`` is smaller than the angle
        between most neighbours, codes of the data fill the gap.
        """
        kept: list[Tensor] = []
        missing = n
        for _ in range(ROUNDS):
            z, within = self.transported(n, generator=generator)
            kept.append(z[within])
            missing -= len(kept[-1])
            if missing <= 0:
                break
        return torch.cat([*kept, z])[:n]

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: transported noise, interpolated within modes, decoded."""
        positive(n, "n", integer=True)
        return self._generate(self._sample_codes(n, generator))
