"""Formulas as MathML, which browsers draw by themselves: no script, no fonts from elsewhere.

The translation is ``latex2mathml``'s. Its result is built anew from elements and attributes that
draw formulas and do nothing else, so a formula in a hand-in cannot bring anything into a page.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape, unescape
from itertools import zip_longest
from xml.etree.ElementTree import Element, SubElement, tostring

from latex2mathml.converter import convert_to_element

__all__ = ["mathml"]

# fmt: off
_ELEMENTS = {
    "math", "mi", "mn", "mo", "ms", "mtext", "mspace", "mrow", "mfrac", "msqrt", "mroot", "mstyle",
    "mpadded", "mphantom", "menclose", "msub", "msup", "msubsup", "munder", "mover", "munderover",
    "mmultiscripts", "mprescripts", "none", "mtable", "mtr", "mtd",
}
_ATTRIBUTES = {
    "display", "displaystyle", "scriptlevel", "stretchy", "fence", "form", "separator", "largeop",
    "movablelimits", "accent", "accentunder", "minsize", "maxsize", "lspace", "rspace", "width",
    "height", "depth", "linethickness", "mathvariant", "mathcolor", "columnalign", "rowspacing",
    "columnspacing", "notation", "symmetric",
}
# fmt: on
_VALUE = re.compile(r"[\w.#%+ -]{1,40}")
# Where latex2mathml's own choice is not what TeX shows.
_TEXTS = {"~": "∼", r"\|": "‖"}
_WIDTHS = {"negativethinmathspace": "-0.167em"}
# Environments it does not know are those it knows under another name.
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(?:align(?:ed)?|gather(?:ed)?|eqnarray)\*?\}")
_LONGEST = 4000


@lru_cache(maxsize=4096)
def mathml(latex: str, *, block: bool = False) -> str:
    """Return a formula as MathML, or its source as code where it can't be translated.

    Parameters
    ----------
    latex : str
        The formula without its dollar signs.
    block : bool
        Whether it stands on a line of its own.
    """
    try:
        if len(latex) > _LONGEST:
            raise ValueError("too long for a formula")
        known = _ENVIRONMENT.sub(r"\\\1{split}", latex)
        found = convert_to_element(known, display="block" if block else "inline")
        formula = tostring(_only_known(found), encoding="unicode")
    except Exception:  # whatever a translator may raise for what a student typed
        formula = f"<code>{escape(latex)}</code>"
    return f'<span class="formula">{formula}</span>' if block else formula


def _only_known(element: Element) -> Element:
    """Return a copy with known elements and attributes, its texts as plain characters."""
    copy = Element("mrow")
    _fill(copy, element)
    if element.tag == "math":
        copy.tag = "math"
    return copy


def _fill(target: Element, source: Element) -> None:
    target.tag = source.tag if source.tag in _ELEMENTS else "mrow"
    for name, value in source.attrib.items():
        value = _WIDTHS.get(value, value)
        if name in _ATTRIBUTES and _VALUE.fullmatch(value):
            target.set(name, value)
    text = unescape(source.text or "")
    target.text = _TEXTS.get(text, text)
    if text == "∞":
        target.tag = "mi"
    before = None
    for child, following in zip_longest(source, list(source)[1:]):
        made = SubElement(target, "mrow")
        _fill(made, child)
        # A sign after a bracket or another operator belongs to what follows it.
        if made.tag == "mo" and made.text in ("-", "−", "+", "±") and before in (None, "mo"):
            made.set("form", "prefix")
        before = made.tag
        if following is not None and target.tag in ("mrow", "math", "mstyle", "mtd"):
            _space_after(target, child, following)


def _space_after(target: Element, child: Element, following: Element) -> None:
    """Set ``log D`` apart, as TeX does, but not ``log(``."""
    name = unescape(child.text or "")
    if child.tag == "mi" and len(name) > 1 and name.isalpha() and following.tag != "mo":
        SubElement(target, "mspace", width="0.167em")
