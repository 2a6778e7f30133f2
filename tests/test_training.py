"""The training loop: what it records, how it fails, and that a resumed run is the same run."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

import gencourse
from gencourse import nets
from gencourse.training import History, adam, averaged, minimise, momentum, resident, train

SMALL = {"width": 8, "depth": 1, "batch": 16}  # adversarial nets that take a millisecond a step
SMALL_IMAGES = {"width": 2, "latent": 4, "batch": 8}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save a checkpoint every 20 steps instead of every 1000."""
    fit = gencourse.GenerativeModel.fit
    monkeypatch.setitem(fit.__kwdefaults__, "checkpoint_every", 20)  # type: ignore[index]


def counting(step: int) -> dict[str, Tensor]:
    return {"twice": torch.tensor(2.0 * (step + 1)), "half": torch.tensor((step + 1) / 2)}


# ----------------------------------------------------------------- what is recorded


@given(st.integers(1, 60), st.integers(1, 12))
def test_one_record_in_so_many_steps_and_the_last(steps: int, record: int) -> None:
    called: list[int] = []

    def step(i: int) -> dict[str, Tensor]:
        called.append(i)
        return counting(i)

    history = train(step, steps=steps, record=record, progress=False)
    assert called == list(range(steps))
    wanted = sorted({*range(record, steps + 1, record), steps})
    assert history.steps == wanted
    assert history.metrics == {"twice": [2.0 * i for i in wanted], "half": [i / 2 for i in wanted]}


def test_history_as_a_table_and_as_a_plot() -> None:
    history = train(counting, steps=25, progress=False)
    frame = history.to_frame()
    expected = pandas.DataFrame(
        {"twice": [20.0, 40.0, 50.0], "half": [5.0, 10.0, 12.5]},
        index=pandas.Index([10, 20, 25], name="step"),
    )
    pandas.testing.assert_frame_equal(frame, expected)
    ax = history.plot()
    drawn = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    assert set(drawn) == {"twice", "half"}
    assert drawn["half"].tolist() == [[10, 5], [20, 10], [25, 12.5]]
    assert history.plot(ax=ax) is ax


def test_seconds_are_wall_time() -> None:
    def step(i: int) -> dict[str, Tensor]:
        time.sleep(0.01)
        return {}

    begun = time.perf_counter()
    history = train(step, steps=5, progress=False)
    assert 0.05 <= history.seconds <= time.perf_counter() - begun
    assert history.metrics == {}


def test_callback_before_the_first_step_and_after_every_few() -> None:
    events: list[tuple[str, int]] = []

    def step(i: int) -> dict[str, Tensor]:
        events.append(("step", i))
        return {}

    train(step, steps=5, callback=lambda i: events.append(("call", i)), every=2, progress=False)
    assert events == [
        ("call", 0), ("step", 0), ("step", 1),
        ("call", 2), ("step", 2), ("step", 3),
        ("call", 4), ("step", 4),
    ]  # fmt: skip


def test_the_bar_is_shown_only_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    train(counting, steps=3, progress=False, description="a gan")
    assert capfd.readouterr() == ("", "")
    train(counting, steps=3, progress=True, description="a gan")
    out, err = capfd.readouterr()
    assert out == ""
    assert "a gan" in err
    assert "3/3" in err


