"""The rows of a table: which systems it has, built before any is trained, and what they draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from gencourse.data.base import ImageDataset
from gencourse.models import GenerativeModel, build, get, systems

__all__ = ["built", "drawn", "registered"]

AT_ONCE = 1024  # samples drawn together


def registered(published: Iterable[str]) -> tuple[str, ...]:
    """Return those of the published rows that are systems of the course, in their order."""
    known = {system.slug for system in systems()}
    return tuple(slug for slug in published if slug in known)


def built(
    slugs: Sequence[str] | None,
    published: Iterable[str],
    data: ImageDataset,
    *,
    seed: int,
    device: str | torch.device | None,
) -> dict[str, GenerativeModel]:
    """Build the systems of a table, by default the published ones.

    Raises
    ------
    KeyError
        If a slug is unknown.
    ValueError
        If a system does not learn images.
    """
    chosen = registered(published) if slugs is None else [get(slug).slug for slug in slugs]
    return {slug: build(slug, data, seed=seed, device=device) for slug in chosen}


def drawn(model: GenerativeModel, n: int, *, seed: int) -> Tensor:
    """Draw ``n`` images of a model, on the CPU, a block at a time."""
    generator = torch.Generator().manual_seed(seed)
    blocks = [min(AT_ONCE, n - i) for i in range(0, n, AT_ONCE)]
    return torch.cat([model.sample(block, generator=generator).cpu() for block in blocks])
