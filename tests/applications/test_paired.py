"""Learning from pairs: facts that hold by construction, and losses at their known optimum."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import gencourse
from gencourse.applications import (
    Colorizer,
    SuperResolver,
    Translator,
    bicubic,
    chroma,
    colorize,
    edges,
    grey,
    shrink,
    super_resolve,
    translate,
)
from gencourse.data.base import ImageDataset

DIGITS = gencourse.data.load("digits")
assert isinstance(DIGITS, ImageDataset)
COLOUR = gencourse.data.load("glyphs", size=8, channels=3, n_train=500, n_test=100)
assert isinstance(COLOUR, ImageDataset)
SMALL = {"width": 4, "critic_width": 4, "batch": 8}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------- how sources are made


def test_shrinking_undoes_enlarging_by_repetition() -> None:
    x = DIGITS.images("test")[:5]
    torch.testing.assert_close(shrink(F.interpolate(x, scale_factor=4.0), 4), x)
    assert bicubic(x, 2).shape == (5, 1, 16, 16)
    assert (bicubic(x, 2).abs() <= 1).all()
    constant = torch.full((1, 3, 4, 4), 0.3)
    torch.testing.assert_close(bicubic(constant, 4), torch.full((1, 3, 16, 16), 0.3))


def test_grey_and_chroma_split_a_colour() -> None:
    x = COLOUR.images("test")
    torch.testing.assert_close(grey(x) + chroma(x), x)
    assert grey(chroma(x)).abs().max() < 1e-6
    assert chroma(grey(x).expand_as(x)).abs().max() < 1e-6


def test_edges_forget_what_is_inside() -> None:
    """A drawing does not change when light and dark are exchanged, and a plain image has none."""
    x = COLOUR.images("test")
    assert torch.equal(edges(x), edges(-x))
    assert (edges(torch.full((1, 3, 8, 8), 0.2)) == -1).all()
    assert set(edges(x).unique().tolist()) == {-1.0, 1.0}


# -------------------------------------------------------------------------- training


def test_colouring_keeps_the_brightness() -> None:
    """Whatever the network says, where no colour had to be clipped."""
    model = Colorizer(COLOUR.event_shape, **SMALL)
    model.fit(COLOUR, steps=5, progress=False)
    bright = grey(COLOUR.images("test")[:6])
    coloured = colorize(model, bright, colourings=3, generator=generator())
    assert coloured.shape == (6, 3, 3, 8, 8)
    inside = (coloured.abs() < 1).all(2)
    error = (grey(coloured.flatten(0, 1)).reshape(6, 3, 8, 8) - bright).abs()
    assert inside.float().mean() > 0.5
    assert error[inside].max() < 1e-5
    # Another z is another colouring; the same seed the same.
    assert not torch.equal(coloured[:, 0], coloured[:, 1])
    assert torch.equal(coloured, colorize(model, bright, colourings=3, generator=generator()))


@pytest.mark.parametrize(("pixel", "centre"), [("l2", 0.2), ("l1", 0.6)])
def test_pixel_losses_find_the_mean_and_the_median(pixel: str, centre: float) -> None:
    """One source with three targets, 0.6 twice and -0.6 once: mean 0.2, median 0.6."""
    source = torch.zeros(3, 1, 8, 8)
    target = torch.tensor([0.6, 0.6, -0.6])[:, None, None, None].expand(3, 1, 8, 8)
    model = Translator(
        (1, 8, 8),
        (1, 8, 8),
        objective=None,
        pixel=pixel,
        noise=0,
        width=4,
        batch=24,
        averaging=0.05,
    )
    model.fit(source, target, steps=250, progress=False)
    # The median of 24 draws is 0.6 unless half of them are -0.6, which 1 batch in 20 has.
    assert translate(model, source[:1], generator=generator()).mean().item() == pytest.approx(
        centre, abs=0.06
    )


def test_the_untrained_enlargement_is_bicubic() -> None:
    model = SuperResolver((1, 8, 8), factor=2, **SMALL)
    small = shrink(DIGITS.images("test")[:5], 2)
    torch.testing.assert_close(super_resolve(model, small), bicubic(small, 2))


def test_least_squares_enlarge_better_than_cubic_interpolation() -> None:
    """PSNR of test digits from half their size: bicubic 14.9 dB, and with 150 steps above 16.

    A network that cannot learn stays at bicubic, see above.
    """
    real = DIGITS.images("test")
    small = shrink(real, 2)
    model = SuperResolver((1, 8, 8), factor=2, objective=None, width=16)
    history = model.fit(DIGITS, steps=150, progress=False)
    ours = gencourse.metrics.psnr(super_resolve(model, small), real).mean()
    plain = gencourse.metrics.psnr(bicubic(small, 2), real).mean()
    assert ours > plain + 1
    assert history.metrics["pixel"][-1] < history.metrics["pixel"][0]


def test_the_game_is_that_of_the_objective() -> None:
    """Its losses are recorded, and begin near log 4 and log 2, where the critic is undecided."""
    model = Translator((1, 8, 8), (1, 8, 8), **SMALL)
    x = DIGITS.images("train")
    history = model.fit(edges(x), x, steps=10, progress=False)
    assert set(history.metrics) == {"discriminator", "generator", "pixel"}
    assert history.metrics["discriminator"][0] == pytest.approx(1.386, abs=0.4)
    assert history.metrics["generator"][0] == pytest.approx(0.693, abs=0.4)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def run(steps: list[int], name: str) -> Tensor:
        for last in steps:
            model = Colorizer(COLOUR.event_shape, **SMALL)
            stop = _stop_at(last) if last < 8 else None
            try:
                model.fit(
                    COLOUR, steps=8, progress=False, checkpoint=tmp_path / name,
                    checkpoint_every=2, callback=stop, every=1,
                )  # fmt: skip
            except KeyboardInterrupt:
                continue
        return colorize(model, grey(COLOUR.images("test")[:4]), generator=generator())

    assert torch.equal(run([8], "whole"), run([4, 8], "broken"))
    with pytest.raises(ValueError, match="another run"):
        Colorizer(COLOUR.event_shape, **SMALL).fit(
            COLOUR, steps=8, seed=1, progress=False, checkpoint=tmp_path / "whole"
        )


def _stop_at(last: int):
    def callback(step: int) -> None:
        if step == last:
            raise KeyboardInterrupt

    return callback


def test_seeds_make_weights_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, two, other = (Translator((1, 8, 8), (1, 8, 8), seed=s, **SMALL) for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    x = DIGITS.images("test")[:2]
    assert torch.equal(*(translate(m, x, generator=generator()) for m in (one, two)))
    assert not torch.equal(*(translate(m, x, generator=generator()) for m in (one, other)))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="did you mean 'width'"):
        Translator((1, 8, 8), (1, 8, 8), widht=3)
    with pytest.raises(ValueError, match="same size"):
        Translator((1, 8, 8), (1, 16, 16))
    with pytest.raises(ValueError, match="no loss"):
        Translator((1, 8, 8), (1, 8, 8), objective=None, pixel_weight=0)
    with pytest.raises(ValueError, match="in colour"):
        Colorizer((1, 8, 8))
    with pytest.raises(ValueError, match="in colour"):
        grey(DIGITS.images("test"))
    with pytest.raises(ValueError, match="divisible"):
        SuperResolver((1, 10, 10), factor=4)
    model = Translator((1, 8, 8), (1, 8, 8), **SMALL)
    x = DIGITS.images("train")
    with pytest.raises(ValueError, match="pairs"):
        model.fit(x, x[:-1], progress=False)
    with pytest.raises(ValueError, match="shape"):
        translate(model, COLOUR.images("test"))
    with pytest.raises(ValueError, match="steps"):
        model.fit(x, x, steps=0, progress=False)
