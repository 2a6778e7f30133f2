"""What the capstone's checks give to samples of systems, and to attempts to do without one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from capstone_answers import SYSTEMS, data, made

from gencourse.grading.samples import Judged, shares, unpack
from gencourse.grading.session import reference

ROOT = Path(__file__).resolve().parents[2]


@cache
def judged(name: str) -> Judged:
    text = SYSTEMS.get(name) or made(name)
    return reference("capstone").judged(unpack(text), torch.cat(data()))


@pytest.fixture(autouse=True)
def _course(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCOURSE_COURSE", str(ROOT))


@pytest.mark.parametrize("name", ["ddpm", "ddpm-again", "ddpm-seed1", "gmm"])
def test_systems_get_their_points(name: str) -> None:
    """A good one all; a mixture of Gaussians, which is too smooth, all but a part of FID's."""
    found = judged(name)
    earned = shares(found)
    if name == "gmm":
        assert 0.75 < earned.pop("fid") < 0.9
    assert earned == dict.fromkeys(earned, 1.0)
    assert found.classes == 10
    assert found.copied + found.repeated < 0.05


@pytest.mark.parametrize(
    "name",
    [
        "training images",
        "test and training images",
        "hidden images",
        "moved by a pixel",
        "moved by half a pixel",
        "noise of 0.05",
        "noise of 0.1",
        "one image",
        "one of mine",
        "three of mine, with noise",
        "black",
        "noise",
    ],
)
def test_what_is_no_system_gets_nothing(name: str) -> None:
    assert sum(shares(judged(name)).values()) < 0.02


# Each is a way to look better than it is; what is left is less than a third, or than 45 %.
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("a Gaussian", 0.1),
        ("noise of 0.2", 0.3),
        ("noise of 0.3", 0.35),
        ("with a neighbour", 0.33),
        ("moved by a quarter", 0.45),
    ],
)
def test_half_hidden_copies_get_little(name: str, most: float) -> None:
    earned = shares(judged(name))
    assert sum(earned.values()) / len(earned) < most
    assert earned["near"] < 0.2


def test_the_hidden_images_are_nobody_elses() -> None:
    """None is in the data that students have, and all are on its grey levels."""
    hidden = reference("capstone").hidden()
    public = torch.cat(data())
    assert hidden.shape == (3823, 1, 8, 8)
    assert len(torch.cat([hidden, public]).flatten(1).unique(dim=0)) == len(hidden) + len(public)
    assert torch.equal((hidden + 1) * 8, ((hidden + 1) * 8).round())
