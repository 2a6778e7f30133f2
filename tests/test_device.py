"""The choice of device: what is asked for, what is there, and what the environment says."""

from __future__ import annotations

import pytest
import torch

import gencourse


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENCOURSE_DEVICE", raising=False)


def machine(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    """Pretend that torch sees these devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for kwargs, best in (
        ({"cuda": 2, "mps": True}, "cuda"),
        ({"mps": True}, "mps"),
        ({}, "cpu"),
    ):
        machine(monkeypatch, **kwargs)  # type: ignore[arg-type]
        assert gencourse.device() == torch.device(best)


def test_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=2, mps=True)
    assert gencourse.device("cpu") == torch.device("cpu")
    assert gencourse.device("cuda:1") == torch.device("cuda:1")
    assert gencourse.device(torch.device("mps")) == torch.device("mps")


def test_the_environment_overrides_both(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=1)
    monkeypatch.setenv("GENCOURSE_DEVICE", "cpu")
    assert gencourse.device() == torch.device("cpu")
    assert gencourse.device("cuda") == torch.device("cpu")
    monkeypatch.setenv("GENCOURSE_DEVICE", "")
    assert gencourse.device() == torch.device("cuda")


@pytest.mark.parametrize(
    ("prefer", "complaint"),
    [
        ("gpu", "device 'gpu' is not a device; use 'cuda', 'mps' or 'cpu'"),
        ("7", "'7' is not a device"),
        ("cuda", "torch sees 0 CUDA devices"),
        ("mps", "no Apple GPU"),
        ("meta", "'meta' is not supported; use"),
    ],
)
def test_devices_that_are_not_there(
    monkeypatch: pytest.MonkeyPatch, prefer: str, complaint: str
) -> None:
    machine(monkeypatch)
    with pytest.raises(ValueError, match=complaint):
        gencourse.device(prefer)
    monkeypatch.setenv("GENCOURSE_DEVICE", prefer)
    with pytest.raises(ValueError, match=f"GENCOURSE_DEVICE='{prefer}'"):
        gencourse.device()


def test_one_gpu_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=2)
    with pytest.raises(ValueError, match=r"'cuda:2' was asked for, but torch sees 2 CUDA"):
        gencourse.device("cuda:2")


def test_a_gpu_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun numbers them; a GPU that is named is taken all the same."""
    machine(monkeypatch, cuda=2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert gencourse.device() == torch.device("cuda:1")
    assert gencourse.device("cuda") == torch.device("cuda:1")
    assert gencourse.device("cuda:0") == torch.device("cuda:0")
    assert gencourse.device("cpu") == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="process 2 has no GPU of its own: torch sees 2 here"):
        gencourse.device()
    # Each process may have been shown a single one, which is then its own.
    machine(monkeypatch, cuda=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert gencourse.device() == torch.device("cuda")


def test_description() -> None:
    line = gencourse.describe(torch.device("cpu"))
    assert line == (
        f"gencourse {gencourse.__version__}, torch {torch.__version__}, "
        f"cpu: {torch.get_num_threads()} threads"
    )
    assert gencourse.describe(torch.device("mps")).endswith("mps: Apple GPU")


@pytest.mark.gpu
def test_description_of_this_machine(accelerator: str) -> None:
    assert f"{accelerator}: " in gencourse.describe()
