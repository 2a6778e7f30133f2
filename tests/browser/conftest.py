"""A real browser with every host but the site's own out of reach."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from watching import watched

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--no-sandbox",  # the pages are our own, and containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the built site, which is brought up to date first."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_book.py")], check=True, timeout=540)
    return ROOT / "_build" / "html"


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome; the variable CHROMIUM comes first."""
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM={named} is not a program that can be run")
        return found
    return next(filter(None, map(shutil.which, NAMES)), None)


# For a module, not the session: while it lives, Playwright keeps an event loop running in this
# thread, and tests of other modules that start a loop of their own would fail.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium, or skip; with GENCOURSE_REQUIRE_BROWSER=1 fail instead."""
    path = find_chromium()
    if path is None:
        reason = (
            f"no Chromium found: none of {', '.join(NAMES)} is on the PATH. Install one "
            "(Debian: apt install chromium), or set CHROMIUM to its path"
        )
        if os.environ.get("GENCOURSE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield running
        running.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Serve the site on a free port of this machine, and return its address."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


Opener = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def opened(browser: Any, address: str) -> Opener:
    """Return a function that opens a page of the site with the rest of the internet blocked.

    Leaving its ``with`` block fails the test if the page asked for anything from another
    host, if a file of the site was missing, or if a script failed.
    """

    @contextmanager
    def open_page(
        name: str, *, width: int = 1280, dark: bool = False, moves_on: bool = False
    ) -> Iterator[Any]:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        trouble = watched(page, address, "data:", "blob:")
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
