"""Demonstrations in a real browser, which must do what the library does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gencourse
from gencourse import nets, transport, widgets

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("site")]

Shower = Callable[..., AbstractContextManager[Any]]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 2, generator=generator(seed))


def generator_of_points() -> nn.Module:
    return nets.mlp(2, 2, width=16, depth=2)


def demos() -> dict[str, Callable[[], widgets.Demo]]:
    ring = gencourse.data.load("ring8")
    modes, std = ring.modes, ring.mode_std
    assert modes is not None
    assert std is not None
    moving = [points(50) * (1 + t) for t in range(4)]
    words = {"title": "t", "text": "t", "slider": "Time", "particles": "particles"}
    return {
        "push_forward": lambda: widgets.push_forward(generator_of_points(), points(50)),
        "manifold": lambda: widgets.manifold(
            nets.decoder(2, (1, 8, 8), width=4), points(30), torch.arange(30) % 10, size=8
        ),
        "frames": lambda: widgets.frames(moving, ["a", "b", "c", "d"], behind=points(9), **words),
        "net": lambda: widgets.frames(moving, ["a", "b", "c", "d"], net=5, **words),
        "distances": widgets.distances,
        "conjugates": widgets.conjugates,
        "transport_plan": widgets.transport_plan,
        "langevin": lambda: widgets.langevin(modes, std),
        "temperature": lambda: widgets.temperature(lambda x: x.square().sum(1) / 2),
        "bandwidth": lambda: widgets.bandwidth(
            points(20)[:, 0], points(20, 1)[:, 0], lambda x: torch.exp(-x * x / 2) / 2.5066
        ),
        "em_steps": lambda: widgets.em_steps(points(60)),
    }


DEMOS = demos()


@pytest.fixture
def shown(browser: Any) -> Shower:
    """Return a function that shows a demonstration in a frame, as a page of the book would."""

    @contextmanager
    def show(demo: widgets.Demo, width: int = 800, dark: bool = False) -> Iterator[Any]:
        page = browser.new_page(viewport={"width": width, "height": 900})
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda m: m.type in ("error", "warning") and trouble.append(m.text))
        page.on("request", lambda r: r.url.startswith("http") and trouble.append(r.url))
        theme = "dark" if dark else "light"
        page.set_content(
            f'<!doctype html><html lang="en" data-theme="{theme}"><body>{demo._repr_html_()}'
        )
        frame = page.frames[1]
        frame.wait_for_function("document.getElementById('report').textContent.length > 0")
        yield frame
        assert trouble == []
        page.close()

    return show


def report(frame: Any) -> str:
    return str(frame.locator("#report").inner_text())


def numbers(text: str) -> list[float]:
    return [float(v) for v in re.findall(r"-?\d+\.\d+", text)]


@pytest.mark.parametrize("name", DEMOS)
def test_it_fits_draws_and_answers_the_keyboard(shown: Shower, name: str) -> None:
    for width, dark in ((900, False), (360, True)):
        with shown(DEMOS[name](), width, dark) as frame:
            assert frame.evaluate("document.documentElement.scrollWidth <= innerWidth")
            # The frame is as high as what is in it.
            frame.wait_for_function(
                "Math.abs(innerHeight - document.body.getBoundingClientRect().height) < 8"
            )
            for canvas in frame.locator("canvas").all():
                assert (canvas.get_attribute("aria-label") or "").strip()
                colours = canvas.evaluate(
                    "c => new Set(new Uint32Array(c.getContext('2d')"
                    ".getImageData(0, 0, c.width, c.height).data.buffer)).size"
                )
                assert colours > 2
            reports = {report(frame)}

            def listen(frame: Any = frame, reports: set[str] = reports) -> None:
                frame.evaluate("new Promise(requestAnimationFrame)")
                frame.evaluate("new Promise(requestAnimationFrame)")
                reports.add(report(frame))

            for control in frame.locator("input[type=range], .handle").all():
                control.focus()
                for _ in range(6):
                    frame.page.keyboard.press("ArrowRight")
                listen()
            for select in frame.locator("select").all():
                select.select_option(index=1)
                listen()
            for button in frame.locator("button.action").all():
                button.click()
                listen()
            assert len(reports) > 1
            for button in frame.locator("button.action", has_text="Pause").all():
                button.click()


@pytest.mark.parametrize("kind", ["mlp", "decoder", "dcgan"])
def test_networks_compute_what_they_do_in_torch(shown: Shower, kind: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            "mlp": lambda: nets.mlp(2, 3, width=32, depth=3, activation=nn.SiLU),
            "decoder": lambda: nets.decoder(2, (1, 8, 8), width=8),
            "dcgan": lambda: nets.dcgan_generator(2, (1, 16, 16), width=4),
        }
        network = made[kind]()
        network(points(64, 1))  # lets batch normalisation remember something
        network.eval()
    from gencourse.widgets.exported import network as exported

    z = points(5, 2)
    with shown(widgets.transport_plan()) as frame:
        outputs = frame.evaluate(
            "([layers, z]) => { const f = kit.network(layers); return z.map(x => [...f(x)]); }",
            [exported(network, (2,)), z.tolist()],
        )
    with torch.no_grad():
        theirs = network(z).flatten(1).numpy()
    # Sums of some hundred terms in single precision, taken in another order.
    np.testing.assert_allclose(np.array(outputs), theirs, atol=2e-6, rtol=2e-5)


def test_normals_are_normal_and_the_same_for_everybody(shown: Shower) -> None:
    with shown(widgets.transport_plan()) as frame:
        draw = (
            "(() => { const s = kit.random(5); return Array.from({length: 20000}, s.normal); })()"
        )
        first, second = np.array(frame.evaluate(draw)), np.array(frame.evaluate(draw))
    assert np.array_equal(first, second)
    # Five standard errors of each moment: 1/√n, √2/√n, √96/√n.
    assert abs(first.mean()) < 5 / 20000**0.5
    assert abs(first.var() - 1) < 5 * (2 / 20000) ** 0.5
    assert abs((first**4).mean() - 3) < 5 * (96 / 20000) ** 0.5


def test_the_plan_is_optimal_and_its_prices_say_so(shown: Shower) -> None:
    for seed in range(3):
        x, y = points(7, seed), points(7, seed + 10)
        with shown(widgets.transport_plan(x, y)) as frame:
            cost, prices = numbers(report(frame))[:2]
        _, exact = transport.monge(torch.cdist(x.double(), y.double()))
        assert cost == pytest.approx(float(exact), abs=0.006)  # two digits are shown
        assert prices == pytest.approx(cost, abs=0.011)


def test_distances_are_those_of_the_closed_forms(shown: Shower) -> None:
    """Two Gaussians of width σ, one apart: KL = 1/2σ², W1 = 1, TV = 2Φ(1/2σ) - 1."""
    with shown(widgets.distances()) as frame:
        shift, tv, js, kl, w1 = numbers(report(frame))
    assert (shift, w1) == (1.0, 1.0)
    assert kl == pytest.approx(1 / (2 * 0.4**2), abs=0.006)
    normal = torch.distributions.Normal(0.0, 1.0)
    assert tv == pytest.approx(2 * normal.cdf(torch.tensor(1 / 0.8)).item() - 1, abs=0.006)
    assert 0 < js < 0.6932


def test_temperatures_of_a_gaussian(shown: Shower) -> None:
    """E = ‖x‖²/2 in the plane at T = 1: log Z = log 2π, entropy 1 + log 2π; T scales Z."""
    with shown(widgets.temperature(lambda x: x.square().sum(1) / 2, reach=6.0)) as frame:
        t, entropy, log_z = numbers(report(frame))
        assert (t, round(log_z, 2)) == (1.0, 1.84)
        assert entropy == pytest.approx(2.84, abs=0.011)
        slider = frame.locator("input[type=range]")
        slider.evaluate("e => { e.value = Math.log10(0.5); e.dispatchEvent(new Event('input')); }")
        frame.wait_for_function("document.getElementById('report').innerText.includes('0.50')")
        t, entropy, log_z = numbers(report(frame))
    assert log_z == pytest.approx(np.log(2 * np.pi * t), abs=0.011)


def test_em_climbs_to_where_scikit_learn_ends(shown: Shower) -> None:
    from sklearn.mixture import GaussianMixture

    x = torch.cat([points(80) * 0.4 - 1.5, points(80, 1) * 0.5 + 1.5])
    best = GaussianMixture(2, n_init=5, random_state=0, tol=1e-7).fit(x.numpy()).score(x.numpy())
    with shown(widgets.em_steps(x)) as frame:
        frame.locator("input[type=range]").first.evaluate(
            "e => { e.value = 2; e.dispatchEvent(new Event('input')); }"
        )
        last = -np.inf
        for _ in range(30):
            frame.locator("button.action", has_text="One step").click()
            frame.evaluate("new Promise(requestAnimationFrame)")
            frame.evaluate("new Promise(requestAnimationFrame)")
            now = numbers(report(frame))[0]
            assert now >= last - 1e-4  # the last digit shown
            last = now
    assert last == pytest.approx(best, abs=2e-3)  # the little variance that keeps matrices regular


def test_langevin_keeps_the_density_and_overshoots_beyond_two(shown: Shower) -> None:
    """One Gaussian of width σ: the step of size ησ² has variance σ²/(1 - η/2) for η < 2."""
    with shown(widgets.langevin(torch.zeros(1, 2), 0.5, reach=3.0)) as frame:
        spread = "x.reduce((s, v) => s + v * v, 0) / x.length"
        click = "for (let k = 0; k < 20; k++) for (let j = 0; j < 10; j++) move();"
        frame.evaluate(click)
        found = frame.evaluate(spread)
        exact = 0.5**2 / (1 - 0.2 / 2)
        assert found == pytest.approx(exact, rel=5 * (2 / 600) ** 0.5)
        step = frame.locator("input[type=range]").nth(1)
        step.evaluate("e => { e.value = 2.4; e.dispatchEvent(new Event('input')); }")
        frame.evaluate(click)
        assert frame.evaluate(spread) > 1e4
