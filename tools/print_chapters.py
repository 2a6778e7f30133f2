"""Print the chapters of the built site into PDF files, with Chromium: ``make pdf``.

    python tools/print_chapters.py             # every chapter that is not printed yet
    python tools/print_chapters.py book/gan    # this one, again

The files lie beside the pages, and each chapter's download menu offers its own. When a page is
built anew its PDF goes, and so does the entry in the menu.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import build_book
from chromium import OPTIONS, NoChromium, find_chromium, served

__all__ = ["main", "offer", "print_page"]

# The theme's entry, which opens the browser's own dialogue.
PRINT_BUTTON = '<button onclick="window.print()"'
FOOTER = """
<div style="width: 100%; padding: 0 18mm; font: 8px sans-serif; color: #57606a; display: flex">
  <span class="title"></span>
  <span style="margin-left: auto">
    <span class="pageNumber"></span> / <span class="totalPages"></span>
  </span>
</div>"""


def print_page(browser: Any, address: str, target: Path) -> None:
    """Print one page into a file, once its formulas are set and all its pictures are there.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        A running Chromium.
    address : str
        Where the page is served.
    target : Path
        The file, which is replaced whole.
    """
    # Demonstrations set their own height, so the window is as wide as the paper: A4 without its
    # margins, 174 mm at 96 pixels an inch.
    context = browser.new_context(viewport={"width": 658, "height": 1200}, color_scheme="light")
    try:
        page = context.new_page()
        page.emulate_media(media="print")
        page.goto(address, wait_until="load")
        # What loads when it comes into view would not come into view.
        page.evaluate(
            """async () => {
              const late = [...document.querySelectorAll("[loading=lazy]")];
              const loaded = late.map(e => new Promise(go => {
                if (e.complete) go();
                e.addEventListener("load", go, {once: true});
                e.addEventListener("error", go, {once: true});
                setTimeout(go, 10000);
              }));
              for (const e of late) e.loading = "eager";
              await Promise.all(loaded);
              await window.MathJax?.startup?.promise;
            }"""
        )
        temporary = target.with_suffix(".pdf.tmp")
        page.pdf(
            path=str(temporary),
            format="A4",
            print_background=True,  # keys of pictures and marks in demonstrations are backgrounds
            margin={"top": "16mm", "bottom": "18mm", "left": "18mm", "right": "18mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            outline=True,
            tagged=True,
        )
        os.replace(temporary, target)
    finally:
        context.close()


def offer(page: Path, pdf: Path) -> None:
    """Put a PDF into its page's download menu, unless it is there already."""
    text = page.read_text(encoding="utf-8")
    entry = (
        f'<a href="{pdf.name}" class="btn btn-sm btn-download-pdf-button dropdown-item" '
        'title="Download as PDF" data-bs-placement="left" data-bs-toggle="tooltip" download>'
    )
    start = text.find(PRINT_BUTTON)
    if start < 0:
        return
    end = text.index("</button>", start)
    inside = text[text.index(">", start + len(PRINT_BUTTON)) + 1 : end]
    text = f"{text[:start]}{entry}{inside}</a>{text[end + len('</button>') :]}"
    page.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the chapters; return the exit status."""
    parser = argparse.ArgumentParser(description="Print the chapters of the built site.")
    parser.add_argument("names", nargs="*", help="pages, such as book/gan; otherwise all chapters")
    options = parser.parse_args(arguments)
    # What the site was made from includes the device its chapters ran on.
    for variable, value in build_book.ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    site = build_book.HTML
    chapters = [p.relative_to(build_book.ROOT).with_suffix("") for p in build_book.chapters()]
    names = options.names or [str(name) for name in chapters]
    for name in names:
        if not (site / f"{name}.html").is_file():
            print(f"The site has no page {name}; run make book first.", file=sys.stderr)
            return 2
    try:
        chromium = find_chromium()
    except NoChromium as error:
        print(f"Nothing was printed: {error}.", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    with (
        FileLock(str(build_book.ROOT / "_build" / "book.lock")),
        served(site) as address,
        sync_playwright() as playwright,
    ):
        if not build_book.is_current():
            print("The site is not current; run make book first.", file=sys.stderr)
            return 2
        key = build_book.inputs_key()
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        for name in names:
            page, pdf = site / f"{name}.html", site / f"{name}.pdf"
            if pdf.is_file() and not options.names:
                continue
            print_page(browser, f"{address}{name}.html", pdf)
            offer(page, pdf)
            # After each, so that an interrupted run leaves a site that is current.
            build_book.write_stamp(key)
            print(f"  printed  {pdf} ({pdf.stat().st_size / 1e6:.1f} MB)", flush=True)
        browser.close()
    print(f"{len(names)} chapters are in {site / 'book'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
