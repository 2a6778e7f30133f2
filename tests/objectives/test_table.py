"""The table of objectives: what every entry can do, and what each of its columns is worth."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gencourse
from gencourse import objectives
from gencourse.models.gan import AdversarialModel, AdversarialSettings
from gencourse.objectives import OBJECTIVES, Objective, Turn, get

NAMES = tuple(OBJECTIVES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs(objective: Objective, n: int = 12, seed: int = 0) -> Tensor:
    """What a critic of this kind could return for n samples."""
    width = {"score": 1, "energy": 1, "features": 4, "autoencoder": 4}[objective.critic]
    out = torch.randn(n, width, generator=generator(seed), dtype=torch.float64)
    return out.abs() if objective.critic == "autoencoder" else out


def generator_loss(objective: Objective, real: Tensor, fake: Tensor) -> Tensor:
    """The generator's loss, with samples that are a function of the critic's outputs."""
    needs = {"real": real, "samples": fake}
    return objective.generator_loss(fake, *[needs[name] for name in objective.generator_needs])


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_complete(name: str) -> None:
    objective = OBJECTIVES[name]
    assert get(name) is objective
    assert objective.name == name
    for text in (objective.title, objective.paper):
        assert text
    assert set(objective.decks) <= set("ABCDE")
    assert objective.critic in ("score", "features", "energy", "autoencoder")
    assert set(objective.generator_needs) <= {"real", "samples"}
    # A weight or a bound that nothing uses would mislead the reader of the table.
    assert ("weight" in objective.settings) == (objective.regulariser is not None)
    assert ("bound" in objective.settings) == (objective.constraint is not None)
    settings = AdversarialModel.default_settings((2,), objective=name)
    assert isinstance(settings, AdversarialSettings)
    assert settings.objective == name


def test_the_table_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        OBJECTIVES["other"] = get("gan")  # type: ignore[index]
    with pytest.raises(AttributeError):
        get("gan").name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_numbers_with_gradients(name: str) -> None:
    objective = OBJECTIVES[name]
    real = outputs(objective).requires_grad_()
    fake = outputs(objective, seed=1).requires_grad_()
    loss = objective.critic_loss(real, fake)
    assert loss.shape == ()
    assert loss.dtype == torch.float64
    of_real, of_fake = torch.autograd.grad(loss, (real, fake), allow_unused=True)
    assert of_real.isfinite().all()
    assert of_real.abs().max() > 0
    # Autoencoders push fakes up through their regulariser only.
    assert of_fake is not None or objective.critic == "autoencoder"
    if "samples" in objective.generator_needs:
        return  # the samples' own gradient is needed: see the tests of that objective
    loss = generator_loss(objective, real.detach(), fake)
    (gradient,) = torch.autograd.grad(loss, fake)
    assert loss.shape == ()
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_players_pull_fakes_in_opposite_directions(name: str) -> None:
    """What lowers the generator's loss at a fake raises the critic's, or leaves it."""
    objective = OBJECTIVES[name]
    if name == "lsgan":
        pytest.skip("both parabolas fall together outside the labels 0 and 1")
    if objective.critic == "autoencoder" or "samples" in objective.generator_needs:
        pytest.skip("the loss is not of the critic's value alone")
    real, fake = outputs(objective), outputs(objective, seed=1).requires_grad_()
    (of_critic,) = torch.autograd.grad(objective.critic_loss(real, fake), fake)
    (of_generator,) = torch.autograd.grad(generator_loss(objective, real, fake), fake)
    product = (of_critic * of_generator).sum()
    if name == "cramer-gan":
        return  # its critic ascends a surrogate of what its generator descends
    assert product < 0


@pytest.mark.parametrize("name", NAMES)
def test_the_critic_step_descends_loss_and_regulariser(name: str) -> None:
    """After one small step on a fixed batch the critic's whole objective is smaller."""
    model: Any = gencourse.build(
        name, torch.zeros(1, 2), width=16, depth=2, features=4, optimiser="momentum", beta1=0.0
    ).double()
    x = torch.randn(64, 2, generator=generator(), dtype=torch.float64)
    z = torch.randn(64, 2, generator=generator(1), dtype=torch.float64)
    with torch.no_grad():
        fake = model.generator(z)

    def whole() -> float:
        at_real, at_fake = model.discriminator(x), model.discriminator(fake)
        loss = model.objective.critic_loss(at_real, at_fake)
        if model.regulariser is not None:
            turn = Turn(model.discriminator, x, fake, at_real, at_fake, generator(2))
            state = {k: v.clone() for k, v in model.regulariser.state_dict().items()}
            loss = model.regulariser(loss, turn)
            model.regulariser.load_state_dict(state)  # its own step is not the critic's
        return loss.item()

    model.eval()  # the power iteration stands still
    before = whole()
    optimiser = torch.optim.SGD(model.discriminator.parameters(), lr=1e-4)
    state = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("regulariser")}
    returned = model.discriminator_step(x, z, optimiser, generator(2))
    assert returned.item() == pytest.approx(before, rel=1e-9)
    model.load_state_dict(state, strict=False)
    assert whole() < before or name == "wgan"  # clipping moves weights by more than the step


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_step_descends_its_loss_and_spares_the_critic(name: str) -> None:
    model: Any = gencourse.build(
        name, torch.zeros(1, 2), width=16, depth=2, features=4, optimiser="momentum", beta1=0.0
    ).double()
    model.eval()
    x = torch.randn(64, 2, generator=generator(), dtype=torch.float64)
    z = torch.randn(64, 2, generator=generator(1), dtype=torch.float64)
    critic = [p.clone() for p in model.discriminator.parameters()]
    still = torch.optim.SGD(model.generator.parameters(), lr=0.0)
    step = torch.optim.SGD(model.generator.parameters(), lr=1e-3)
    before = model.generator_step(z, still, generator(), real=x).item()
    assert model.generator_step(z, step, generator(), real=x).item() == pytest.approx(before)
    after = model.generator_step(z, still, generator(), real=x).item()
    # Stein's loss is the descent of a fixed field: its value is not what falls.
    assert after < before or name == "stein-gan"
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.generator.parameters())
    for p, q in zip(model.discriminator.parameters(), critic, strict=True):
        assert torch.equal(p, q)
        assert p.grad is None
        assert p.requires_grad


