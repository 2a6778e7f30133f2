"""The command line: what it prints, and one sentence on stderr with status 2 for bad input."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner, Result

import gencourse
from gencourse.cli import app

FAST = ["--set", "width=4", "--set", "depth=1", "--set", "batch=8"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print tables on a terminal wide enough that no cell wraps, wherever the tests run."""
    monkeypatch.setattr(gencourse.cli, "console", Console(width=200))


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def succeeded(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: object) -> str:
    """Return the one sentence of a refusal, without its ``error:``."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")
    return result.stderr.removeprefix("error: ").strip()


# ----------------------------------------------------------------- systems and doctor


def test_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    # A narrow terminal would fold the titles.
    monkeypatch.setattr("gencourse.cli.console", Console(width=200))
    listed = succeeded("systems")
    for system in gencourse.systems():
        assert system.slug in listed
        assert system.title in listed
        assert system.paper in listed
        assert system.family in listed


def test_systems_as_json() -> None:
    rows = json.loads(succeeded("systems", "--json"))
    assert [row["slug"] for row in rows] == [system.slug for system in gencourse.systems()]
    for row, system in zip(rows, gencourse.systems(), strict=True):
        names = ("slug", "title", "family", "decks", "paper", "chapter", "has_log_prob")
        assert row == {
            **{name: getattr(system, name) for name in names},
            "kinds": list(system.kinds),
        }


def test_doctor() -> None:
    said = succeeded("doctor")
    assert gencourse.describe(torch.device("cpu")) in said
    assert f"Python {sys.version.split()[0]}" in said
    assert re.search(r"matrix products: \d+ GFLOP/s on cpu", said)
    assert "[book]" in said
    assert "[grading]" in said
    assert "data sets: ring8, grid25" in said
    assert "all is well" in said


def test_doctor_says_how_to_get_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert 'pip install "gencourse[grading]" adds it' in succeeded("doctor")


def test_doctor_on_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCOURSE_DEVICE", "gpu")
    assert "GENCOURSE_DEVICE='gpu' is not a device" in refused("doctor")


# ----------------------------------------------------------------- train and evaluate


def test_train_save_and_evaluate(tmp_path: Path) -> None:
    out = tmp_path / "a model.pt"
    said = succeeded("train", "gmm", "--steps", 5, "--out", out, "--set", "components=8")
    assert f"saved {out}" in said
    assert "W1" in said
    assert "real samples against real samples" in said
    assert "least possible NLL" in said
    model = gencourse.load(out)
    assert model.system.slug == "gmm"
    ring = gencourse.data.load("ring8")
    expected = gencourse.evaluate(model, ring, n=300, seed=2)
    result = json.loads(succeeded("evaluate", out, "--n", 300, "--seed", 2, "--json"))
    assert result == {"gmm": pytest.approx(expected)}
    table = succeeded("evaluate", out, "--n", 300, "--seed", 2)
    assert f"{expected['w1']:.3f}" in table
    assert f"{expected['nll']:.3f}" in table


def test_training_from_the_command_line_is_training_from_python(tmp_path: Path) -> None:
    out = tmp_path / "model.pt"
    succeeded(
        "train", "gan", "-d", "moons", "-o", out, "--steps", 7, "--seed", 3,
        "--set", "width=5", "--set", "lr_generator=0.01", "--set", "optimiser=momentum",
    )  # fmt: skip
    moons = gencourse.data.load("moons")
    model = gencourse.build("gan", moons, seed=3, width=5, lr_generator=0.01, optimiser="momentum")
    model.fit(moons, steps=7, seed=3, progress=False)
    loaded = gencourse.load(out)
    assert loaded.settings == model.settings
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor)


def test_a_checkpoint_is_resumed(tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "run.pt", tmp_path / "model.pt"
    command = ["train", "gan", *FAST, "--steps", 20, "--checkpoint", checkpoint]
    succeeded(*command)
    assert torch.load(checkpoint, weights_only=True)["done"] == 20
    # All 20 steps are done: the second run takes their result over.
    succeeded(*command, "--out", out)
    ring = gencourse.data.load("ring8")
    model = gencourse.build("gan", ring, width=4, depth=1, batch=8)
    model.fit(ring, steps=20, progress=False)
    z = {"generator": torch.Generator().manual_seed(0)}
    expected = model.sample(10, **z)
    assert torch.equal(
        gencourse.load(out).sample(10, generator=torch.Generator().manual_seed(0)), expected
    )
    assert "its seed is 0, and that of this run is 1" in refused(*command, "--seed", 1)
    checkpoint.write_bytes(b"garbage")
    assert "is not a training checkpoint, or is damaged; delete it" in refused(*command)


def test_images_can_be_trained_on() -> None:
    said = succeeded("train", "gan", "-d", "digits", "--steps", 2, "--set", "width=2")
    assert "Parzen" in said


# ----------------------------------------------------------------- compare


def test_compare(tmp_path: Path) -> None:
    figure = tmp_path / "all.png"
    command = ["compare", "gmm", "gan", "--steps", 3, "--n", 100, "--figure", figure]
    table = succeeded(*command)
    assert f"drew {figure}" in table
    assert table.index("gmm") < table.index("gan")
    assert figure.read_bytes().startswith(b"\x89PNG")
    first = figure.read_bytes()
    succeeded(*command)
    assert figure.read_bytes() == first  # the same samples: a picture is reproducible
    # A system without a density has a dash where the other has a likelihood.
    (row,) = [line for line in table.splitlines() if re.search(r"\bgan\b", line)]
    assert "–" in row
    assert os.listdir(tmp_path) == ["all.png"]


def test_compare_as_json_prints_nothing_else(tmp_path: Path) -> None:
    figure = tmp_path / "all.svg"
    said = succeeded(
        "compare", "gmm", "-d", "moons", "--steps", 3, "--n", 100, "--seeds", 3, "--json",
        "--figure", figure,
    )  # fmt: skip
    results = json.loads(said)
    assert set(results) == {"gmm"}
    assert b"<svg" in figure.read_bytes()
    moons = gencourse.data.load("moons")
    runs = []
    for seed in range(3):
        model = gencourse.build("gmm", moons, seed=seed)
        model.fit(moons, steps=3, seed=seed, progress=False)
        runs.append(gencourse.evaluate(model, moons, n=100, seed=seed)["w1"])
    assert results["gmm"]["w1"] == pytest.approx(sorted(runs)[1])


def test_compare_takes_all_systems_by_default() -> None:
    results = json.loads(succeeded("compare", "--steps", 2, "--n", 50, "--json"))
    assert list(results) == [s.slug for s in gencourse.systems() if "points" in s.kinds]


def test_a_system_that_fails_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from gencourse.models.kde import KernelDensity

    def fails(*_: object, **__: object) -> None:
        raise FloatingPointError("kde diverged")

    monkeypatch.setattr(KernelDensity, "_fit", fails)
    result = run("compare", "gmm", "kde", "cholesky", "--steps", 2, "--n", 50, "--json")
    assert set(json.loads(result.stdout)) == {"gmm", "cholesky"}
    assert result.exit_code == 2
    assert "kde failed: kde diverged" in result.stderr
    assert "1 of 3 systems failed: kde" in result.stderr


def test_compare_takes_the_systems_that_learn_such_data() -> None:
    said = refused("compare", "gmm", "histogram", "-d", "digits", "--steps", 2)
    assert "'histogram' learns points" in said


def test_a_narrow_terminal_gets_the_table_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images have sixteen columns; none is cut or left out, and every part names the systems."""
    monkeypatch.setattr(gencourse.cli, "console", Console(width=60))
    command = ["compare", "gmm", "cholesky", "-d", "digits", "--steps", 1, "--n", 30]
    said = succeeded(*command)
    lines = said.splitlines()
    assert max(map(len, lines)) <= 60
    assert "…" not in said
    rows = [line for line in lines if line.startswith("│ gmm")]
    assert len(rows) >= 3
    assert len([line for line in lines if line.startswith("│ cholesky")]) == len(rows)
    for heading in ("W1", "NLL", "recognised", "FID", "KID", "coverage", "memorised", "seconds"):
        assert sum(heading in line for line in lines if line.startswith("┃")) == 1


