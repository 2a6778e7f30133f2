"""Files from which a broken run goes on to the same numbers."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from gencourse._files import write_atomically
from gencourse.training.history import History
from gencourse.training.processes import Processes

__all__ = ["Checkpoints", "Stateful"]


class Stateful(Protocol):
    """Anything that a checkpoint can carry: modules, optimisers, schedulers."""

    def state_dict(self) -> Any:
        """Return everything that changes during training."""

    def load_state_dict(self, state: Any) -> Any:
        """Take over what :meth:`state_dict` returned."""


@dataclass
class Checkpoints:
    """What a run consists of, on its way to a file and to other processes, and back.

    Attributes
    ----------
    path : Path or None
        The file; without one, the state is only shared among processes.
    run : dict of str to plain value
        What distinguishes this run from others.
    state : dict of str to object with ``state_dict`` and ``load_state_dict``
        All that changes during training.
    generator : torch.Generator or None
        Its state is saved too, each process's own.
    history : History
    processes : Processes
        The first of them reads and writes. The others take over its state then, also such parts
        as statistics of batches, in which they differ; so a run that goes on from the file is the
        same as an unbroken one.
    """

    path: Path | None
    run: Mapping[str, Any]
    state: Mapping[str, Stateful]
    generator: torch.Generator | None
    history: History
    processes: Processes

    def resume(self) -> int:
        """Load the file if there is one; return the number of steps that have been done.

        Raises
        ------
        FileNotFoundError
            If the folder of the file does not exist.
        ValueError
            If the file is damaged, or belongs to another run.
        """
        content = self.processes.first(self._find)
        if content is None:
            self._share(0, write=False)
            return 0
        saved = _unpack(content)
        if self.processes.rank > 0:
            self._take_over(saved)
        random = saved["generators"][self.processes.rank]
        if self.generator is not None and random is not None:
            self.generator.set_state(random)
        return int(saved["done"])

    def save(self, done: int) -> None:
        """Write the file, after ``done`` steps."""
        self._share(done, write=True)

    def share(self, done: int) -> None:
        """Give the first process's state to the others, without a file."""
        self._share(done, write=False)

    def _share(self, done: int, *, write: bool) -> None:
        together = self.processes.size > 1
        if not write and not together:
            return
        random = None if self.generator is None else self.generator.get_state()
        generators = self.processes.gather(random)

        def pack() -> bytes:
            content = self._pack(done, generators)
            if write and self.path is not None:
                write_atomically(self.path, content)
            return content

        content = self.processes.first(pack)
        if self.processes.rank > 0:
            self._take_over(_unpack(content))

    def _pack(self, done: int, generators: list[Any]) -> bytes:
        buffer = io.BytesIO()
        torch.save(
            {
                "done": done,
                "run": dict(self.run),
                "state": {name: part.state_dict() for name, part in self.state.items()},
                "generators": generators,
                "history": self.history.state_dict(),
            },
            buffer,
        )
        return buffer.getvalue()

    def _find(self) -> bytes | None:
        """Return what the file holds, having loaded it, or None if there is no file."""
        path = self.path
        if path is None:
            return None
        if not path.exists():
            if not path.absolute().parent.is_dir():
                # Said now: the first checkpoint is written only when there is work to lose.
                raise FileNotFoundError(
                    f"there is no folder {str(path.absolute().parent)!r} for checkpoints"
                )
            return None
        try:
            content = path.read_bytes()
            saved = _unpack(content)
            parts, of = dict(saved["state"]), dict(saved["run"])
            int(saved["done"]), saved["history"]["steps"], saved["generators"][0]
        except PermissionError:
            raise
        except Exception as error:
            raise ValueError(
                f"{str(path)!r} is not a training checkpoint, or is damaged; delete it to start "
                "again"
            ) from error
        here = {**self.run, "parts": sorted(self.state)}
        there = {**of, "parts": sorted(parts)}
        for name in [*here, *there]:
            if here.get(name) != there.get(name):
                raise ValueError(
                    f"{str(path)!r} is the checkpoint of another run: its {name} is "
                    f"{there.get(name)!r}, and that of this run is {here.get(name)!r}. "
                    "Delete it, or give another file"
                )
        self._take_over(saved)
        return content

    def _take_over(self, saved: Mapping[str, Any]) -> None:
        for name, part in self.state.items():
            try:
                part.load_state_dict(saved["state"][name])
            except (RuntimeError, ValueError, KeyError) as error:
                raise ValueError(
                    f"{str(self.path)!r} was made with other hyperparameters ({name} does not "
                    "fit); delete it, or give another file"
                ) from error
        self.history.load_state_dict(saved["history"])


def _unpack(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
