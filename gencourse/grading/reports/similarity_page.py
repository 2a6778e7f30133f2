"""The report on similar hand-ins as one page that loads nothing."""

from __future__ import annotations

from gencourse.grading.reports.page import template
from gencourse.grading.reports.similarity import OWN_CELLS, Pair, Report

__all__ = ["groups", "similarity_page"]

#: Pairs that are shown side by side; the table has all of them.
MOST_SHOWN = 100


def similarity_page(report: Report, problem_set: str) -> str:
    """Return the HTML of a report."""
    return template("similarity.html.j2").render(
        problem_set=problem_set,
        report=report,
        shown=report.pairs[:MOST_SHOWN],
        groups=groups(report.pairs),
        own_cells=OWN_CELLS,
    )


def groups(pairs: tuple[Pair, ...]) -> list[list[str]]:
    """Return the groups of three and more that pairs link together, the largest first."""
    group: dict[str, set[str]] = {}
    for pair in pairs:
        joined = group.get(pair.left, {pair.left}) | group.get(pair.right, {pair.right})
        for student in joined:
            group[student] = joined
    found = {tuple(sorted(members)) for members in group.values() if len(members) > 2}
    return [list(members) for members in sorted(found, key=lambda m: (-len(m), m))]