def test_compare_takes_a_family() -> None:
    command = ["compare", "--family", "dens", "-d", "moons", "--steps", 2, "--n", 50, "--json"]
    results = json.loads(succeeded(*command))
    expected = [
        system.slug
        for system in gencourse.systems()
        if system.family == "Densities and energies" and "points" in system.kinds
    ]
    assert sorted(results) == sorted(expected)
    for name, why in {
        "adversarail": "unknown family 'adversarail'; did you mean 'Adversarial'",
        "": "unknown family ''",
    }.items():
        assert why in refused("compare", "--family", name, "--steps", 2)
    said = refused("compare", "gmm", "--family", "adversarial", "--steps", 2)
    assert "no system of Adversarial learns points among those named" in said


def test_compare_images(tmp_path: Path) -> None:
    figure = tmp_path / "digits.png"
    succeeded("compare", "gmm", "-d", "digits", "--steps", 2, "--n", 30, "--figure", figure)
    assert figure.stat().st_size > 1000


# ----------------------------------------------------------------- bad input


@pytest.fixture
def garbage(tmp_path: Path) -> Path:
    path = tmp_path / "garbage.pt"
    path.write_bytes(os.urandom(2000))
    return path


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("train gna", "unknown system 'gna'; did you mean 'gan'"),
        ("train gan -d rnig8", "unknown data set 'rnig8'; did you mean 'ring8'?"),
        ("train gan -d [/red]", "unknown data set '[/red]'; known: "),
        ("train gan --set widht=3", "'gan' has no hyperparameter 'widht'; did you mean 'width'?"),
        ("train gan --set width", "--set takes NAME=VALUE, not 'width'"),
        ("train gan --set =3", "--set takes NAME=VALUE, not '=3'"),
        ("train gan --set width=", "width must be a whole number, not ''"),
        ("train gan --set width=wide", "width must be a whole number, not 'wide'"),
        ("train gan --set width=-1", "width must be above 0, not -1"),
        ("train gan --set beta1=big", "beta1 must be a number in [0, 1), not 'big'"),
        ("train gan --set lr_generator=NaN", "lr_generator must be above 0, not nan"),
        ("train gan --set objective=[1]", "unknown objective [1]"),
        ("train gan --set seed=3", "'seed' is not a hyperparameter"),
        ("train gan --set device=cpu", "'device' is not a hyperparameter"),
        ("train gan --set data=moons", "'data' is not a hyperparameter"),
        ("train gan --set slug=kde", "'slug' is not a hyperparameter"),
        ("train gan --out nowhere/model.pt", "there is no folder"),
        ("train gan --out .", "'.' is a folder; give the name of a file"),
        ("train gan --checkpoint nowhere/run.pt", "there is no folder"),
        ("train gan -d digits --set latent=0", "latent must be above 0"),
        ("train gmm --set ridge=0", "ridge must be above 0"),
        ("evaluate none.pt", "there is no model file 'none.pt'"),
        ("evaluate .", "'.' is not a model saved by gencourse, or is damaged"),
        ("compare gan gna", "unknown system 'gna'"),
        ("compare gan -d rnig8", "unknown data set 'rnig8'"),
        ("compare gan --figure nowhere/a.png", "there is no folder"),
        ("compare gan --figure a.xyz", "no figure can be drawn in format '.xyz'"),
    ],
)
def test_one_sentence_for_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, complaint: str
) -> None:
    """And before anything is trained: the default 4000 steps would take minutes."""
    monkeypatch.chdir(tmp_path)
    sentence = refused(*arguments.split())
    assert complaint in sentence
    assert "\n" not in sentence
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        "train", "train gan --steps 0", "train gan --steps many", "evaluate", "compare --n 1",
        "compare --seeds 0", "nonsense", "train gan --sets width=3",
    ],
)  # fmt: skip
def test_usage_errors_come_from_the_parser(arguments: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage" in result.stderr


def test_a_file_that_is_no_model(garbage: Path) -> None:
    assert "is not a model saved by gencourse, or is damaged" in refused("evaluate", garbage)


def test_a_model_of_other_data(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    gencourse.build("gmm", torch.zeros(1, 3)).save(path)
    assert "samples must have shape (n, 2), not (" in refused("evaluate", path)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENCOURSE_DEVICE", raising=False)
    assert "'gpu' is not a device" in refused("train", "gan", "--device", "gpu")


def test_data_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setenv("GENCOURSE_DATA", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    sentence = refused("train", "gan", "--data", "mnist")
    assert "data set 'mnist' needs" in sentence
    assert "'digits' or 'glyphs', which ship with the course" in sentence


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("train", "gmm", "--steps", 1, "--out", tmp_path / "model.pt")
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert re.search(r"could not write '.*model\.pt' \(No space left on device\)", result.stderr)
    assert "[Errno" not in result.stderr
    assert os.listdir(tmp_path) == []


def test_divergence_is_one_sentence_too() -> None:
    result = run(
        "train", "gan", *FAST, "--steps", 300, "--set", "optimiser=momentum",
        "--set", "lr_generator=1e6", "--set", "lr_discriminator=1e6",
    )  # fmt: skip
    assert result.exit_code == 2
    assert "gan diverged" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupt_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gencourse.data, "load", stop)
    result = run("train", "gan")
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"


def test_the_installed_command() -> None:
    """In a process of its own, as a user runs it: no traceback, and status 2."""
    result = subprocess.run(
        [sys.executable, "-m", "gencourse.cli", "train", "gna"], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stdout == ""
    hint = "did you mean 'gan' or 'wgan' or 'sngan'?"
    assert result.stderr.strip() == f"error: unknown system 'gna'; {hint}"
