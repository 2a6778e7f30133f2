"""Checks on what users pass in: early, and with a message that says what to do."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = [
    "at_most_one",
    "below_one",
    "check_hyperparameters",
    "finite",
    "generator_on",
    "not_negative",
    "points",
    "positive",
    "unknown_name",
]


def unknown_name(kind: str, name: object, known: Iterable[str]) -> KeyError:
    """Return the ``KeyError`` for a name that is not in a registry, with the nearest ones."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name).lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
    return KeyErrorWithMessage(f"unknown {kind} {name!r}; {hint}")


class KeyErrorWithMessage(KeyError):
    """A ``KeyError`` that prints its message as a sentence instead of its ``repr``."""

    def __str__(self) -> str:
        return str(self.args[0])


def finite(x: Tensor, name: str) -> Tensor:
    """Return ``x``, or raise ``ValueError`` if it is empty or holds NaN or infinity."""
    if x.numel() == 0:
        raise ValueError(f"{name} is empty (shape {tuple(x.shape)})")
    # NaN and infinity survive a sum, and a sum is much the faster; finite numbers may overflow.
    if not torch.isfinite(x.sum()) and not torch.isfinite(x).all():
        bad = int((~torch.isfinite(x)).sum())
        raise ValueError(
            f"{name} holds {bad} NaN or infinite values out of {x.numel()}; "
            "remove or repair them first"
        )
    return x


def points(x: object, name: str, event_shape: Sequence[int] | None = None) -> Tensor:
    """Return ``x`` as a finite floating tensor of shape ``(n, *event_shape)``.

    With ``event_shape=None`` any event shape of at least one dimension is taken.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a torch tensor, not {type(x).__name__}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must have a floating dtype, not {x.dtype}; use {name}.float()")
    if event_shape is None:
        if x.ndim < 2:
            raise ValueError(f"{name} must have shape (n, d), not {tuple(x.shape)}")
    elif tuple(x.shape[1:]) != tuple(event_shape) or x.ndim == 0:
        wanted = ", ".join(["n", *map(str, event_shape)])
        raise ValueError(f"{name} must have shape ({wanted}), not {tuple(x.shape)}")
    return finite(x, name)


def positive(value: float, name: str, *, integer: bool = False) -> None:
    """Raise ``ValueError`` unless ``value`` is a finite number above zero."""
    if integer and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, not {value!r}")
    if not (0 < value < float("inf")):
        raise ValueError(f"{name} must be above 0, not {value!r}")


def not_negative(value: float, name: str) -> None:
    """Raise ``ValueError`` unless ``value`` is 0 or a finite number above it."""
    if isinstance(value, bool) or value != 0:
        positive(value, name)


def below_one(value: float, name: str) -> None:
    """Raise ``ValueError`` unless ``value`` is a number in [0, 1), such as a rate of decay."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number in [0, 1), not {value!r}")


def at_most_one(value: float, name: str) -> None:
    """Raise ``ValueError`` unless ``value`` is a number in (0, 1], such as a share."""
    positive(value, name)
    if value > 1:
        raise ValueError(f"{name} must be at most 1, not {value!r}")


def check_hyperparameters(owner: str, given: Iterable[str], settings: type) -> None:
    """Raise ``ValueError`` for a name that is no field of a dataclass of settings."""
    known = [f.name for f in dataclasses.fields(settings)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(
                f"{owner} has no hyperparameter {name!r}; {hint}it takes {', '.join(known)}"
            )


def generator_on(generator: torch.Generator | None, seed: int = 0) -> torch.Generator:
    """Return ``generator``, or a new one on the CPU with this seed."""
    if generator is None:
        generator = torch.Generator().manual_seed(seed)
    return generator
