"""The human test: honest pairs, a right score, buttons that do what they say, a figure."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import beta
from torch import Tensor

from gencourse.widgets import TwoAlternativeTest, TwoAlternativeTrials
from gencourse.widgets.two_alternative import Score

# Real images are bright, each of its own grey; generated ones dark.
REAL = torch.linspace(0.1, 1.0, 20)[:, None, None, None].expand(20, 1, 4, 4)
FAKE = -torch.linspace(0.1, 1.0, 30)[:, None, None, None].expand(30, 1, 4, 4)


def right_side(pair: tuple[Tensor, Tensor]) -> str:
    return "left" if pair[0].mean() > pair[1].mean() else "right"


def wrong_side(pair: tuple[Tensor, Tensor]) -> str:
    return {"left": "right", "right": "left"}[right_side(pair)]


# ----------------------------------------------------------------- the trials


def test_each_pair_is_one_real_and_one_generated_image_shown_once() -> None:
    trials = TwoAlternativeTrials(REAL, FAKE)
    assert trials.total == 20
    shown, sides = [], []
    while not trials.done:
        pair = trials.pair
        sides.append(right_side(pair))
        means = sorted(x.mean().item() for x in pair)
        assert means[0] < 0 < means[1]
        shown += means
        assert pair[0].shape == (1, 4, 4)
        assert trials.answer(sides[-1])
    assert len(set(shown)) == 40
    assert trials.score.right == trials.score.asked == 20
    # Both sides occur: with 20 fair coins, 4 to 16 have probability 0.997.
    assert 4 <= sides.count("left") <= 16
    assert trials.solution(0, 20) == sides
    # Not in the order in which they came.
    assert shown[1::2] != sorted(shown[1::2])
    assert right_side(trials.pair) == sides[-1]  # still the last pair


def test_the_seed_decides() -> None:
    first, again, other = (TwoAlternativeTrials(REAL, FAKE, seed=s) for s in (0, 0, 1))
    torch.testing.assert_close(torch.stack(first.pair), torch.stack(again.pair))
    assert first.solution(0, 20) == again.solution(0, 20) != other.solution(0, 20)
    before = torch.get_rng_state()
    TwoAlternativeTrials(REAL, FAKE)
    assert torch.equal(torch.get_rng_state(), before)


def test_sides_are_fair() -> None:
    """Over many seeds the first real image is left in half of the cases: ± 3 σ = 3 · 0.025."""
    left = [TwoAlternativeTrials(REAL, FAKE, seed=s).solution(0, 1) == ["left"] for s in range(400)]
    assert np.mean(left) == pytest.approx(0.5, abs=0.075)


def test_the_score_and_its_interval() -> None:
    trials = TwoAlternativeTrials(REAL, FAKE)
    assert trials.score == Score(0, 0, 0.0, 1.0)
    assert str(trials.score) == "No answers yet."
    assert not trials.answer(wrong_side(trials.pair))
    for _ in range(7):
        assert trials.answer(right_side(trials.pair))
    score = trials.score
    assert (score.right, score.asked) == (7, 8)
    # Clopper and Pearson: quantiles of beta distributions.
    assert score.low == pytest.approx(beta.ppf(0.025, 7, 2))
    assert score.high == pytest.approx(beta.ppf(0.975, 8, 1))
    assert str(score) == "7 of 8 right, 88 % (95 % interval 47 % to 100 %; guessing gives 50 %)."


@given(answers=st.lists(st.booleans(), min_size=1, max_size=20))
def test_any_answers(answers: list[bool]) -> None:
    trials = TwoAlternativeTrials(REAL, FAKE)
    for wanted in answers:
        side = right_side(trials.pair) if wanted else wrong_side(trials.pair)
        assert trials.answer(side) == wanted
    score = trials.score
    assert (score.right, score.asked) == (sum(answers), len(answers))
    assert 0 <= score.low <= score.right / score.asked <= score.high <= 1
    assert trials.done == (len(answers) == 20)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="must have the same shape, or it would give them away"):
        TwoAlternativeTrials(REAL, FAKE[:, :, :3])
    with pytest.raises(ValueError, match="real must have shape"):
        TwoAlternativeTrials(REAL.flatten(1), FAKE)
    with pytest.raises(ValueError, match="fake must have shape"):
        TwoAlternativeTrials(REAL, FAKE.expand(-1, 2, -1, -1))
    with pytest.raises(ValueError, match="fake is empty"):
        TwoAlternativeTrials(REAL, FAKE[:0])
    with pytest.raises(ValueError, match="real holds"):
        TwoAlternativeTest(REAL * math.nan, FAKE)
    trials = TwoAlternativeTrials(REAL[:1], FAKE[:1])
    with pytest.raises(ValueError, match="'left' or 'right', not 'middle'"):
        trials.answer("middle")
    trials.answer("left")
    with pytest.raises(ValueError, match="all 1 pairs have been judged"):
        trials.answer("left")
    with pytest.raises(ValueError, match="n must be"):
        TwoAlternativeTest(REAL, FAKE).figure(0)


# ----------------------------------------------------------------- the widget


def parts(test: TwoAlternativeTest) -> tuple[list[Any], list[Any], Any]:
    """Pictures, buttons and status line."""
    columns, status = test.view.children
    pictures, buttons = zip(*(column.children for column in columns.children), strict=True)
    return list(pictures), list(buttons), status


def grey(picture: Any) -> float:
    return float(np.asarray(Image.open(io.BytesIO(picture.value)), dtype=float).mean())


def test_the_buttons_answer() -> None:
    test = TwoAlternativeTest(REAL[:3], FAKE)
    pictures, buttons, status = parts(test)
    assert "Which picture is real? 3 to go." in status.value
    assert [button.description for button in buttons] == [
        "The left one is real", "The right one is real",
    ]  # fmt: skip
    for wanted, verdict in ((0, "Right. 1 of 1"), (1, "No, the other one was. 1 of 2")):
        brighter = 0 if grey(pictures[0]) > grey(pictures[1]) else 1
        expected = sorted(127.5 * (1 + x.mean().item()) for x in test.trials.pair)
        assert sorted(map(grey, pictures)) == pytest.approx(expected, abs=0.5)
        buttons[brighter ^ wanted].click()
        assert verdict in status.value
    last = [picture.value for picture in pictures]
    assert not buttons[0].disabled
    buttons[0].click()
    assert "That was the last pair." in status.value
    assert "0 to go" in status.value
    assert all(button.disabled for button in buttons)
    assert [picture.value for picture in pictures] == last
    buttons[0].click()  # a click that was under way changes nothing
    assert test.trials.score.asked == 3
    assert test.view is test.view


def test_pictures_are_large_enough_to_see_and_not_smoothed() -> None:
    colour = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    test = TwoAlternativeTest(colour, -colour)
    picture = Image.open(io.BytesIO(parts(test)[0][0].value))
    assert picture.size == (200, 200)
    assert picture.mode == "RGB"
    shown = torch.from_numpy(np.array(picture))[12::25, 12::25].permute(2, 0, 1)
    assert torch.equal(shown, ((test.trials.pair[0] + 1) * 127.5).round().to(torch.uint8))


# ----------------------------------------------------------------- static pages


def test_a_kernel_offers_the_widget_and_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENCOURSE_STATIC", raising=False)
    test = TwoAlternativeTest(REAL, FAKE)
    bundle = test._repr_mimebundle_()
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == test.view.model_id
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size[0] > 500
    assert "No answers yet" in bundle["text/plain"]


def test_a_static_page_gets_the_figure_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCOURSE_STATIC", "1")
    test = TwoAlternativeTest(REAL, FAKE)
    assert set(test._repr_mimebundle_()) == {"text/plain", "image/png"}
    assert test._view is None  # nothing that would be stored in the page


def test_the_figure_tells_the_truth() -> None:
    test = TwoAlternativeTest(REAL, FAKE)
    figure = test.figure(4)
    drawn = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in drawn] == ["1", "2", "3", "4"]
    sides = []
    for ax in drawn:
        levels = np.asarray(ax.images[0].get_array(), dtype=float)
        sides.append("left" if levels[:, :4].mean() > levels[:, -4:].mean() else "right")
    solution = ", ".join(f"{i + 1} {side}" for i, side in enumerate(sides))
    assert figure.get_supxlabel() == f"Which is real? Solution: {solution}."
    assert test.trials.score.asked == 0
    assert len(TwoAlternativeTest(REAL[:1], FAKE).figure().axes) == 1
