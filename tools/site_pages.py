"""The last touch on the finished pages: light icons, names for screen readers, a map, cards.

``tools/sphinx_site.py`` calls `finish` once Sphinx has written the site. What is done here
cannot be configured: it is in the theme's own templates and scripts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from social_card import draw_card

__all__ = ["CARDS", "describe", "finish", "lighten", "pages_of", "write_map"]

CARDS = "_images/cards"
FONTS = {"fa-solid-900": "Font Awesome 6 Free", "fa-brands-400": "Font Awesome 6 Brands"}
# What the theme's scripts put into a page later.
ICONS_OF_SCRIPTS = {"fa-xmark"}
# The theme's script of 1.5 MB draws its icons from all 2000 of Font Awesome's.
ICON_SCRIPT = re.compile(r'\s*<script src="[^"]*_static/scripts/fontawesome\.js[^"]*"></script>')
ICON_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')


def pages_of(site: Path) -> list[Path]:
    """Return the pages of a site; what lies in ``_static`` are the theme's templates."""
    return [p for p in sorted(site.rglob("*.html")) if "_static" not in p.relative_to(site).parts]


def finish(site: Path, address: str, names: Iterable[str]) -> None:
    """Finish a site that Sphinx has just written.

    Parameters
    ----------
    site : Path
        Its folder.
    address : str
        Where it will be published, with a slash at the end.
    names : iterable of str
        The pages that belong to the book, without ``.html``: those get a card and a place on
        the map, and the index or the source code of a module does not.
    """
    names = sorted(names)
    for page in pages_of(site):
        text = page.read_text(encoding="utf-8")
        page.write_text(describe(ICON_SCRIPT.sub("", text)), encoding="utf-8")
    lighten(site)
    write_map(site, address, names)
    for name in names:
        draw_card(site, site / f"{name}.html", site / CARDS / f"{name}.png")


def describe(text: str) -> str:
    """Give what a page shows by an icon alone a name, and hide the icon from screen readers."""
    # The arrow that unfolds a part of the table of contents.
    text = re.sub(
        r'(<a class="[^"]*" href="[^"]*">([^<]*)</a><details[^>]*>)<summary>',
        r'\1<summary aria-label="Pages of \2">',
        text,
    )
    text = re.sub(
        r'<i class="([^"]*\bfa[srb]?\b[^"]*)">', r'<i class="\1" aria-hidden="true">', text
    )
    # Docutils calls a list of references a list of entries, and puts links between these.
    text = text.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    text = text.replace(' role="doc-biblioentry"', "")
    # The column with the table of contents holds more than a <nav>: the name of the site, say.
    return text.replace(
        '<div id="pst-primary-sidebar" class=',
        '<div id="pst-primary-sidebar" role="region" aria-label="Course" class=',
    )


def lighten(site: Path) -> None:
    """Cut the theme's icons down to those that some page shows, and leave out its source maps.

    They come as two fonts then, of a few kB. Font Awesome Free's fonts are under the SIL Open
    Font License 1.1, whose text stays beside them in their table of names.
    """
    from fontTools import subset
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # Sphinx would show each step
    shown = set(ICONS_OF_SCRIPTS)
    for page in pages_of(site):
        for classes in re.findall(r'class="([^"]*fa-[^"]*)"', page.read_text(encoding="utf-8")):
            shown.update(classes.split())
    sheet = site / "_static" / "styles" / "pydata-sphinx-theme.css"
    rules = sheet.read_text(encoding="utf-8")
    codes: set[int] = set()

    def keep(rule: re.Match[str]) -> str:
        icons = set(re.findall(r"\.(fa-[\w-]+):before", rule[1]))
        if not icons & shown:
            return ""
        codes.add(int(rule[2], 16))
        # An empty alternative text: a screen reader passes over the glyph.
        return f'{rule[1]}{{content:"\\{rule[2]}";content:"\\{rule[2]}" / ""}}'

    rules = ICON_RULE.sub(keep, rules)
    folder = site / "_static" / "vendor" / "fontawesome" / "webfonts"
    for name, family in FONTS.items():
        font = TTFont(folder / f"{name}.ttf")
        subsetter = subset.Subsetter(subset.Options(name_IDs=["*"], notdef_outline=True))
        subsetter.populate(unicodes=codes)
        subsetter.subset(font)
        font.flavor = "woff"
        font.save(folder / f"{name}.woff")
        source = re.compile(rf"src:url\([^)]*{name}\.woff2\)[^;}}]*")
        rules, found = source.subn(
            f'src:url(../vendor/fontawesome/webfonts/{name}.woff) format("woff")', rules
        )
        if found == 0:
            raise ValueError(f"the theme's style sheet names no font {name} of {family} any more")
    sheet.write_text(rules, encoding="utf-8")
    dispensable = {*folder.glob("*.ttf"), *folder.glob("*.woff2")}
    dispensable |= {*site.glob("_static/**/*.map"), *site.glob("_static/scripts/fontawesome.js*")}
    for path in dispensable:
        path.unlink()


def write_map(site: Path, address: str, names: Iterable[str]) -> None:
    """Write ``sitemap.xml``, by which search engines find the pages of the book."""
    lines = [f"  <url><loc>{escape(address + name)}.html</loc></url>" for name in names]
    text = "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
            *lines,
            "</urlset>",
        ]
    )
    (site / "sitemap.xml").write_text(f"{text}\n", encoding="utf-8")