@pytest.mark.parametrize("name", ["steps", "record", "checkpoint_every", "every"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_counts_must_be_positive_whole_numbers(name: str, value: object) -> None:
    arguments: dict[str, Any] = {"steps": 3, "progress": False, name: value}
    with pytest.raises(ValueError, match=name):
        train(counting, **arguments)


# ----------------------------------------------------------------- divergence


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("at", "told"), [(30, 30), (31, 40), (700, 700), (749, 749)])
def test_divergence_names_the_step(bad: float, at: int, told: int) -> None:
    """A loss that is bad from step 31 on is first recorded at step 40."""

    def step(i: int) -> dict[str, Tensor]:
        return {"good": torch.tensor(1.0), "loss": torch.tensor(bad if i + 1 >= at else 0.5)}

    with pytest.raises(FloatingPointError) as caught:
        train(step, steps=749, progress=False, description="gan")
    assert f"gan diverged: 'loss' is {bad} at step {told};" in str(caught.value)


def test_divergence_is_noticed_long_before_the_end() -> None:
    last = 0

    def step(i: int) -> dict[str, Tensor]:
        nonlocal last
        last = i + 1
        return {"loss": torch.tensor(math.nan)}

    with pytest.raises(FloatingPointError):
        train(step, steps=100_000, progress=False)
    assert last == 500


def test_a_diverged_run_is_not_checkpointed(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"

    def step(i: int) -> dict[str, Tensor]:
        return {"loss": torch.tensor(math.nan if i >= 25 else 1.0)}

    with pytest.raises(FloatingPointError, match="step 30"):
        train(step, steps=100, checkpoint=path, checkpoint_every=10, progress=False)
    assert torch.load(path, weights_only=True)["done"] == 20


def test_a_gan_that_diverges_says_so() -> None:
    data = gencourse.data.load("ring8")
    model = gencourse.build(
        "gan", data, optimiser="momentum", lr_generator=1e6, lr_discriminator=1e6, **SMALL
    )
    with pytest.raises(FloatingPointError, match=r"gan diverged: .* at step \d+; try smaller"):
        model.fit(data, steps=300, progress=False)
    assert not model.training


# ----------------------------------------------------------------- checkpoints


def numbers(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def interrupt_at(step: int) -> Callable[[int], None]:
    """Return a callback that does what Ctrl-C does."""

    def callback(i: int) -> None:
        if i == step:
            raise KeyboardInterrupt

    return callback


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(
    ("slug", "data_name", "settings", "steps"),
    [
        ("gan", "ring8", SMALL, 70),
        ("gan-minimax", "ring8", {**SMALL, "optimiser": "momentum", "head_start": 3}, 70),
        ("gan", "digits", SMALL_IMAGES, 50),
        ("gmm", "moons", {"components": 3}, 50),
        ("kde", "digits", {"centres": 50, "held_out": 20}, 50),
    ],
)
def test_an_interrupted_run_goes_on_to_the_same_numbers(
    tmp_path: Path, slug: str, data_name: str, settings: dict[str, Any], steps: int
) -> None:
    """Parameters, buffers, samples and history, bit for bit."""
    data = gencourse.data.load(data_name)

    def new() -> gencourse.GenerativeModel:
        return gencourse.build(slug, data, seed=3, **settings)

    unbroken = new()
    history = unbroken.fit(data, steps=steps, seed=4, progress=False)

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        # Interrupted at 47: the checkpoint is that of step 40.
        new().fit(
            data, steps=steps, seed=4, progress=False, checkpoint=path,
            callback=interrupt_at(47), every=1,
        )  # fmt: skip
    assert torch.load(path, weights_only=True)["done"] == 40
    seconds = torch.load(path, weights_only=True)["history"]["seconds"]

    called: list[int] = []
    resumed = new()
    history_2 = resumed.fit(
        data, steps=steps, seed=4, progress=False, checkpoint=path, callback=called.append, every=5
    )
    assert called == list(range(45, steps + 1, 5))  # neither 0 nor what had been done
    assert same(numbers(resumed), numbers(unbroken))
    assert history_2.steps == history.steps
    assert history_2.metrics == history.metrics
    assert history_2.seconds > seconds
    x, y = (m.sample(50, generator=torch.Generator().manual_seed(0)) for m in (resumed, unbroken))
    assert torch.equal(x, y)

    # And once more: the run is complete, nothing is left to do.
    again = new()
    history_3 = again.fit(data, steps=steps, seed=4, progress=False, checkpoint=path)
    assert same(numbers(again), numbers(unbroken))
    assert history_3.metrics == history.metrics


@pytest.mark.usefixtures("often")
def test_an_interrupt_within_a_step_does_no_harm(tmp_path: Path) -> None:
    """Stopped between the discriminator's update and the generator's, and taken up again."""
    data = gencourse.data.load("ring8")
    unbroken = gencourse.build("gan", data, **SMALL)
    unbroken.fit(data, steps=60, progress=False)

    model = gencourse.build("gan", data, **SMALL)
    original, calls = model.generator_step, 0

    def fails(*args: Any, **more: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 31:
            raise KeyboardInterrupt
        return original(*args, **more)

    model.generator_step = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        model.fit(data, steps=60, progress=False, checkpoint=tmp_path / "run.pt")
    assert not model.training
    del model.generator_step
    # As in a notebook: the same model, half-trained, and the same call again.
    model.fit(data, steps=60, progress=False, checkpoint=tmp_path / "run.pt")
    assert same(numbers(model), numbers(unbroken))


KILLED = """
import sys, time
import gencourse

data = gencourse.data.load("ring8")
model = gencourse.build("gan", data, seed=3, width=8, depth=1, batch=16)

def callback(step):
    print(step, flush=True)
    time.sleep(0.001)

model.fit(data, steps=100_000, seed=4, progress=False, checkpoint=sys.argv[1],
          checkpoint_every=20, callback=callback, every=1)
"""


@pytest.mark.usefixtures("often")
def test_a_run_that_is_killed_can_be_resumed(tmp_path: Path) -> None:
    """kill -9 at whatever it is doing, writing a checkpoint included."""
    path = tmp_path / "run.pt"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 130:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL

    done = torch.load(path, weights_only=True)["done"]
    assert done >= 120
    assert done % 20 == 0
    data = gencourse.data.load("ring8")

    def stop(step: int) -> None:
        if step == done + 50:
            raise KeyboardInterrupt

    # The cosine schedule needs the length of the whole run, so both stop on their way.
    models = [gencourse.build("gan", data, seed=3, **SMALL) for _ in range(2)]
    for model, checkpoint in zip(models, (path, None), strict=True):
        with pytest.raises(KeyboardInterrupt):
            model.fit(
                data, steps=100_000, seed=4, progress=False, checkpoint=checkpoint,
                callback=stop, every=1,
            )  # fmt: skip
    assert same(numbers(models[0]), numbers(models[1]))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a checkpoint of 20 steps of a small gan on ring8."""
    path = tmp_path / "run.pt"
    data = gencourse.data.load("ring8")
    gencourse.build("gan", data, **SMALL).fit(data, steps=20, progress=False, checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"steps": 30}, "its steps is 20, and that of this run is 30"),
        ({"seed": 1}, "its seed is 0, and that of this run is 1"),
        ({"slug": "gan-minimax"}, "its system is 'gan', and that of this run is 'gan-minimax'"),
        ({"slug": "kde"}, "another run"),
        ({"width": 16}, "its width is 8, and that of this run is 16"),
        ({"lr_generator": 0.1}, "its lr_generator is 0.001, and that of this run is 0.1"),
        ({"data": "moons"}, "its data is '[0-9a-f]+', and that of this run is"),
    ],
)
def test_the_checkpoint_of_another_run(
    checkpoint: Path, change: dict[str, Any], complaint: str
) -> None:
    data = gencourse.data.load(change.pop("data", "ring8"))
    slug, seed = change.pop("slug", "gan"), change.pop("seed", 0)
    steps = change.pop("steps", 20)
    settings = {} if slug == "kde" else {**SMALL, **change}
    model = gencourse.build(slug, data, **settings)
    before, content = numbers(model), checkpoint.read_bytes()
    with pytest.raises(ValueError, match=complaint) as caught:
        model.fit(data, steps=steps, seed=seed, progress=False, checkpoint=checkpoint)
    assert repr(str(checkpoint)) in str(caught.value)
    assert same(numbers(model), before)
    assert checkpoint.read_bytes() == content


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("step,loss\n1,0.5\n")
    elif how == "flipped":
        path.write_bytes(content[:300] + bytes(100) + content[400:])
    elif how == "list":
        torch.save([1, 2, 3], path)
    elif how == "model":
        gencourse.build("gan", torch.zeros(1, 2), **SMALL).save(path)


@pytest.mark.parametrize("how", ["truncated", "empty", "text", "flipped", "list", "model"])
def test_a_damaged_checkpoint_is_refused_and_kept(checkpoint: Path, how: str) -> None:
    damage(checkpoint, how)
    content = checkpoint.read_bytes()
    data = gencourse.data.load("ring8")
    model = gencourse.build("gan", data, **SMALL)
    before = numbers(model)
    with pytest.raises(ValueError, match="is not a training checkpoint, or is damaged; delete it"):
        model.fit(data, steps=20, progress=False, checkpoint=checkpoint)
    assert same(numbers(model), before)
    assert checkpoint.read_bytes() == content


def test_a_missing_folder_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    called: list[int] = []
    data = gencourse.data.load("ring8")
    model = gencourse.build("gan", data, **SMALL)
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*nowhere' for checkpoints"):
        model.fit(
            data, progress=False, checkpoint=tmp_path / "nowhere" / "run.pt", callback=called.append
        )
    assert called == []


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.pt"

    def step(i: int) -> dict[str, Tensor]:
        if i == 25:

            def full(_: int) -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(os, "fsync", full)
        return counting(i)

    with pytest.raises(OSError, match=r"could not write .*No space left on device"):
        train(step, steps=100, checkpoint=path, checkpoint_every=10, progress=False)
    assert torch.load(path, weights_only=True)["done"] == 20
    assert os.listdir(tmp_path) == ["run.pt"]


# ----------------------------------------------------------------- one network, one loss


class Line(nn.Module):
    """y = w x, with one number to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))


def test_minimise_finds_the_least_squares() -> None:
    """Mean of (w - x)² over all rows is least at their mean; all rows come up."""
    x = torch.tensor([[1.0], [2.0], [6.0]])
    line = Line()
    history = minimise(
        lambda batch: {"loss": (line.w - batch).square().mean(), "w": line.w.sum()},
        line, x, steps=1500, batch=64, lr=0.05, generator=torch.Generator().manual_seed(0),
        state={"line": line}, progress=False,
    )  # fmt: skip
    # A batch of 64 has a mean with standard error 2.16 / 8; the falling rate averages many.
    assert line.w.item() == pytest.approx(3.0, abs=0.1)
    assert history.metrics["w"][-1] == pytest.approx(line.w.item(), abs=1e-3)
    assert history.metrics["loss"][-1] < history.metrics["loss"][0]


def test_minimise_follows_a_cosine_clips_and_averages() -> None:
    """Adam without its normalisation would hide the clip, so the gradients are looked at."""
    line, average = Line(), averaged(Line(), 0.5)
    rates: list[float] = []
    norms: list[float] = []

    def loss(batch: Tensor) -> Tensor:
        return 1000 * line.w.sum()

    def look(optimiser: Any, *_: Any) -> None:
        rates.append(optimiser.param_groups[0]["lr"])
        norms.append(line.w.grad.norm().item())

    handle = register_optimizer_step_pre_hook(look)
    weights: list[float] = []
    try:
        minimise(
            loss, line, torch.zeros(4, 1), steps=4, batch=2, lr=0.1, clip=3.0, average=average,
            generator=torch.Generator().manual_seed(0), state={"line": line}, progress=False,
            callback=lambda i: weights.append(line.w.item()), every=1,
        )  # fmt: skip
    finally:
        handle.remove()
    assert norms == pytest.approx([3.0] * 4, rel=1e-4)
    assert rates == pytest.approx([0.1 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)])
    average_by_hand = weights[1]  # the first update copies
    for w in weights[2:]:
        average_by_hand = 0.5 * average_by_hand + 0.5 * w
    assert average.module.w.item() == pytest.approx(average_by_hand, rel=1e-5)


# ----------------------------------------------------------------- the pieces


def test_moving_average_by_hand() -> None:
    network = nets.mlp(2, 1, width=3, depth=1).double()
    average = averaged(network, 0.25)
    by_hand: list[Tensor] = []
    generator = torch.Generator().manual_seed(0)
    for step in range(6):
        with torch.no_grad():
            for p in network.parameters():
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        average.update_parameters(network)
        now = [p.detach().clone() for p in network.parameters()]
        if step == 0:  # it starts where the network is
            by_hand = now
        else:
            by_hand = [0.75 * a + 0.25 * w for a, w in zip(by_hand, now, strict=True)]
    for a, b in zip(average.module.parameters(), by_hand, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-12, atol=1e-15)


def test_no_averaging_at_rate_one() -> None:
    network = nets.mlp(2, 1, width=3, depth=1)
    average = averaged(network, 1.0)
    for _ in range(3):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(1)
        average.update_parameters(network)
    for a, p in zip(average.module.parameters(), network.parameters(), strict=True):
        assert torch.equal(a, p)


def scalar(value: float) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(network.weight, value)
    return network


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate() -> None:
    """Kingma & Ba 2015, section 2.1: m̂/√v̂ = g/|g| at t = 1, whatever the size of g."""
    for g in (1e-4, -3.0, 1e5):
        network = scalar(2.0)
        optimiser = adam(network, 0.01, betas=(0.5, 0.9))
        network.weight.grad = torch.full_like(network.weight, g)
        optimiser.step()
        # ε = 1e-8 beside |g| = 1e-4 takes away a ten-thousandth of the step.
        assert network.weight.item() == pytest.approx(2 - math.copysign(0.01, g), abs=2e-6)


def test_momentum_by_hand() -> None:
    """v ← βv + g, w ← w - lr v (the heavy ball)."""
    network = scalar(0.0)
    optimiser = momentum(network, 0.1, beta=0.5)
    w = v = 0.0
    for g in (1.0, -2.0, 4.0):
        network.weight.grad = torch.full_like(network.weight, g)
        optimiser.step()
        v = 0.5 * v + g
        w -= 0.1 * v
        assert network.weight.item() == pytest.approx(w, rel=1e-12)


CPU = torch.device("cpu")


def test_training_sets() -> None:
    digits = gencourse.data.load("digits")
    assert torch.equal(resident(digits, (1, 8, 8), CPU, 0), digits.images("train"))
    ring = gencourse.data.load("ring8")
    drawn = resident(ring, (2,), CPU, 7)
    assert drawn.shape == (65_536, 2)
    assert torch.equal(drawn, ring.sample(65_536, generator=torch.Generator().manual_seed(7)))
    x = torch.arange(6, dtype=torch.float64).reshape(3, 2).requires_grad_()
    used = resident(x, (2,), CPU, 0)
    assert used.dtype == torch.float32
    assert not used.requires_grad
    assert used.tolist() == x.tolist()


@pytest.mark.parametrize("slug", ["gan", "gmm"])
@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        (torch.tensor([[0.0, math.nan], [1.0, 1.0]]), "data holds 1 NaN or infinite values"),
        (torch.tensor([[0.0, math.inf], [1.0, 1.0]]), "data holds 1 NaN or infinite values"),
        (torch.zeros(0, 2), "data is empty"),
        (torch.zeros(5, 3), r"data must have shape \(n, 2\), not \(5, 3\)"),
        (torch.zeros(2), r"data must have shape \(n, 2\), not \(2,\)"),
        (torch.zeros(5, 2, dtype=torch.int64), r"use data.float\(\)"),
        (torch.zeros(5, 2).numpy(), "must be a torch tensor, not ndarray"),
        ("ring8", "must be a torch tensor, not str"),
    ],
)
def test_bad_data_are_refused_before_anything_is_trained(slug: str, x: Any, complaint: str) -> None:
    model = gencourse.build(slug, gencourse.data.load("ring8"))
    before, called = numbers(model), []
    with pytest.raises(ValueError, match=complaint):
        model.fit(x, progress=False, callback=called.append)
    assert called == []
    assert same(numbers(model), before)


def test_data_of_another_shape_are_named() -> None:
    model = gencourse.build("gan", gencourse.data.load("ring8"), **SMALL)
    with pytest.raises(ValueError, match=r"samples of shape \(2,\), but data set 'digits' has"):
        model.fit(gencourse.data.load("digits"), progress=False)


@pytest.mark.parametrize("steps", [0, -3, 2.5, True])
def test_a_number_of_steps_that_makes_no_sense(steps: Any) -> None:
    model = gencourse.build("gan", gencourse.data.load("ring8"), **SMALL)
    with pytest.raises(ValueError, match="steps must be"):
        model.fit(gencourse.data.load("ring8"), steps=steps, progress=False)


def test_history_survives_a_checkpoint() -> None:
    history = History([10, 20], {"loss": [1.0, 0.5]}, 3.0)
    other = History()
    other.load_state_dict(history.state_dict())
    assert dataclasses.asdict(other) == dataclasses.asdict(history)