@pytest.mark.parametrize("name", [n for n in NAMES if OBJECTIVES[n].regulariser is not None])
def test_state_of_a_regulariser_goes_into_the_file(name: str, tmp_path: Any) -> None:
    x = torch.randn(64, 2, generator=generator())
    model: Any = gencourse.build(name, x, width=8, depth=1, features=3, batch=16)
    model.fit(x, steps=3, progress=False)
    model.save(tmp_path / "model.pt")
    again: Any = gencourse.load(tmp_path / "model.pt")
    state, restored = model.regulariser.state_dict(), again.regulariser.state_dict()
    assert state.keys() == restored.keys()
    for key, value in state.items():
        assert torch.equal(value, restored[key])
    if name in ("began", "sobolev-gan"):
        assert all(value != 0 for value in state.values())


def test_what_the_critic_says_is_named_by_the_paper() -> None:
    """D in (0, 1) for GANs, T in the domain of f* for f-GANs, energies above 0, else a number."""
    x = 5 * torch.randn(200, 2, generator=generator())
    for name in NAMES:
        model: Any = gencourse.build(name, x, features=4)
        nn.init.normal_(list(model.discriminator.parameters())[-2], std=2.0)
        said = model.critic(x)
        if name in ("gan", "gan-minimax", "tv-gan"):
            assert said.min() >= 0
            assert said.max() <= 1
        elif name.startswith("fgan-"):
            low, high = gencourse.divergences.F_DIVERGENCES[name[5:]].conjugate_domain
            assert said.min() >= low
            assert said.max() <= high
        elif model.objective.critic == "autoencoder":
            assert said.shape == (200,)
            assert said.min() > 0
        else:
            assert said.shape == (200, 4 if model.objective.critic == "features" else 1)


def test_the_number_of_lines_of_an_entry() -> None:
    """A handful: an entry that needs more has something that belongs into a function."""
    import inspect

    from gencourse.objectives import table

    source = inspect.getsource(table)
    entries = source.split("    Objective(\n")[1:] + source.split("        Objective(\n")[1:]
    assert len(entries) >= 15
    for entry in entries:
        lines = entry.split("\n    ),\n")[0].splitlines()
        assert len(lines) <= 16


def test_the_guide_to_adding_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code in CONTRIBUTING.md, run: a model of the new objective trains and samples."""
    guide = (Path(gencourse.__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = guide.split("## Adding an adversarial objective")[1].split("\n## ")[0]
    losses, entry = (textwrap.dedent(c) for c in re.findall(r"```python\n(.*?)```", section, re.S))
    scope: dict[str, Any] = {"Objective": Objective}
    exec(losses, scope)
    objective = eval(entry, scope)
    monkeypatch.setattr(objectives, "OBJECTIVES", {**OBJECTIVES, objective.name: objective})
    x = torch.randn(100, 2, generator=generator())
    model: Any = gencourse.build("gan", x, objective=objective.name, width=8, batch=16)
    history = model.fit(x, steps=5, progress=False)
    assert model.objective is objective
    assert model.sample(3, generator=generator()).shape == (3, 2)
    # Undecided, the critic pays log 2, and so does the generator.
    zero = torch.zeros(4, 1)
    assert objective.critic_loss(zero, zero).item() == pytest.approx(0.6931, abs=1e-4)
    assert history.metrics["discriminator"][0] == pytest.approx(0.69, abs=0.2)
