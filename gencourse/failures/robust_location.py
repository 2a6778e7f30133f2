r"""Robust location: what total variation is for, although it fails on distant modes.

Of n points a share ε is contamination, far away. The mean is drawn towards it, and so, a little
in each coordinate, is the median. A law N(b, I) that minimises TV(P, N(b, I)) puts its mass where
1 - ε of the points are, and ignores the rest: moving towards them would lose more than it gains
(Gao, Liu, Yao & Zhu 2019). The generator is a shift, G(z) = z + b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas
import torch
from torch import Tensor, nn

from gencourse import nets, objectives
from gencourse._validate import positive
from gencourse.failures._draw import bars
from gencourse.training import descend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["contaminated", "plot_robust_location", "robust_location"]

CRITIC_STEPS = 5
LR_CRITIC, LR_SHIFT = 0.2, 0.02
BATCH = 500


def contaminated(
    n: int, d: int, share: float = 0.2, distance: float = 5.0, *, generator: torch.Generator
) -> Tensor:
    """Draw from (1 - ε) N(0, I) + ε N(distance · 1, I), shape ``(n, d)``.

    Parameters
    ----------
    n, d : int
        How many points, in how many dimensions.
    share : float
        ε, below a half.
    distance : float
        How far the contamination is in each coordinate.
    generator : torch.Generator
        Source of randomness.

    Raises
    ------
    ValueError
        If a count is not positive, or the share does not lie in [0, 0.5).
    """
    positive(n, "n", integer=True)
    positive(d, "d", integer=True)
    if not 0 <= share < 0.5:
        raise ValueError(f"share must lie in [0, 0.5), not {share!r}; the majority is right")
    where = generator.device
    far = torch.rand(n, 1, generator=generator, device=where) < share
    return torch.randn(n, d, generator=generator, device=where) + distance * far


def robust_location(
    names: Sequence[str] = ("tv-gan", "gan"),
    *,
    n: int = 20_000,
    d: int = 20,
    share: float = 0.2,
    epochs: int = 40,
    seed: int = 0,
) -> pandas.DataFrame:
    """Estimate the centre 0 of contaminated points by mean, median and adversarial games.

    Each game starts from the median; its estimate is the average of b over the last quarter
    of the epochs. The critics are one hidden layer, trained by plain gradient descent.

    Parameters
    ----------
    names : sequence of str
        Entries of :data:`gencourse.objectives.OBJECTIVES` whose critic returns one number.
    n, d, share
        As in :func:`contaminated`.
    epochs : int
        Passes over the points.
    seed : int
        Seed of the points, the weights and the batches.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``estimate``: ``error``, the distance from the true centre.

    Raises
    ------
    KeyError
        If there is no such objective.
    ValueError
        If a count is not positive, or the share does not lie in [0, 0.5).

    References
    ----------
    C. Gao, J. Liu, Y. Yao & W. Zhu 2019, *Robust estimation via generative adversarial networks*;
    deck B.
    """
    positive(epochs, "epochs", integer=True)
    chosen = [objectives.get(name) for name in names]
    x = contaminated(n, d, share, generator=torch.Generator().manual_seed(seed))
    median = x.median(0).values
    errors = {"mean": x.mean(0).norm().item(), "median": median.norm().item()}
    for objective in chosen:
        errors[objective.name] = _shift(objective, x, median, epochs, seed).norm().item()
    frame = pandas.DataFrame({"error": errors})
    frame.index.name = "estimate"
    return frame


def _shift(
    objective: objectives.Objective, x: Tensor, start: Tensor, epochs: int, seed: int
) -> Tensor:
    """Play the game of the critic against b, and return its average at the end."""
    generator = torch.Generator().manual_seed(seed + 1)
    critic = _critic(x.shape[1], generator)
    b = start.clone().requires_grad_()
    critic_descent = torch.optim.SGD(critic.parameters(), LR_CRITIC)
    shift_descent = torch.optim.SGD([b], LR_SHIFT)
    late: list[Tensor] = []
    for epoch in range(epochs):
        for k, index in enumerate(torch.randperm(len(x), generator=generator).split(BATCH)):
            real = x[index]
            fake = torch.randn(real.shape, generator=generator) + b.detach()
            descend(objective.critic_loss(critic(real), critic(fake)), critic_descent)
            if k % CRITIC_STEPS == CRITIC_STEPS - 1:
                fake = torch.randn(real.shape, generator=generator) + b
                with nets.frozen(critic):
                    descend(objective.generator_loss(critic(fake)), shift_descent)
        if epoch >= 3 * epochs // 4:
            late.append(b.detach().clone())
    return torch.stack(late).mean(0)


def _critic(d: int, generator: torch.Generator) -> nn.Sequential:
    """One hidden layer of d units; Xavier's weights, no biases at first."""
    critic = nets.mlp(d, 1, width=d, depth=1, activation=nn.LeakyReLU)
    for layer in critic:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
    return critic


def plot_robust_location(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the error of each estimate of :func:`robust_location` as a bar."""
    return bars(frame["error"].to_dict(), ax=ax, xlabel="distance from the true centre")
