"""Particles that flow to the data along a learned density ratio: VGrow without a generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from gencourse import divergences, nets
from gencourse._validate import at_most_one, generator_on, not_negative, points, positive
from gencourse.divergences import FDivergence, flow_velocity, logistic_loss
from gencourse.models._standardise import centre_and_scale
from gencourse.training import History, adam, descend, exact, train

__all__ = ["FlowResult", "RatioFlow", "annealed_smoothing", "move", "particle_flow"]

# In units of σ²: Euler steps of a gradient flow are stable while step · curvature < 2, and the
# curvature of the log density of anything smoothed with N(0, σ² I) is about 1/σ² at most.
STEP_PER_VARIANCE = 0.2
LONGEST = 0.2  # ρ, the length no move reaches, in standard deviations of the data


def annealed_smoothing(i: int, steps: int, first: float, share: float) -> float:
    """Return σ in step i: it falls linearly to 0 within this share of the steps, and stays 0."""
    return first * max(0.0, 1 - i / (share * steps))


def move(divergence: FDivergence, critic: nn.Module, x: Tensor, eta: float) -> Tensor:
    r"""Return the particles after one tamed Euler step of the flow, without a gradient.

    .. math:: x + \frac{h}{1 + \|h\| / \rho}, \qquad h = \frac{\eta}{f''(1)}\, s\, \nabla D,

    where ‖h‖ is the root mean square of the coordinates. Near p, where r ≈ 1 and s ≈ f″(1), all
    divergences move particles alike. Where the velocity grows like e^D, as that of Jeffreys
    does, explicit Euler steps diverge, and steps that stay shorter than ρ do not
    (Hutzenthaler, Jentzen & Kloeden 2012); small ones are as good as without.

    See :func:`gencourse.divergences.flow_velocity`.
    """
    at_one = float(divergence.f_second(torch.ones(())))
    # In 16 bits, slopes of a network are too coarse to follow.
    with nets.frozen(critic), exact(critic):
        velocity, _ = flow_velocity(divergence, lambda x: critic(x)[:, 0], x)
    h = eta / at_one * velocity
    length = h.flatten(1).square().mean(1).sqrt().reshape(-1, *[1] * (x.ndim - 1))
    return x + h / (1 + length / LONGEST)


@dataclass(frozen=True)
class RatioFlow:
    r"""The two half steps of variational gradient flow: learn the ratio, move along its gradient.

    The critic learns D = log p/q between samples of p (data) and of q (particles) by logistic
    regression; particles move by :func:`move`.

    With σ > 0 both laws are smoothed by N(0, σ² I) beforehand, and the flow is that of
    D_f(q∗N ‖ p∗N): its velocity at x is E h(x + σε). Without, no sample says what D is between
    modes and around the start; and a critic that is sure, D ≪ 0, freezes the particles of JS,
    whose weight is about e^D (at the centre of ring8 e^{-200}; there a quarter of them stayed
    between the modes). Where smoothed laws overlap, D is moderate. Lowered to 0 along the way, σ
    costs nothing in the end (Sønderby et al. 2017 and Arjovsky & Bottou 2017 for GANs; annealed
    Langevin sampling does the same).

    Attributes
    ----------
    divergence : FDivergence
        Its f″ is the only difference between the flows.
    critic : nn.Module
        D: ``(n, …)`` to ``(n, 1)``.
    optimiser : torch.optim.Optimizer
        Of the critic.
    generator : torch.Generator
        Source of the smoothing noise.
    """

    divergence: FDivergence
    critic: nn.Module
    optimiser: torch.optim.Optimizer
    generator: torch.Generator

    def learn(self, real: Tensor, fake: Tensor, sigma: float) -> Tensor:
        """Improve D on batches of data and of particles; return its logistic loss."""
        D = self.critic(self._smoothed(torch.cat([real, fake]), sigma))
        loss = logistic_loss(D[: len(real)], D[len(real) :])
        descend(loss, self.optimiser)
        return loss.detach()

    def move(self, x: Tensor, step_size: float, sigma: float) -> Tensor:
        """Return the particles one Euler step further, and no gradient."""
        smoothed = self._smoothed(x, sigma)
        eta = step_size + STEP_PER_VARIANCE * sigma**2
        return x + (move(self.divergence, self.critic, smoothed, eta) - smoothed)

    def _smoothed(self, x: Tensor, sigma: float) -> Tensor:
        if sigma == 0:
            return x
        where = self.generator.device
        noise = torch.randn(x.shape, generator=self.generator, device=where, dtype=x.dtype)
        return x + sigma * noise.to(x.device)


@dataclass(frozen=True)
class FlowResult:
    r"""Where the particles went.

    Attributes
    ----------
    particles : Tensor of shape (m, \*event_shape)
        At the end, in the dtype and on the device of those at the start.
    trajectory : Tensor of shape (k, m, \*event_shape)
        The particles at the start and after every ``every``-th move; without ``every`` just the
        start and the end.
    history : History
        ``loss``, the logistic loss of the critic: 2 log 2 when nothing tells particles from
        data. ``distance``, the root mean square length of a move over the step size.
    """

    particles: Tensor
    trajectory: Tensor
    history: History


def particle_flow(
    x: Tensor,
    y: Tensor,
    *,
    divergence: str = "kl",
    moves: int = 1000,
    step_size: float = 0.01,
    smoothing: float = 0.5,
    smoothed_share: float = 0.5,
    critic_steps: int = 2,
    batch: int = 512,
    width: int = 128,
    depth: int = 3,
    lr: float = 1e-3,
    every: int | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> FlowResult:
    r"""Move a cloud to the data by the gradient flow of D_f(q ‖ p), without a generator.

    Alternate: train the critic, D ≈ log p/q, on data and on the particles where they are now;
    move all particles by :math:`\eta\, f''(r)\, r\, \nabla D`, r = e^{-D}. See
    :class:`RatioFlow`, also for why both are smoothed at first.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        The data: samples of p.
    y : Tensor of shape (m, d)
        The particles at the start: samples of q, such as noise.
    divergence : str
        Entry of :data:`gencourse.divergences.F_DIVERGENCES`; deck A has "kl", "js", "logd" and
        "jeffreys".
    moves : int
        How many.
    step_size : float
        η, in units of the variance of the data, like a time.
    smoothing : float
        σ of the first move, in units of the standard deviation of the data; 0 for none.
    smoothed_share : float
        Share of the moves within which σ falls to 0.
    critic_steps, batch, lr
        Steps of the critic before each move, the particles and data in each, and Adam's
        learning rate, which falls to zero along a cosine.
    width, depth : int
        Hidden units and layers of the critic.
    every : int, optional
        Keep the particles once in so many moves.
    generator : torch.Generator, optional
        Source of all randomness, on any device; by default one seeded with 0.
    progress : bool
        Show a progress bar.

    Returns
    -------
    FlowResult

    Raises
    ------
    ValueError
        If a cloud is empty, not finite or not of shape (n, d), the dimensions differ, or a
        number is out of range.
    KeyError
        If there is no such divergence.
    FloatingPointError
        If the flow diverges.

    References
    ----------
    Y. Gao et al. 2019, *Deep generative learning via variational gradient flow*, algorithm 1
    without its second loop; deck A.
    """
    points(x, "x")
    points(y, "y")
    if x.ndim != 2 or x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"x and y must have shapes (n, d) and (m, d), not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    f = divergences.get(divergence)
    counts = {"moves": moves, "critic_steps": critic_steps, "batch": batch}
    for name, count in {**counts, "width": width, "depth": depth}.items():
        positive(count, name, integer=True)
    if every is not None:
        positive(every, "every", integer=True)
    positive(step_size, "step_size")
    positive(lr, "lr")
    not_negative(smoothing, "smoothing")
    at_most_one(smoothed_share, "smoothed_share")
    generator = generator_on(generator)
    centre, scale = centre_and_scale(x.detach().float())
    data = (x.detach().float() - centre) / scale
    particles = (y.detach().to(data) - centre) / scale
    critic = _critic(x.shape[1], width, depth, generator).to(data.device)
    optimiser = adam(critic, lr, betas=(0.5, 0.9))
    schedule = CosineAnnealingLR(optimiser, moves)
    flow = RatioFlow(f, critic, optimiser, generator)
    states = [particles]

    def draw(cloud: Tensor) -> Tensor:
        index = torch.randint(len(cloud), (batch,), generator=generator, device=generator.device)
        return cloud[index.to(cloud.device)]

    def step(i: int) -> dict[str, Tensor]:
        nonlocal particles
        sigma = annealed_smoothing(i, moves, smoothing, smoothed_share)
        for _ in range(critic_steps):
            loss = flow.learn(draw(data), draw(particles), sigma)
        moved = flow.move(particles, step_size, sigma)
        distance = (moved - particles).square().mean().sqrt() / step_size
        particles = moved
        schedule.step()
        if (every is not None and (i + 1) % every == 0) or (every is None and i + 1 == moves):
            states.append(particles)
        return {"loss": loss, "distance": distance}

    history = train(step, steps=moves, progress=progress, description=f"{f.title} flow")
    where = (centre + scale * torch.stack(states)).to(y)
    return FlowResult((centre + scale * particles).to(y), where, history)


def _critic(inputs: int, width: int, depth: int, generator: torch.Generator) -> nn.Sequential:
    """Build D; its weights are drawn with a seed from the generator."""
    with nets.weights_from(generator):
        return nets.mlp(inputs, 1, width=width, depth=depth)
