"""The picture that a link to a page shows where it is shared: its title, description, figure."""

from __future__ import annotations

import html
import re
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

__all__ = ["SIZE", "draw_card"]

SIZE = (1200, 630)  # what the large services crop to
MARGIN = 64
INK, FAINT, LINE = "#1b1f24", "#57606a", "#b4500b"


def draw_card(site: Path, page: Path, card: Path) -> None:
    """Draw the card of a page of a finished site, with the page's first plot where it has one."""
    text = page.read_text(encoding="utf-8")
    title = _text(re.search(r'<h1>([^\n]*?)<a class="headerlink"', text))
    description = _text(re.search(r'<meta content="([^"]*)" name="description"', text))
    plot = re.search(r'<img\b[^>]*\bsrc="([^"]*_images/[^"]*\.png)"', text)

    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIZE[0], 14), fill=LINE)
    width = SIZE[0] - 2 * MARGIN
    if plot is not None:
        with Image.open((page.parent / html.unescape(plot[1])).resolve()) as figure:
            shown = figure.convert("RGBA")
        shown.thumbnail((500, 380))
        corner = (SIZE[0] - MARGIN - shown.width, (SIZE[1] - shown.height) // 2)
        image.paste(shown, corner, shown)
        width = corner[0] - MARGIN - 40
    top = 72.0
    for line in _lines(draw, title, _font(54, bold=True), width)[:4]:
        draw.text((MARGIN, top), line, INK, _font(54, bold=True))
        top += 66
    top += 20
    room = int((SIZE[1] - 90 - top) // 39)
    lines = _lines(draw, description, _font(27), width)
    if len(lines) > room:
        lines[room - 1 :] = [f"{lines[room - 1].rstrip(',.:;')} …"]
    for line in lines:
        draw.text((MARGIN, top), line, FAINT, _font(27))
        top += 39
    draw.text((MARGIN, SIZE[1] - 84), "gencourse", LINE, _font(34, bold=True))
    card.parent.mkdir(parents=True, exist_ok=True)
    # A palette: a card of flat colours takes some 20 kB, and the same bytes on each build.
    image.quantize(128, dither=Image.Dither.NONE).save(card, optimize=True)


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return a font that comes with Matplotlib, so that it is there on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def _lines(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: float
) -> list[str]:
    """Break a text into lines of at most ``width`` pixels."""
    lines: list[str] = []
    for word in text.split():
        if lines and draw.textlength(f"{lines[-1]} {word}", font) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _text(found: re.Match[str] | None) -> str:
    """Return the text of a piece of HTML, without its markup and its section number."""
    if found is None:
        return ""
    kept = re.sub(r'<span class="section-number">.*?</span>', "", found[1], flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", kept)).split())
