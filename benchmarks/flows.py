"""Flows: maximum likelihood on two moons, beside zuko and normflows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from shutil import which
from typing import Any

import torch
import zuko
from torch import Tensor, nn
from torchdiffeq import odeint_adjoint

import gencourse
from gencourse import nets
from gencourse.models.cnf import ContinuousFlow
from gencourse.models.flow import FlowModel
from gencourse.training.precision import compiled

from .harness import Comparison, Options

__all__ = ["comparisons"]

LAYERS, WIDTH, BATCH, LR = 8, 64, 512, 1e-3


def comparisons(options: Options) -> Iterator[Comparison]:
    """Couplings, autoregressive layers, and a flow in continuous time."""
    for architecture in ("realnvp", "maf"):
        yield flow(architecture, options)
        if not options.small and which("g++"):
            with ExitStack() as stack:  # compiled at the first call, for as long as it is measured
                yield flow(architecture, options, stack)
    yield cnf(options)


# -------------------------------------------------------------- couplings and MAF


def plain_loop(loss: Callable[[Tensor], Tensor], network: nn.Module, x: Tensor, steps: int) -> None:
    """Train as the tutorials of both packages do: a batch, a loss, a step of plain Adam."""
    optimiser = torch.optim.Adam(network.parameters(), lr=LR)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (BATCH,), device=x.device)]
        optimiser.zero_grad()
        value = loss(batch)
        value.backward()
        optimiser.step()


def zuko_flow(architecture: str) -> nn.Module:
    if architecture == "maf":
        return zuko.flows.MAF(2, transforms=LAYERS, hidden_features=(WIDTH, WIDTH))
    masks = [[i % 2 == 0, i % 2 == 1] for i in range(LAYERS)]
    transforms = [
        zuko.flows.coupling.GeneralCouplingTransform(2, 0, mask, hidden_features=(WIDTH, WIDTH))
        for mask in masks
    ]
    noise = zuko.flows.UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(2), torch.ones(2), buffer=True
    )
    return zuko.flows.Flow(transforms, noise)


def normflows_flow(architecture: str) -> Any:
    import normflows as nf

    layers: list[nn.Module] = []
    for _ in range(LAYERS):
        if architecture == "maf":
            autoregressive = nf.flows.MaskedAffineAutoregressive
            layers.append(autoregressive(2, WIDTH, num_blocks=1, use_residual_blocks=False))
        else:
            network = nf.nets.MLP([1, WIDTH, WIDTH, 2], leaky=0.0, init_zeros=True)
            layers.append(nf.flows.AffineCouplingBlock(network))
        layers.append(nf.flows.Permute(2, mode="swap"))
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(2, trainable=False), layers)


def flow(architecture: str, options: Options, compiling: ExitStack | None = None) -> Comparison:
    device, steps = options.device, options.size(60, 2)
    generator = torch.Generator().manual_seed(0)
    x = gencourse.data.load("moons").sample(20_000, generator=generator).to(device)
    x = (x - x.mean(0)) / x.std(0)

    def build() -> FlowModel:
        model = gencourse.build(
            architecture, x, device=device, layers=LAYERS, width=WIDTH, depth=2, batch=BATCH, lr=LR
        )
        assert isinstance(model, FlowModel)
        return model

    theirs: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]] = {}
    network = zuko_flow(architecture).to(device)
    theirs["zuko"] = network, lambda batch, f=network: -f().log_prob(batch).mean()
    if find_spec("normflows"):
        other = normflows_flow(architecture).to(device)
        theirs["normflows"] = other, other.forward_kld

    def difference() -> float:
        """Of the mean log-likelihoods in nats after the same training; and equal parameters."""
        model = build()
        size = nets.parameter_count(model.density)
        for f, _ in theirs.values():
            assert abs(nets.parameter_count(f) / size - 1) < 0.02 or architecture == "maf"
        if options.small:
            return 0.0
        model.fit(x, steps=800, progress=False)
        with torch.no_grad():
            mine, apart = -model.density.log_prob(x).mean().item(), 0.0
        for f, loss in theirs.values():
            plain_loop(loss, f, x, 800)
            with torch.no_grad():
                # Being ahead is no disagreement: after the same steps ours, whose rate falls, fits
                # better.
                apart = max(apart, mine - loss(x).item())
        return apart

    mine = build()
    if compiling is not None:
        compiling.enter_context(compiled(mine.compilable(), "inductor"))
    name = {"realnvp": "Real-NVP", "maf": "MAF"}[architecture]
    return Comparison(
        work=f"{name} on moons, {LAYERS} layers of {WIDTH} × {WIDTH}, batch {BATCH}"
        + (", ours compiled" if compiling is not None else ""),
        ours=lambda: mine.fit(x, steps=steps, progress=False),
        peers={
            name: lambda f=f, loss=loss: plain_loop(loss, f, x, steps)
            for name, (f, loss) in theirs.items()
        },
        difference=difference,
        tolerance=0.05,
        aim={"": 1.7},
        calls=steps,
    )


# ------------------------------------------------------------------ continuous time


class Augmented(nn.Module):
    """z and its log-density as examples write them: the trace by automatic differentiation."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        z = state[0]
        with torch.enable_grad():
            z = z.requires_grad_(True)
            v = self.field(z, t)
            trace = sum(
                torch.autograd.grad(v[:, i].sum(), z, create_graph=True)[0][:, i]
                for i in range(z.shape[1])
            )
        return v, trace[:, None]  # type: ignore[index]


