"""What is found when somebody copies, and what is not when two people are right."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import NotebookNode

from gencourse.grading.reports.similarity import OWN_CELLS, Pair, Report, answers_of, compare
from gencourse.grading.reports.similarity_page import groups, similarity_page

STUB = '''\
def spread(samples, modes, std):
    """How far samples lie from the modes.

    samples: shape (n, d).  modes: shape (k, d).  std: a number.
    """
    # YOUR CODE HERE
    raise NotImplementedError("write your answer here")
'''
HEAD = STUB.split("    # YOUR")[0]
BODIES = [
    """\
    lengths, nearest = (samples[:, None] - modes).norm(dim=-1).sort(dim=1)
    good = lengths[:, 0] < 2 * std  # within two sigma
    median = lengths[good, 0].median() if good.any() else lengths.new_tensor(0.0)
    return {int(k): float((nearest[good, 0] == k).sum()) for k in range(len(modes))}, median
""",
    """\
    hit, inside = set(), 0
    for x in samples.tolist():
        away = [math.dist(x, m) for m in modes.tolist()]
        if min(away) < 3 * std:
            hit.add(away.index(min(away)))
            inside += 1
    return len(hit), inside / len(samples)
""",
    """\
    squared = ((samples[:, None] - modes[None]) ** 2).sum(-1)
    best = squared.min(1)
    shares = one_hot(best.indices, len(modes))[best.values <= (3 * std) ** 2].sum(0)
    return (shares / len(samples) >= 0.1 / len(modes)).sum(), shares.sum() / len(samples)
""",
]


def notebook(*cells: tuple[str, str, str]) -> NotebookNode:
    """(name, source, kind) cells: "answer", "words", "given", or "" for one a student added."""
    made = nbformat.v4.new_notebook()
    for name, source, kind in cells:
        new = nbformat.v4.new_markdown_cell if kind == "words" else nbformat.v4.new_code_cell
        cell = new(source)
        if kind:
            cell.metadata["nbgrader"] = {"grade_id": name, "solution": kind != "given"}
        made.cells.append(cell)
    return made


RELEASE = notebook(("task", STUB, "answer"), ("setup", "import torch\n" * 9, "given"))


def hand_in(body: str, *more: tuple[str, str, str]) -> dict[str, tuple[str, bool]]:
    return answers_of(notebook(("task", HEAD + body, "answer"), *more))


def test_a_copy_with_other_names_is_found_and_marked() -> None:
    copy = BODIES[0].replace("nearest", "closest").replace("good", "ok").replace("two sigma", "2σ")
    found = compare(
        {"ada": hand_in(BODIES[0]), "bob": hand_in(copy), "cyd": hand_in(BODIES[1])}, RELEASE
    )
    assert [(p.left, p.right) for p in found.pairs] == [("ada", "bob")]
    (pair,) = found.pairs
    assert pair.shares == (1.0, 1.0)
    (match,) = pair.matches
    marked = "".join(text for text, shared in match.right if shared)
    assert marked.strip() == copy.strip()
    assert "".join(text for text, _ in match.right) == HEAD + copy


def test_right_answers_found_independently_are_not_listed() -> None:
    found = compare({f"s{i}": hand_in(body) for i, body in enumerate(BODIES)}, RELEASE)
    assert found.pairs == ()
    assert found.hand_ins == 3
    assert "No two hand-ins resemble" in similarity_page(found, "ps5")


def test_what_the_release_gives_is_nobodys() -> None:
    more = ("", "import torch\n" * 9, "")
    found = compare({name: hand_in("    return 0\n", more) for name in "abc"}, RELEASE, least=0.0)
    assert all(p.similarity == 0 for p in found.pairs)


def test_what_many_share_does_not_count() -> None:
    many = {f"s{i}": hand_in(BODIES[0]) for i in range(6)}
    assert len(compare(many, RELEASE, common=6).pairs) == 15
    assert compare(many, RELEASE, common=5).pairs == ()


def test_a_part_that_was_copied_whole_is_found() -> None:
    given = {"long": hand_in(BODIES[1] + BODIES[2]), "short": hand_in(BODIES[2])}
    (pair,) = compare(given, RELEASE).pairs
    assert pair.similarity == pair.shares[1] > 0.9 > pair.shares[0]


def test_words_are_compared_as_words() -> None:
    text = "The generator loses modes because the discriminator saturates near the data."
    words = {
        "ada": hand_in(BODIES[0], ("why", text, "words")),
        "bob": hand_in(BODIES[1], ("why", text.upper() + " I think.", "words")),
        "cyd": hand_in(BODIES[2], ("why", "Gradients vanish where D is sure of itself.", "words")),
    }
    found = compare(words, RELEASE, least=0.1)
    assert [(p.left, p.right, [m.cell for m in p.matches]) for p in found.pairs] == [
        ("ada", "bob", ["why"])
    ]


def test_cells_of_their_own_and_lines_to_the_letter() -> None:
    odd = "xx=  3 # teh answr\nyy = xx+1 #dont touch\nzz = [yy]*4 # somehow\nq = (zz,xx)  # ??\n"
    given = {
        "ada": hand_in(BODIES[0], ("", odd, "")),
        "bob": hand_in(BODIES[1], ("", odd, "")),
        "cyd": hand_in(BODIES[2]),
    }
    (pair,) = compare(given, RELEASE).pairs
    assert (pair.left, pair.right) == ("ada", "bob")
    assert len(pair.lines) == 4
    assert OWN_CELLS in given["ada"]


def test_earlier_years_are_compared_with_this_one_only() -> None:
    earlier = {"2025: eve": hand_in(BODIES[2]), "2025: fay": hand_in(BODIES[2])}
    found = compare(
        {"ada": hand_in(BODIES[2]), "bob": hand_in(BODIES[0])}, RELEASE, earlier=earlier
    )
    assert {(p.left, p.right) for p in found.pairs} == {
        ("2025: eve", "ada"),
        ("2025: fay", "ada"),
    }


@pytest.mark.parametrize(
    "source", ["", "\n\n", "class A:\n    pass", "def f(:\n  '''", "é" * 60, "\0"]
)
def test_whatever_was_handed_in_is_compared(source: str) -> None:
    given = {name: hand_in(source, ("why", source, "words"), ("", source, "")) for name in "ab"}
    assert similarity_page(compare(given, RELEASE, least=0.0), "ps5")


def test_the_page_shows_code_as_text_and_groups_as_groups() -> None:
    hostile = "<script>alert(1)</script>"
    bodies = BODIES[0] + f"    # {hostile}\n"
    found = compare({name: hand_in(bodies) for name in ("ada", "bob", hostile)}, RELEASE)
    page = similarity_page(found, "ps5")
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert groups(found.pairs) == [sorted(["ada", "bob", hostile])]
    assert groups((Pair("a", "b", (1, 1), (), ()), Pair("c", "d", (1, 1), (), ()))) == []
    assert (
        similarity_page(Report(found.pairs * 200, 3, 4), "ps5").count('<section class="pair"')
        == 100
    )
