r"""The evidence lower bound taken apart (M. D. Hoffman & M. J. Johnson 2016, *ELBO surgery*).

For N data x_n with codes z ~ q(z | x_n) and the prior p(z), let q(z) = (1/N) Σ_n q(z | x_n) be
the law of all the codes together, the aggregate posterior. Then

.. math::

    \text{ELBO} &= \frac1N \sum_n \mathbb{E}_{q(z|x_n)} \log p(x_n | z) - \text{average KL},
    \\
    \text{average KL} = \frac1N \sum_n \mathrm{KL}(q(z|x_n) \,\|\, p(z))
    &= \underbrace{\frac1N \sum_n \mathrm{KL}(q(z|x_n) \,\|\, q(z))}_{\text{mutual information}}
     + \underbrace{\mathrm{KL}(q(z) \,\|\, p(z))}_{\text{marginal KL}} .

The mutual information is between a code and the number n of its datum, and at most log N. Only
the marginal KL says whether noise from the prior looks like codes to the decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gencourse._precision import BLOCK, double, log_sum_exp
from gencourse._validate import finite, points, positive

__all__ = ["ElboSplit", "elbo_split", "gaussian_prior_kl"]


@dataclass(frozen=True)
class ElboSplit:
    """What :func:`elbo_split` found; everything in nats per datum.

    Attributes
    ----------
    elbo : float
        ``reconstruction - average_kl``.
    reconstruction : float
        Mean of E log p(x_n | z).
    average_kl : float
        Mean of KL(q(z | x_n) ‖ p(z)); the sum of the next two.
    mutual_information : float
        Between the code and the number of its datum; at most log N.
    marginal_kl : float
        KL(q(z) ‖ p(z)) of the aggregate posterior.
    """

    elbo: float
    reconstruction: float
    average_kl: float
    mutual_information: float
    marginal_kl: float


def gaussian_prior_kl(mean: Tensor, std: Tensor) -> Tensor:
    r"""KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ_j (μ_j² + σ_j² - 1 - log σ_j²), for each row.

    Parameters
    ----------
    mean, std : Tensor of shape (n, d)

    Returns
    -------
    Tensor of shape (n,)
        In nats, differentiable.

    Examples
    --------
    >>> import torch
    >>> gaussian_prior_kl(torch.tensor([[0.0], [2.0]]), torch.ones(2, 1))
    tensor([0., 2.])
    """
    return 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).sum(1)


@torch.no_grad()
def elbo_split(
    mean: Tensor,
    std: Tensor,
    reconstruction: Tensor,
    *,
    samples: int = 1,
    generator: torch.Generator | None = None,
    block: int = BLOCK,
) -> ElboSplit:
    r"""Split the ELBO on a finite set, for Gaussian posteriors and the prior N(0, I).

    The average KL is exact. The mutual information is a mean over codes that are drawn here,

    .. math:: \frac1{NS} \sum_{n,s} \log \frac{q(z_{ns} | x_n)}{\frac1N \sum_m q(z_{ns} | x_m)},
              \qquad z_{ns} \sim q(z | x_n),

    with the sum over all N data, and the marginal KL is what is left of the average.

    Parameters
    ----------
    mean, std : Tensor of shape (N, d)
        Of q(z | x_n) = N(μ_n, diag σ_n²).
    reconstruction : Tensor of shape (N,)
        E log p(x_n | z) over that posterior, or an unbiased estimate.
    samples : int
        S, codes drawn for each datum.
    generator : torch.Generator, optional
        Source of randomness, on any device; the default is torch's global one.
    block : int
        Most pairs of codes and data to hold in memory at once; there are S N² in all.

    Returns
    -------
    ElboSplit

    Raises
    ------
    ValueError
        If a tensor is empty, not finite or of the wrong shape, or a number not positive.

    Examples
    --------
    Two data whose codes never meet: log 2 says which, the rest is the distance to the prior.

    >>> import torch
    >>> mean, std = torch.tensor([[-9.0], [9.0]]), torch.ones(2, 1)
    >>> split = elbo_split(mean, std, torch.zeros(2))
    >>> round(split.mutual_information, 4), round(split.marginal_kl, 2)
    (0.6931, 39.81)
    """
    points(mean, "mean")
    points(std, "std", mean.shape[1:])
    if mean.ndim != 2 or mean.shape != std.shape:
        raise ValueError(
            "mean and std must both have shape (n, d), not "
            f"{tuple(mean.shape)} and {tuple(std.shape)}"
        )
    if not bool((std > 0).all()):
        raise ValueError("std must be positive everywhere")
    if not isinstance(reconstruction, Tensor) or reconstruction.shape != mean.shape[:1]:
        what = getattr(reconstruction, "shape", type(reconstruction).__name__)
        raise ValueError(f"reconstruction must be a tensor of shape ({len(mean)},), not {what}")
    finite(reconstruction, "reconstruction")
    positive(samples, "samples", integer=True)
    positive(block, "block", integer=True)

    mu, sigma = double(mean), double(std)
    N, d = mu.shape
    # log q(z | x_m) up to -½ d log 2π, as one matrix product of the powers of z.
    precision = sigma.pow(-2)
    weights = torch.cat([-0.5 * precision, mu * precision], dim=1).T
    constant = -(0.5 * mu.square() * precision + sigma.log()).sum(1)
    where = mu.device if generator is None else generator.device
    information = mu.new_zeros(())
    for rows in torch.arange(N, device=mu.device).split(max(1, block // N)):
        for _ in range(samples):
            noise = torch.randn(len(rows), d, generator=generator, device=where).to(mu)
            z = mu[rows] + sigma[rows] * noise
            log_q = constant + torch.cat([z.square(), z], dim=1) @ weights
            own = log_q[torch.arange(len(rows), device=mu.device), rows]
            information += (own - log_sum_exp(log_q)).sum()
    mutual_information = (information / (N * samples)).item() + math.log(N)
    average_kl = gaussian_prior_kl(mu, sigma).mean().item()
    mean_reconstruction = double(reconstruction).mean().item()
    return ElboSplit(
        elbo=mean_reconstruction - average_kl,
        reconstruction=mean_reconstruction,
        average_kl=average_kl,
        mutual_information=mutual_information,
        marginal_kl=average_kl - mutual_information,
    )
