"""A chapter as a PDF: complete, typeset, unfolded, and offered where it exists."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import print_chapters
import pytest
from pypdf import PdfReader

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def printed(browser: Any, address: str, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    """Print the chapter on generative adversarial nets."""
    target = tmp_path_factory.mktemp("print") / "gan.pdf"
    print_chapters.print_page(browser, f"{address}book/gan.html", target)
    assert not target.with_suffix(".pdf.tmp").exists()
    return PdfReader(target)


def text_of(pdf: PdfReader) -> list[str]:
    return [" ".join(page.extract_text().split()) for page in pdf.pages]


def test_the_chapter_is_all_there_and_nothing_else(printed: PdfReader) -> None:
    pages = text_of(printed)
    assert "Generative adversarial nets" in pages[0]
    assert 10 <= len(pages) <= 40  # A4, at the length of the page on a screen
    for number, page in enumerate(pages, start=1):
        assert f"{number} / {len(pages)}" in page
        assert len(page) > 60, f"page {number} is all but empty"
    whole = " ".join(pages)
    # Neither the theme's columns nor its buttons.
    for other in ("Open in Colab", "Guide for students", "Search Ctrl", "Skip to main content"):
        assert other not in whole
    assert printed.outline, "no headings to jump to"
    assert printed.trailer["/Root"]["/MarkInfo"]["/Marked"], "no structure for screen readers"


def test_formulas_are_typeset(printed: PdfReader) -> None:
    assert not [line for line in text_of(printed) if "\\frac" in line or "\\mathbb" in line]
    # Variables are set in MathJax's italics.
    described = [
        font.get_object()["/FontDescriptor"].get_object()
        for page in printed.pages
        for font in page["/Resources"]["/Font"].values()
        if "/FontDescriptor" in font.get_object()
    ]
    assert any("MathJax_Math-Italic" in str(font.get("/FontName")) for font in described)


def test_solutions_are_unfolded(printed: PdfReader) -> None:
    whole = " ".join(text_of(printed))
    assert whole.count("Solution") >= 3
    assert "no gradient tells the generator which way to go" in whole  # within a folded solution


def test_figures_are_whole_and_fit(printed: PdfReader) -> None:
    """No figure is cut in two: each picture is drawn once, within the page."""
    source = (ROOT / "_build" / "html" / "book" / "gan.html").read_text(encoding="utf-8")
    figures = source.count('src="../_images/')
    drawn = sum(len(page.images) for page in printed.pages)
    demos = source.count('class="gencourse-demo"')
    assert figures >= 3
    assert figures <= drawn <= figures + 2 * demos  # a demonstration has one or two canvases


def test_code_may_run_over_the_end_of_a_page(browser: Any, address: str) -> None:
    """A frame that may not be cut, in one that may, moves on and leaves the outer one empty."""
    page = browser.new_page()
    try:
        page.emulate_media(media="print")
        page.goto(f"{address}book/gan.html", wait_until="load")
        kept_whole = page.evaluate(
            """() => [...document.querySelectorAll(".cell pre")].map(pre => {
              if (!pre.checkVisibility()) return null;
              for (let e = pre; !e.matches(".cell"); e = e.parentElement)
                if (getComputedStyle(e).breakInside !== "auto") return e.className;
              return null;
            })"""
        )
    finally:
        page.close()
    assert len(kept_whole) >= 20
    assert not [name for name in kept_whole if name is not None]


def test_the_menu_offers_what_was_printed(tmp_path: Path, site: Path) -> None:
    page, pdf = tmp_path / "gan.html", tmp_path / "gan.pdf"
    shutil.copy(site / "book" / "gan.html", page)
    text = page.read_text(encoding="utf-8")
    if print_chapters.PRINT_BUTTON not in text:
        assert 'href="gan.pdf"' in text  # printed by `make pdf` before this test
        return
    assert 'href="gan.pdf"' not in text
    pdf.touch()
    print_chapters.offer(page, pdf)
    offered = page.read_text(encoding="utf-8")
    assert offered.count('href="gan.pdf"') == 1
    assert print_chapters.PRINT_BUTTON not in offered
    assert offered.count("<button") == offered.count("</button>")
    print_chapters.offer(page, pdf)
    assert page.read_text(encoding="utf-8") == offered


def test_without_a_browser_it_says_what_to_do(site: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "print_chapters.py")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "no Chromium found" in result.stderr
    assert "apt install chromium" in result.stderr
    assert "Traceback" not in result.stderr
