"""The page a student gets back: what it says, what it must never show, and that it is harmless."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from pages import cell, error, page, shows, stream, text_of

from gencourse.grading.reports.markdown import safe_markdown
from gencourse.grading.reports.mathml import mathml

# Markers are put together here, so that no file of the tests looks like a source with answers.
BEGIN, END = ("### " + word for word in ("BEGIN", "END"))
HIDDEN = f"""\
task = Task("A task, hidden checks", points=7, hidden=True)
{BEGIN} HIDDEN TESTS
secret = reference().value_function(fresh(7))
{END} HIDDEN TESTS
task.score()
"""
PRINTED = """\
Task 1, hidden checks: 2 of 7 points
  ✓ one number comes out [2]
  ✗ agrees with the definition [5]
      Take the mean over each batch, not the sum.
"""


class _Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


FORBIDDEN = {"script", "iframe", "object", "embed", "form", "input", "link", "base", "svg", "video"}


def assert_harmless(html: str) -> None:
    for tag, attributes in _Elements(html).found:
        assert tag not in FORBIDDEN, tag
        assert not [name for name in attributes if name.startswith("on") or name == "srcdoc"]
        href, src = attributes.get("href") or "#", attributes.get("src") or "data:image/"
        assert href.startswith(("#", "http://", "https://", "mailto:")), href
        assert src.startswith("data:image/"), src
        assert tag == "span" or "style" not in attributes


def test_points_sentences_and_what_waits() -> None:
    html = page(
        cell("## Task 1 · Value (8 points)\nSay $V$.", "t1-text", "text"),
        cell("def v(): ...", "t1", "answer"),
        cell("task.score()", "t1-v", "checks", points=3, score=3.0, outputs=[stream("fine\n")]),
        cell(HIDDEN, "t1-h", "checks", points=7, score=2.0, outputs=[stream(PRINTED)]),
        cell("## Task 2 · Words (4 points, graded by hand)", "t2-text", "text"),
        cell("Because.", "t2", "words", points=4, score=0.0, waiting=True, comment="**Why?**"),
        score=5.0,
        late=0.5,
        notes=("A check cell was missing and has been put back.",),
    )
    text = text_of(html)
    assert "ps5 · feedback for ada 5 of 10 points" in text
    assert "0.5 points were taken off because it came late; without that it would be 5.5." in text
    assert "A check cell was missing and has been put back." in text
    assert "4 of these points are still to be graded by hand." in text
    rows = re.findall(r"<tr class=\"(\w+)\">(.*?)</tr>", html, re.DOTALL)
    assert [(kind, text_of("<body>" + row).strip()) for kind, row in rows] == [
        ("lost", "Task 1 · Value 5 of 10 Take the mean over each batch, not the sum."),
        ("waiting", "Task 2 · Words – of 4 To be graded by hand."),
    ]
    # The link of a task goes to where points were lost.
    assert '<a href="#t1-h">' in html
    assert 'id="t1-h"' in html
    assert "<strong>Why?</strong>" in html
    assert_harmless(html)


def test_nothing_of_a_hidden_check_gets_through() -> None:
    trace = error("in reference", "secret = 42.125", "ValueError: 42.125")
    value = shows(text_plain="42.125") | {"output_type": "execute_result", "execution_count": 1}
    outputs = [stream(PRINTED), stream("42.125 reference()", "stderr"), trace, value]
    unended = HIDDEN.replace(f"{END} HIDDEN TESTS\n", "")
    scheme = f"What?\n{BEGIN} MARK SCHEME\n42.125 is right\n{END} MARK SCHEME\nSay why."
    html = page(
        cell(HIDDEN, "h", "checks", points=7, score=0.0, outputs=outputs),
        cell(unended, "u", "checks", points=7, score=0.0, outputs=[trace]),
        cell(scheme, "text", "text"),
    )
    text = text_of(html)
    assert "secret" not in text
    assert "reference" not in text
    assert "42.125" not in text
    assert "MARK SCHEME" not in text
    assert "What?" in text
    assert "Say why." in text
    assert (
        text.count("The checks in this cell could not be run") == 4
    )  # in the table, and at the cell
    # A student may write what they like in cells of their own.
    own = f"{BEGIN} HIDDEN TESTS\nmine = 1"
    assert "mine = 1" in text_of(page(cell(own)))


def test_limits_are_told_in_a_sentence() -> None:
    note = "The cell was stopped after 60 seconds: is there a loop that never ends?"
    html = page(
        cell("## Task 1 (3 points)", "t", "text"),
        cell("while True: pass", "a", "answer", note=note),
        cell("task.score()", "c", "checks", points=3, score=0.0, note="It ran out of memory."),
    )
    text = text_of(html)
    # In the table, where it comes before what the checks say in consequence, and at the cell.
    assert text.count(note) == text.count("It ran out of memory.") == 2
    assert text.index(note) < text.index("It ran out of memory.")


def test_outputs_are_text_and_pictures_and_bounded() -> None:
    picture = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(picture)
    png = base64.b64encode(picture.getvalue()).decode()
    html = page(
        cell(
            "draw()",
            outputs=[
                shows(image_png=png, text_html="<b>x</b>"),
                shows(image_png=base64.b64encode(b"<script>").decode()),
                shows(**{"text_html": "<script>alert(1)</script>"}),
                shows(**{"image_svg+xml": "<svg onload=alert(1)>"}),
                shows(**{"application_javascript": "alert(1)"}),
                stream("\x1b[31mred\x1b[0m\r\n 10 %\r 50 %\r100 %\x07\n"),
                stream("y" * 50_000, "stderr"),
                error("\x1b[0;31mZeroDivisionError\x1b[0m: division by zero <b>"),
            ],
        ),
        cell(
            "big()",
            outputs=[
                shows(image_png=base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 2_000_000).decode())
            ],
        ),
    )
    assert html.count("<img") == 1
    assert png in html
    assert "<script" not in html
    assert "alert(1)" not in html
    assert "red\n100 %" in html
    assert "10 %\r" not in html
    assert "more characters" in html
    assert len(html) < 100_000
    assert "ZeroDivisionError: division by zero &lt;b&gt;" in html
    assert "it is too large" in html
    assert_harmless(html)


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>",
    '<a href="javascript:alert(1)">x</a> [y](javascript:alert(1)) [z](JaVaScRiPt&colon;alert(1))',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    "![x](https://example.org/tracker.png) ![y](attachment:none.png)",
    "<style>body { display: none }</style><link rel=stylesheet href=//example.org/x>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><form action=//example.org><input></form>",
    "<div id=t1-h class=note style='position:fixed;inset:0'>You have 100 points</div>",
    "</section></main></body><script>alert(1)</script>",
    "<math><mtext></p><style><img src=x onerror=alert(1)></style>",
    "$\\text{<img src=x onerror=alert(1)>}$ $\\href{javascript:alert(1)}{x}$",
    '$$\\color{red" onmouseover="alert(1)}{x}$$',
    "```html\n<script>alert(1)</script>\n```",
    "```mermaid\n<script>alert(1)</script>\n```",
    "\ue0000\ue001 \ue00099\ue001 $x$",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<details open ontoggle=alert(1)><summary>s</summary></details>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "[" * 5000,
    "> " * 3000 + "x",
    "a\x00b<scr\x00ipt>alert(1)</scr\x00ipt>",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_hostile_markdown_is_harmless(source: str) -> None:
    html = page(
        cell(source, "t", "words", points=4, score=1.0, comment="ok"),
        cell("# " + source, "c", "answer", note=source),
        cell(
            "task.score()",
            "h",
            "checks",
            points=1,
            score=0.0,
            outputs=[stream("✗ x\n   " + source)],
        ),
        notes=(source,),
        student=source,
    )
    assert_harmless(html)
    rendered = _Elements(str(safe_markdown(source))).found
    assert not [a for _, a in rendered if {"id", "style", "class"} & a.keys() - {"class"}]


MARKUP = [
    *"<>$}\"'`\n)&0|\ue000\ue001",
    *(
        "img",
        "script",
        "math",
        "$$",
        "\\text{",
        "[a](",
        "javascript:",
        "<!--",
        "-->",
        "<svg>",
        "</p>",
    ),
    *("<style>", " src=x", " onerror=alert(1)", "<a href=", "\\begin{align}", "\\end{align}"),
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(MARKUP),
        max_size=25,
    ).map("".join)
)
def test_no_mixture_of_markup_gets_through(source: str) -> None:
    assert_harmless(str(safe_markdown(source)))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='\\{}^_&<>"$ abfractextmrmlog', max_size=40))
def test_any_formula_gives_mathml_or_its_source(latex: str) -> None:
    html = mathml(latex, block=True)
    assert {tag for tag, _ in _Elements(html).found} <= {
        "span", "code", "math", "mi", "mn", "mo", "ms", "mtext", "mspace", "mrow", "mfrac", "msqrt",
        "mroot", "mstyle", "mpadded", "mphantom", "menclose", "msub", "msup", "msubsup", "munder",
        "mover", "munderover", "mmultiscripts", "mprescripts", "none", "mtable", "mtr", "mtd",
    }  # fmt: skip


def test_every_formula_of_the_problem_sets_is_drawn() -> None:
    import nbformat

    root = Path(__file__).resolve().parents[3] / "assignments"
    drawn = 0
    for path in sorted(root.glob("*/*.ipynb")):
        for entry in nbformat.read(path, as_version=4).cells:
            if entry.cell_type == "markdown":
                html = str(safe_markdown(entry.source))
                drawn += html.count("<math")
                left = re.findall(r"<code>[^<]*\\[a-z]+[^<]*</code>|>\\[a-zA-Z]+<", html)
                assert not left, (path.name, left)
    assert drawn > 50
