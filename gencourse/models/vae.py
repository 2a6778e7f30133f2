"""Variational autoencoders (Kingma & Welling 2014) and their evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gencourse._validate import points, positive
from gencourse.data.quantisation import dequantise, grey_level
from gencourse.metrics.elbo import ElboSplit, elbo_split, gaussian_prior_kl
from gencourse.models.autoencoder import BLOCK, AutoencoderSettings, LatentModel
from gencourse.training import History, minimise

if TYPE_CHECKING:
    from gencourse.models.registry import System

__all__ = ["VariationalAutoencoder", "VariationalSettings", "binarise"]

LOG_2PI = math.log(2 * math.pi)
# A learned σ starts well below the spread of the data, here about 1: where the decoder explains
# nothing yet, a wide σ makes it cheapest for all codes to be alike, and they stay so.
FIRST_SCALE = 0.3
CLIP = 5.0  # greatest norm of a gradient: one code in a wrong mode costs hundreds of nats


@dataclass(frozen=True)
class VariationalSettings(AutoencoderSettings):
    """Hyperparameters of a variational autoencoder.

    Attributes
    ----------
    latent, width, depth, batch, lr, steps, jitter
        As in :class:`gencourse.models.autoencoder.AutoencoderSettings`.
    likelihood : "gaussian" or "bernoulli"
        p(x | z): N(G(z), σ²I), or, for images, independent pixels that are 1 (ink) or -1, as
        :func:`binarise` makes them.
    scale : float or None
        σ of the Gaussian; by default it is learned.
    importance : int
        Codes per sample, K, in the bound that training maximises. K = 1 is the ELBO. With
        more it is the tighter bound of Burda, Grosse & Salakhutdinov (2016),
        log (1/K) Σ_k p(x, z_k) / q(z_k | x). The ELBO punishes each code that decodes to a
        wrong mode, so Gaussian posteriors keep away from the borders between modes and leave
        gaps there, where noise from the prior then lands; the mean over K forgives such codes.
    observation_noise : bool
        Whether samples are drawn from p(x | z), or are its mean, as is the custom for
        images.
    """

    depth: int = 4
    batch: int = 128
    lr: float = 2e-3
    steps: int = 4000
    likelihood: str = "gaussian"
    scale: float | None = None
    importance: int = 10
    observation_noise: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.likelihood not in ("gaussian", "bernoulli"):
            raise ValueError(
                f"likelihood must be 'gaussian' or 'bernoulli', not {self.likelihood!r}"
            )
        positive(self.importance, "importance", integer=True)
        if self.scale is not None:
            if self.likelihood == "bernoulli":
                raise ValueError("scale belongs to the Gaussian likelihood; Bernoulli has none")
            positive(self.scale, "scale")
        if not isinstance(self.observation_noise, bool):
            raise ValueError(
                f"observation_noise must be True or False, not {self.observation_noise!r}"
            )


def binarise(images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Make black and white images: a pixel is 1 with probability (x + 1)/2, otherwise -1.

    What makes grey images fit a Bernoulli likelihood; drawn afresh in each step of training
    (Salakhutdinov & Murray 2008, for MNIST).

    Parameters
    ----------
    images : Tensor
        In [-1, 1], of any shape.
    generator : torch.Generator, optional
        Source of randomness, on any device; the default is torch's global one.

    Examples
    --------
    >>> import torch
    >>> binarise(torch.tensor([-1.0, 1.0]))
    tensor([-1.,  1.])
    """
    where = images.device if generator is None else generator.device
    u = torch.rand(images.shape, generator=generator, device=where).to(images)
    return torch.where(2 * u - 1 < images, 1.0, -1.0).to(images.dtype)


