"""Flows of particles and bridges, beside the loops in which their authors' releases compute them.

Those take the networks as torch runs them, with their weights as they are in training.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

import gencourse
from gencourse.models.particle_flow import move
from gencourse.models.schrodinger_bridge import SchrodingerBridge
from gencourse.models.vgrow import VGrow

from .harness import Comparison, Options

__all__ = ["comparisons"]

CALLS = 20  # in a row, as in sampling: one alone would be over before the caches are warm


def comparisons(options: Options) -> Iterator[Comparison]:
    """A move of the particles of VGrow, and the drift of the first stage of the bridge."""
    yield vgrow(options)
    yield bridge(options)


def vgrow_move(critic: nn.Module, x: Tensor, eta: float) -> Tensor:
    """x + η s ∇D for Jeffreys' divergence, as the authors' release moves its particles.

    That is (github.com/xjtuygao/VGrow): all of the pool at once, ∇D by a plain ``backward`` of a
    critic that collects gradients of its weights too, and s = f″(r) r = 1 + e^D.
    """
    particles = x.clone().requires_grad_(True)
    D = critic(particles)
    s = 1 + D.detach().exp()
    D.backward(torch.ones_like(D))
    return x + eta * s * particles.grad


def vgrow(options: Options) -> Comparison:
    device, n = options.device, options.size(1024, 20)
    generator = torch.Generator().manual_seed(0)
    x = gencourse.data.load("ring8").sample(n, generator=generator).to(device)
    model = gencourse.build("vgrow-jeffreys", x, device=device)
    assert isinstance(model, VGrow)
    critic = nn.Sequential(*model.critic)  # the same layers, as torch runs them
    eta = 1e-3  # so that the longest move is tamed by a thousandth at most

    def ours() -> Tensor:
        return move(model.divergence, model.critic, x, eta)

    def theirs() -> Tensor:
        # f″(1) = 2 sets the unit of the step of ours.
        return vgrow_move(critic, x, eta / 2)

    def difference() -> float:
        return ((ours() - theirs()).norm() / (theirs() - x).norm()).item()

    return Comparison(
        work=f"VGrow, one move of {n} particles",
        ours=lambda: [ours() for _ in range(CALLS)],
        peers={"the authors' loop": lambda: [theirs() for _ in range(CALLS)]},
        difference=difference,
        tolerance=1e-2,
        aim={"": 3},
        calls=CALLS,
    )


def bridge_drift(
    model: SchrodingerBridge, x: Tensor, t: float, draws: Tensor, more: Tensor
) -> Tensor:
    """b(x, t) = τ E[f(x + cz) (∇log q_σ(x + cz) + cz/τ)] / E[f(x + cz)] + x, c = √(τ(1 - t)).

    As the authors' release has it (github.com/YangLabHKUST/DGLSB): all draws in one batch, others
    in the numerator than in the denominator, densities' ratios themselves, and a noise level for
    each row.
    """
    learned, denoiser = model.average.module.children()
    ratio = nn.Sequential(*learned.children())  # the same layers, as torch runs them
    tau, n = float(model.tau), len(x)
    c = (tau * (1 - t)) ** 0.5
    y = (x + c * draws).view(-1, 2) + model.start
    sigma = model.sigma * torch.ones(len(y), device=x.device)
    score = (model._times_sigma(denoiser, y, sigma) / sigma[:, None]).view(-1, n, 2)
    f = model._ratio(ratio, y).exp().view(-1, n, 1)
    other_f = model._ratio(ratio, (x + c * more).view(-1, 2) + model.start).exp().view(-1, n, 1)
    return tau * ((score + c * draws / tau) * f).mean(0) / other_f.mean(0) + x


def bridge(options: Options) -> Comparison:
    device, n = options.device, options.size(500, 10)
    data = gencourse.data.load("ring8").sample(2000, generator=torch.Generator().manual_seed(0))
    model = gencourse.build("schrodinger-bridge", data, device=device)
    assert isinstance(model, SchrodingerBridge)
    model.fit(data.to(device), steps=options.size(100, 3), progress=False)
    samples = model.settings.N3
    x = model.start + 0.3 * torch.randn(n, 2, generator=torch.Generator().manual_seed(1)).to(device)

    @torch.no_grad()
    def ours() -> Tensor:
        generator = torch.Generator(device).manual_seed(2)
        return model.first_drift(x, 0.5, generator=generator)

    @torch.no_grad()
    def theirs(shared: bool = False) -> Tensor:
        generator = torch.Generator(device).manual_seed(2)
        draws = torch.randn(samples, n, 2, generator=generator, device=device)
        more = draws if shared else torch.randn(draws.shape, generator=generator, device=device)
        return bridge_drift(model, x - model.start, 0.5, draws, more)

    def difference() -> float:
        # With the same draws above and below, as ours has them.
        return ((ours() - theirs(True)).norm() / theirs(True).norm()).item()

    return Comparison(
        work=f"drift of the bridge, {n} particles, {samples} draws each",
        ours=lambda: [ours() for _ in range(CALLS)],
        peers={"the authors' loop": lambda: [theirs() for _ in range(CALLS)]},
        difference=difference,
        tolerance=1e-3,
        aim={"": 3},
        calls=CALLS,
    )
