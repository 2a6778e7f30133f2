"""A real browser with every host but the site's own out of reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from visits import Opener
from watching import watched

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from chromium import OPTIONS, NoChromium, find_chromium, served


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built site, which is brought up to date first."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_book.py")], check=True, timeout=540)
    return ROOT / "_build" / "html"


# For a module, not the session: while it lives, Playwright keeps an event loop running in this
# thread, and tests of other modules that start a loop of their own would fail.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium, or skip; with GENCOURSE_REQUIRE_BROWSER=1 fail instead."""
    try:
        path = find_chromium()
    except NoChromium as reason:
        if "CHROMIUM" in os.environ or os.environ.get("GENCOURSE_REQUIRE_BROWSER") == "1":
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Serve the site on a free port of this machine, and return its address."""
    with served(site) as found:
        yield found


@pytest.fixture
def opened(browser: Any, address: str) -> Opener:
    """Return a function that opens a page of the site with the rest of the internet blocked.

    Leaving its ``with`` block fails the test if the page asked for anything from another
    host, if a file of the site was missing, or if a script failed. What it loaded is appended
    to ``loaded``.
    """

    @contextmanager
    def open_page(
        name: str,
        *,
        width: int = 1280,
        dark: bool = False,
        moves_on: bool = False,
        loaded: list[str] | None = None,
    ) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        trouble = watched(page, address, "data:", "blob:")
        if loaded is not None:
            page.on("response", lambda response: loaded.append(response.url))
        try:
            page.goto(address + name, wait_until="load")
            if not moves_on:
                # MathJax typesets after the page is there, and fetches its fonts meanwhile.
                page.evaluate("window.MathJax?.startup?.promise")
            yield page
            assert not trouble, f"{name} at {width} px: {trouble}"
        finally:
            context.close()

    return open_page
