"""The one training loop: records, shows progress, checkpoints, resumes.

A model supplies ``step(i)``, which performs iteration ``i`` and returns what it measured as
zero-dimensional tensors. They stay on the device: nothing here waits for a GPU except the
check for divergence, once in a few hundred steps, and the user's own callback.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gencourse._files import write_atomically
from gencourse._validate import points, positive
from gencourse.data.base import Dataset, ImageDataset

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = [
    "History",
    "Stateful",
    "adam",
    "averaged",
    "descend",
    "minimise",
    "momentum",
    "resident",
    "train",
]

POOL = 65_536  # samples drawn once from an endless data set; indexing them is free
CHECK_EVERY = 500  # steps between looks for NaN, each of which waits for the device


@dataclass
class History:
    """What a training run measured.

    Attributes
    ----------
    steps : list of int
        The iterations at which values were recorded, counted from 1.
    metrics : dict of str to list of float
        For each quantity its value at those iterations.
    seconds : float
        Wall time spent training, over all resumed parts of the run.
    """

    steps: list[int] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def to_frame(self) -> pandas.DataFrame:
        """Return a table with one row per recorded step."""
        import pandas

        return pandas.DataFrame(self.metrics, index=pandas.Index(self.steps, name="step"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw every recorded quantity against the step; see :func:`gencourse.plots.history`."""
        from gencourse import plots

        return plots.history(self.metrics, steps=self.steps, ax=ax)

    def state_dict(self) -> dict[str, Any]:
        """Return the record as plain numbers, for a checkpoint."""
        return {"steps": self.steps, "metrics": self.metrics, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the record of a checkpoint."""
        self.steps, self.metrics = list(state["steps"]), dict(state["metrics"])
        self.seconds = float(state["seconds"])


class Stateful(Protocol):
    """Anything that a checkpoint can carry: modules, optimisers, schedulers."""

    def state_dict(self) -> Any:
        """Return everything that changes during training."""

    def load_state_dict(self, state: Any) -> Any:
        """Take over what :meth:`state_dict` returned."""


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


def averaged(network: nn.Module, rate: float) -> AveragedModel:
    """Exponential moving average of a network's weights, w̄ ← (1 - rate) w̄ + rate w.

    The iterates of a game circle the solution; their average lies nearer to it
    (Yazıcı et al. 2019, *The unusual effectiveness of averaging in GAN training*).
    """
    average = get_ema_multi_avg_fn(1.0 - rate)
    return AveragedModel(network, multi_avg_fn=average, use_buffers=False)


def descend(loss: Tensor, optimiser: torch.optim.Optimizer, *, clip: float | None = None) -> None:
    """Take one step down the gradient of a loss, in the parameters the optimiser holds.

    Every model trains through this function.

    Parameters
    ----------
    loss : Tensor of shape ()
        What to lessen.
    optimiser : torch.optim.Optimizer
        Whose parameters move. Gradients that the loss leaves on others stay there.
    clip : float, optional
        Greatest norm of the gradient; a longer one is scaled down to it.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if clip is not None:
        nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], clip)
    optimiser.step()


def resident(
    data: Dataset | Tensor, event_shape: tuple[int, ...], device: torch.device, seed: int
) -> Tensor:
    """Return the training set as one tensor on the device that trains.

    A tensor is used as it is, images are the training split, and from an endless
    distribution 65,536 samples are drawn. Batches are then an index away: no loader, no copy.

    Raises
    ------
    ValueError
        If the data are not finite, or do not have the model's event shape.
    """
    if isinstance(data, Dataset):
        if tuple(data.event_shape) != tuple(event_shape):
            raise ValueError(
                f"this model was built for samples of shape {tuple(event_shape)}, but data set "
                f"{data.name!r} has samples of shape {tuple(data.event_shape)}"
            )
        if isinstance(data, ImageDataset):
            x = data.images("train")
        else:
            x = data.sample(POOL, generator=torch.Generator().manual_seed(seed))
    else:
        x = data
    return points(x, "data", event_shape).detach().to(device=device, dtype=torch.float32)


