r"""The generator's gradient as its discriminator gets better: two losses, two troubles (deck C).

Theorem 5 (Arjovsky & Bottou 2017, theorem 2.4). If a perfect discriminator D* exists,
‖D - D*‖ < ε and E ‖J_θ g_θ(z)‖₂² ≤ M², then

    ‖∇_θ E log(1 - D(g_θ(z)))‖₂ ≤ M ε / (1 - ε),

with ‖D‖ = sup |D(x)| + ‖∇_x D(x)‖₂. On fakes D* and ∇D* are 0. So minimax learns nothing from a
good discriminator. The log-D loss divides by D instead of 1 - D; its gradient does not vanish, but
varies the more the better D gets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas
import torch
from torch import Tensor, nn

from gencourse import nets
from gencourse.data.toys import ParallelLine
from gencourse.failures._draw import curves
from gencourse.failures.pairs import Pair, untrained
from gencourse.failures.perfect import logits_and_gradients, train_discriminator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_vanishing_gradient", "vanishing_gradient"]

MEASURED = 500  # fakes on which gradients are measured


def vanishing_gradient(
    *,
    distance: float = 1.0,
    steps: int = 500,
    every: int = 25,
    width: int = 64,
    depth: int = 2,
    batch: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
) -> pandas.DataFrame:
    r"""Train a discriminator against an untrained generator, and measure what that would learn.

    The data are a segment; the generator maps noise from [0, 1] to a curve near the origin. Both
    are compact and, for the default distance, disjoint, as theorem 5 asks.

    Parameters
    ----------
    distance : float
        How far from the origin the segment stands.
    steps, every, width, depth, batch, lr, seed
        As in :func:`gencourse.failures.perfect_discriminator`.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``step``: the norms ``minimax`` of ∇_θ E log(1 - D) and ``log_d`` of
        ∇_θ E[-log D]; ``minimax_std`` and ``log_d_std``, roots of the total variance of one
        sample's gradient; ``epsilon``, the largest \|D\| + ‖∇D‖ at the fakes; M as ``jacobian``;
        and ``bound`` = M ε / (1 - ε), infinite where ε ≥ 1. All are of the same 500 fakes, so
        that the theorem holds for them exactly.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    G = untrained(lambda: nets.mlp(1, 2, width=16, depth=1, activation=nn.Tanh), seed)
    line = ParallelLine(distance)

    @torch.no_grad()
    def fake(n: int, generator: torch.Generator) -> Tensor:
        return G(torch.rand(n, 1, generator=generator))

    pair = Pair("curve", lambda n, g: line.sample(n, generator=g), fake, bayes=1.0)
    z = torch.rand(MEASURED, 1, generator=torch.Generator().manual_seed(seed + 1))
    x, J = G(z).detach().double(), _jacobians(G, z).double()
    M = torch.linalg.matrix_norm(J, ord=2).square().mean().sqrt().item()

    def measure(D: nn.Module) -> dict[str, float]:
        s, slope = (part.double() for part in logits_and_gradients(D, x.float()))
        d, rest = s.sigmoid(), (-s).sigmoid()  # D and 1 - D
        # Gradients in x of log(1 - D) and -log D, carried over to θ by the Jacobian of G.
        minimax = torch.einsum("npt,np->nt", J, -d[:, None] * slope)
        log_d = torch.einsum("npt,np->nt", J, -rest[:, None] * slope)
        epsilon = (d + d * rest * slope.norm(dim=1)).max().item()
        return {
            "minimax": minimax.mean(dim=0).norm().item(),
            "log_d": log_d.mean(dim=0).norm().item(),
            "minimax_std": minimax.var(dim=0).sum().sqrt().item(),
            "log_d_std": log_d.var(dim=0).sum().sqrt().item(),
            "epsilon": epsilon,
            "jacobian": M,
            "bound": M * epsilon / (1 - epsilon) if epsilon < 1 else math.inf,
        }

    return train_discriminator(
        pair,
        measure,
        steps=steps,
        every=every,
        width=width,
        depth=depth,
        batch=batch,
        lr=lr,
        seed=seed,
    )


def _jacobians(G: nn.Module, z: Tensor) -> Tensor:
    """Return J_θ g_θ(z) for each z, shape ``(n, d, n_parameters)``."""
    parameters = {name: p.detach() for name, p in G.named_parameters()}

    def output(theta: dict[str, Tensor], one: Tensor) -> Tensor:
        return torch.func.functional_call(G, theta, (one[None],))[0]

    parts = torch.func.vmap(torch.func.jacrev(output), in_dims=(None, 0))(parameters, z)
    return torch.cat([part.flatten(2) for part in parts.values()], dim=2)


def plot_vanishing_gradient(frame: pandas.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the gradients of :func:`vanishing_gradient`, and the bound of theorem 5."""
    shown = frame.replace(math.inf, math.nan)
    labels = {
        "minimax": r"$\|\nabla_\theta E\log(1-D)\|$",
        "bound": r"$M\varepsilon/(1-\varepsilon)$",
        "log_d": r"$\|\nabla_\theta E[-\log D]\|$",
    }
    return curves(shown, labels, ax=ax, xlabel="step of $D$", ylabel="norm", yscale="log")
