"""Every application at work: numbers for each method, a picture, and the command for both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gencourse
from gencourse import cli
from gencourse.applications import DEMONSTRATIONS, Demonstration, demonstrate

DIGITS = gencourse.data.load("digits")
FEW: dict[str, Any] = {"steps": 3, "progress": False}
#: What each application does in a few seconds, and the methods that it compares.
CASES: dict[str, dict[str, Any]] = {
    "interpolate": {"model": gencourse.build("vae", DIGITS, width=8)},
    "inpaint": {
        "model": gencourse.build("ncsn", DIGITS, width=8, levels=3, langevin_steps=2),
    },
    "colorize": {},
    "super_resolve": {"factor": 2},
    "translate": {},
    "class_conditional": {},
}
TINY = gencourse.data.load("glyphs", size=8, channels=3, n_train=200, n_test=50)


def test_there_is_one_for_every_application() -> None:
    assert set(DEMONSTRATIONS) == set(CASES)
    assert all(callable(getattr(gencourse.applications, name)) for name in DEMONSTRATIONS)


@pytest.fixture(scope="module")
def shown() -> dict[str, Demonstration]:
    results = {}
    for name, options in CASES.items():
        data = TINY if name == "colorize" else DIGITS
        results[name] = demonstrate(name, data, **options, **FEW)
    return results


@pytest.mark.parametrize("name", CASES)
def test_each_measures_and_draws(shown: dict[str, Demonstration], name: str) -> None:
    result = shown[name]
    assert len(result.rows) >= 2
    assert not result.numbers.isna().to_numpy().any()
    shapes = {tuple(images.shape[2:]) for images in result.pictures.values()}
    assert shapes == {(8, 8)}
    assert len(result.figure().axes) == len(result.pictures)
    assert result.title
    assert result.caption


def test_real_images_judge_themselves_best(shown: dict[str, Demonstration]) -> None:
    for name in ("super_resolve", "translate"):
        numbers = shown[name].numbers
        assert numbers.loc["real", "ssim"] == pytest.approx(1)
        assert numbers["ssim"].idxmax() == "real"
        assert numbers["accuracy"].idxmax() == "real"
    colours = shown["colorize"].numbers
    assert colours.loc["real", "distance"] == pytest.approx(0, abs=1e-6)
    assert colours.loc["grey", "chroma"] == pytest.approx(0, abs=1e-6)


def test_the_command(tmp_path: Path) -> None:
    figure = tmp_path / "digits.png"
    command = ["apply", "class_conditional", "--steps", "2", "--json", "--figure", str(figure)]
    result = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert 0 <= rows["conditional net"]["accuracy"] <= 1
    assert figure.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colourise"], "unknown application"),
        (["translate", "--system", "ddpm"], "no system to choose"),
        (["inpaint", "--data", "ring8"], "holds none"),
        (["colorize", "--data", "digits"], "grey images"),
        (["inpaint", "--figure", "x.docx"], "no figure can be drawn"),
    ],
)
def test_the_command_refuses(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli.app, ["apply", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


# --------------------------------------------- what each is for, with default settings


def numbers(name: str, **options: Any) -> Any:
    found = demonstrate(name, progress=False, **options).numbers
    print(found.to_string())
    return found
