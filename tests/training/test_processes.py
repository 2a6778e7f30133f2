"""Two processes that train one model, started by the engine that starts them on GPUs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import two_processes
from two_processes import RUNS, one_step

import gencourse
from gencourse import data
from gencourse.training.processes import ALONE, Processes, join, leads

HERE = Path(__file__).parent


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "GENCOURSE_DEVICE": "cpu", **more}


def torchrun(*command: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*run, *command], env=environment(), capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    result = torchrun(str(HERE / "two_processes.py"), str(folder))
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def both(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def same(a: tuple[dict[str, Any], Any], b: tuple[dict[str, Any], Any]) -> bool:
    states = a[0].keys() == b[0].keys() and all(torch.equal(a[0][k], b[0][k]) for k in a[0])
    return states and a[1] == b[1]


# One worker runs the script for all of these.
pytestmark = pytest.mark.xdist_group("two processes")


@pytest.mark.parametrize("clip", [None, 0.01])
def test_a_step_of_two_is_the_step_on_both_batches(
    both: list[dict[str, Any]], clip: float | None
) -> None:
    """In float64; each process has half of the rows, and the halves differ."""
    rows = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    together = both[0][f"step {clip}"]
    assert torch.equal(together, both[1][f"step {clip}"])
    alone = one_step(rows, ALONE, clip)
    # Adam divides by |g| + 1e-8, so a rounding of 1e-16 in a gradient may grow to 1e-8 of a step.
    torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-9)
    half = one_step(rows[:5], ALONE, clip)
    assert (half - alone).abs().max() > 1e-3


@pytest.mark.parametrize("name", [*RUNS, "fp16", "application"])
def test_both_end_with_the_same_model_and_record(both: list[dict[str, Any]], name: str) -> None:
    assert same(both[0][name], both[1][name])
    _, metrics = both[0][name]
    assert all(math.isfinite(v) for values in metrics.values() for v in values)


def test_they_learn_from_other_batches(both: list[dict[str, Any]]) -> None:
    """Alone with the same seeds, the first process would come to other weights."""
    assert not same(both[0]["realnvp"], two_processes.fitted("realnvp"))
    assert not same(both[0]["application"], two_processes.enlarger())
    assert both[0]["seed"] == 7
    assert both[1]["seed"] != 7
    assert len({Processes(rank, 64).seed(7) % 2**32 for rank in range(64)}) == 64


@pytest.mark.parametrize("name", ["gmm-mcem", "kde", "tabak"])
def test_what_has_no_gradients_comes_out_as_alone(both: list[dict[str, Any]], name: str) -> None:
    assert same(both[0][name], two_processes.fitted(name))


@pytest.mark.parametrize("name", ["gan", "ebm", "ae-ot-gan"])
def test_a_broken_run_of_two_is_resumed_to_the_same_numbers(
    both: list[dict[str, Any]], name: str
) -> None:
    """From the checkpoint after step 4, with the state of both generators."""
    for found in both:
        assert same(found[f"{name} resumed"], found[f"{name} whole"])
    # At a checkpoint the second takes over what it does not share in every step, such as its map;
    # so a run without one is another. (Chains forget where they were as long as p is normal.)
    assert same(both[0][f"{name} whole"], both[0][name]) == (name != "ae-ot-gan")


def test_a_checkpoint_of_two_is_not_one_of_a_single_process(folder: Path, both: Any) -> None:
    with pytest.raises(ValueError, match="its processes is 2, and that of this run is 1"):
        two_processes.fitted("gan", checkpoint=folder / "gan.pt")


def test_only_the_first_writes_and_calls_back(folder: Path, both: list[dict[str, Any]]) -> None:
    assert [found["leads"] for found in both] == [True, False]
    assert [len(found["called"]) for found in both] == [3 * 8, 0]
    assert (folder / "saved by 0.pt").exists()
    assert not (folder / "saved by 1.pt").exists()


def test_an_error_of_the_first_is_raised_by_both(both: list[dict[str, Any]]) -> None:
    for found in both:
        assert "is not a training checkpoint, or is damaged" in found["damaged"]


def test_the_command_line_under_torchrun(tmp_path: Path) -> None:
    """One table, one bar, one file."""
    out = tmp_path / "model.pt"
    command = ["train", "gan", "--steps", "20", "--set", "width=4", "--set", "batch=8"]
    result = torchrun("-m", "gencourse", *command, "--out", str(out), "--precision", "bf16")
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count("saved ") == 1
    assert result.stdout.count("real samples against real samples") == 1
    assert result.stderr.count("20/20") == 1
    assert gencourse.load(out).sample(2).isfinite().all()


# ----------------------------------------------------------------- what goes wrong


FORGOTTEN = """
import os, sys, time, datetime, torch, gencourse
from gencourse.training import processes
processes.TIMEOUT = datetime.timedelta(seconds=float(sys.argv[2]))
data = gencourse.data.load("ring8")
model = gencourse.build("gan", data, width=4, depth=1, batch=8)
rank = int(os.environ["RANK"])
noise = model.noise
def disturbed(*shape, **options):
    if rank == 1 and len(calls) == 20:
        if sys.argv[1] == "leaves":
            os._exit(3)
        time.sleep(40)
    calls.append(1)
    return noise(*shape, **options)
calls = []
model.noise = disturbed
model.fit(data, steps=2000, progress=False)
"""


@pytest.mark.parametrize(("how", "timeout"), [("leaves", 600), ("sleeps", 4)])
def test_a_process_does_not_wait_forever(how: str, timeout: float) -> None:
    """One of two leaves without a word, or stays away for longer than the others wait."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FORGOTTEN, how, str(timeout)],
            env=environment(
                RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
            ),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    begun = time.monotonic()
    try:
        _, complaint = started[0].communicate(timeout=120)
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert started[0].returncode not in (0, None)
    assert "Error" in complaint
    assert time.monotonic() - begun < 100


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_processes")
def test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert join(torch.device("cpu")) is ALONE
    assert leads()
    monkeypatch.setenv("WORLD_SIZE", "1")  # torchrun with a single process
    assert join(torch.device("cpu")) is ALONE
    assert leads()


@pytest.mark.usefixtures("no_processes")
def test_the_others_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    dataset = data.load("ring8")
    model = gencourse.build("gan", dataset, width=4, depth=1, device="cpu")
    with pytest.raises(
        ConnectionError, match=r"WORLD_SIZE=4 says .* RANK expected, but not set\. Start them with"
    ):
        model.fit(dataset, steps=1, progress=False)
    with pytest.raises(ValueError, match="on GPUs of CUDA or on CPUs, not on 'mps'"):
        join(torch.device("mps"))
    monkeypatch.setenv("WORLD_SIZE", "four")
    with pytest.raises(ValueError, match="WORLD_SIZE should be a whole number, but is 'four'"):
        model.fit(dataset, steps=1, progress=False)


def test_an_error_in_one_process_is_raised_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two, whose own check finds nothing."""
    monkeypatch.setattr(Processes, "gather", lambda self, mine: [FloatingPointError("NaN"), mine])
    with pytest.raises(FloatingPointError, match="NaN"):
        Processes(1, 2).all(lambda: None)
