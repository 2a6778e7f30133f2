"""The ratio of two densities from samples alone: a classifier that tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gencourse._validate import generator_on, points, positive

if TYPE_CHECKING:
    from gencourse.training import History

__all__ = ["DensityRatio", "density_ratio", "logistic_loss"]

HELD_OUT = 5  # one row in so many is kept from training, to tell when to stop
LOOK_EVERY = 20  # steps between two looks at the rows that are held out


def logistic_loss(D_p: Tensor, D_q: Tensor) -> Tensor:
    r"""Return E_p softplus(-D) + E_q softplus(D), which is least at D = log p/q.

    The cross-entropy of the classifier σ(D) = p/(p + q) between samples of p and of q, in
    equal numbers; at its optimum 2 log 2 - 2 JS(p, q).

    Parameters
    ----------
    D_p, D_q : Tensor
        D at samples of p and of q, of any shapes.

    Returns
    -------
    Tensor
        A scalar, differentiable.
    """
    return softplus(-D_p).mean() + softplus(D_q).mean()


@dataclass(frozen=True)
class DensityRatio:
    """An estimate of the ratio r = q/p of two densities.

    Attributes
    ----------
    network : nn.Module
        D of standardised and flattened points, ``(k, d)`` to ``(k, 1)``.
    centre : Tensor of shape (d,)
    scale : Tensor of shape ()
        The network sees (x - centre) / scale.
    event_shape : tuple of int
        Shape of a point.
    history : History
        ``loss`` on the batches, and ``held out`` on rows that were not trained on.
    """

    network: nn.Module
    centre: Tensor
    scale: Tensor
    event_shape: tuple[int, ...]
    history: History

    def log_ratio(self, x: Tensor) -> Tensor:
        r"""Return D(x) = log p(x)/q(x), shape ``(k,)``, in the dtype of x and differentiable.

        Parameters
        ----------
        x : Tensor of shape (k, \*event_shape)

        Raises
        ------
        ValueError
            If ``x`` is empty, not finite, or of another shape.
        """
        x = points(x, "x", self.event_shape)
        standardised = (x.flatten(1).to(self.centre) - self.centre) / self.scale
        return self.network(standardised)[:, 0].to(x)

    def ratio(self, x: Tensor) -> Tensor:
        r"""Return r(x) = q(x)/p(x) = e^{-D(x)}, shape ``(k,)``; see :meth:`log_ratio`."""
        return (-self.log_ratio(x)).exp()


def density_ratio(
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 1000,
    batch: int = 512,
    width: int = 64,
    depth: int = 2,
    lr: float = 3e-3,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> DensityRatio:
    r"""Estimate the ratio of two densities by logistic regression with a network.

    .. math:: \min_D \; \mathbb{E}_p \log(1 + e^{-D}) + \mathbb{E}_q \log(1 + e^{D}),
              \qquad D^* = \log \frac pq, \quad r = \frac qp = e^{-D}.

    Batches hold as many points of p as of q, whatever n and m. A fifth of either cloud is held
    out, and of all networks along the way the one that does best there is kept: a flexible
    classifier would go on to tell the points of a small sample apart one by one. Where neither
    cloud has points the estimate is an extrapolation and nothing more.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
        Samples of p. Any floating dtype; the network learns in float32 where ``x`` is.
    y : Tensor of shape (m, \*event_shape)
        Samples of q.
    steps, batch, lr
        Of Adam, whose learning rate falls to zero along a cosine.
    width, depth : int
        Units in each hidden layer, and how many such layers. They are smooth (SiLU): a flow
        follows the gradient of D.
    generator : torch.Generator, optional
        Source of the weights and batches, on any device; by default one seeded with 0.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DensityRatio

    Raises
    ------
    ValueError
        If a cloud has fewer than two points or is not finite, the shapes of the points differ,
        or a number is not positive.
    FloatingPointError
        If training diverges.

    References
    ----------
    M. Sugiyama, T. Suzuki & T. Kanamori 2012, *Density ratio estimation in machine learning*,
    chapter 4; Y. Gao et al. 2019, *Deep generative learning via variational gradient flow*,
    section 3; deck A.

    Examples
    --------
    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(4000, 1, generator=g), torch.randn(4000, 1, generator=g) + 1
    >>> D = density_ratio(x, y, steps=300, generator=g).log_ratio
    >>> exact = torch.tensor([0.5, -0.5])  # (1 - 2x) / 2
    >>> bool((D(torch.tensor([[0.0], [1.0]])) - exact).abs().max() < 0.2)
    True
    """
    from gencourse.training import adam, descend, train

    x, y = points(x, "x"), points(y, "y")
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"x and y must hold points of the same shape, not {tuple(x.shape[1:])} "
            f"and {tuple(y.shape[1:])}"
        )
    if min(len(x), len(y)) < 2:
        raise ValueError("x and y must hold at least 2 points each: one learns, one tests")
    for name, count in {"steps": steps, "batch": batch, "width": width, "depth": depth}.items():
        positive(count, name, integer=True)
    positive(lr, "lr")
    generator = generator_on(generator)
    u = x.detach().flatten(1).float()
    v = y.detach().flatten(1).to(u)
    centre = (u.mean(0) + v.mean(0)) / 2
    scale = (torch.cat([u, v]) - centre).square().mean().sqrt()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    learn_x, test_x = _split((u - centre) / scale, generator)
    learn_y, test_y = _split((v - centre) / scale, generator)
    network = _network(u.shape[1], width, depth, generator).to(u.device)
    best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    least = torch.full((), torch.inf, device=u.device)
    held_out = least
    optimiser = adam(network, lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def draw(cloud: Tensor) -> Tensor:
        if len(cloud) <= batch:
            return cloud
        index = torch.randint(len(cloud), (batch,), generator=generator, device=generator.device)
        return cloud[index.to(cloud.device)]

    def loss(a: Tensor, b: Tensor) -> Tensor:
        D = network(torch.cat([a, b]))
        return logistic_loss(D[: len(a)], D[len(a) :])

    def look() -> None:
        """Keep the weights if they are the best on the held-out rows, without waiting for it."""
        nonlocal least, held_out
        with torch.no_grad():
            held_out = loss(test_x, test_y)
            better = held_out < least
            least = torch.where(better, held_out, least)
            for name, tensor in network.state_dict().items():
                best[name] = torch.where(better, tensor, best[name])

    def step(i: int) -> dict[str, Tensor]:
        if i % LOOK_EVERY == 0:
            look()
        value = loss(draw(learn_x), draw(learn_y))
        descend(value, optimiser)
        schedule.step()
        return {"loss": value.detach(), "held out": held_out}

    history = train(step, steps=steps, progress=progress, description="density ratio")
    look()
    network.load_state_dict(best)
    network.eval()
    return DensityRatio(network, centre, scale, tuple(x.shape[1:]), history)


def _split(cloud: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the rows to learn from and those held out, at least one of either."""
    order = torch.randperm(len(cloud), generator=generator, device=generator.device)
    order = order.to(cloud.device)
    held_out = max(1, len(cloud) // HELD_OUT)
    return cloud[order[held_out:]], cloud[order[:held_out]]


def _network(inputs: int, width: int, depth: int, generator: torch.Generator) -> nn.Sequential:
    """Build D, zero everywhere; its weights are drawn with a seed from the generator."""
    from gencourse.nets import energy_network, weights_from

    with weights_from(generator):
        return energy_network((inputs,), width=width, depth=depth)
