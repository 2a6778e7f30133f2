"""The built site as files: complete, self-contained, and without the instructor's part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from build_book import chapters
from fontTools.ttLib import TTFont
from leaks import find_leaks
from PIL import Image
from site_pages import pages_of
from social_card import draw_card

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).resolve().parents[2]
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src")}
RELATIONS = {"stylesheet", "icon", "shortcut icon", "preload", "modulepreload", "manifest"}


class Page(HTMLParser):
    """What one page loads and links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.description: str | None = None
        self.shared: dict[str, str] = {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        for name in ("id", "name"):
            if name in values:
                self.anchors.add(values[name])
        for name, value in values.items():
            if (tag, name) in LOADED:
                self.loads.append(value)
        if tag == "link" and values.get("rel") in RELATIONS:
            self.loads.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "meta" and values.get("name") == "description":
            self.description = values["content"]
        if tag == "meta" and values.get("property", "").startswith("og:"):
            self.shared[values["property"]] = values["content"]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    # The theme leaves two templates among its static files; they are not pages.
    paths = (path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts)
    found = {path: Page(path) for path in paths}
    assert len(found) > 10
    return found


def test_no_page_loads_anything_from_elsewhere(pages: dict[Path, Page]) -> None:
    outside = {
        (path.name, address)
        for path, page in pages.items()
        for address in page.loads
        if urlsplit(address).scheme in {"http", "https"} or address.startswith("//")
    }
    assert not outside


def test_no_page_names_a_content_delivery_network(pages: dict[Path, Page]) -> None:
    hosts = ("unpkg.com", "jsdelivr.net", "cdnjs.cloudflare.com", "googleapis.com", "mathjax.org")
    named = [
        (path.name, host)
        for path in pages
        for host in hosts
        if host in path.read_text(encoding="utf-8")
    ]
    assert not named


def local_targets(path: Path, site: Path, addresses: list[str]) -> Iterator[tuple[Path, str]]:
    for address in addresses:
        parts = urlsplit(address)
        if not parts.scheme and not parts.netloc:
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            yield target / "index.html" if target.is_dir() else target, unquote(parts.fragment)


def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    missing = []
    for path, page in pages.items():
        for target, fragment in local_targets(path, site, page.links + page.loads):
            known = pages.get(target)
            if not target.is_file():
                missing.append(f"{path.relative_to(site)} → {target.relative_to(site)}")
            elif fragment and known is not None and fragment not in known.anchors:
                missing.append(f"{path.relative_to(site)} → {target.name}#{fragment}")
    assert not missing, "\n".join(missing)


def test_every_page_of_the_book_has_a_description(site: Path) -> None:
    assert len(listed()) > 10
    without = [name for name in listed() if not Page(site / f"{name}.html").description]
    assert not without


def listed() -> list[str]:
    """Return the names of the pages in ``_toc.yml``."""
    lines = (ROOT / "_toc.yml").read_text(encoding="utf-8").splitlines()
    return [line.split(":")[1].strip() for line in lines if ": book/" in line]


def test_search_engines_find_every_page_of_the_book(site: Path) -> None:
    tree = ElementTree.parse(site / "sitemap.xml")
    places = [e.text or "" for e in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert len(places) == len(set(places))
    address = "https://gencourse.github.io/gencourse/"
    assert {place.removeprefix(address) for place in places} == {f"{n}.html" for n in listed()}
    for name in listed():
        text = (site / f"{name}.html").read_text(encoding="utf-8")
        assert f'<link rel="canonical" href="{address}{name}.html"' in text
        assert '<html lang="en"' in text


def test_a_link_that_is_shared_shows_a_card(site: Path) -> None:
    address = "https://gencourse.github.io/gencourse/"
    cards = set()
    for name in listed():
        tags = Page(site / f"{name}.html").shared
        card = site / tags["og:image"].removeprefix(address)
        with Image.open(card) as image:
            assert image.size == (1200, 630)
            # Something is written on it.
            assert len(image.convert("L").getcolors(256) or ()) > 10
        assert card.stat().st_size < 150_000
        cards.add(card.read_bytes())
        assert tags["og:description"] == Page(site / f"{name}.html").description
        assert tags["og:url"] == f"{address}{name}.html"
    assert len(cards) == len(listed())


def test_a_card_is_the_same_on_every_build(site: Path, tmp_path: Path) -> None:
    for name in ("book/gan", "book/index"):
        draw_card(site, site / f"{name}.html", tmp_path / "card.png")
        again = (tmp_path / "card.png").read_bytes()
        assert again == (site / "_images" / "cards" / f"{name}.png").read_bytes()


def test_icons_are_a_few_glyphs_and_all_of_them_are_there(site: Path) -> None:
    static = site / "_static"
    rules = (static / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8")
    glyphs: set[int] = set()
    for font in (static / "vendor" / "fontawesome" / "webfonts").iterdir():
        assert font.stat().st_size < 10_000
        glyphs |= set(TTFont(font).getBestCmap())
    for page in pages_of(site):
        text = page.read_text(encoding="utf-8")
        assert "fontawesome.js" not in text
        for icon in set(
            re.findall(r"\bfa-[a-z][\w-]*", " ".join(re.findall(r'class="([^"]*)"', text)))
        ):
            code = re.search(rf'\.{icon}:before[^{{]*{{content:"\\([0-9a-f]+)"', rules)
            if icon not in {"fa-solid", "fa-brands", "fa-regular", "fa-lg", "fa-fw"}:
                assert code is not None, f"{page.name} shows {icon}, for which there is no glyph"
                assert int(code[1], 16) in glyphs


def test_links_to_colab_and_to_files_follow_the_configuration(pages: dict[Path, Page]) -> None:
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    name, branch = urlsplit(repository["url"]).path.strip("/"), repository["branch"]
    for path in chapters():
        page = pages[ROOT / "_build" / "html" / path.relative_to(ROOT).with_suffix(".html")]
        wanted = (
            f"https://colab.research.google.com/github/{name}/blob/{branch}/"
            f"{path.relative_to(ROOT).as_posix()}"
        )
        assert wanted in page.links
    colab = {link for page in pages.values() for link in page.links if "colab.research" in link}
    for link in colab:
        _, _, path = urlsplit(link).path.partition(f"/blob/{branch}/")
        assert (ROOT / path).is_file(), f"{link} opens a notebook that is not there"


@pytest.mark.skipif(
    not (ROOT / "solutions").is_dir(),
    reason="this is the tree that students see: there is nothing to leak",
)
def test_nothing_of_the_instructor_s_is_in_the_site(site: Path) -> None:
    leaks = find_leaks(site, ROOT / "solutions")
    assert not leaks, "\n".join(map(str, leaks))
