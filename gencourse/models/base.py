"""What every generative model of the course can do."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from gencourse._files import write_atomically
from gencourse._validate import check_hyperparameters, positive
from gencourse.data.base import Dataset
from gencourse.training import Accelerator, History, resident
from gencourse.training.processes import Processes, leads

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["GenerativeModel"]

FORMAT = 1  # of saved files


class GenerativeModel(nn.Module, ABC):
    """A distribution that is learned from samples, and then samples itself.

    Subclasses give a frozen dataclass ``Settings`` with their hyperparameters, and implement
    ``_fit`` and ``sample``. They are made by :func:`gencourse.build`.

    Attributes
    ----------
    system : System
        Which system of the lectures this is.
    event_shape : tuple of int
        Shape of one sample.
    settings : dataclass
        The hyperparameters in use.
    """

    Settings: ClassVar[type]
    #: Settings that differ from the defaults of ``Settings`` when the data are images.
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    _anchor: Tensor

    def __init__(self, system: System, event_shape: tuple[int, ...], settings: Any) -> None:
        super().__init__()
        self.system = system
        self.event_shape = event_shape
        self.settings = settings
        # Follows the model from device to device, and tells where to put new tensors.
        self.register_buffer("_anchor", torch.empty(0), persistent=False)

    @classmethod
    def create(
        cls, system: System, event_shape: tuple[int, ...], hyperparameters: Mapping[str, Any]
    ) -> Self:
        """Build a model from hyperparameters, each checked against the class's settings."""
        if len(event_shape) == 3 and "images" not in system.kinds:
            raise ValueError(
                f"{system.slug!r} learns points of shape (n, d), not images of shape "
                f"{event_shape}; `gencourse systems` says which systems take images"
            )
        if len(event_shape) == 1 and "points" not in system.kinds:
            raise ValueError(
                f"{system.slug!r} learns images of shape (n, channels, height, width), not "
                f"points of shape {event_shape}; `gencourse systems` says which take points"
            )
        given = {**dict(system.options), **hyperparameters}
        check_hyperparameters(repr(system.slug), given, cls.Settings)
        # Numbers out of NumPy become Python's, which a saved file may hold.
        given = {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}
        return cls(system, event_shape, cls.default_settings(event_shape, **given))

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> Any:
        """Return the settings for this kind of data, with ``given`` ones replaced."""
        defaults = cls.IMAGE_DEFAULTS if len(event_shape) == 3 else {}
        return cls.Settings(**{**defaults, **given})

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self._anchor.device

    def fit(
        self,
        data: Dataset | Tensor,
        *,
        steps: int | None = None,
        seed: int = 0,
        progress: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1000,
        callback: Callable[[int], object] | None = None,
        every: int = 100,
        precision: str | None = None,
        compile: bool | str = False,
    ) -> History:
        r"""Train on ``data``.

        Under ``torchrun`` all processes train one model, each on batches of its own: with p of
        them a batch is p times as large. The first shows progress, calls back and saves, and at the
        end all have its weights.

        Parameters
        ----------
        data : Dataset or Tensor of shape (n, \*event_shape)
            What to learn.
        steps : int, optional
            Training iterations; by default the number in the model's settings.
        seed : int
            Seed of the batches and the noise.
        progress : bool
            Show a progress bar.
        checkpoint : path, optional
            Save the run to this file as it goes; if the file exists, go on from it, to the same
            numbers as an unbroken run. On a GPU sums come out the same each time only after
            :func:`torch.use_deterministic_algorithms`, which is slower.
        checkpoint_every : int
            Steps between two savings; the last step is always saved.
        callback : callable (step) -> object, optional
            Called with 0 before training, then with the step number after every ``every`` steps.
        every : int
            Steps between two calls of ``callback``.
        precision : "bf16" or "fp16", optional
            Let the :meth:`networks` compute in 16 bits (mixed precision), which recent GPUs do
            several times faster. Weights, data and losses stay in float32. The range of
            ``"fp16"`` is small, so losses are scaled up on the way back; ``"bf16"`` needs
            no care, but a GPU as of 2020. A model without networks is trained as ever.
        compile : bool or str
            Let :func:`torch.compile` fuse the modules in :meth:`compilable` for as long as training
            lasts; a string names its backend. The first step then takes up to minutes.

        Returns
        -------
        History
            The losses along the way; ``history.plot()`` draws them.

        Raises
        ------
        ValueError
            If the data have the wrong shape, are empty, or hold NaN or infinity, if the
            checkpoint is damaged or belongs to another run, or if the device lacks the precision.
        FloatingPointError
            If training diverges.
        ConnectionError
            If the environment announces other processes that cannot be reached.
        """
        if steps is not None:
            positive(steps, "steps", integer=True)
        x = resident(data, self.event_shape, self.device, seed)
        accelerator = Accelerator.of(self.device, precision=precision, compile=compile)
        processes = accelerator.processes
        run: dict[str, Any] = {}
        if checkpoint is not None:
            run = {
                "system": self.system.slug,
                "seed": seed,
                **accelerator.run(),
                **dataclasses.asdict(self.settings),
                "data": hashlib.sha256(x.cpu().contiguous().numpy().data).hexdigest()[:16],
            }
        # What no gradients are averaged of must come out the same from the same numbers.
        learns = any(p.requires_grad for p in self.parameters())
        own_seed = processes.seed(seed) if learns else seed
        with accelerator.engine(self.networks(), self.compilable()) as engine:
            history = self._fit(
                x,
                steps=steps,
                generator=torch.Generator(self.device).manual_seed(own_seed),
                progress=progress,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                callback=callback,
                every=every,
                run=run,
                engine=engine,
            )
        self._take_over(processes, history)
        return history

    def _take_over(self, processes: Processes, history: History) -> None:
        """Give all processes the model and the record of the first."""
        if processes.size == 1:
            return
        state, record = processes.first(
            lambda: ({k: v.cpu() for k, v in self.state_dict().items()}, history.state_dict())
        )
        if processes.rank > 0:
            self.restore(state)
            history.load_state_dict(record)

    def networks(self) -> list[nn.Module]:
        """Return the networks that ``fit(precision=…)`` lets compute in 16 bits.

        They are called in training, and map tensors to a tensor. By default they are the child
        modules that have weights, except averages, which do not learn; a model that calls
        smaller or larger parts says so here.
        """
        found: list[nn.Module] = []
        for child in self.children():
            found += child if isinstance(child, nn.ModuleList) else [child]
        return [
            module
            for module in found
            if not isinstance(module, AveragedModel) and any(True for _ in module.parameters())
        ]

    def compilable(self) -> list[nn.Module]:
        """Return the modules that ``fit(compile=True)`` compiles, by default :meth:`networks`.

        A model whose loss contains a derivative of a network, to be differentiated again, leaves
        that network out: :func:`torch.compile` has no second derivatives.
        """
        return self.networks()

    @abstractmethod
    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        """Train on the tensor ``x``, which lives on the model's device."""

    @abstractmethod
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples, shape ``(n, *event_shape)``, on the model's device.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness, on any device; the default is torch's global one.
        """

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the log density of each row of ``x`` in nats, shape ``(n,)``.

        Raises
        ------
        NotImplementedError
            If this model has no density that can be evaluated, as adversarial models have not.
        """
        raise NotImplementedError(
            f"{self.system.slug!r} has no density that can be evaluated; use a model whose "
            "`has_log_prob` is true, or estimate one from samples with "
            "gencourse.metrics.parzen_log_likelihood"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to ``path``, wholly or not at all; :func:`gencourse.load` reads it.

        Of several processes that train together, only the first writes.

        Raises
        ------
        OSError
            If the file cannot be written; an older file of that name is left as it was.
        """
        from gencourse import __version__

        if not leads():
            return
        buffer = io.BytesIO()
        torch.save(
            {
                "format": FORMAT,
                "gencourse": __version__,
                "slug": self.system.slug,
                "event_shape": list(self.event_shape),
                "hyperparameters": dataclasses.asdict(self.settings),
                "state": self.state_dict(),
            },
            buffer,
        )
        write_atomically(path, buffer.getvalue())

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over saved tensors; :func:`gencourse.load` calls this."""
        try:
            self.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"the saved tensors do not fit this model: {error}") from error

    def uniform(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Numbers uniform in [0, 1) on the model's device, from a generator on any device."""
        where = self.device if generator is None else generator.device
        return torch.rand(*shape, generator=generator, device=where).to(self.device)

    def noise(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal numbers on the model's device, drawn from a generator on any device."""
        where = self.device if generator is None else generator.device
        return torch.randn(*shape, generator=generator, device=where).to(self.device)