class VariationalAutoencoder(LatentModel):
    r"""Latent z ~ N(0, I), samples x ~ p(x | z), and an encoder q(z | x) = N(μ(x), diag σ(x)²).

    Training maximises a lower bound of the evidence log p(x) = log E_{z ~ N(0, I)} p(x | z),

    .. math:: \text{ELBO}(x) = \mathbb{E}_{q(z|x)} \log p(x|z)
              - \mathrm{KL}\big(q(z|x) \,\|\, N(0, I)\big),

    with z = μ(x) + σ(x) ε, ε ~ N(0, I), so that the gradient passes through the draw.

    Attributes
    ----------
    encoder : nn.Sequential
        Samples to (μ, log σ), shape ``(n, 2 latent)``.
    decoder : nn.Sequential
        Codes to the mean of a Gaussian p(x | z), or to the log odds of Bernoulli pixels.
    log_scale : nn.Parameter
        log σ of the Gaussian.

    References
    ----------
    D. P. Kingma & M. Welling 2014, *Auto-encoding variational Bayes*; decks B and C.
    """

    Settings = VariationalSettings
    IMAGE_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "latent": 4,
        "width": 32,
        "batch": 64,
        "importance": 5,
        "steps": 9000,
        # With a learned σ fewer samples were recognised as digits.
        "scale": 0.4,
        "observation_noise": False,
    }
    settings: VariationalSettings

    def __init__(
        self, system: System, event_shape: tuple[int, ...], settings: VariationalSettings
    ) -> None:
        if settings.likelihood == "bernoulli" and len(event_shape) == 1:
            raise ValueError(
                "likelihood 'bernoulli' is for images, whose pixels lie in [-1, 1]; "
                "points take 'gaussian'"
            )
        super().__init__(system, event_shape, settings)
        log_scale = torch.tensor(math.log(settings.scale or FIRST_SCALE))
        self.log_scale = nn.Parameter(log_scale, requires_grad=settings.scale is None)

    @classmethod
    def default_settings(cls, event_shape: tuple[int, ...], **given: Any) -> Any:
        """Return the settings for this kind of data, with ``given`` ones replaced."""
        if given.get("likelihood") == "bernoulli":
            given = {"scale": None, **given}
        return super().default_settings(event_shape, **given)

    def encoder_outputs(self) -> int:
        """A mean and a log standard deviation for each coordinate of the code."""
        return 2 * self.settings.latent

    def decoder_is_bounded(self) -> bool:
        """The mean of a Gaussian is; log odds are not."""
        return self.settings.likelihood == "gaussian"

    # ------------------------------------------------------------- q(z | x) and p(x | z)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return mean μ(x) and standard deviation σ(x) of q(z | x), both ``(n, latent)``.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, or of another shape.
        """
        x = points(x, "x", self.event_shape)
        mean, log_std = self.encoder(self._as_weights(x)).to(x).chunk(2, dim=1)
        return mean, log_std.exp()

    def encode(self, x: Tensor) -> Tensor:
        """Return the mean of q(z | x), shape ``(n, latent)``, in the dtype of ``x``."""
        return self.posterior(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Return the mean of p(x | z), shape ``(n, *event_shape)``, in the dtype of ``z``."""
        y = super().decode(z)
        # Of a pixel that is 1 with log odds y, and -1 otherwise: 2 sigmoid(y) - 1.
        return y if self.settings.likelihood == "gaussian" else (y / 2).tanh()

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        r"""Log p(x | z) in nats, for each row.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
            For a Bernoulli likelihood pixels of 1 or -1; of a grey one between them it is
            the mean over its binarisations.
        z : Tensor of shape (..., n, latent)
            One or several codes for each sample.

        Returns
        -------
        Tensor of shape (..., n)
        """
        y = self.decoder(z.flatten(0, -2)).reshape(*z.shape[:-1], *self.event_shape)
        if self.settings.likelihood == "bernoulli":
            ink = ((x + 1) / 2).expand_as(y)
            log_p = -F.binary_cross_entropy_with_logits(y, ink, reduction="none")
        else:
            residual = (x - y) * (-self.log_scale).exp()
            log_p = -0.5 * (residual.square() + LOG_2PI) - self.log_scale
        return log_p.flatten(z.ndim - 1).sum(-1)

    # ------------------------------------------------------------- bounds on log p(x)

    def _log_weights(self, x: Tensor, epsilon: Tensor) -> Tensor:
        """Log p(x, z) / q(z | x) at z = μ + σ ε, for ε of shape ``(K, n, latent)``: ``(K, n)``."""
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        z = mean + log_std.exp() * epsilon
        log_prior = -0.5 * z.square().sum(-1)
        log_q = -0.5 * epsilon.square().sum(-1) - log_std.sum(-1)
        return self.log_likelihood(x, z) + log_prior - log_q

    def _elbo_terms(self, x: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of log p(x | z) over ε of shape ``(K, n, latent)``, and the exact KL; ``(n,)``."""
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        std = log_std.exp()
        reconstruction = self.log_likelihood(x, mean + std * epsilon).mean(0)
        return reconstruction, gaussian_prior_kl(mean, std)

    def elbo(
        self, x: Tensor, *, samples: int = 10, generator: torch.Generator | None = None
    ) -> Tensor:
        r"""Estimate the evidence lower bound E log p(x | z) - KL(q(z | x) ‖ p(z)) of each row.

        The KL is exact, the expectation a mean over draws from q(z | x): an unbiased
        estimate, differentiable with respect to the parameters.

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
            Images as they come: with a Gaussian likelihood :func:`gencourse.data.dequantise`
            them first to bound the probability of grey levels, with a Bernoulli likelihood
            :func:`binarise` them.
        samples : int
            Codes for each row.
        generator : torch.Generator, optional
            Source of randomness, on any device; the default is torch's global one.

        Returns
        -------
        Tensor of shape (n,)
            In nats, in the dtype of ``x``.

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, or of another shape, or ``samples`` not positive.
        """
        reconstruction, kl = self._bound_terms(x, samples, generator)
        return (reconstruction - kl).to(x)

    def log_evidence(
        self, x: Tensor, *, samples: int = 1000, generator: torch.Generator | None = None
    ) -> Tensor:
        r"""Estimate log p(x) by importance sampling from q(z | x), shape ``(n,)``.

        .. math:: \log \frac1K \sum_{k=1}^K \frac{p(x, z_k)}{q(z_k | x)}, \qquad z_k \sim q(z|x),

        whose expectation lies between the ELBO and log p(x), and rises with K
        (Burda, Grosse & Salakhutdinov 2016, *Importance weighted autoencoders*, theorem 1).

        Parameters
        ----------
        x : Tensor of shape (n, \*event_shape)
        samples : int
            K, codes for each row.
        generator : torch.Generator, optional
            Source of randomness, on any device; the default is torch's global one.

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, or of another shape, or ``samples`` not positive.
        """
        at = self._as_weights(points(x, "x", self.event_shape))
        positive(samples, "samples", integer=True)
        total = at.new_full((len(x),), -math.inf)
        at_once = min(samples, max(1, BLOCK // len(x)))
        for start in range(0, samples, at_once):
            k = min(at_once, samples - start)
            epsilon = self._epsilon(k, len(x), generator)
            total = torch.logaddexp(total, self._log_weights(at, epsilon).logsumexp(0))
        return (total - math.log(samples)).to(x)

    @torch.no_grad()
    def elbo_split(
        self, x: Tensor, *, samples: int = 10, generator: torch.Generator | None = None
    ) -> ElboSplit:
        """Take the ELBO on the rows of ``x`` apart; see :func:`gencourse.metrics.elbo_split`."""
        reconstruction, _ = self._bound_terms(x, samples, generator)
        mean, std = self.posterior(x)
        return elbo_split(mean, std, reconstruction.to(x), generator=generator)

    def _bound_terms(
        self, x: Tensor, samples: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """The two terms of the ELBO of each row, block by block, in the weights' precision."""
        at = self._as_weights(points(x, "x", self.event_shape))
        positive(samples, "samples", integer=True)
        parts = [
            self._elbo_terms(rows, self._epsilon(samples, len(rows), generator))
            for rows in at.split(max(1, BLOCK // samples))
        ]
        reconstruction, kl = (torch.cat(part) for part in zip(*parts, strict=True))
        return reconstruction, kl

    def _epsilon(self, k: int, n: int, generator: torch.Generator | None) -> Tensor:
        return self._as_weights(self.noise(k, n, self.settings.latent, generator=generator))

    # ------------------------------------------------------------- training and sampling

    def _fit(
        self, x: Tensor, *, steps: int | None, generator: torch.Generator, **loop: Any
    ) -> History:
        s = self.settings
        images = len(self.event_shape) == 3
        level = grey_level(x) if images and s.likelihood == "gaussian" else 0.0

        def loss(batch: Tensor) -> dict[str, Tensor]:
            batch = self._jittered(batch, generator)
            if s.likelihood == "bernoulli":
                batch = binarise(batch, generator=generator)
            elif images:
                batch = dequantise(batch, level, generator=generator)
            epsilon = self._epsilon(s.importance, len(batch), generator)
            if s.importance > 1:
                log_w = self._log_weights(batch, epsilon)
                return {"loss": math.log(s.importance) - log_w.logsumexp(0).mean()}
            reconstruction, kl = (part.mean() for part in self._elbo_terms(batch, epsilon))
            return {"loss": kl - reconstruction, "reconstruction": reconstruction, "kl": kl}

        return minimise(
            loss,
            self,
            x,
            steps=steps or s.steps,
            batch=s.batch,
            lr=s.lr,
            clip=CLIP,
            generator=generator,
            state={"model": self},
            description=self.system.slug,
            **loop,
        )

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``n`` samples: z ~ N(0, I), then x ~ p(x | z) or its mean."""
        positive(n, "n", integer=True)
        x = self._generate(self.noise(n, self.settings.latent, generator=generator))
        if not self.settings.observation_noise:
            return x
        if self.settings.likelihood == "bernoulli":
            return binarise(x, generator=generator)
        return x + self.log_scale.exp().to(x) * self.noise(*x.shape, generator=generator)
