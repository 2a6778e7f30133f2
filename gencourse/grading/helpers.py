"""Helpers that run next to the student's code: values go in, values come out.

A check never holds a student's object, a graph through student code, or a callback. What
needs one (a gradient, an exception, a training step on real networks) is done over there, by
:func:`beside`, and only numbers come back. In an ordinary notebook "over there" is here.
"""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from gencourse.grading.line import Lent, Remote, other_side
from gencourse.grading.values import CheckFailed, tensor_of

__all__ = ["Step", "beside", "grad_of", "is_module", "lend", "raises", "run_step", "state_of"]

F = TypeVar("F", bound=Callable[..., Any])


def beside(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run the instructor's function ``f`` next to the student's code and return its result.

    Use it where a check needs more than values: what a function does to its argument, or to an
    object of a class that the student wrote. ``f`` gets the student's own objects.

    Parameters
    ----------
    f : callable
        Of the library, or a function of the check. While grading, the latter is sent as
        source: it may use plain values, modules and other functions, and the student's code can
        read it, so it must hold no answers.
    *args, **kwargs
        Plain values, the student's objects, and functions made by :func:`lend`.

    Returns
    -------
    object
        Plain values; anything else comes back as an object that can only be handed over again.
    """
    side = other_side()
    return f(*args, **kwargs) if side is None else side.call(f, args, kwargs)


def lend(f: F) -> F:
    """Make a function of the check something that student code may call.

    While grading, its source and the plain values it uses are sent; so it must hold no answers.
    In an ordinary notebook this returns ``f`` itself.
    """
    return f if other_side() is None else Lent(f)  # type: ignore[return-value]


def _where_it_is(f: Callable[..., Any], helper: Callable[..., Any], *args: Any) -> Any:
    """Run a helper where the function is that it calls."""
    return beside(helper, f, *args) if isinstance(f, Remote) else helper(f, *args)


def is_module(thing: object) -> bool:
    """Whether a student's object is a network, an ``nn.Module``."""
    return bool(_where_it_is(thing, _is_module))  # type: ignore[arg-type]


def _is_module(thing: object) -> bool:
    return isinstance(thing, nn.Module)


def state_of(network: Any) -> dict[str, Tensor]:
    """Return the parameters and buffers of a student's network, by name.

    Raises
    ------
    CheckFailed
        If it is no network.
    """
    state = _where_it_is(network, _state_of)
    if not isinstance(state, dict):
        raise CheckFailed("this should be a network, an nn.Module.")
    return {str(key): tensor_of(value, finite=False) for key, value in state.items()}


def _state_of(network: Any) -> dict[str, Tensor] | None:
    return _state(network) if isinstance(network, nn.Module) else None


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
    how, value = _where_it_is(f, _grad_of, args, wrt)
    if how == "cut":
        tensor_of(value, finite=False)
        raise CheckFailed(
            "no gradient flows through the result. Don't use .item(), float(), .detach(), "
            "torch.tensor(…) or torch.no_grad() on the way."
        )
    if how == "independent":
        raise CheckFailed("the result does not depend on its input.")
    shape = tuple(args[wrt].shape)
    return tensor_of(value, shape, what="the gradient")


def _grad_of(f: Callable[..., Any], args: Sequence[Any], wrt: int) -> tuple[str, Any]:
    values = list(args)
    leaf = values[wrt].detach().clone().requires_grad_(True)
    values[wrt] = leaf
    with torch.enable_grad():
        result = f(*values)
        if not isinstance(result, Tensor) or not result.requires_grad:
            return "cut", result
        (gradient,) = torch.autograd.grad(result.sum(), leaf, allow_unused=True)
    return ("independent", None) if gradient is None else ("gradient", gradient)


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
    return bool(_where_it_is(f, _raises, exception, args))


def _raises(f: Callable[..., Any], exception: str, args: Sequence[Any]) -> bool:
    try:
        f(*args)
    except getattr(builtins, exception):
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
    if player == "D" and real is None:
        raise ValueError("the discriminator's step needs real samples")
    generator = torch.Generator().manual_seed(seed)
    dimension = real.shape[1] if real is not None else 2
    sizes = {"D": (dimension, 8, 1), "G": (z.shape[1], 8, dimension)}
    networks = {name: _network(layers, generator) for name, layers in sizes.items()}
    garbage = [
        torch.randn(p.shape, generator=generator, dtype=torch.float64)
        for p in networks[player].parameters()
    ]
    before = {name: _state(network) for name, network in networks.items()}
    logits_before = _logits(networks, real, z)
    did = _where_it_is(
        step,
        _move,
        player,
        sizes,
        before,
        garbage if leftovers else [],
        (optimiser, learning_rate),
        [z] if player == "G" else [real, z],
    )
    after, gradients = (
        {name: _like(before[name], did, what, name) for name in networks}
        for what in ("after", "gradients")
    )
    for name, network in networks.items():
        network.load_state_dict(after[name])
    return Step(
        returned=did["returned"],
        before=before,
        after=after,
        logits_before=logits_before,
        logits_after=_logits(networks, real, z),
        gradients=gradients,
        trainable={name: did["trainable"][name] is True for name in networks},
    )


def _move(
    step: Callable[..., Any],
    player: str,
    sizes: dict[str, Sequence[int]],
    states: dict[str, dict[str, Tensor]],
    leftovers: Sequence[Tensor],
    optimiser: tuple[str, float],
    inputs: Sequence[Tensor],
) -> dict[str, Any]:
    """Let the step of :func:`run_step` happen, and return what only it can know."""
    networks = {name: _network(layers, torch.Generator()) for name, layers in sizes.items()}
    for name, network in networks.items():
        network.load_state_dict(states[name])
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser[0]]
    chosen = kind(networks[player].parameters(), lr=optimiser[1])
    if leftovers:
        for p, garbage in zip(networks[player].parameters(), leftovers, strict=True):
            p.grad = garbage.clone()
    with torch.enable_grad():
        returned = step(networks["D"], networks["G"], chosen, *(x.clone() for x in inputs))
    return {
        "returned": returned,
        "after": {name: _state(network) for name, network in networks.items()},
        "gradients": {
            name: {
                key: torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()
                for key, p in network.named_parameters()
            }
            for name, network in networks.items()
        },
        "trainable": {
            name: all(p.requires_grad for p in network.parameters())
            for name, network in networks.items()
        },
    }


def _like(
    before: dict[str, Tensor], did: dict[str, Any], what: str, name: str
) -> dict[str, Tensor]:
    """Read tensors by parameter name, of the same shapes as before the step."""
    found = did[what][name]
    if set(found) != set(before):
        raise CheckFailed(f"the layers of {name} are not the ones it had.")
    return {
        key: tensor_of(found[key], tuple(value.shape), what=f"{key} of {name}", finite=False)
        for key, value in before.items()
    }


def _logits(
    networks: dict[str, nn.Sequential], real: Tensor | None, z: Tensor
) -> dict[str, Tensor]:
    with torch.no_grad():
        seen = {"fake": networks["D"](networks["G"](z))}
        if real is not None:
            seen["real"] = networks["D"](real)
    return seen


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in network.state_dict().items()}
