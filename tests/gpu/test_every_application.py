"""Applications that train a network of their own, in mixed precision and compiled."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gencourse import data
from gencourse.applications import Colorizer, ConditionalGAN, SuperResolver, Translator, edges
from gencourse.training import History

NAMES = ("class_conditional", "colorize", "super_resolve", "translate")


def fitted(name: str, where: str, **options: Any) -> tuple[torch.nn.Module, History]:
    digits, colour = (
        data.load("digits"),
        data.load("glyphs", size=8, channels=3, n_train=500, n_test=100),
    )
    x, small = digits.images("train"), {"seed": 1, "device": where, "width": 8, "batch": 8}
    fit = {"steps": 3, "seed": 2, "progress": False, **options}
    if name == "class_conditional":
        conditional = ConditionalGAN((1, 8, 8), 10, **small)
        return conditional, conditional.fit((x, digits.labels("train")), **fit)
    if name == "colorize":
        colorizer = Colorizer(colour.event_shape, **small)
        return colorizer, colorizer.fit(colour, **fit)
    if name == "super_resolve":
        resolver = SuperResolver((1, 8, 8), **small)
        return resolver, resolver.fit(digits, **fit)
    translator = Translator((1, 8, 8), (1, 8, 8), **small)
    return translator, translator.fit(edges(x), x, **fit)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision(where: str, name: str, precision: str) -> None:
    """Networks round, and nothing else does: losses are near those of float32, and finite."""
    lacks = where == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    if lacks and precision == "bf16":
        pytest.skip("this GPU has no bfloat16")
    plain = fitted(name, where)[1].metrics
    model, history = fitted(name, where, precision=precision)
    assert history.metrics != plain
    assert not any("forward" in vars(module) for module in model.modules())  # lowered no longer
    assert all(p.dtype == torch.float32 for p in model.parameters())
    for loss, values in history.metrics.items():
        assert math.isfinite(values[-1])
        if precision == "bf16":
            assert values[-1] == pytest.approx(plain[loss][-1], rel=0.1, abs=0.1), loss


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("name", NAMES)
def test_compiled(where: str, name: str) -> None:
    """The same numbers up to rounding; a fast backend on the CPU, the real one on a GPU."""
    plain = fitted(name, where)[1].metrics
    found = fitted(name, where, compile="eager" if where == "cpu" else True)[1].metrics
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for loss, values in found.items():
        assert values == pytest.approx(plain[loss], rel=1e-3, abs=1e-4), loss


def test_no_such_precision() -> None:
    with pytest.raises(ValueError, match="precision must be None, 'bf16' or 'fp16'"):
        fitted("colorize", "cpu", precision="half")
