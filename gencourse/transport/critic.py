"""The Kantorovich-Rubinstein dual by a network: the critic of a Wasserstein GAN, alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gencourse._precision import double
from gencourse._validate import generator_on, positive
from gencourse.transport._checks import clouds

if TYPE_CHECKING:
    from gencourse.training import History

__all__ = ["CONSTRAINTS", "CriticEstimate", "lipschitz_critic"]

#: How a network is kept near 1-Lipschitz; see :func:`lipschitz_critic`.
CONSTRAINTS = ("penalty", "one-sided", "spectral")


@dataclass(frozen=True)
class CriticEstimate:
    r"""What a trained critic says about the distance between two clouds.

    Attributes
    ----------
    value : Tensor
        Mean of f over x minus its mean over y, a scalar.
    lipschitz : Tensor
        The steepest slope \|f(x_i) - f(y_j)\| / \|x_i - y_j\| between the clouds, a scalar.
    lower_bound : Tensor
        ``value / lipschitz``: never above the exact W₁ between the clouds.
    critic : nn.Module
        f, from ``(k, d)`` to ``(k, 1)``; images are flattened.
    history : History
        ``value`` and ``slope``, the mean of \|∇f\| between the clouds, along the way.
    """

    value: Tensor
    lipschitz: Tensor
    lower_bound: Tensor
    critic: nn.Module
    history: History


def lipschitz_critic(
    x: Tensor,
    y: Tensor,
    *,
    constraint: str = "penalty",
    penalty: float = 10.0,
    steps: int = 1000,
    batch: int = 256,
    width: int = 64,
    depth: int = 3,
    lr: float = 2e-3,
    generator: torch.Generator | None = None,
    progress: bool = False,
) -> CriticEstimate:
    r"""Estimate W₁ between two clouds by training a critic to tell them apart.

    .. math::
        \max_f \; \mathbb{E}\, f(x) - \mathbb{E}\, f(y)
        \quad\text{with}\quad \|f\|_L \le 1,

    where f is a network, and the constraint is one of

    - ``"penalty"``: :math:`-\lambda\, \mathbb{E} (\|\nabla f(\tilde x)\| - 1)^2` at random points
      :math:`\tilde x` between the clouds (WGAN-GP; the two-sided penalty of deck E);
    - ``"one-sided"``: :math:`-\lambda\, \mathbb{E} \max(0, \|\nabla f(\tilde x)\| - 1)^2`
      (WGAN-LP);
    - ``"spectral"``: every weight matrix divided by its largest singular value, so that
      :math:`\|f\|_L \le \prod_l \sigma(W_l) = 1`.

    A penalty is paid, not obeyed: f may be steeper than 1 and ``value`` above W₁, but
    ``lower_bound`` is not. With spectral normalisation, as far as the power iteration has
    converged, ``value`` is a lower bound itself; the product of norms is seldom attained, and so
    neither is W₁.

    Parameters
    ----------
    x : Tensor of shape (n, \*event_shape)
    y : Tensor of shape (m, \*event_shape)
        Any floating dtype; the network learns in float32 where ``x`` is.
    constraint : {"penalty", "one-sided", "spectral"}
        What keeps f from being steep.
    penalty : float
        λ.
    steps, batch, lr
        Of Adam with (0.5, 0.9), whose learning rate falls to zero along a cosine.
    width, depth : int
        Units in each hidden layer, and how many such layers.
    generator : torch.Generator, optional
        Source of the weights and batches, on any device; by default one seeded with 0.
    progress : bool
        Show a progress bar.

    Returns
    -------
    CriticEstimate

    Raises
    ------
    ValueError
        If a cloud is empty or not finite, the shapes of the points differ, the constraint has
        another name, or a number is not positive.
    FloatingPointError
        If training diverges.

    References
    ----------
    M. Arjovsky, S. Chintala & L. Bottou 2017, *Wasserstein generative adversarial networks*;
    I. Gulrajani et al. 2017, *Improved training of Wasserstein GANs*; H. Petzka, A. Fischer &
    D. Lukovnikov 2018, *On the regularization of Wasserstein GANs*; T. Miyato et al. 2018,
    *Spectral normalization for generative adversarial networks*; deck E.
    """
    from gencourse.training import adam, descend, train

    x, y = clouds(x, y)
    if constraint not in CONSTRAINTS:
        raise ValueError(f"constraint must be one of {CONSTRAINTS}, not {constraint!r}")
    for name, count in {"steps": steps, "batch": batch, "width": width, "depth": depth}.items():
        positive(count, name, integer=True)
    positive(penalty, "penalty")
    positive(lr, "lr")
    generator = generator_on(generator)
    u = x.detach().flatten(1).float()
    v = y.detach().flatten(1).to(u)
    critic = _network(u.shape[1], width, depth, constraint == "spectral", generator).to(u.device)
    optimiser = adam(critic, lr, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def draw(cloud: Tensor) -> Tensor:
        if len(cloud) <= batch:
            return cloud
        index = torch.randint(len(cloud), (batch,), generator=generator, device=generator.device)
        return cloud[index.to(cloud.device)]

    def step(i: int) -> dict[str, Tensor]:
        a, b = draw(u), draw(v)
        value = critic(a).mean() - critic(b).mean()
        loss, measured = -value, {"value": value.detach()}
        if constraint != "spectral":
            slope = _slopes(critic, a, b, batch, generator)
            excess = slope - 1 if constraint == "penalty" else (slope - 1).clamp_min(0)
            loss = loss + penalty * excess.square().mean()
            measured["slope"] = slope.detach().mean()
        descend(loss, optimiser)
        schedule.step()
        return measured

    history = train(step, steps=steps, progress=progress, description="critic")
    critic.eval()
    with torch.no_grad():
        at_x, at_y = double(critic(u))[:, 0], double(critic(v))[:, 0]
    value = at_x.mean() - at_y.mean()
    distance = torch.cdist(double(u), double(v), compute_mode="donot_use_mm_for_euclid_dist")
    rise = at_x[:, None] - at_y
    slopes = torch.where(distance > 0, rise.abs() / distance, torch.zeros_like(rise))
    lipschitz = slopes.max()
    bound = value / lipschitz.clamp_min(torch.finfo(lipschitz.dtype).tiny)
    value, lipschitz, bound = (
        number.to(device=x.device, dtype=x.dtype) for number in (value, lipschitz, bound)
    )
    return CriticEstimate(value, lipschitz, bound, critic, history)


def _network(
    inputs: int, width: int, depth: int, spectral: bool, generator: torch.Generator
) -> nn.Sequential:
    """Build the critic; its weights are drawn with a seed from the generator."""
    from gencourse.nets import mlp, spectral_norm, weights_from

    with weights_from(generator):
        network = mlp(inputs, 1, width=width, depth=depth, activation=nn.LeakyReLU)
        if spectral:
            for layer in network:
                if isinstance(layer, nn.Linear):
                    spectral_norm(layer)
    return network


def _slopes(critic: nn.Module, a: Tensor, b: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Return ‖∇f‖ at n random points of segments between the clouds, ``(n,)``, differentiable."""

    def uniform() -> Tensor:
        return torch.rand(n, generator=generator, device=generator.device).to(a)

    one, other = a[(uniform() * len(a)).long()], b[(uniform() * len(b)).long()]
    t = uniform()[:, None]
    between = (t * one + (1 - t) * other).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return gradient.norm(dim=1)
