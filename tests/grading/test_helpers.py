"""Helpers that touch a student's code give back the truth about it, in values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gencourse.grading import CheckFailed, grad_of, raises, run_step

Z = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
REAL = torch.randn(5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_gradients_are_those_of_calculus() -> None:
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert torch.equal(grad_of(lambda a, b: (a * b).sum(), x, y), y.double())
    assert torch.equal(grad_of(lambda a, b: a * b, x, y, wrt=1), x.double())
    assert not x.requires_grad


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x.detach().sum(), "no gradient flows"),
        (lambda x: x.sum().item(), "no gradient flows"),
        (lambda x: torch.ones((), requires_grad=True) * 2, "does not depend"),
        (lambda x: None, "return missing"),
    ],
)
def test_a_cut_graph_is_explained(f: Any, words: str) -> None:
    with pytest.raises(CheckFailed, match=f"(?i){words}"):
        grad_of(f, torch.ones(2))


def test_exceptions_are_told_apart() -> None:
    assert raises(int, "ValueError", "x")
    assert raises(lambda: [][0], "LookupError")  # a kind of it
    assert not raises(int, "TypeError", "x")
    assert not raises(int, "ValueError", "3")
    with pytest.raises(ValueError, match="built-in"):
        raises(int, "NoSuchError")


# Least squares: any smooth loss will do here.
def plain(D: Any, G: Any, optimiser: Any, real: Tensor, z: Tensor) -> float:
    optimiser.zero_grad()
    loss = (D(real) - 1).square().mean() + D(G(z).detach()).square().mean()
    loss.backward()
    optimiser.step()
    return loss.item()


def test_a_step_is_reported_as_it_was() -> None:
    step = run_step(plain, "D", seed=3, real=REAL, z=Z, learning_rate=0.1)
    # SGD: the move is minus the learning rate times the gradient that is left on D.
    assert torch.allclose(step.moved("D"), -0.1 * step.left("D"))
    assert step.moved("D").abs().sum() > 0
    assert step.moved("G").abs().sum() == 0
    assert step.left("G").abs().sum() == 0
    assert step.trainable == {"D": True, "G": True}
    real, fake = step.logits_before["real"], step.logits_before["fake"]
    assert real.shape == (5, 1)
    assert fake.shape == (6, 1)
    assert step.returned == pytest.approx(((real - 1) ** 2).mean().item() + (fake**2).mean().item())
    assert not torch.equal(step.logits_after["real"], real)


def test_equal_seeds_give_equal_networks_and_others_do_not() -> None:
    a, b, c = (run_step(plain, "D", seed=s, real=REAL, z=Z) for s in (1, 1, 2))
    assert torch.equal(a.moved("D"), b.moved("D"))
    assert not torch.equal(a.moved("D"), c.moved("D"))


def test_leftovers_show_a_missing_zero_grad() -> None:
    def careless(D: Any, G: Any, optimiser: Any, z: Tensor) -> float:
        loss = (D(G(z)) - 1).square().mean()
        loss.backward()
        optimiser.step()
        return loss.item()

    def careful(D: Any, G: Any, optimiser: Any, z: Tensor) -> float:
        optimiser.zero_grad()
        return careless(D, G, optimiser, z)

    clean = [run_step(f, "G", seed=3, z=Z).moved("G") for f in (careless, careful)]
    dirty = [run_step(f, "G", seed=3, z=Z, leftovers=True).moved("G") for f in (careless, careful)]
    assert torch.equal(*clean)
    assert torch.equal(clean[1], dirty[1])
    assert not torch.allclose(dirty[0], dirty[1])
    assert run_step(careful, "G", seed=3, z=Z).left("D").abs().sum() > 0


def test_the_discriminator_needs_data() -> None:
    with pytest.raises(ValueError, match="real samples"):
        run_step(plain, "D", seed=1, z=Z)