def minimise(
    loss: Callable[[Tensor], Tensor | Mapping[str, Tensor]],
    network: nn.Module,
    x: Tensor,
    *,
    steps: int,
    batch: int,
    lr: float,
    generator: torch.Generator,
    state: Mapping[str, Stateful],
    betas: tuple[float, float] = (0.9, 0.999),
    clip: float | None = None,
    average: AveragedModel | None = None,
    **loop: Any,
) -> History:
    r"""Minimise the mean of a loss over ``x`` by Adam, with a learning rate that falls to zero.

    The loop of every model that has one network and one loss: likelihoods, autoencoders,
    score matching.

    Parameters
    ----------
    loss : callable (batch) -> 0-d Tensor, or dict of str to 0-d Tensor
        What a batch of rows of ``x`` costs. Of a dictionary the entry ``"loss"`` is
        minimised, and the others are recorded beside it.
    network : nn.Module
        Whose parameters are learned.
    x : Tensor of shape (n, \*event_shape)
        The training set, on the device that trains.
    steps, batch : int
        How many batches, and how many rows in each; rows are drawn with replacement.
    lr : float
        Learning rate of the first step; it follows a cosine down to 0 at the last.
    generator : torch.Generator
        Source of the batches.
    state : dict of str to object with ``state_dict`` and ``load_state_dict``
        What else changes during training, usually ``{"model": self}``.
    betas : tuple of two floats
        Adam's decay rates.
    clip : float, optional
        Greatest norm of the gradient; longer ones are scaled down to it.
    average : AveragedModel, optional
        Moving average of ``network`` that follows each step; see :func:`averaged`.
    **loop
        Passed on to :func:`train`.

    Returns
    -------
    History
    """
    optimiser = adam(network, lr, betas=betas)
    schedule = CosineAnnealingLR(optimiser, steps)

    def step(i: int) -> dict[str, Tensor]:
        index = torch.randint(len(x), (batch,), generator=generator, device=x.device)
        value = loss(x[index])
        measured = dict(value) if isinstance(value, Mapping) else {"loss": value}
        descend(measured["loss"], optimiser, clip=clip)
        schedule.step()
        if average is not None:
            average.update_parameters(network)
        return {name: part.detach() for name, part in measured.items()}

    return train(
        step,
        steps=steps,
        state={**state, "optimiser": optimiser, "schedule": schedule},
        generator=generator,
        **loop,
    )


def train(
    step: Callable[[int], Mapping[str, Tensor]],
    *,
    steps: int,
    state: Mapping[str, Stateful] | None = None,
    generator: torch.Generator | None = None,
    progress: bool = True,
    description: str = "training",
    record: int = 10,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1000,
    callback: Callable[[int], object] | None = None,
    every: int = 100,
    run: Mapping[str, Any] | None = None,
) -> History:
    """Call ``step`` the given number of times, keeping what it measures.

    Parameters
    ----------
    step : callable (i) -> dict of str to 0-d Tensor
        Performs iteration ``i`` (from 0) and returns detached measurements.
    steps : int
        How many iterations the whole run has.
    state : dict of str to object with ``state_dict`` and ``load_state_dict``
        All that changes during training, so that a run can be resumed.
    generator : torch.Generator, optional
        Source of the batches and the noise; its state goes into checkpoints.
    progress : bool
        Show a progress bar.
    description : str
        What the bar says is being trained.
    record : int
        Record the measurements once in so many steps.
    checkpoint : path, optional
        A file to save to every ``checkpoint_every`` steps and at the end. If it exists, the
        run goes on from it, to the same numbers as an unbroken run.
    callback : callable (i) -> object, optional
        Called before the first step with 0, and then after every ``every`` steps.
    run : dict of str to plain value, optional
        What distinguishes this run from others, such as its seed and hyperparameters. It goes
        into checkpoints, and a checkpoint of a run that differs is refused.

    Returns
    -------
    History

    Raises
    ------
    FloatingPointError
        If a measurement becomes NaN or infinite.
    FileNotFoundError
        If the folder of the checkpoint does not exist.
    ValueError
        If the checkpoint is damaged or belongs to another run.
    """
    from tqdm.auto import tqdm

    for name, count in {
        "steps": steps,
        "record": record,
        "checkpoint_every": checkpoint_every,
        "every": every,
    }.items():
        positive(count, name, integer=True)
    state = dict(state or {})
    run = {**(run or {}), "steps": steps}
    history = History()
    path = Path(checkpoint) if checkpoint is not None else None
    start = 0
    if path is not None and path.exists():
        start = _resume(path, run, state, generator, history)
    elif path is not None and not path.absolute().parent.is_dir():
        # Said now: the first checkpoint is written only when there is work to lose.
        raise FileNotFoundError(
            f"there is no folder {str(path.absolute().parent)!r} for checkpoints"
        )
    if callback is not None and start == 0:
        callback(0)

    begun, before = time.perf_counter(), history.seconds
    pending: list[Mapping[str, Tensor]] = []  # recorded, but still on the device
    # tqdm's own switch for silencing bars from outside, which its notebook bars overlook.
    silent = not progress or bool(os.environ.get("TQDM_DISABLE"))
    bar = tqdm(total=steps, initial=start, desc=description, mininterval=0.5, disable=silent)

    def settle() -> None:
        _append(history, pending)
        history.seconds = before + time.perf_counter() - begun

    try:
        for i in range(start, steps):
            measured = step(i)
            done = i + 1
            if done % record == 0 or done == steps:
                history.steps.append(done)
                pending.append(measured)
            saving = path is not None and (done % checkpoint_every == 0 or done == steps)
            if saving or done % CHECK_EVERY == 0 or done == steps:
                settle()
                _check_finite(history, description)
            if path is not None and saving:
                _save(path, done, run, state, generator, history)
            if callback is not None and done % every == 0:
                callback(done)
            bar.update()
    finally:
        # After an interrupt the last checkpoint stays as it is: within a step the state is not
        # whole, so the steps since then are done again.
        bar.close()
    return history


