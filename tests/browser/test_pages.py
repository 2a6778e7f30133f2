"""Every page in a real browser, without a network, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).resolve().parents[2]
Opener = Callable[..., AbstractContextManager[Any]]


def listed() -> list[str]:
    """Return the names of the pages in ``_toc.yml``."""
    lines = (ROOT / "_toc.yml").read_text(encoding="utf-8").splitlines()
    return [line.split(":")[1].strip() for line in lines if ": book/" in line]


def written_as(name: str) -> bool:
    return (ROOT / f"{name}.ipynb").is_file()


PAGES = listed()
CHAPTERS = [name for name in PAGES if written_as(name)]


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_fits(opened: Opener, name: str, width: int) -> None:
    with opened(f"{name}.html", width=width) as page:
        assert page.locator(".bd-article h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("mjx-merror").count() == 0
        # What Sphinx marked as mathematics is typeset, every piece of it.
        assert (
            page.locator(".math").count()
            == page.locator(".math mjx-container, mjx-container .math").count()
        )
        for image in page.locator("main img").all():
            assert (image.get_attribute("alt") or "").strip(), image.get_attribute("src")
            assert image.evaluate("i => i.complete && i.naturalWidth > 0")


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_equations_figures_and_its_colab_button(opened: Opener, name: str) -> None:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    owner_and_name = repository["url"].removeprefix("https://github.com/")
    with opened(f"{name}.html") as page:
        assert page.locator("mjx-container").count() >= 10
        assert page.locator("main img").count() >= 3
        buttons = page.locator(".header-article-items a[href*='colab.research.google.com']")
        assert [b.get_attribute("href") for b in buttons.all()] == [
            f"https://colab.research.google.com/github/{owner_and_name}/blob/"
            f"{repository['branch']}/{name}.ipynb"
        ]


@pytest.mark.parametrize("name", CHAPTERS)
def test_mathematics_is_typeset_and_can_be_read_on_a_phone(opened: Opener, name: str) -> None:
    with opened(f"{name}.html", width=375) as page:
        # A dollar sign in the text is a formula that was not recognised as one.
        unrecognised = page.evaluate(
            """() => {
              const page = document.querySelector('.bd-article').cloneNode(true);
              page.querySelectorAll('pre, code, mjx-container, script').forEach(e => e.remove());
              return page.innerText.split('\\n').filter(line => line.includes('$'));
            }"""
        )
        assert unrecognised == []
        # A wide equation begins where its line begins: what lies left of that
        # cannot be scrolled to.
        hidden = page.evaluate(
            """() => [...document.querySelectorAll('div.math mjx-container')].filter(e => {
              const line = e.closest('div.math').getBoundingClientRect().left;
              return [...e.querySelectorAll('mjx-c')].some(
                c => c.getBoundingClientRect().left < line - 1);
            }).map(e => e.textContent)"""
        )
        assert hidden == []
        # Numbers given by hand are each given once.
        # (The glyphs are drawn by the style sheet; the text is in the copy for screen readers.)
        numbers = page.locator("mjx-assistive-mml mlabeledtr > mtd:first-child").all_text_contents()
        assert all(numbers)
        assert len(numbers) == len(set(numbers))


def test_the_search_finds_a_chapter(opened: Opener) -> None:
    with opened("search.html?q=discriminator") as page:
        page.wait_for_selector("#search-results li")
        assert page.locator("#search-results a[href*='book/gan.html']").count() > 0


def test_the_front_page_is_at_the_root(opened: Opener) -> None:
    with opened("index.html", moves_on=True) as page:
        page.wait_for_url("**/book/index.html")
        assert page.locator("img.hero").is_visible()


@pytest.mark.parametrize("name", ["book/index", "book/gan"])
def test_text_can_be_read_in_the_dark(opened: Opener, name: str) -> None:
    """Contrast of the text with its page of at least 7 : 1 (WCAG AAA), in both modes."""
    luminance = """
        (element, property) => {
          const srgb = getComputedStyle(element)[property].match(/[\\d.]+/g).slice(0, 3);
          const [r, g, b] = srgb.map(v => v / 255).map(
            v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        }"""
    for dark in (False, True):
        with opened(f"{name}.html", dark=dark) as page:
            text = page.evaluate(f"({luminance})(document.querySelector('main p'), 'color')")
            back = page.evaluate(f"({luminance})(document.body, 'backgroundColor')")
            assert (back < 0.1) is dark
            assert (max(text, back) + 0.05) / (min(text, back) + 0.05) >= 7
