"""One step down a gradient: the optimisers, and everything that happens between loss and step."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gencourse.training.processes import ALONE, Processes

__all__ = ["Engine", "MovingAverage", "adam", "averaged", "descend", "momentum"]


@dataclass(frozen=True)
class Engine:
    """What drives the steps of a run besides loss and optimiser.

    Attributes
    ----------
    scaler : GradScaler
        Scales losses up and gradients down, so that those of a network in float16 do not vanish
        on the way (Micikevicius et al. 2018, *Mixed precision training*, section 3.2). A step
        whose gradient overflows is left out, and the scale is halved. Not enabled for other
        formats.
    processes : Processes
        Those that train together; each contributes the gradient of its own batch.
    """

    scaler: GradScaler = field(default_factory=lambda: GradScaler("cpu", enabled=False))
    processes: Processes = ALONE


#: Of the training loop that is running; :func:`gencourse.training.train` sets it.
ENGINE: ContextVar[Engine] = ContextVar("engine")


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, *, clip: float | None = None) -> None:
    """Take one step down the gradient of a loss, in the parameters the optimiser holds.

    Every model trains through this function. Under mixed precision it scales the loss, and
    when several processes train together it averages their gradients, so that they all take
    the same step: that of the mean loss over all their batches.

    Parameters
    ----------
    loss : Tensor of shape ()
        What to lessen.
    optimiser : torch.optim.Optimizer
        Whose parameters move. Gradients that the loss leaves on others stay there.
    clip : float, optional
        Greatest norm of the gradient; a longer one is scaled down to it.
    """
    engine = ENGINE.get(None) or Engine()
    scaler = engine.scaler
    optimiser.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    engine.processes.average([p.grad for p in parameters if p.grad is not None])
    if clip is not None:
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(parameters, clip)
    scaler.step(optimiser)
    scaler.update()


def adam(
    network: nn.Module, lr: float, *, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Adam:
    """Adam, with the whole update fused into one kernel where torch offers it."""
    parameters = list(network.parameters())
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=fused)


def momentum(network: nn.Module, lr: float, *, beta: float = 0.9) -> torch.optim.SGD:
    """Gradient descent with momentum, the optimiser of the 2014 paper."""
    parameters = list(network.parameters())
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.SGD(parameters, lr=lr, momentum=beta, fused=fused)


class MovingAverage(AveragedModel):
    """Torch's moving average, without its two questions to the device in every step.

    Whether a first update has been made is asked of ``n_averaged``, which lives on the device:
    each answer would wait for all that the GPU has still to do. Here the host knows.
    """

    begun = False

    def update_parameters(self, model: nn.Module) -> None:
        """Move the averages towards the present weights; the first update copies them."""
        self.following(model)()

    def following(self, model: nn.Module) -> Callable[[], None]:
        """Return ``update_parameters(model)`` for a loop, in which tensors stay the same ones.

        To find them takes four times as long as to average them where networks are small and many.
        """
        average: list[Tensor] = list(self.module.parameters())
        now: list[Tensor] = list(model.parameters())
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        return lambda: self._update(average, now, buffers)

    @torch.no_grad()
    def _update(
        self, average: list[Tensor], now: list[Tensor], buffers: list[tuple[Tensor, Tensor]]
    ) -> None:
        if not self.begun:
            torch._foreach_copy_(average, now)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(average, now, self.n_averaged)
        for mine, other in buffers:
            mine.copy_(other)
        self.n_averaged += 1
        self.begun = True

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state, prefix, *rest)
        if f"{prefix}n_averaged" in state:
            self.begun = bool(state[f"{prefix}n_averaged"] > 0)


def averaged(network: nn.Module, rate: float) -> MovingAverage:
    """Exponential moving average of a network's weights, w̄ ← (1 - rate) w̄ + rate w.

    The iterates of a game circle the solution; their average lies nearer to it
    (Yazıcı et al. 2019, *The unusual effectiveness of averaging in GAN training*).
    """
    average = get_ema_multi_avg_fn(1.0 - rate)
    return MovingAverage(network, multi_avg_fn=average, use_buffers=False)
