"""Helpers that run next to the student's code: values go in, values come out.

A check never holds a student's object, a graph through student code, or a callback. What
needs one (a gradient, an exception, a training step on real networks) is done here, and
only numbers are handed to the check. The line between the two stays where a second process
can one day be put.
"""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gencourse.grading.values import CheckFailed, tensor_of

__all__ = ["Step", "grad_of", "raises", "run_step"]


def grad_of(f: Callable[..., Any], *args: Any, wrt: int = 0) -> Tensor:
    """Gradient of ``f(*args)``, summed where it is not a single number.

    Parameters
    ----------
    f : callable
        The student's function.
    *args : Tensor or float
        Its arguments.
    wrt : int
        Which argument to differentiate with respect to.

    Returns
    -------
    Tensor
        A plain float64 tensor of that argument's shape.

    Raises
    ------
    CheckFailed
        If the result doesn't depend on the argument through torch operations.
    """
    values = list(args)
    leaf = values[wrt].detach().clone().requires_grad_(True)
    values[wrt] = leaf
    with torch.enable_grad():
        result = f(*values)
        tensor_of(result, finite=False)
        if not isinstance(result, Tensor) or not result.requires_grad:
            raise CheckFailed(
                "no gradient flows through the result. Don't use .item(), float(), .detach(), "
                "torch.tensor(…) or torch.no_grad() on the way."
            )
        (gradient,) = torch.autograd.grad(result.sum(), leaf, allow_unused=True)
    if gradient is None:
        raise CheckFailed("the result does not depend on its input.")
    return tensor_of(gradient, tuple(leaf.shape), what="the gradient")


def raises(f: Callable[..., Any], exception: str, *args: Any) -> bool:
    """Whether ``f(*args)`` raises the built-in exception of this name, or a kind of it.

    Raises
    ------
    ValueError
        If ``exception`` does not name a built-in exception.
    """
    kind = getattr(builtins, exception, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise ValueError(f"{exception!r} is not the name of a built-in exception")
    try:
        f(*args)
    except kind:
        return True
    except Exception:
        return False
    return False


@dataclass(frozen=True)
class Step:
    """What one step of a player did, in plain values.

    Attributes
    ----------
    returned : object
        What the function returned.
    before, after : dict of str to dict of str to Tensor
        State of ``"D"`` and ``"G"`` by parameter name.
    logits_before, logits_after : dict of str to Tensor
        The discriminator's logits on the fakes (``"fake"``) and, for its own step, on the real
        samples (``"real"``), with the networks as they were and as they are.
    gradients : dict of str to dict of str to Tensor
        Gradients left on each network after the step, zero where there was none.
    trainable : dict of str to bool
        Whether every parameter of each network still requires a gradient afterwards.
    """

    returned: object
    before: dict[str, dict[str, Tensor]]
    after: dict[str, dict[str, Tensor]]
    logits_before: dict[str, Tensor]
    logits_after: dict[str, Tensor]
    gradients: dict[str, dict[str, Tensor]]
    trainable: dict[str, bool]

    def moved(self, player: str) -> Tensor:
        """How far the parameters of ``"D"`` or ``"G"`` moved, as one vector."""
        before, after = self.before[player], self.after[player]
        return torch.cat([(after[name] - before[name]).flatten() for name in before])

    def left(self, player: str) -> Tensor:
        """The gradients left on ``"D"`` or ``"G"``, as one vector."""
        return torch.cat([g.flatten() for g in self.gradients[player].values()])


def _network(sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Tanh network in float64: smooth, so that a step has an effect that can be compared."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b, dtype=torch.float64), nn.Tanh()]
    network = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for p in network.parameters():
            scale = p.shape[-1] ** -0.5
            p.copy_(scale * torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return network


def run_step(
    step: Callable[..., Any],
    player: Literal["D", "G"],
    *,
    seed: int,
    real: Tensor | None = None,
    z: Tensor,
    learning_rate: float = 0.05,
    optimiser: Literal["sgd", "adam"] = "sgd",
    leftovers: bool = False,
) -> Step:
    """Let ``step`` make one move with two small networks, and report what it did.

    Parameters
    ----------
    step : callable
        ``step(D, G, optimiser, real, z)`` for the discriminator, ``step(D, G, optimiser, z)``
        for the generator.
    player : {"D", "G"}
        Whose parameters the optimiser holds.
    seed : int
        Of the networks: equal seeds give equal networks.
    real : Tensor of shape (n, d), optional
        Real samples, float64; only for the discriminator.
    z : Tensor of shape (n, k)
        Noise, float64.
    learning_rate : float
        Of the optimiser.
    optimiser : {"sgd", "adam"}
        Which one.
    leftovers : bool
        Whether the player's gradients hold garbage beforehand, as after an unrelated
        ``backward``.

    Returns
    -------
    Step
    """
    generator = torch.Generator().manual_seed(seed)
    dimension = real.shape[1] if real is not None else 2
    networks = {
        "D": _network((dimension, 8, 1), generator),
        "G": _network((z.shape[1], 8, dimension), generator),
    }
    moving = networks[player]
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    chosen = kinds[optimiser](moving.parameters(), lr=learning_rate)
    if leftovers:
        for p in moving.parameters():
            p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    inputs = [z.detach().clone()]
    if player == "D":
        if real is None:
            raise ValueError("the discriminator's step needs real samples")
        inputs.insert(0, real.detach().clone())

    def logits() -> dict[str, Tensor]:
        with torch.no_grad():
            seen = {"fake": networks["D"](networks["G"](z))}
            if real is not None:
                seen["real"] = networks["D"](real)
        return seen

    before = {name: _state(network) for name, network in networks.items()}
    logits_before = logits()
    with torch.enable_grad():
        returned = step(networks["D"], networks["G"], chosen, *inputs)
    return Step(
        returned=returned,
        before=before,
        after={name: _state(network) for name, network in networks.items()},
        logits_before=logits_before,
        logits_after=logits(),
        gradients={
            name: {
                key: torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()
                for key, p in network.named_parameters()
            }
            for name, network in networks.items()
        },
        trainable={
            name: all(p.requires_grad for p in network.parameters())
            for name, network in networks.items()
        },
    )


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in network.state_dict().items()}
