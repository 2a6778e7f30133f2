"""Every page in a real browser, without a network, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from visits import Opener, audit, files_behind, visit, weight

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (1280, 375)
# What a page may take on its way to the reader, everything included, without and with things to
# play with.
MEGABYTE = 1e6
LIGHT, WITH_DEMOS = 1.5 * MEGABYTE, 2.5 * MEGABYTE
# A long page, one with code and tables, and those that belong to no chapter: in the dark too.
IN_THE_DARK = ("book/index", "book/gan", "book/reference/models", "book/assignments", "search")


def listed() -> list[str]:
    """Return the names of the pages in ``_toc.yml``."""
    lines = (ROOT / "_toc.yml").read_text(encoding="utf-8").splitlines()
    return [line.split(":")[1].strip() for line in lines if ": book/" in line]


def written_as(name: str) -> bool:
    return (ROOT / f"{name}.ipynb").is_file()


PAGES = listed()
CHAPTERS = [name for name in PAGES if written_as(name)]
#: Of numbers and pictures more than of formulas, and the other way round.
FEW_FORMULAS = {"book/comparison", "book/applications"}
FEW_FIGURES = {"book/errata"}


# The tests of a page stand together, so that one visit at each width serves them all, and a
# failure says what is wrong with which page.
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_fits(opened: Opener, name: str, width: int) -> None:
    notes = visit(opened, name, width).notes
    assert notes["headings"] == 1
    assert notes["scroll_width"] <= width
    assert notes["errors"] == []
    # What Sphinx marked as mathematics is typeset, every piece of it.
    assert notes["formulas"] == notes["typeset"]
    assert notes["dollars"] == []
    assert notes["cut_off"] == []
    assert [image for image in notes["images"] if not (image["alt"] and image["drawn"])] == []
    assert all(notes["demos"]), "an iframe without a title"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_nothing_bars_the_way_of_a_reader(opened: Opener, name: str, width: int) -> None:
    """Of what axe-core finds, nothing is serious or critical: WCAG 2 A and AA, and habits."""
    assert barriers(visit(opened, name, width).violations) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(opened: Opener, site: Path, name: str) -> None:
    seen = visit(opened, name, WIDTHS[0])
    weights = {path: weight(path) for path in files_behind(seen.loaded, site)}
    heaviest = sorted(weights.items(), key=lambda item: -item[1])[:6]
    assert sum(weights.values()) <= (WITH_DEMOS if seen.notes["demos"] else LIGHT), heaviest


def test_the_book_has_demonstrations(opened: Opener) -> None:
    """Each is alive, or the visit would have failed."""
    found = [title for name in CHAPTERS for title in visit(opened, name, WIDTHS[0]).notes["demos"]]
    assert len(set(found)) >= 8, found


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_equations_figures_and_its_colab_button(opened: Opener, name: str) -> None:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    owner_and_name = repository["url"].removeprefix("https://github.com/")
    notes = visit(opened, name, WIDTHS[0]).notes
    assert notes["typeset"] >= (1 if name in FEW_FORMULAS else 10)
    assert len(notes["images"]) >= (1 if name in FEW_FIGURES else 3)
    # Numbers given by hand are each given once.
    assert all(notes["numbers"])
    assert len(notes["numbers"]) == len(set(notes["numbers"]))
    assert notes["colab"] == [
        f"https://colab.research.google.com/github/{owner_and_name}/blob/"
        f"{repository['branch']}/{name}.ipynb"
    ]


def barriers(violations: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{v['impact']} {v['rule']}: {node}"
        for v in violations
        if v["impact"] in {"serious", "critical"}
        for node in v["nodes"]
    ]


@pytest.mark.parametrize("name", IN_THE_DARK)
def test_nor_does_it_in_the_dark(opened: Opener, name: str) -> None:
    with opened(f"{name}.html", dark=True) as page:
        assert barriers(audit(page)) == []


def test_a_barrier_would_be_found(opened: Opener) -> None:
    """In the page itself, in the colour of one word, and within a demonstration."""
    spoil = """() => {
      document.querySelector("main img").removeAttribute("alt");
      document.querySelector("main p").innerHTML += "<b style='color: #999'>pale</b>";
      const frame = document.createElement("iframe");
      frame.title = "A demonstration";
      frame.srcdoc = "<html lang=en><title>x</title><main><h1>x</h1><input type=range></main>";
      document.querySelector("main p").after(frame);
      return new Promise((go) => frame.addEventListener("load", go));
    }"""
    with opened("book/index.html") as page:
        page.evaluate(spoil)
        found = " ".join(barriers(audit(page)))
    assert "image-alt" in found
    assert "color-contrast" in found
    assert "label: iframe" in found


def focused(page: Any) -> dict[str, Any]:
    """Return what the keyboard is at: its text or name, and whether a frame is drawn around it."""
    return dict(
        page.evaluate(
            """() => {
              const e = document.activeElement, style = getComputedStyle(e);
              return {
                text: (e.getAttribute("aria-label") || e.innerText || e.title || "").trim(),
                href: e.getAttribute("href"),
                seen: style.outlineStyle !== "none" || style.boxShadow !== "none",
              };
            }"""
        )
    )


NARROW = 240  # pixels, less than phones have, so that some formulas are wider


def test_a_chapter_can_be_read_by_keyboard_alone(opened: Opener) -> None:
    with opened("book/gan.html", width=NARROW) as page:
        page.keyboard.press("Tab")
        assert focused(page)["text"] == "Skip to main content"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert focused(page)["seen"]
        # A wide formula is scrolled by the arrow keys.
        wide = page.locator("div.math[tabindex='0']").first
        wide.focus()
        assert focused(page)["text"] == "Formula, scrolls sideways"
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.wait_for_function("document.activeElement.scrollLeft > 0")
        # A solution is unfolded by Enter.
        solution = page.locator("main details summary", has_text="Solution").first
        solution.focus()
        page.keyboard.press("Enter")
        assert solution.locator("xpath=..").evaluate("e => e.open")
        # Ctrl+K opens the search, Escape closes it.
        page.keyboard.press("Control+k")
        page.wait_for_function("document.activeElement.matches('input[type=search]')")
        page.keyboard.press("Escape")
        page.wait_for_function("!document.activeElement.matches('input[type=search]')")


def test_what_scrolls_is_named_only_while_it_scrolls(opened: Opener) -> None:
    with opened("book/gan.html", width=NARROW) as page:
        page.locator("div.math[tabindex='0']").first.wait_for()
        narrow = page.locator("div.math[tabindex='0']").count()
        page.set_viewport_size({"width": 1600, "height": 800})
        page.wait_for_function(
            f"document.querySelectorAll('div.math[tabindex]').length < {narrow}", timeout=5000
        )
        assert page.evaluate(
            """() => [...document.querySelectorAll("div.math[tabindex]")].every(
              (e) => e.scrollWidth > e.clientWidth)"""
        )


def test_the_search_finds_every_chapter(opened: Opener) -> None:
    """By the words of its title, in the index that one page has loaded."""
    with opened("search.html?q=discriminator") as page:
        page.wait_for_selector("#search-results li")
        for name in CHAPTERS:
            first = nbformat.read(ROOT / f"{name}.ipynb", 4).cells[0].source
            title = first.splitlines()[0].lstrip("# ")
            page.locator("#search-results").evaluate("e => e.replaceChildren()")
            page.evaluate("title => Search.performSearch(title)", title)
            page.wait_for_selector(f"#search-results a[href*='{name}.html']", timeout=10_000)


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
