"""One visit to each page and width, on which everything that the tests ask for is noted.

Opening a page costs a second or two of a processor, most of it MathJax's; so each page is opened
once at each width, and many tests read what was seen there.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["AXE", "Opener", "Visit", "audit", "visit", "weight"]

Opener = Callable[..., AbstractContextManager[Any]]

# axe-core 4, the engine of most accessibility checkers.
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

NOTES = r"""() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const article = document.querySelector(".bd-article");
  const text = article ? article.cloneNode(true) : document.createElement("p");
  text.querySelectorAll("pre, code, mjx-container, script, iframe").forEach((e) => e.remove());
  return {
    headings: all(".bd-article h1").length,
    scroll_width: document.documentElement.scrollWidth,
    formulas: all(".math").length,
    typeset: all(".math mjx-container, mjx-container .math").length,
    errors: all("mjx-merror").map((e) => e.textContent),
    // A dollar sign in the text is a formula that was not recognised as one.
    dollars: text.innerText.split("\n").filter((line) => line.includes("$")),
    // A wide equation begins where its line begins: what lies left of that cannot be scrolled to.
    cut_off: all("div.math mjx-container").filter((e) => {
      const line = e.closest("div.math").getBoundingClientRect().left;
      return [...e.querySelectorAll("mjx-c")].some(
        (c) => c.getBoundingClientRect().left < line - 1);
    }).map((e) => e.textContent),
    // The glyphs are drawn by the style sheet; the text is in the copy for screen readers.
    numbers: all("mjx-assistive-mml mlabeledtr > mtd:first-child").map((e) => e.textContent),
    images: all("main img").map((e) => ({
      source: e.getAttribute("src"), alt: (e.alt || "").trim(),
      drawn: e.complete && e.naturalWidth > 0 })),
    colab: all(".header-article-items a[href*='colab.research.google.com']").map(
      (e) => e.getAttribute("href")),
    demos: all("main iframe").map((e) => (e.title || "").trim()),
  };
}"""

# What has come into view by scrolling: pictures and demonstrations are loaded late.
SCROLL = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += 700) {
    scrollTo(0, y);
    await new Promise(requestAnimationFrame);
  }
  scrollTo(0, 0);
}"""

# A demonstration that has drawn itself says in words what is to be seen.
ALIVE = """() => [...document.querySelectorAll("iframe.gencourse-demo")].every(
  (e) => e.contentDocument?.getElementById("report")?.textContent)"""

# For axe, the formulas are what a screen reader gets, MathJax's invisible copy; of the drawn one
# only the size is kept. (With its glyphs, an audit takes ten times as long.)
BOXES = """() => {
  const drawn = [...document.querySelectorAll("mjx-math")].map(
    (e) => [e, e.getBoundingClientRect()]);
  for (const [e, {width, height}] of drawn) {
    e.replaceChildren();
    e.style.cssText += `;display: inline-block; width: ${width}px; height: ${height}px`;
  }
}"""

# The contrast of a text depends on its colour, size and weight and on the colour behind it: of
# the elements that agree in these, one is looked at. (All of them would take ten seconds.)
AUDIT = """async () => {
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const {backgroundColor, backgroundImage} = getComputedStyle(e);
      if (backgroundImage !== "none") return backgroundImage;
      if (!/^rgba\\(.*, 0\\)$|^transparent$/.test(backgroundColor)) return backgroundColor;
    }
  };
  const kinds = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.closest("mjx-assistive-mml")) continue;
    if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
    const {color, fontSize, fontWeight, textShadow} = getComputedStyle(e);
    const kind = [color, fontSize, fontWeight, textShadow, behind(e)].join("|");
    if (!kinds.has(kind)) kinds.set(kind, e);
  }
  const rest = await axe.run(document, {
    preload: false, resultTypes: ["violations"], rules: {"color-contrast": {enabled: false}}});
  const contrast = await axe.run({include: [...kinds.values()]}, {
    preload: false, resultTypes: ["violations"], runOnly: ["color-contrast"]});
  return [...rest.violations, ...contrast.violations].map((v) => ({
    rule: v.id, impact: v.impact,
    nodes: v.nodes.map((n) => `${n.target.join(" ")}: ${n.failureSummary}`)}));
}"""


@dataclass(frozen=True)
class Visit:
    """What was seen on a page: the notes above, the addresses it loaded, what axe found."""

    notes: dict[str, Any]
    loaded: tuple[str, ...]
    violations: tuple[dict[str, Any], ...]


_SEEN: dict[tuple[str, int], Visit] = {}


def visit(opened: Opener, name: str, width: int) -> Visit:
    """Return what is on a page at a width; the page is opened only the first time."""
    if (name, width) not in _SEEN:
        loaded: list[str] = []
        with opened(f"{name}.html", width=width, loaded=loaded) as page:
            page.evaluate(SCROLL)
            page.wait_for_load_state("networkidle")
            page.wait_for_function(ALIVE)
            notes = page.evaluate(NOTES)
            violations = audit(page)
        _SEEN[name, width] = Visit(notes, tuple(loaded), tuple(violations))
    return _SEEN[name, width]


def audit(page: Any) -> list[dict[str, Any]]:
    """Return what axe-core finds wrong with a page and the demonstrations in it.

    The formulas of the page are replaced by boxes, so look at them before.
    """
    page.evaluate(BOXES)
    for frame in page.frames:
        frame.evaluate(AXE)
    return list(page.evaluate(AUDIT))


@cache
def weight(path: Path) -> int:
    """Return how many bytes a file takes on its way to the reader.

    Text is compressed, as every web server does it; pictures and fonts are already.
    """
    content = path.read_bytes()
    if path.suffix in {".html", ".css", ".js", ".svg", ".json", ".map"}:
        return len(gzip.compress(content, 6))
    return len(content)


def files_behind(loaded: tuple[str, ...], site: Path) -> set[Path]:
    """Return the files of the site that were loaded, each once."""
    paths = (unquote(urlsplit(url).path).lstrip("/") for url in loaded if url.startswith("http"))
    return {site / path for path in paths}
