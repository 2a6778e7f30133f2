"""What demonstrations are made of; how they behave is in tests/browser/test_demos_run.py."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gencourse import widgets
from gencourse.widgets.exported import array, network


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decoded(spec: dict[str, Any]) -> np.ndarray:
    raw = base64.b64decode(spec["data"])
    if spec["kind"] == "float32":
        return np.frombuffer(raw, "<f4")
    steps = np.frombuffer(raw, "<u2").astype(np.float64)
    return spec["low"] + (spec["high"] - spec["low"]) * steps / 65535


def given(demo: widgets.Demo) -> dict[str, Any]:
    found = re.search(r'<script id="given" type="application/json">(.*?)</script>', demo.html)
    assert found
    return json.loads(found[1])


def test_arrays_come_back_exactly_or_to_half_a_step() -> None:
    x = torch.randn(50, 2, generator=generator()) * 3
    assert np.array_equal(decoded(array(x)), x.flatten().numpy())
    step = (x.max() - x.min()).item() / 65535
    error = np.abs(decoded(array(x, exact=False)) - x.flatten().double().numpy()).max()
    assert error <= 0.51 * step


def test_constant_arrays_have_no_steps() -> None:
    assert np.array_equal(decoded(array(torch.full((4,), 2.5), exact=False)), [2.5] * 4)


@pytest.mark.parametrize("x", [torch.tensor([1.0, float("nan")]), torch.empty(0)])
def test_numbers_that_json_has_not_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="finite"):
        array(x)


def test_batch_normalisation_goes_into_the_layer_before() -> None:
    """γ(y - μ)/√(v + ε) + β of a linear layer's y is another linear layer, to rounding."""
    net = nn.Sequential(
        nn.Linear(2, 12, bias=False), nn.Unflatten(1, (3, 2, 2)), nn.BatchNorm2d(3), nn.Tanh()
    ).eval()
    norm = net[2]
    with torch.no_grad():
        for buffer in (norm.running_mean, norm.weight, norm.bias):
            buffer.uniform_(-1, 1, generator=generator(1))
        norm.running_var.uniform_(0.5, 2, generator=generator(2))
    layers = network(net, (2,))
    assert [spec["kind"] for spec in layers] == ["linear", "tanh"]
    x = torch.randn(7, 2, generator=generator(3))
    weight = decoded(layers[0]["weight"]).reshape(12, 2)
    ours = np.tanh(x.numpy() @ weight.T + decoded(layers[0]["bias"]))
    theirs = net(x).flatten(1).detach().numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (nn.Sequential(nn.Linear(2, 4), nn.GroupNorm(2, 4)), "GroupNorm cannot be taken"),
        (nn.Sequential(nn.Linear(3, 4)), "3 inputs is given shape"),
        (nn.Sequential(nn.ConvTranspose2d(1, 1, 4, stride=2, dilation=2)), "dilation"),
        (nn.Sequential(nn.BatchNorm2d(1)), "must follow"),
    ],
)
def test_what_the_browser_does_not_know_is_refused(net: nn.Module, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        network(net, (2,) if isinstance(net[0], nn.Linear) else (1, 2, 2))


def test_a_demo_is_one_page_in_a_frame_and_nothing_else(tmp_path: Path) -> None:
    demo = widgets.transport_plan()
    shown = demo._repr_html_()
    assert shown.count("<iframe") == 1
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == demo.html  # type: ignore[index]
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import|fetch\(""", demo.html)
    demo.save(tmp_path / "plan.html")
    assert (tmp_path / "plan.html").read_text(encoding="utf-8") == demo.html
    assert repr(demo) == "Demo('The cheapest plan, while you move the places')"


def test_words_cannot_leave_their_place() -> None:
    x = torch.zeros(3, 2)
    hostile = '</script><script>alert("&")</script>'
    options = {"title": hostile, "text": hostile, "slider": hostile, "particles": hostile}
    demo = widgets.frames([x, x], ["0", hostile], **options)
    assert demo.html.count("<script") == 3
    assert hostile not in demo.html
    assert given(demo)["words"]["slider"] == hostile


def test_energies_lie_where_the_script_looks_for_them() -> None:
    """Row i, column j is the point (x_j, y_i), the lowest row first."""
    demo = widgets.temperature(lambda p: p[:, 0] + 10 * p[:, 1], reach=1.0, n=4)
    values = decoded(given(demo)["energy"]).reshape(4, 4)
    at = np.array([-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(values, at[None, :] + 10 * at[:, None], atol=1e-6)


def test_conjugates_are_those_of_the_tangents() -> None:
    """At the slope t = f′(u) the table's f* is t·u - f(u), wherever both are drawn."""
    for name, row in given(widgets.conjugates())["table"].items():
        t, u, f = (np.array(row[k]) for k in ("slope", "u", "f"))
        inside = (t > min(row["t"])) & (t < max(row["t"]))
        if name == "tv":  # f has a kink at 1: slopes are the two ends of the domain
            continue
        assert inside.sum() > 30, name
        found = np.interp(t[inside], row["t"], row["conjugate"])
        np.testing.assert_allclose(found, (t * u - f)[inside], rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: widgets.frames([x], ["0"], title="", text="", slider="", particles=""), "two"),
        (lambda x: widgets.em_steps(x[:, :1]), "points in the plane"),
        (lambda x: widgets.langevin(x, 0.0), "std must be positive"),
        (lambda x: widgets.transport_plan(x), "both"),
        (lambda x: widgets.transport_plan(x, x[:2]), "cannot be matched"),
        (lambda x: widgets.temperature(lambda p: p), "shape"),
        (lambda x: widgets.manifold(nn.Linear(2, 4), x, torch.zeros(2), size=2), "labels"),
    ],
)
def test_bad_input_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(torch.zeros(3, 2))
