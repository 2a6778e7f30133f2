"""The linear push-forward: a Gaussian by the Cholesky factor of its covariance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from gencourse._precision import double
from gencourse._validate import positive
from gencourse.models.pushforward import PushForward
from gencourse.training import History, train

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["LinearPushForward", "LinearSettings", "gaussian_fit"]


@dataclass(frozen=True)
class LinearSettings:
    """Hyperparameters of a linear push-forward.

    Attributes
    ----------
    ridge : float
        Added to the diagonal of the covariance, in squared data units. 1e-6 for points; for
        images 1e-3, about the variance of rounding to 17 grey levels, (1/8)² / 12, without
        which pixels that never change would make the likelihood infinite.
    steps : int
        The maximum is reached in the first step, and further ones repeat it.
    """

    ridge: float = 1e-6
    steps: int = 1

    def __post_init__(self) -> None:
        positive(self.ridge, "ridge")
        positive(self.steps, "steps", integer=True)


class LinearPushForward(PushForward):
    """x = m + T z with T lower triangular and T Tᵀ = Σ, so that x ~ N(m, Σ) (deck B).

    Every square root of Σ would do; the triangular one with a positive diagonal is unique.
    It is the linear case of :class:`gencourse.models.triangular.TriangularMap`.

    For images this Gaussian with a full covariance is the plain baseline that other models
    have to beat.

    Attributes
    ----------
    mean : Tensor of shape (d,)
        m; images are flattened to d numbers.
    factor : Tensor of shape (d, d)
        T, the Cholesky factor.
    """

    Settings = LinearSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {"ridge": 1e-3}
    settings: LinearSettings
    mean: Tensor
    factor: Tensor

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: LinearSettings
    ) -> None:
        super().__init__(system, event_shape, settings)
        d = math.prod(event_shape)
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("factor", torch.eye(d))

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        x = double(x.flatten(1))

        def step(i: int) -> dict[str, Tensor]:
            return {"log_likelihood": self.maximise(x)}

        return train(
            step,
            steps=steps or self.settings.steps,
            state={"model": self},
            generator=generator,
            description=self.system.slug,
            record=1,
            **loop,
        )

    def maximise(self, x: Tensor) -> Tensor:
        """Set m and T where the likelihood of ``x``, shape ``(n, d)``, is greatest.

        Returned is the mean log density there, in nats, a 0-d tensor. For what can go wrong,
        see :func:`gaussian_fit`.
        """
        mean, factor = gaussian_fit(x, self.settings.ridge)
        self.mean, self.factor = mean.to(self.mean), factor.to(self.factor)
        return self.log_prob(x.reshape(-1, *self.event_shape)).mean()

    def working(self, x: Tensor) -> Tensor:
        """Return ``x`` in float64: there is no network here, and so no reason for less."""
        return double(x)

    def push(self, z: Tensor) -> Tensor:
        """T(z) = m + T z; see :meth:`PushForward.push`."""
        return (self.mean.to(z) + z @ self.factor.to(z).T).to(self.mean)

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Solve T z = x - m by forward substitution; see :meth:`PushForward.pull`."""
        T = self.factor.to(x)
        z = torch.linalg.solve_triangular(T, (x - self.mean.to(x)).T, upper=False).T
        log_det = -T.diagonal().log().sum()
        return z, log_det.expand(len(x))


def gaussian_fit(x: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Mean m and Cholesky factor T of the likeliest Gaussian for ``x`` of shape ``(n, d)``.

    m = (1/n) Σ_i x_i and T Tᵀ = (1/n) Σ_i (x_i - m)(x_i - m)ᵀ + ridge I.

    Raises
    ------
    FloatingPointError
        If that covariance is singular in spite of the ridge.
    """
    n = len(x)
    mean = x.mean(0)
    centred = x - mean
    covariance = centred.T @ centred / n
    covariance.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        raise FloatingPointError(
            "the covariance is singular to working precision; give a larger ridge than "
            f"{ridge}, or data of about unit variance"
        )
    return mean, factor
