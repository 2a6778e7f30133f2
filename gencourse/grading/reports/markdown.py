"""Markdown of hand-ins as HTML that is safe to open: no script, no style, nothing from elsewhere.

Students write the Markdown, and two people open it: they themselves, as feedback, and the
instructor, in formgrader, whose session may do anything in the course. So what is rendered is
cleaned afterwards (and not its source before, where Markdown still has ways to make links).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Any

import nh3
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.token import STANDARD_TYPES

from gencourse.grading.reports.mathml import mathml

__all__ = ["markdown_filter", "safe_markdown"]

# fmt: off
_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl",
    "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p",
    "pre", "s", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "u", "ul",
}
# fmt: on
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title"},
    "ol": {"start"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
}
# Of pygments' classes in code blocks, and nothing a page could use for its own.
_CLASSES = {"div": {"highlight"}, "span": set(STANDARD_TYPES.values())}
# A formula waits as a word that survives cleaning; the characters are of Unicode's private area.
_WAITING = re.compile("\ue000(\\d+)\ue001")
_PICTURE = re.compile(r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=\s]+")
_LONGEST = 200_000


class _Renderer(IPythonRenderer):
    """Puts formulas aside, and describes pictures that the cell does not carry."""

    def __init__(self, attachments: Mapping[str, Any]) -> None:
        super().__init__(escape=False, exclude_anchor_links=True, attachments=dict(attachments))
        self.formulas: list[str] = []

    def _put_aside(self, latex: str, *, block: bool) -> str:
        self.formulas.append(mathml(latex, block=block))
        return f"\ue000{len(self.formulas) - 1}\ue001"

    def block_math(self, body: str) -> str:
        return self._put_aside(body, block=True)

    def inline_math(self, body: str) -> str:
        return self._put_aside(body, block=False)

    def latex_environment(self, name: str, body: str) -> str:
        return self._put_aside(f"\\begin{{{name}}}{body}\\end{{{name}}}", block=True)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        missing = url.removeprefix("attachment:") not in self.attachments
        if not url.startswith("data:") and (missing or not url.startswith("attachment:")):
            return escape(text)
        return super().image(text, url, title)


def safe_markdown(source: str, attachments: Mapping[str, Any] | None = None) -> Markup:
    """Render Markdown with formulas as clean HTML.

    Parameters
    ----------
    source : str
        Of a Markdown cell.
    attachments : mapping, optional
        Pictures that the cell carries, as in a notebook.

    Returns
    -------
    Markup
        Tags and attributes of text alone. Links go to web pages; pictures are those the cell
        carries, others become their description.
    """
    if attachments:
        return _render(source, attachments)
    return _render_again(source)


@pass_context
def markdown_filter(context: Context, source: str) -> Markup:
    """Serve as nbconvert's ``markdown2html``: the config of formgrader names this function."""
    cell = context.get("cell") or {}
    same = cell.get("cell_type") == "markdown" and cell.get("source") == source
    return safe_markdown(source, cell.get("attachments") if same else None)


@lru_cache(maxsize=1024)
def _render_again(source: str) -> Markup:
    """Every hand-in brings the same questions: render each once."""
    return _render(source, {})


def _render(source: str, attachments: Mapping[str, Any]) -> Markup:
    # Private characters could pass for a formula that waits.
    text = source[:_LONGEST].replace("\ue000", "").replace("\ue001", "")
    renderer = _Renderer(attachments)
    try:
        html = MarkdownWithMath(renderer=renderer).render(text)
    except (RecursionError, ValueError, KeyError, TypeError, AttributeError):
        # Nested a thousand deep, or attachments that are none.
        return Markup("<pre>{}</pre>").format(text)
    clean = nh3.clean(
        html,
        # A picture that is not in the cell would be left as an empty frame.
        tags=_TAGS if "data:image/" in html else _TAGS - {"img"},
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto", "data"},
        attribute_filter=_only_own,
        link_rel="noopener noreferrer",
    )
    return Markup(_WAITING.sub(lambda m: _formula(renderer.formulas, m[1]), clean))


def _only_own(tag: str, name: str, value: str) -> str | None:
    """Drop pictures from elsewhere, which would tell who looks, and links to data."""
    if name == "src":
        return value if _PICTURE.fullmatch(value) else None
    if name == "href":
        return value if value.startswith(("http://", "https://", "mailto:")) else None
    return value


def _formula(formulas: list[str], number: str) -> str:
    return formulas[int(number)] if int(number) < len(formulas) else ""
