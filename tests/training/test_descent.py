"""One step: against its three lines by hand, with scaled losses, and with rounded networks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gencourse import nets
from gencourse.training import Engine, adam, averaged, descend, exact, momentum, train
from gencourse.training.precision import compiled, lowered

CPU = torch.device("cpu")


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nets.mlp(3, 1, width=8, depth=2)


def rows(n: int = 16) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(1))


def weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def steps_of(net: nn.Module, optimiser: Any, engine: Engine | None = None, **options: Any) -> None:
    def step(i: int) -> dict[str, Tensor]:
        loss = net(rows()).square().mean()
        descend(loss, optimiser, **options)
        return {"loss": loss.detach()}

    train(step, steps=3, progress=False, engine=engine)


@pytest.mark.parametrize("clip", [None, 0.01])
@pytest.mark.parametrize("method", [adam, momentum])
def test_the_three_lines(method: Any, clip: float | None) -> None:
    ours, by_hand = network(), network()
    steps_of(ours, method(ours, 0.1), clip=clip)
    optimiser = method(by_hand, 0.1)
    for _ in range(3):
        optimiser.zero_grad()
        by_hand(rows()).square().mean().backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(by_hand.parameters(), clip)
        optimiser.step()
    assert torch.equal(weights(ours), weights(by_hand))


@pytest.mark.parametrize("clip", [None, 0.01])
def test_a_scaled_loss_is_the_same_step(clip: float | None) -> None:
    """Powers of two change no digit, and the gradient is scaled back before it is clipped."""
    ours, plain = network(), network()
    steps_of(ours, momentum(ours, 0.1), Engine(GradScaler("cpu", init_scale=1024.0)), clip=clip)
    steps_of(plain, momentum(plain, 0.1), clip=clip)
    torch.testing.assert_close(weights(ours), weights(plain), rtol=1e-6, atol=1e-8)
    # Each loop has an engine of its own, and outside of one there is none.
    optimiser = momentum(plain, 0.1)
    descend(plain(rows()).square().mean(), optimiser)


def test_a_step_that_overflows_is_left_out_and_the_scale_halved() -> None:
    ours = network()
    before = weights(ours)
    scaler = GradScaler("cpu", init_scale=2.0**120)
    optimiser = adam(ours, 0.1)

    def step(i: int) -> dict[str, Tensor]:
        descend(1e4 * ours(rows()).square().mean(), optimiser)
        return {}

    train(step, steps=1, progress=False, engine=Engine(scaler))
    assert torch.equal(weights(ours), before)
    assert scaler.get_scale() == 2.0**119


def test_a_loop_within_a_loop_has_its_own_engine() -> None:
    """A callback that measures by training a critic must not touch the outer scale."""
    inner, scaler = network(), GradScaler("cpu", init_scale=2.0**120)

    def measure(step: int) -> None:
        before = weights(inner)
        steps_of(inner, adam(inner, 0.1))
        assert not torch.equal(weights(inner), before)

    train(lambda i: {}, steps=1, progress=False, engine=Engine(scaler), callback=measure, every=1)
    assert scaler.get_scale() == 2.0**120


# ----------------------------------------------------------------- the moving average


def test_the_average_is_that_of_torch_also_after_a_checkpoint() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ours = averaged(net, 0.25)
    theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    for i in range(6):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
        net(rows())  # moves the statistics, which are copied
        ours.update_parameters(net)
        theirs.update_parameters(net)
        if i == 2:  # a new process, which has only the state
            saved = ours.state_dict()
            ours = averaged(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), 0.25)
            ours.load_state_dict(saved)
        if i == 4:
            ours = copy.deepcopy(ours)
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value), key


# ----------------------------------------------------------------- precision


def test_only_the_network_rounds() -> None:
    """Its output is what autocast gives, in float32, and its weights' gradients are in float32."""
    net, x = network(), rows()
    with torch.autocast("cpu", torch.bfloat16):
        wanted = net(x).float()
    plain = net(x)
    with lowered([net], CPU, torch.bfloat16):
        y = net(x)
        with exact(net):
            assert torch.equal(net(x), plain)
        assert torch.equal(net(x), y)
        assert torch.equal(copy.deepcopy(net)(x), y)
        assert (x @ x.T).dtype == torch.float32
        y.sum().backward()
    assert y.dtype == torch.float32
    assert torch.equal(y, wanted)
    assert not torch.equal(y, plain)
    assert torch.equal(net(x), plain)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())


def test_a_copy_of_a_rounding_network_calls_itself() -> None:
    net, x = network(), rows()
    with lowered([net], CPU, torch.bfloat16):
        twin = copy.deepcopy(net)
        with torch.no_grad():
            for p in twin.parameters():
                p.zero_()
        assert twin(x).abs().max() == 0
        assert net(x).abs().max() > 0


def test_networks_are_left_as_they_were_after_an_error() -> None:
    net = network()

    def fail() -> None:
        with lowered([net], CPU, torch.bfloat16), compiled([net], "eager"):
            assert net._compiled_call_impl is not None
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "forward" not in vars(net)
    assert net._compiled_call_impl is None
