"""A Chromium for pages of our own: where to find it, how to start it, a server for the pages."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

__all__ = ["OPTIONS", "NoChromium", "find_chromium", "served"]

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


class NoChromium(FileNotFoundError):
    """No Chromium can be run here; the message says what to do."""


def find_chromium() -> str:
    """Return the path of an installed Chromium or Chrome; the variable CHROMIUM comes first.

    Raises
    ------
    NoChromium
        If there is none.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise NoChromium(f"CHROMIUM={named} is not a program that can be run")
        return found
    for path in map(shutil.which, NAMES):
        if path is not None:
            return path
    raise NoChromium(
        f"no Chromium found: none of {', '.join(NAMES)} is on the PATH. Install one "
        "(Debian: apt install chromium), or set CHROMIUM to its path"
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine, and yield its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