def _append(history: History, pending: list[Mapping[str, Tensor]]) -> None:
    """Move what was recorded from the device into the history, in one transfer."""
    names = list(pending[0]) if pending else []
    if not names:
        return
    rows = torch.stack([torch.stack([row[name].float() for name in names]) for row in pending])
    for name, column in zip(names, rows.cpu().T.tolist(), strict=True):
        history.metrics.setdefault(name, []).extend(column)
    pending.clear()


def _check_finite(history: History, description: str) -> None:
    for name, values in history.metrics.items():
        for step, value in zip(history.steps, values, strict=True):
            if value != value or value in (float("inf"), float("-inf")):
                raise FloatingPointError(
                    f"{description} diverged: {name!r} is {value} at step {step}; "
                    "try smaller learning rates, or look at the data for outliers"
                )


def _save(
    path: Path,
    done: int,
    run: Mapping[str, Any],
    state: Mapping[str, Stateful],
    generator: torch.Generator | None,
    history: History,
) -> None:
    buffer = io.BytesIO()
    torch.save(
        {
            "done": done,
            "run": dict(run),
            "state": {name: part.state_dict() for name, part in state.items()},
            "generator": None if generator is None else generator.get_state(),
            "history": history.state_dict(),
        },
        buffer,
    )
    write_atomically(path, buffer.getvalue())


def _resume(
    path: Path,
    run: Mapping[str, Any],
    state: Mapping[str, Stateful],
    generator: torch.Generator | None,
    history: History,
) -> int:
    """Load a checkpoint into ``state``, ``generator`` and ``history``; return the steps done."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        parts, of, done = dict(saved["state"]), dict(saved["run"]), int(saved["done"])
        record, random = saved["history"], saved["generator"]
    except Exception as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(
            f"{str(path)!r} is not a training checkpoint, or is damaged; delete it to start again"
        ) from error
    here, there = {**run, "parts": sorted(state)}, {**of, "parts": sorted(parts)}
    for name in [*here, *there]:
        if here.get(name) != there.get(name):
            raise ValueError(
                f"{str(path)!r} is the checkpoint of another run: its {name} is "
                f"{there.get(name)!r}, and that of this run is {here.get(name)!r}. "
                "Delete it, or give another file"
            )
    for name, part in state.items():
        try:
            part.load_state_dict(parts[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(
                f"{str(path)!r} was made with other hyperparameters ({name} does not fit); "
                "delete it, or give another file"
            ) from error
    if generator is not None and random is not None:
        generator.set_state(random)
    history.load_state_dict(record)
    return done
