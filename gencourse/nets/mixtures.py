"""Mixtures as the output of a network: a whole law for each coordinate, not one number."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gencourse._validate import positive
from gencourse.data.quantisation import quantise

__all__ = ["DiscretisedLogistics", "MixtureOfGaussians", "cooled", "spread_out"]

LEAST_LOG_SCALE = -7.0  # narrower components would fit single training samples


@torch.no_grad()
def spread_out(bias: Tensor, components: int, *, reach: float) -> None:
    """Start with the components side by side, from -reach to reach, not on one another.

    Components that start as one move as one, and a mixture of them learns slowly.

    Parameters
    ----------
    bias : Tensor of shape (3K, d)
        Of the layer that gives the outputs; changed in place. Its weights stay small.
    components : int
        K.
    reach : float
        Where the outermost means start, in units of x.
    """
    _, mean, log_scale = bias.unflatten(0, (3, components)).unbind(0)
    places = torch.linspace(-reach, reach, components, device=bias.device)
    mean.copy_(places[:, None].expand_as(mean) if components > 1 else torch.zeros_like(mean))
    log_scale.fill_(math.log(2 * reach / (components + 1)))


def cooled(parameters: Tensor, temperature: float) -> Tensor:
    """Parameters of a more typical law: weights proportional to π_j^{1/T}, and scales T σ_j.

    Parameters
    ----------
    parameters : Tensor of shape (n, 3K, …)
        Logits of the weights, then means, then log-scales.
    temperature : float
        T; 1 leaves the law as it is, and towards 0 only the mean of the likeliest component stays.
    """
    logits, mean, log_scale = parameters.unflatten(1, (3, -1)).unbind(1)
    return torch.cat([logits / temperature, mean, log_scale + math.log(temperature)], dim=1)


def _unpack(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split outputs ``(n, 3K, …)`` into log-weights, means and log-scales, ``(n, K, …)`` each."""
    logits, mean, log_scale = parameters.unflatten(1, (3, -1)).unbind(1)
    return logits.log_softmax(1), mean, log_scale.clamp_min(LEAST_LOG_SCALE)


def _component(log_weight: Tensor, u: Tensor) -> Tensor:
    """Which component, ``(n, 1, …)``, the uniform number u falls to: its place in Σ_j π_j."""
    below = log_weight.exp().cumsum(1) < u.unsqueeze(1)
    return below[:, :-1].sum(1, keepdim=True)


class MixtureOfGaussians:
    """p(x) = Σ_j π_j N(x; μ_j, σ_j²), from 3K numbers for each coordinate."""

    outputs = 3  # numbers for each component

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        r"""Return log p of each coordinate by itself.

        Parameters
        ----------
        parameters : Tensor of shape (n, 3K, \*event_shape)
            Logits of the weights, then means, then log-scales.
        x : Tensor of shape (n, \*event_shape)
        """
        log_weight, mean, log_scale = _unpack(parameters)
        r = (x.unsqueeze(1) - mean) * (-log_scale).exp()
        log_normal = -0.5 * r.square() - log_scale - 0.5 * math.log(2 * math.pi)
        return (log_weight + log_normal).logsumexp(1)

    def draw(self, parameters: Tensor, u: Tensor, v: Tensor) -> Tensor:
        r"""Turn two uniform numbers in (0, 1) for each coordinate into a draw from p.

        ``u`` and ``v`` have shape ``(n, *event_shape)``: one chooses the component, the
        other a place under its bell.
        """
        log_weight, mean, log_scale = _unpack(parameters)
        k = _component(log_weight, u)
        mean, log_scale = (t.gather(1, k).squeeze(1) for t in (mean, log_scale))
        return mean + log_scale.exp() * torch.special.ndtri(v)


class DiscretisedLogistics:
    """Probabilities of grey levels under a mixture of logistics (Salimans et al. 2017).

    Logistic laws with means μ_j and scales s_j are cut into bins of one grey level around
    each level q, the first and the last bin open towards the outside:

        P(q) = Σ_j π_j [σ((q + ½δ - μ_j) / s_j) - σ((q - ½δ - μ_j) / s_j)]

    Parameters
    ----------
    level : Tensor or float
        δ, the width of a grey level; see :func:`gencourse.data.quantisation.grey_level`. The
        levels are -1, -1 + δ, …, 1.
    """

    outputs = 3

    def __init__(self, level: Tensor | float) -> None:
        if not isinstance(level, Tensor):
            positive(level, "level")
        self.level = level

    def nearest(self, x: Tensor) -> Tensor:
        """Round pixels to the nearest grey level."""
        return quantise(x, self.level)

    def log_prob(self, parameters: Tensor, q: Tensor) -> Tensor:
        r"""Return log P(q) of each pixel by itself.

        From σ(b) - σ(a) = σ(b) σ(-a) (1 - e^{a-b}), which loses no digits in the tails.

        Parameters
        ----------
        parameters : Tensor of shape (n, 3K, \*event_shape)
            Logits of the weights, then means, then log-scales.
        q : Tensor of shape (n, \*event_shape)
            Grey levels.
        """
        log_weight, mean, log_scale = _unpack(parameters)
        q = q.unsqueeze(1)
        half, per_scale = 0.5 * self.level, (-log_scale).exp()
        darkest, brightest = q < -1 + half, q > 1 - half
        up_to = F.logsigmoid((q + half - mean) * per_scale).masked_fill(brightest, 0.0)
        from_on = F.logsigmoid((mean - q + half) * per_scale).masked_fill(darkest, 0.0)
        within = torch.log(-torch.expm1(-self.level * per_scale))
        inner = within.masked_fill(darkest | brightest, 0.0)
        return (log_weight + up_to + from_on + inner).logsumexp(1)

    def draw(self, parameters: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Turn two uniform numbers in (0, 1) for each pixel into a grey level drawn from P."""
        log_weight, mean, log_scale = _unpack(parameters)
        k = _component(log_weight, u)
        mean, log_scale = (t.gather(1, k).squeeze(1) for t in (mean, log_scale))
        return self.nearest(mean + log_scale.exp() * torch.logit(v))
