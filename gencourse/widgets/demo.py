"""A demonstration that runs in the reader's browser: no kernel, no server, no other file.

It is one page of HTML, with its numbers and networks inside, shown in a frame of its own. So the
same cell works in Jupyter, in Colab and on a static page without a network.
"""

from __future__ import annotations

import html
import json
import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from gencourse._files import write_atomically

__all__ = ["Demo"]


@cache
def _part(name: str) -> str:
    return files("gencourse.widgets").joinpath("browser", name).read_text(encoding="utf-8")


class Demo:
    """One demonstration; the last line of a cell shows it.

    The functions of :mod:`gencourse.widgets` make them.

    Parameters
    ----------
    script : str
        Name of a file in ``gencourse/widgets/browser``, without ``.js``.
    title, text : str
        Heading, and a sentence that says what to try.
    given : dict
        What the script works with, as JSON.
    height : int
        Pixels that are kept free until the frame knows its height.
    """

    def __init__(
        self, script: str, title: str, text: str, given: dict[str, Any], *, height: int = 560
    ) -> None:
        self.title = title
        self.height = height
        # Within <script> nothing but "</" and "<!--" could end the data early.
        data = json.dumps(given, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        #: The whole page.
        self.html = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>{_part('kit.css')}</style></head><body>"
            f"<main><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>"
            '<div id="controls"></div><div id="plots"></div>'
            '<p id="report" role="status"></p></main>'
            f'<script id="given" type="application/json">{data}</script>'
            f"<script>{_part('kit.js')}</script><script>{_part(script + '.js')}</script>"
            "</body></html>"
        )

    def __repr__(self) -> str:
        return f"Demo({self.title!r})"

    def _repr_html_(self) -> str:
        """Return a frame with the page inside."""
        return (
            f'<iframe class="gencourse-demo" title="{html.escape(self.title)}" loading="lazy" '
            f'style="width:100%;height:{self.height}px;border:0" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which any browser opens."""
        write_atomically(Path(path), self.html.encode())
