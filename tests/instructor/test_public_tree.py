"""The tree that is published leaks nothing, and an update of it touches nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from leaks import find_leaks
from notebook_cells import ROOT, source
from public_tree import MANIFEST, is_private, published_files, write_public_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public") / "tree"
    write_public_tree(folder)
    return folder


def course(folder: Path) -> Path:
    """A small git repository with a little of everything; nothing is committed."""
    files = {
        ".gitignore": "gradebook.db\n",
        "README.md": "Welcome.\n",
        "gencourse/__init__.py": "",
        "tests/test_a.py": "def test_a() -> None:\n    assert True\n",
        "tests/instructor/test_b.py": "SECRET = 'a line that only instructors may read'\n",
        "solutions/ps0/reference.py": "def f(x):\n    return [y + 1 for y in x if y is not None]\n",
        "solutions/ps0/ps0.ipynb": '{"cells": []}',
        "submitted/ada/ps0/ps0.ipynb": "{}",
        "nbgrader_config.py": "c = get_config()\n",
        "gradebook.db": "grades",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def test_it_leaks_nothing(tree: Path) -> None:
    assert find_leaks(tree, ROOT / "solutions") == []
    for private in ("solutions", "tests/instructor", "nbgrader_config.py", "gradebook.db"):
        assert not (tree / private).exists()
    for public in ("gencourse", "assignments/ps5/ps5.ipynb", "book", "Makefile", "tests"):
        assert (tree / public).exists()
    assert not list(tree.rglob("reference.py"))


def test_the_search_would_find_a_leak(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    (task,) = (cell for cell in source("ps5").cells if cell.id == "task6")
    (line,) = (x for x in task.source.splitlines() if "loss = " in x)
    reference = (ROOT / "solutions" / "ps5" / "reference.py").read_text(encoding="utf-8")
    plants = {
        "book/answer.md": f"text\n\n    {line.strip()}\n",
        "gencourse/data/extra.py": reference.split('"""')[-1],
        "docs/page.html": "<p>### <b>BEGIN HIDDEN TESTS</b></p>".replace("<b>", "").replace(
            "</b>", ""
        ),
        "tools/reference.py": "x = 1\n",
    }
    for name, text in plants.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        assert {leak.path for leak in find_leaks(copy, ROOT / "solutions")} == {name}, name
        path.unlink()
    assert find_leaks(copy, ROOT / "solutions") == []


def test_untracked_files_go_along_and_ignored_ones_do_not(tmp_path: Path) -> None:
    names = published_files(course(tmp_path))
    assert names == [".gitignore", "README.md", "gencourse/__init__.py", "tests/test_a.py"]


@pytest.mark.parametrize(
    "name",
    ["solutions/ps9/x.py", "grades/ps5.csv", "feedback/a/b.html", "sub/gradebook.db", "hand-ins/a"],
)
def test_whatever_git_says_these_stay(name: str) -> None:
    assert is_private(name)
    assert not is_private(f"book/{name.split('/')[0]}-guide.md")


def test_a_leak_stops_everything(tmp_path: Path) -> None:
    root = course(tmp_path / "course")
    (root / "README.md").write_text("return [y + 1 for y in x if y is not None]\n")
    target = tmp_path / "public"
    with pytest.raises(ValueError, match=r"would leak:\n  README.md"):
        write_public_tree(target, root)
    assert not target.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["course"]


def test_an_update_replaces_removes_and_leaves_git_alone(tmp_path: Path) -> None:
    root, target = course(tmp_path / "course"), tmp_path / "public"
    target.mkdir()
    (target / ".git").mkdir()
    (target / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    write_public_tree(target, root)  # into the clone of an empty repository
    (target / "CNAME").write_text("course.example.org\n")
    (target / "README.md").write_text("edited by hand\n")

    shutil.rmtree(root / "tests")
    (root / "tests").write_text("now a file\n")
    (root / "new.md").write_text("new\n")
    write_public_tree(target, root)
    assert (target / "README.md").read_text() == "Welcome.\n"
    assert (target / "tests").read_text() == "now a file\n"
    assert (target / "new.md").is_file()
    assert (target / "CNAME").is_file()
    assert (target / ".git" / "HEAD").is_file()
    assert (target / MANIFEST).read_text().splitlines()[1:] == published_files(root)


def test_it_writes_into_nothing_else(tmp_path: Path) -> None:
    root = course(tmp_path / "course")
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.tex").write_text("dear reader")
    for folder, words in (
        (mine, "not empty"),
        (mine / "chapter1.tex", "is a file"),
        (root / "public", "inside the course"),
        (tmp_path, "around it"),
        (root, "inside the course"),
    ):
        with pytest.raises(ValueError, match=words):
            write_public_tree(folder, root)
    assert [p.name for p in mine.iterdir()] == ["chapter1.tex"]


def test_links_are_refused(tmp_path: Path) -> None:
    root = course(tmp_path)
    (root / "link.py").symlink_to(root / "solutions" / "ps0" / "reference.py")
    with pytest.raises(ValueError, match=r"link\.py is a symbolic link"):
        published_files(root)


def test_a_tree_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no git repository"):
        published_files(tmp_path)
