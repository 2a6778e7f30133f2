"""Every system of the lectures by its slug, and the functions that build and load them.

A model file is imported when one of its systems is first built; listing them imports none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from gencourse._device import device as choose_device
from gencourse._validate import points, unknown_name
from gencourse.data.base import Dataset
from gencourse.models.base import FORMAT

if TYPE_CHECKING:
    from gencourse.models.base import GenerativeModel

__all__ = ["System", "build", "get", "load", "systems"]


@dataclass(frozen=True)
class System:
    """One system of the lectures.

    Attributes
    ----------
    slug : str
        The name for :func:`gencourse.build`.
    title : str
        What it is called in words.
    family : str
        The group it belongs to.
    decks : str
        The lectures that teach it, one letter each (A to E).
    paper : str
        Where it was introduced.
    chapter : str
        The chapter that explains it, by its path in the book.
    has_log_prob : bool
        Whether its density can be evaluated.
    """

    slug: str
    title: str
    family: str
    decks: str
    paper: str
    chapter: str
    has_log_prob: bool
    implementation: str = field(repr=False)  # "module:class" under gencourse.models
    options: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def model_class(self) -> type[GenerativeModel]:
        """Import and return the class that implements this system."""
        module, name = self.implementation.split(":")
        return getattr(import_module(f"gencourse.models.{module}"), name)


_SYSTEMS = (
    System(
        slug="kde",
        title="Kernel density estimate (Parzen windows)",
        family="Densities and energies",
        decks="DE",
        paper="Parzen 1962",
        chapter="book/gan",
        has_log_prob=True,
        implementation="kde:KernelDensity",
    ),
    System(
        slug="gmm",
        title="Gaussian mixture by expectation-maximisation",
        family="Densities and energies",
        decks="BD",
        paper="Dempster, Laird & Rubin 1977",
        chapter="book/gan",
        has_log_prob=True,
        implementation="gmm:GaussianMixture",
    ),
    System(
        slug="gan-minimax",
        title="Generative adversarial net, minimax loss",
        family="Adversarial",
        decks="ABCDE",
        paper="Goodfellow et al. 2014",
        chapter="book/gan",
        has_log_prob=False,
        implementation="gan:AdversarialModel",
        options=(("objective", "gan-minimax"),),
    ),
    System(
        slug="gan",
        title="Generative adversarial net, log-D trick",
        family="Adversarial",
        decks="ABCDE",
        paper="Goodfellow et al. 2014",
        chapter="book/gan",
        has_log_prob=False,
        implementation="gan:AdversarialModel",
        options=(("objective", "gan"),),
    ),
)


def systems() -> tuple[System, ...]:
    """Return every system of the course, in the order in which it is taught."""
    return _SYSTEMS


def get(slug: str) -> System:
    """Return the system of this slug.

    Raises
    ------
    KeyError
        If there is none; the message suggests the nearest slugs.
    """
    for system in _SYSTEMS:
        if system.slug == slug:
            return system
    raise unknown_name("system", slug, [system.slug for system in _SYSTEMS])


def build(
    slug: str,
    data: Dataset | torch.Tensor,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    **hyperparameters: Any,
) -> GenerativeModel:
    r"""Build an untrained model that fits the shape of ``data``.

    Parameters
    ----------
    slug : str
        Which system; ``gencourse.systems()`` lists them.
    data : Dataset or Tensor of shape (n, \*event_shape)
        Only its shape is used; training data are given to ``fit``.
    seed : int
        Seed of the initial weights. Torch's global generator is left as it was.
    device : str or torch.device, optional
        Where the model lives; by default where :func:`gencourse.device` says.
    **hyperparameters
        Settings of this model, such as ``width=256``; its class documents them.

    Returns
    -------
    GenerativeModel

    Raises
    ------
    KeyError
        If the slug is unknown.
    ValueError
        If a hyperparameter is unknown or out of range, or the data do not suit the model.

    Examples
    --------
    >>> import gencourse
    >>> data = gencourse.data.load("ring8")
    >>> model = gencourse.build("gan", data, device="cpu")
    >>> model.sample(5).shape
    torch.Size([5, 2])
    """
    system = get(slug)
    if isinstance(data, Dataset):
        event_shape = tuple(data.event_shape)
    else:
        event_shape = tuple(points(data, "data").shape[1:])
    where = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        # Weights are drawn on the CPU, so that a seed means the same model on any device; and
        # torch.manual_seed would also reset the generators of the GPUs.
        torch.default_generator.manual_seed(seed)
        model = system.model_class().create(system, event_shape, hyperparameters)
    return model.to(where)


def load(
    path: str | os.PathLike[str], *, device: str | torch.device | None = None
) -> GenerativeModel:
    """Load a model that ``model.save(path)`` wrote.

    Only tensors and plain values are read, never code, so a file from a stranger is safe.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or is not a model of this course.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        slug, event_shape = saved["slug"], tuple(saved["event_shape"])
        hyperparameters, state = dict(saved["hyperparameters"]), dict(saved["state"])
        written, version = saved["format"], saved["gencourse"]
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no model file {str(path)!r}") from None
    except Exception as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(
            f"{str(path)!r} is not a model saved by gencourse, or is damaged"
        ) from error
    if written != FORMAT:
        raise ValueError(
            f"{str(path)!r} was written by gencourse {version} in format {written}, but this "
            f"version reads format {FORMAT}; install the version that wrote it"
        )
    system = get(slug)
    with torch.random.fork_rng(devices=[]):
        model = system.model_class().create(system, event_shape, hyperparameters)
    model.restore(state)
    return model.to(choose_device(device))
