"""The search for leaks finds what it should, in every disguise, and nothing else."""

from __future__ import annotations

import html
import json
import zipfile
from pathlib import Path

import pytest
from leaks import find_leaks, secret_lines

SOLUTION = "answer = sorted(values, key=lambda v: (v.weight, v.name))"
HIDDEN = "assert answer([3, 1, 2]) == [1, 2, 3], 'hidden comparison of answers'"
SCHEME = "Two points for naming the saddle point, one for its value."
REFERENCE = "return functools.reduce(operator.mul, reversed(values), 1.0)"
VISIBLE = "assert answer([1.0, 2.0, 3.0]) is not None, 'return something, please'"
LIBRARY = "weights = torch.softmax(logits / temperature, dim=-1)"


def cell(source: str, kind: str = "code", **grader: object) -> dict[str, object]:
    return {"cell_type": kind, "source": source, "metadata": {"nbgrader": grader}}


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """Return a small course: solutions with all four kinds of secrets, and a library."""
    ps = tmp_path / "course" / "solutions" / "ps9"
    ps.mkdir(parents=True)
    cells = [
        cell(f"def f(values):\n    ### BEGIN SOLUTION\n    {SOLUTION}\n    ### END SOLUTION"),
        cell(f"{VISIBLE}\n### BEGIN HIDDEN TESTS\n{HIDDEN}\n### END HIDDEN TESTS"),
        cell(f"Why?\n### BEGIN MARK SCHEME\n{SCHEME}\n### END MARK SCHEME", "markdown"),
        cell(f"### BEGIN SOLUTION\n{LIBRARY}\n### END SOLUTION"),
    ]
    (ps / "ps9.ipynb").write_text(json.dumps({"cells": cells}))
    (ps / "reference.py").write_text(f"def f(values):\n    {REFERENCE}\n")
    library = tmp_path / "course" / "gencourse"
    library.mkdir()
    (library / "nets.py").write_text(f"def g(logits):\n    {LIBRARY}\n")
    return tmp_path / "course"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def test_secrets_are_what_only_instructors_have(course: Path) -> None:
    lines = secret_lines(course / "solutions", course / "gencourse")
    assert lines == {SOLUTION, HIDDEN, SCHEME, REFERENCE}


def test_a_solution_cell_without_markers_is_secret_as_a_whole(course: Path) -> None:
    path = course / "solutions" / "ps9" / "ps9.ipynb"
    path.write_text(json.dumps({"cells": [cell(SOLUTION, solution=True), cell(VISIBLE)]}))
    assert SOLUTION in secret_lines(course / "solutions", course / "gencourse")
    assert VISIBLE not in secret_lines(course / "solutions", course / "gencourse")


def test_what_students_get_is_no_leak(course: Path, tree: Path) -> None:
    (tree / "page.html").write_text(f"<p>{VISIBLE}</p><pre>{LIBRARY}</pre>")
    (tree / "guide.md").write_text("Write it between `### BEGIN SOLUTION` and the end.")
    (tree / "clear.py").write_text('MARKER = "### BEGIN SOLUTION"\n')
    (tree / "picture.png").write_bytes(bytes(range(256)))
    assert find_leaks(tree, course / "solutions") == []


@pytest.mark.parametrize("line", [SOLUTION, HIDDEN, SCHEME, REFERENCE])
def test_every_kind_of_secret_is_found_in_every_kind_of_file(
    course: Path, tree: Path, line: str
) -> None:
    coloured = "".join(
        f"<span class='n'>{html.escape(word)}</span> " for word in line.split(" ")
    ).rstrip()
    (tree / "page.html").write_text(f"<pre>{coloured}</pre>")
    notebook = {"cells": [cell(line), {"source": ["x = 1\n", f"    {line}\n"]}]}
    (tree / "list.ipynb").write_text(json.dumps(notebook))
    (tree / "damaged.ipynb").write_text(line)
    (tree / "deep").mkdir()
    (tree / "deep" / "module.py").write_text(f"if True:\n        {line}  # indented\n")
    (tree / "binary.bin").write_bytes(b"\xff\xfe" + line.encode() + b"\x00")
    with zipfile.ZipFile(tree / "package.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.py", line)
    found = {leak.path for leak in find_leaks(tree, course / "solutions")}
    assert found == {
        "page.html",
        "list.ipynb",
        "damaged.ipynb",
        "deep/module.py",
        "binary.bin",
        "package.whl!inside.py",
    }


@pytest.mark.parametrize("kind", ["SOLUTION", "HIDDEN TESTS", "MARK SCHEME"])
def test_markers_are_found(course: Path, tree: Path, kind: str) -> None:
    (tree / "a.ipynb").write_text(json.dumps({"cells": [cell(f"### BEGIN {kind}\nx = 1")]}))
    (tree / "b.html").write_text(f"<pre><span>### BEGIN {kind}</span></pre>")
    (tree / "c.py").write_text(f"def f():\n    ### BEGIN {kind}\n    return 1\n")
    found = {leak.path for leak in find_leaks(tree, course / "solutions")}
    assert found == {"a.ipynb", "b.html", "c.py"}


def test_private_files_are_found_by_name(course: Path, tree: Path) -> None:
    for name in ("solutions/ps9/empty.txt", "somewhere/reference.py", "gradebook.db"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")
    assert len(find_leaks(tree, course / "solutions")) == 3


def test_a_search_that_could_find_nothing_is_refused(course: Path, tree: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        find_leaks(tree / "missing", course / "solutions")
    empty = course / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="nothing to look for"):
        find_leaks(tree, empty, library=course / "gencourse")
