"""The one training loop: records, shows progress, checkpoints, resumes.

A model supplies ``step(i)``, which performs iteration ``i`` and returns what it measured as
zero-dimensional tensors. They stay on the device: nothing here waits for a GPU except the
check for divergence, once in a few hundred steps, and the user's own callback.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse._validate import positive
from gencourse.training.checkpoints import Checkpoints, Stateful
from gencourse.training.descent import ENGINE, Engine, MovingAverage, adam, descend
from gencourse.training.history import History

__all__ = ["minimise", "train"]

CHECK_EVERY = 500  # steps between looks for NaN, each of which waits for the device


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
    average: MovingAverage | None = None,
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
    average : MovingAverage, optional
        Moving average of ``network`` that follows each step; see :func:`averaged`.
    **loop
        Passed on to :func:`train`.

    Returns
    -------
    History
    """
    optimiser = adam(network, lr, betas=betas)
    schedule = CosineAnnealingLR(optimiser, steps)
    follow = average.following(network) if average is not None else None

    def step(i: int) -> dict[str, Tensor]:
        index = torch.randint(len(x), (batch,), generator=generator, device=x.device)
        value = loss(x[index])
        measured = dict(value) if isinstance(value, Mapping) else {"loss": value}
        descend(measured["loss"], optimiser, clip=clip)
        schedule.step()
        if follow is not None:
            follow()
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
    engine: Engine | None = None,
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
    engine : Engine, optional
        How :func:`descend` takes its steps: with which scale of the loss, and together with which
        other processes. Of those, only the first shows progress, calls back and writes files.

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
    engine = engine or Engine()
    processes = engine.processes
    leads = processes.rank == 0
    history = History()
    path = Path(checkpoint) if checkpoint is not None else None
    saved = Checkpoints(
        path=path,
        run={**(run or {}), "steps": steps},
        state={**(state or {}), "scaler": engine.scaler},
        generator=generator,
        history=history,
        processes=processes,
    )
    start = saved.resume()
    callback = callback if leads else None
    if callback is not None and start == 0:
        callback(0)

    begun, before = time.perf_counter(), history.seconds
    pending: list[Mapping[str, Tensor]] = []  # recorded, but still on the device
    # tqdm's own switch for silencing bars from outside, which its notebook bars overlook.
    silent = not progress or not leads or bool(os.environ.get("TQDM_DISABLE"))
    bar = tqdm(total=steps, initial=start, desc=description, mininterval=0.5, disable=silent)

    def settle() -> None:
        _append(history, pending)
        history.seconds = before + time.perf_counter() - begun

    before_this = ENGINE.set(engine)
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
                processes.all(lambda: _check_finite(history, description))
            if saving:
                saved.save(done)
            elif done == steps:
                saved.share(done)
            if callback is not None and done % every == 0:
                callback(done)
            bar.update()
    finally:
        # After an interrupt the last checkpoint stays as it is: within a step the state is not
        # whole, so the steps since then are done again.
        bar.close()
        ENGINE.reset(before_this)
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
