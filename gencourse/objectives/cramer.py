r"""Cramér GAN (Bellemare et al. 2017): the energy distance between learned features h.

    D_E²(p, q) = 2 E‖h(x) - h(y)‖ - E‖h(x) - h(x′)‖ - E‖h(y) - h(y′)‖,

whose gradient from a sample is unbiased, where that of the Wasserstein distance is not. The
fakes come in two independent halves, y and y′.
"""

from __future__ import annotations

from torch import Tensor

from gencourse.objectives.base import Turn

__all__ = ["critic_loss", "generator_loss", "surrogate"]


def norm(v: Tensor) -> Tensor:
    """‖v‖ of each row, with a gradient also at 0."""
    return (v.square().sum(-1) + 1e-12).sqrt()


def halves(fake: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent halves of the fakes, of the same size."""
    n = len(fake) // 2
    return fake[:n], fake[n : 2 * n]


def surrogate(h: Tensor, turn: Turn) -> Tensor:
    """f(x) = E‖h(x) - h(y′)‖ - ‖h(x)‖, the paper's critic: the reals' own spread stands at 0.

    It can vanish where the laws differ (h may have the same norm everywhere), and so is no
    distance; but it needs only one real sample at a time.
    """
    _, y2 = halves(turn.at_fake)
    # Not by torch.cdist, which older versions of torch cannot differentiate twice.
    return norm(h[:, None] - y2).mean(1) - norm(h)


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-(E f(x) - E f(y)), with f(u) = ‖u - y′‖ - ‖u‖."""
    y, y2 = halves(fake)
    x = real[: len(y)]
    f_of_x = norm(x - y2) - norm(x)
    f_of_y = norm(y - y2) - norm(y)
    return f_of_y.mean() - f_of_x.mean()


def generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """E‖x - y‖ + E‖x - y′‖ - E‖y - y′‖: the energy distance, but for what G cannot change."""
    y, y2 = halves(fake)
    x = real[: len(y)]
    return (norm(x - y) + norm(x - y2) - norm(y - y2)).mean()
