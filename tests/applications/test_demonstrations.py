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


@pytest.mark.nightly
@pytest.mark.parametrize("system", ["ddpm", "vae", "schrodinger-bridge"])
def test_a_latent_path_looks_like_digits_all_along(system: str) -> None:
    """Recognised with seed 0: cross-fade 0.46, ddpm 0.92, vae 0.93, the bridge 0.89."""
    found = numbers("interpolate", system=system)
    fade, latent = found.iloc[0], found.iloc[1]
    assert latent["recognised"] > fade["recognised"] + 0.3
    assert latent["fid"] < fade["fid"] / 3


@pytest.mark.nightly
@pytest.mark.parametrize("system", ["ddpm", "schrodinger-bridge"])
def test_hidden_middles_are_completed_to_the_right_digits(system: str) -> None:
    """Accuracy with seed 0: mean 0.15, harmonic fill 0.23, ddpm 0.68, the bridge 0.60."""
    found = numbers("inpaint", system=system)
    plain = found.loc[["mean of the training images", "harmonic fill"]]
    assert found.loc[system, "accuracy"] > plain["accuracy"].max() + 0.25
    assert found.loc[system, "fid"] < plain["fid"].min() / 5
    assert found.loc[system, "psnr_hidden"] > plain["psnr_hidden"].max() - 0.5


@pytest.mark.nightly
def test_colours_of_the_game_are_as_many_as_the_real_ones() -> None:
    """PSNR with seed 0: grey 21.8, least squares 22.2, best of 16 colourings 24.7.

    Their chroma: 0, 0.07, 0.17, of real images 0.19; energy distance 0.19, 0.10, 0.05.
    """
    found = numbers("colorize")
    squares, game = found.loc["least squares"], found.loc["game"]
    assert squares["psnr"] > found.loc["grey", "psnr"] > found.loc["mean colour", "psnr"]
    # Least squares paint the pale mean, always the same; the game paints what there is.
    assert squares["chroma"] < 0.6 * found.loc["real", "chroma"]
    assert game["chroma"] > 0.7 * found.loc["real", "chroma"]
    assert squares["spread"] == 0
    assert game["spread"] > 0.08
    assert game["best"] > game["psnr"] + 2
    assert game["distance"] < 0.75 * squares["distance"]


@pytest.mark.nightly
def test_least_squares_win_in_psnr_and_the_game_in_looks() -> None:
    """As in the figure of deck B. With seed 0: 14.6, 20.5 and 20.3 dB; FID 997, 325 and 150."""
    found = numbers("super_resolve")
    plain, squares, game = (found.loc[name] for name in ("bicubic", "least squares", "game"))
    assert squares["psnr"] > plain["psnr"] + 4
    assert squares["psnr"] > game["psnr"] > plain["psnr"] + 3
    assert squares["ssim"] > game["ssim"] > plain["ssim"]
    assert game["fid"] < 0.75 * squares["fid"] < squares["fid"] < plain["fid"]
    assert game["recognised"] > squares["recognised"] + 0.02
    assert game["sharpness"] > 1.2 * squares["sharpness"]


@pytest.mark.nightly
def test_drawings_become_images() -> None:
    """Energy distance with seed 0: drawing 24.3, absolute difference 15.4, game 0.43.

    The median colour is a grey on which hardly anything is to be seen, of sharpness 0.006; that
    of the game is 0.13, of real images 0.12.
    """
    found = numbers("translate")
    plain, alone, game = found.iloc[0], found.loc["absolute difference"], found.loc["with the game"]
    assert min(alone["psnr"], game["psnr"]) > plain["psnr"] + 2
    assert game["ssim"] > plain["ssim"] + 0.05
    assert game["distance"] < alone["distance"] / 4 < alone["distance"] < plain["distance"]
    real = found.loc["real", "sharpness"]
    assert alone["sharpness"] < 0.3 * real
    assert 0.6 * real < game["sharpness"] < 1.5 * real


@pytest.mark.nightly
def test_classes_come_as_asked() -> None:
    """Accuracy with seed 0: without the class 0.1, conditional net 0.99."""
    found = numbers("class_conditional")
    assert found.loc["without the class", "accuracy"] == pytest.approx(0.1, abs=0.03)
    assert found.loc["conditional net", "accuracy"] >= 0.95
    assert found.loc["conditional net", "fid"] < found.loc["a Gaussian of each class", "fid"] / 5
