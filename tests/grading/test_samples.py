"""Samples that are handed in: the text survives, and anything else gets a sentence."""

from __future__ import annotations

import base64
import json
import re
import zlib

import pytest
import torch

from gencourse.grading.samples import (
    ENTRY,
    SHARES,
    Judged,
    entry_line,
    judge,
    pack,
    shares,
    told,
    unpack,
)


def images(seed: int = 0) -> torch.Tensor:
    """A thousand images on the grey levels of the data."""
    levels = torch.randint(17, (1000, 1, 8, 8), generator=torch.Generator().manual_seed(seed))
    return levels / 8 - 1


def test_what_is_packed_comes_back() -> None:
    x = images()
    text = pack(x)
    assert torch.equal(unpack(text), x)
    assert torch.equal(unpack("\r\n  ".join(text.split())), x)  # whatever an editor makes of it
    assert pack((x[:, 0].double() + 0.01).clamp(-1, 1)) == text  # rounded to the levels of the data
    assert len(text) < 60_000
    assert all(
        re.fullmatch(r"[A-Za-z0-9+/=]+|gencourse-samples-1 \w{8}", t) for t in text.split("\n")
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda x: x[:999], "must have shape"),
        (lambda x: x.repeat(1, 3, 1, 1), "must have shape"),
        (lambda x: ((x + 1) * 127.5).byte(), "floating"),
        (lambda x: x.numpy(), "tensor"),
        (lambda x: x * float("nan"), "NaN"),
        (lambda x: x.index_fill(0, torch.tensor([3]), float("inf")), "NaN or infinity"),
        (lambda x: 128 * x, "clamp"),
        (lambda x: x * 1.01, "clamp"),
    ],
)
def test_wrong_images_are_refused_with_advice(wrong, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        pack(wrong(images()))


def text_of(raw: bytes, *, crc: int | None = None) -> str:
    check = zlib.crc32(raw) if crc is None else crc
    return f"gencourse-samples-1 {check:08x}\n{base64.b64encode(zlib.compress(raw)).decode()}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "not a NoneType"),
        (b"gencourse-samples-1", "not a bytes"),
        ("", "does not begin"),
        ("gencourse-samples-1", "cut off"),
        ("gencourse-samples-1 0123 abc", "cut off"),
        ("gencourse-samples-1 00000000 ****", "damaged"),
        ("gencourse-samples-1 00000000 YWJj", "damaged"),
        ("x" * 10**6, "longer"),
        (text_of(bytes(63_999)), "does not hold"),
        (text_of(bytes(64_001)), "does not hold"),
        (text_of(bytes(10**8)), "does not hold"),  # 100 MB in 130 kB are not unpacked
        (text_of(bytes(64_000), crc=1), "was changed"),
        (text_of(bytes([17]) * 64_000), "above 16"),
    ],
)
def test_text_that_is_none_of_ours_is_refused(text: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpack(text)


def judged(**changes: float) -> Judged:
    full = {"recognised": 1.0, "classes": 10, "coverage": 1.0, "fid": 1.0, "near": 0.1}
    rest = {"own": torch.ones(1000, dtype=torch.bool), "copied": 0.0, "repeated": 0.0}
    return Judged(**{**full, **rest, **changes})  # type: ignore[arg-type]


def test_points_grow_evenly_between_two_values() -> None:
    assert shares(judged()) == dict.fromkeys(SHARES, 1.0)
    for name, (none, all_) in SHARES.items():
        middle = (none * all_) ** 0.5 if name == "fid" else (none + all_) / 2
        if name == "near":
            continue
        found = [shares(judged(**{name: value}))[name] for value in (none, middle, all_)]
        assert found == pytest.approx([0, 0.5, 1])
    none, all_ = SHARES["near"]
    # What is learned by heart earns nothing itself, and halves the rest.
    assert shares(judged(near=none)) == {"recognised": 0.5, "coverage": 0.5, "fid": 0.5, "near": 0}
    assert shares(judged(near=(none + all_) / 2))["fid"] == pytest.approx(0.75)
    # Noise is near to nothing.
    assert shares(judged(near=0.0, recognised=0.0))["near"] == 0
    assert "earns nothing" in told(judged(recognised=0.5), "recognised")[1]


def test_copies_and_repeats_are_found() -> None:
    g = torch.Generator().manual_seed(1)
    old, new = (2 * torch.rand(300, 1, 8, 8, generator=g) - 1 for _ in range(2))
    x = 2 * torch.rand(300, 1, 8, 8, generator=g) - 1
    x[:30] = old[:30] + 0.02  # copies
    x[30:60] = torch.nn.functional.pad(old[30:60], (1, 0), value=-1.0)[..., :-1]  # moved
    x[60:90] = x[90:91]  # all but the first of these 31 repeat it
    found = judge(x, new, [(old, new)])
    assert found.copied == pytest.approx(0.2)
    assert found.repeated == pytest.approx(0.1)
    assert found.own.sum() == 300 - 60 - 30


@pytest.mark.parametrize(
    "card",
    [("a\nLeaderboard: {}", "x"), ("é", "\ud800"), ("x" * 1000, "y"), None, (1, 2), ("one",), {}],
)
def test_the_line_for_the_leaderboard_is_one_line_of_ascii(card: object) -> None:
    line = entry_line(images(), judged(fid=float("inf")), card)
    assert line.startswith(ENTRY)
    assert line.isascii()
    assert "\n" not in line
    entry = json.loads(line.removeprefix(ENTRY))
    assert len(entry["name"]) <= 40
    assert entry["samples"] == pack(images()).split()[1]
