"""Flows of particles and bridges, beside loops that follow the papers' formulas line by line."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

import gencourse
from gencourse.models.particle_flow import move
from gencourse.models.schrodinger_bridge import SchrodingerBridge
from gencourse.models.vgrow import VGrow
from gencourse.nets import frozen

from .harness import Comparison, Options

__all__ = ["comparisons"]


def comparisons(options: Options) -> Iterator[Comparison]:
    """A move of the particles of VGrow, and the drift of the first stage of the bridge."""
    yield vgrow(options)
    yield bridge(options)


def vgrow_move(critic: nn.Module, x: Tensor, eta: float, batch: int) -> Tensor:
    """x + η f″(r) r ∇D for Jeffreys' divergence, in batches as the pseudocode goes.

    With the density ratio r = e^{-D} itself, and the gradient by a plain ``backward``.
    """
    parts = []
    for part in x.split(batch):
        at = part.clone().requires_grad_(True)
        D = critic(at)
        D.sum().backward()
        r = torch.exp(-D)
        f_second = 1 / r + 1 / r**2  # of (r - 1) log r
        parts.append(part + eta * (f_second * r).detach() * at.grad)  # type: ignore[operator]
    return torch.cat(parts)


def vgrow(options: Options) -> Comparison:
    device, n = options.device, options.size(1024, 20)
    generator = torch.Generator().manual_seed(0)
    x = gencourse.data.load("ring8").sample(n, generator=generator).to(device)
    model = gencourse.build("vgrow-jeffreys", x, device=device)
    assert isinstance(model, VGrow)
    eta = 1e-3  # so that the longest move is tamed by a thousandth at most

    def ours() -> Tensor:
        return move(model.divergence, model.critic, x, eta)

    def theirs() -> Tensor:
        # f″(1) = 2 sets the unit of the step of ours.
        return vgrow_move(model.critic, x, eta / 2, 256)

    def difference() -> float:
        return ((ours() - theirs()).norm() / (theirs() - x).norm()).item()

    return Comparison(
        work=f"VGrow, one move of {n} particles",
        ours=ours,
        peers={"loop from the paper": theirs},
        difference=difference,
        tolerance=1e-2,
        aim={"": 3},
    )


def bridge_drift(model: SchrodingerBridge, x: Tensor, t: float, draws: Tensor) -> Tensor:
    """Return b(x, t) = τ E[f(y) (∇log q_σ(y) + y/τ)] / E[f(y)], draw by draw."""
    tau = float(model.tau)
    above = torch.zeros_like(x)
    below = torch.zeros(len(x), 1, device=x.device)
    for z in draws:
        y = x + (tau * (1 - t)) ** 0.5 * z
        f = torch.exp(model.log_ratio(y + model.start))[:, None]
        above = above + f * (model.score(y + model.start) + y / tau)
        below = below + f
    return tau * above / below


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
    def theirs() -> Tensor:
        generator = torch.Generator(device).manual_seed(2)
        draws = torch.randn(samples, n, 2, generator=generator, device=device)
        return bridge_drift(model, x - model.start, 0.5, draws)

    def difference() -> float:
        with frozen(model):
            return ((ours() - theirs()).norm() / theirs().norm()).item()

    return Comparison(
        work=f"drift of the bridge, {n} particles, {samples} draws each",
        ours=ours,
        peers={"loop from the paper": theirs},
        difference=difference,
        tolerance=1e-3,
        aim={"": 3},
    )