def cnf(options: Options) -> Comparison:
    device = options.device
    generator = torch.Generator().manual_seed(0)
    x = gencourse.data.load("moons").sample(5000, generator=generator).to(device)
    model = gencourse.build("cnf", x, device=device, width=64, batch=256)
    assert isinstance(model, ContinuousFlow)
    model.fit(x, steps=options.size(300, 5), progress=False)
    batch, field = x[:256], model.field
    u = (batch - model.centre) / model.scale
    backwards = torch.tensor([1.0, 0.0], device=device)

    def nll(z: Tensor, log_det: Tensor) -> Tensor:
        log_q = -0.5 * z.square().sum(1) - math.log(2 * math.pi)
        return 2 * model.scale.log() - (log_q + log_det).mean()

    equation = Augmented(field)

    def torchdiffeq_loss(tolerance: float) -> Tensor:
        z, change = odeint_adjoint(
            equation, (u, u.new_zeros(len(u), 1)), backwards, rtol=tolerance, atol=tolerance
        )
        return nll(z[-1], change[-1][:, 0])

    def zuko_loss(tolerance: float) -> Tensor:
        transform = zuko.transforms.FreeFormJacobianTransform(
            f=lambda t, z: field(z, t), t0=1.0, t1=0.0, phi=tuple(field.parameters()),
            atol=tolerance, rtol=tolerance, exact=True,
        )  # fmt: skip
        return nll(*transform.call_and_ladj(u))

    exact = torchdiffeq_loss(1e-6).item()
    error = abs(model.loss(batch)["nll"].item() - exact)
    tolerances: dict[str, float] = {}
    losses = {"zuko": zuko_loss, "torchdiffeq": torchdiffeq_loss}
    for name, loss in losses.items():
        # The coarsest tolerance with which the error is no larger than ours.
        for tolerance in (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6):
            tolerances[name] = tolerance
            if abs(loss(tolerance).item() - exact) <= max(error, 1e-5):
                break

    def difference() -> float:
        values = [model.loss(batch)["nll"].item()]
        values += [loss(tolerances[name]).item() for name, loss in losses.items()]
        return max(values) - min(values)

    def step(loss: Callable[[], Tensor]) -> Callable[[], None]:
        optimiser = torch.optim.Adam(field.parameters(), lr=0.0)

        def run() -> None:
            optimiser.zero_grad()
            loss().backward()
            optimiser.step()

        return run

    return Comparison(
        work="CNF on moons, one step at equal error, batch 256",
        ours=step(lambda: model.loss(batch)["loss"]),
        peers={n: step(lambda n=n, f=f: f(tolerances[n])) for n, f in losses.items()},
        difference=difference,
        tolerance=max(3 * error, 1e-3),
        aim={"": 3},
    )
