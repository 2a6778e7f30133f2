"""What every data set of the course offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gencourse._validate import generator_on, positive

__all__ = ["Dataset", "ImageDataset"]


class Dataset(ABC):
    """A distribution to learn from: it samples, and says what is known about itself.

    Attributes
    ----------
    name : str
        The name it is loaded under.
    event_shape : tuple of int
        Shape of one sample: ``(2,)`` for points in the plane, ``(1, 8, 8)`` for digits.
    modes : Tensor of shape (K, d), or None
        Centres of the clusters, where the distribution has some.
    mode_std : float or None
        Standard deviation of each cluster around its centre.
    """

    name: str
    event_shape: tuple[int, ...]
    modes: Tensor | None = None
    mode_std: float | None = None

    @abstractmethod
    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        device: str | torch.device | None = None,
    ) -> Tensor:
        r"""Draw ``n`` samples.

        Parameters
        ----------
        n : int
            How many.
        generator : torch.Generator, optional
            Source of randomness; the default is torch's global one. Drawing happens on
            the generator's device, so a CPU generator gives the same numbers everywhere.
        device : str or torch.device, optional
            Where the samples are wanted; the default is the generator's device.

        Returns
        -------
        Tensor of shape (n, \*event_shape), float32

        Raises
        ------
        ValueError
            If ``n`` is not a positive whole number.
        """

    def log_prob(self, x: Tensor) -> Tensor | None:
        r"""Return the exact log density in nats, shape ``(n,)``; ``None`` where it is unknown.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
            Any floating dtype and device. The density is computed in float64, returned in
            the dtype of ``x``, and differentiable with respect to ``x``.

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, not floating or of the wrong shape.
        """
        return None

    def entropy(
        self, n: int = 100_000, *, generator: torch.Generator | None = None
    ) -> float | None:
        """Differential entropy -E[log p(x)] in nats; ``None`` where the density is unknown.

        It is the least negative log-likelihood that any model can reach on these data. The
        value is a Monte Carlo mean over ``n`` samples, with a standard error of about
        ``1/sqrt(n)`` nats for the distributions of this course, unless a subclass knows it
        in closed form.

        Parameters
        ----------
        n : int
            Number of samples.
        generator : torch.Generator, optional
            Source of randomness; the default is a fresh one, so that the same call gives
            the same number.
        """
        positive(n, "n", integer=True)
        x = self.sample(n, generator=generator_on(generator)).cpu().double()
        log_p = self.log_prob(x)
        return None if log_p is None else -log_p.mean().item()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, event_shape={self.event_shape})"


class ImageDataset(Dataset):
    """A finite set of labelled images with values in [-1, 1], split into train and test.

    Attributes
    ----------
    classes : tuple of str
        What each label means, in order.
    """

    classes: tuple[str, ...] = ()

    @abstractmethod
    def images(self, split: str = "train") -> Tensor:
        """Return the images of a split, shape ``(n, channels, height, width)``, in [-1, 1]."""

    @abstractmethod
    def labels(self, split: str = "train") -> Tensor:
        """Return the class of each image of a split, shape ``(n,)``, int64."""

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        device: str | torch.device | None = None,
    ) -> Tensor:
        """Draw ``n`` training images with replacement; see :meth:`Dataset.sample`."""
        positive(n, "n", integer=True)
        images = self.images("train")
        where = generator.device if generator is not None else torch.device("cpu")
        index = torch.randint(len(images), (n,), generator=generator, device=where)
        return images[index.to(images.device)].to(device or where)
