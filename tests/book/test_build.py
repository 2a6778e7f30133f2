"""Building the book: what is executed when, how failures are told, what the site is made of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import book_cache
import build_book
import nbformat
import pytest
import yaml

import gencourse

ROOT = Path(__file__).resolve().parents[2]


def notebook(path: Path, *cells: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree with a library of one line, as far as hashing is concerned."""
    (tmp_path / "gencourse").mkdir()
    (tmp_path / "gencourse" / "a.py").write_text("x = 1\n")
    (tmp_path / "constraints.txt").write_text("torch==2.15.0\n")
    return tmp_path


class TestKeys:
    def test_library_and_pins_change_the_key(self, tree: Path) -> None:
        keys = [book_cache.environment_key(tree)]
        (tree / "gencourse" / "a.py").write_text("x = 2\n")
        keys.append(book_cache.environment_key(tree))
        (tree / "gencourse" / "b.py").write_text("")
        keys.append(book_cache.environment_key(tree))
        (tree / "gencourse" / "b.py").rename(tree / "gencourse" / "c.py")
        keys.append(book_cache.environment_key(tree))
        (tree / "constraints.txt").write_text("torch==2.15.1\n")
        keys.append(book_cache.environment_key(tree))
        assert len(set(keys)) == 5

    def test_by_products_do_not(self, tree: Path) -> None:
        before = book_cache.environment_key(tree)
        (tree / "gencourse" / "__pycache__").mkdir()
        (tree / "gencourse" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"1")
        os.utime(tree / "gencourse" / "a.py", (0, 0))
        assert book_cache.environment_key(tree) == before

    def test_earlier_states_are_forgotten(self, tree: Path) -> None:
        old = book_cache.cache_folder(tree)
        old.mkdir(parents=True)
        (tree / "gencourse" / "a.py").write_text("x = 3\n")
        new = book_cache.cache_folder(tree)
        new.mkdir()
        assert book_cache.forget(tree) == [old]
        assert not old.exists()
        assert new.exists()


class TestOrder:
    def test_unknown_chapters_come_first_then_the_longest(self, tree: Path) -> None:
        names = ("short", "long", "new", "new_and_larger")
        chapters = {n: notebook(tree / "book" / f"{n}.ipynb", "x = 1") for n in names}
        notebook(chapters["new_and_larger"], *["x = 1"] * 9)
        remembered = book_cache.seconds_file(tree)
        remembered.parent.mkdir(parents=True)
        remembered.write_text('{"book/short.ipynb": 3, "book/long.ipynb": 70.5}')
        order = book_cache.longest_first(tree, chapters.values())
        assert [p.stem for p in order] == ["new_and_larger", "new", "long", "short"]

    @pytest.mark.parametrize(
        "content", ["", "[]", '{"book/a.ipynb": "long"}', '{"book/a.ipynb": {}}']
    )
    def test_a_damaged_memory_is_no_memory(self, tree: Path, content: str) -> None:
        remembered = book_cache.seconds_file(tree)
        remembered.parent.mkdir(parents=True)
        remembered.write_text(content)
        path = notebook(tree / "book" / "a.ipynb", "x = 1")
        assert book_cache.longest_first(tree, [path]) == [path]

    def test_forgetting_earlier_states_keeps_the_memory(self, tree: Path) -> None:
        remembered = book_cache.seconds_file(tree)
        remembered.parent.mkdir(parents=True)
        remembered.write_text("{}")
        assert book_cache.forget(tree) == []
        assert remembered.exists()


class TestExecution:
    @pytest.mark.slow
    def test_each_chapter_once_and_again_when_the_library_changes(self, tree: Path) -> None:
        chapters = [
            notebook(tree / "book" / "one.ipynb", "x = 6 * 7", "print(x)"),
            notebook(tree / "book" / "two.ipynb", "import os; open('here', 'w').close()"),
        ]
        limits = {"jobs": 2, "cell_seconds": 60, "chapter_seconds": 120}
        seconds, failures = book_cache.execute(tree, chapters, **limits)
        assert not failures
        assert set(seconds) == set(chapters)
        assert set(json.loads(book_cache.seconds_file(tree).read_text())) == {
            "book/one.ipynb",
            "book/two.ipynb",
        }
        assert not (tree / "book" / "here").exists()
        assert not nbformat.read(chapters[0], 4).cells[1].outputs  # the source stays as it was

        assert book_cache.execute(tree, chapters, **limits) == ({}, [])

        notebook(chapters[0], "x = 6 * 8", "print(x)")
        seconds, _ = book_cache.execute(tree, chapters, **limits)
        assert set(seconds) == {chapters[0]}

        (tree / "gencourse" / "a.py").write_text("x = 2\n")
        seconds, _ = book_cache.execute(tree, chapters, **limits)
        assert set(seconds) == set(chapters)

    @pytest.mark.slow
    def test_failures_are_told_and_stop_no_other_chapter(self, tree: Path) -> None:
        good = notebook(tree / "good.ipynb", "1 + 1")
        wrong = notebook(tree / "wrong.ipynb", "def inverse(x):\n    return 1 / x", "inverse(0)")
        slow = notebook(tree / "slow.ipynb", "import time; time.sleep(600)")
        dead = notebook(tree / "dead.ipynb", "import os; os._exit(1)")
        seconds, failures = book_cache.execute(
            tree, [wrong, slow, dead, good], jobs=4, cell_seconds=10, chapter_seconds=60
        )
        assert set(seconds) == {good}
        reasons = {failure.chapter: failure.reason for failure in failures}
        assert set(reasons) == {wrong, slow, dead}
        assert "ZeroDivisionError" in reasons[wrong]
        assert "inverse(0)" in reasons[wrong]
        assert "longer than 10 s" in reasons[slow]
        assert "kernel died" in reasons[dead]

    @pytest.mark.slow
    def test_a_chapter_has_a_limit_too(self, tree: Path) -> None:
        long = notebook(tree / "long.ipynb", *["import time; time.sleep(3)"] * 10)
        _, (failure,) = book_cache.execute(tree, [long], jobs=1, cell_seconds=20, chapter_seconds=8)
        assert failure.reason == "the chapter ran longer than 8 s"


class TestBuild:
    @pytest.fixture
    def book(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Point the builder at a tree with one broken chapter."""
        (tree / "_config.yml").write_text("execute:\n  timeout: 30\n")
        toc = {"format": "jb-book", "root": "book/index", "chapters": [{"file": "book/one"}]}
        (tree / "_toc.yml").write_text(yaml.safe_dump(toc))
        notebook(tree / "book" / "one.ipynb", "raise KeyError('no such divergence')")
        monkeypatch.setattr(build_book, "ROOT", tree)
        monkeypatch.setattr(build_book, "HTML", tree / "_build" / "html")
        monkeypatch.setattr(build_book, "STAMP", tree / "_build" / "book.json")
        for name in build_book.ENVIRONMENT:  # `main` sets them; take them back afterwards
            monkeypatch.setenv(name, build_book.ENVIRONMENT[name])
        monkeypatch.setenv("MPLBACKEND", "Agg")  # `main` removes it
        return tree

    @pytest.mark.slow
    def test_a_failing_chapter_fails_the_build_and_keeps_the_old_site(
        self, book: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = book / "_build" / "html" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("the last good build")
        assert build_book.main([]) == 1
        told = capsys.readouterr()
        assert "no such divergence" in told.err
        assert "one.ipynb" in told.err
        assert page.read_text() == "the last good build"

    def test_a_site_is_current_until_an_input_or_a_page_changes(self, book: Path) -> None:
        page = build_book.HTML / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("page")

        def stamp() -> None:
            build_book.write_stamp(build_book.inputs_key())

        assert not build_book.is_current()
        stamp()
        assert build_book.is_current()
        page.write_text("another page")
        assert not build_book.is_current()
        stamp()
        (book / "book" / "new.md").write_text("# New")
        assert not build_book.is_current()
        stamp()
        (book / "gencourse" / "a.py").write_text("x = 5\n")
        assert not build_book.is_current()

    def test_chapters_are_read_from_the_table_of_contents(self) -> None:
        found = [path.relative_to(ROOT).as_posix() for path in build_book.chapters()]
        assert "book/gan.ipynb" in found
        assert len(found) == len(set(found))
        listed = {path.name for path in build_book.chapters()}
        assert {path.name for path in (ROOT / "book").glob("*.ipynb")} == listed

    def test_without_a_network_links_are_not_called_broken(
        self, book: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def unresolved(*_: object) -> None:
            raise OSError("name or service not known")

        monkeypatch.setattr(build_book.socket, "getaddrinfo", unresolved)
        assert build_book.main(["--linkcheck"]) == 2
        assert "No link was looked up" in capsys.readouterr().err
        assert not (book / "_build" / "work").exists()


class TestMake:
    """The Makefile, run without its real environment."""

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if shutil.which("make") is None:
            pytest.fail("make is not installed, and the course is run by it")
        # Without the variables of the make that runs this test.
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        return subprocess.run(
            ["make", "-C", str(ROOT), *arguments],
            capture_output=True,
            text=True,
            env=clean,
            timeout=60,
            check=False,
        )

    def test_help_is_the_default_and_lists_every_public_target(self) -> None:
        shown = self.make().stdout
        for target in ("book", "test", "serve", "lint", "release", "grade", "public", "clean"):
            assert f"\n  {target} " in shown

    def test_an_old_python_is_refused_with_a_sentence(self, tmp_path: Path) -> None:
        result = self.make("install", "PYTHON=", f"VENV={tmp_path / 'venv'}")
        assert result.returncode != 0
        assert "Python 3.11 or newer" in result.stderr
        assert not (tmp_path / "venv").exists()

    def test_an_interrupted_installation_is_not_taken_for_a_finished_one(
        self, tmp_path: Path
    ) -> None:
        # A Python that makes the environment and then fails to install anything.
        venv = tmp_path / "venv"
        python = venv / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\n[ "$1" = -c ] || exit 1\n')
        python.chmod(0o755)
        result = self.make("install", f"VENV={venv}")
        assert result.returncode != 0
        assert not (venv / ".installed").exists()

    @pytest.mark.parametrize("target", ["grade", "public"])
    def test_missing_arguments_are_asked_for(self, target: str) -> None:
        result = self.make(target, "-o", ".venv/.installed")
        assert result.returncode != 0
        assert f"make {target} " in result.stderr


class TestFrontMatter:
    def test_one_version(self) -> None:
        citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        assert citation["version"] == gencourse.__version__
        assert f"## {gencourse.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    def test_pins_are_names_and_versions_and_complete(self) -> None:
        from packaging.utils import canonicalize_name
        from packaging.version import Version
        from pin import EXTRAS, closure

        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        pins = {}
        for line in (x for x in lines if x and not x.startswith("#")):
            name, _, version = line.partition("==")
            assert Version(version).local is None, line
            pins[canonicalize_name(name)] = version
        assert {"torch", "jupyter-book", "nbgrader", "sphinx-book-theme"} <= set(pins)
        installed = closure("gencourse", EXTRAS)
        needed = {canonicalize_name(name): version for name, version in installed.items()}
        if any(pins.get(name, version) != version for name, version in needed.items()):
            pytest.skip("installed without the pins, so nothing can be said of them")
        assert set(needed) <= set(pins), f"run make constraints: {sorted(set(needed) - set(pins))}"

    def test_the_site_s_address_follows_from_the_repository(self) -> None:
        from sphinx.errors import ConfigError
        from sphinx_site import pages_address

        assert pages_address("https://github.com/Ada/Course") == "https://ada.github.io/Course/"
        assert pages_address("https://github.com/ada/ada.github.io") == "https://ada.github.io/"
        for wrong in ("", "github.com/a/b", "https://github.com/a", "https://example.org/a/b"):
            with pytest.raises(ConfigError, match="OWNER/NAME"):
                pages_address(wrong)

    def test_every_public_module_has_a_page(self) -> None:
        toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
        for name in set(gencourse._SUBMODULES) - {"grading"}:
            assert f"file: book/reference/{name}\n" in toc, f"{name} is not in the reference"

    def test_bibliography_entries_are_complete(self) -> None:
        from pybtex.database import parse_file

        entries = parse_file(str(ROOT / "book" / "references.bib")).entries
        for key, entry in entries.items():
            assert {"title", "year"} <= set(entry.fields), key
            assert "$" not in entry.fields["title"], f"{key}: the bibliography sets no formulas"
            assert entry.persons.get("author"), key
            where = {"url", "doi", "journal", "publisher", "howpublished"}
            assert where & set(entry.fields), key
            first = entry.persons["author"][0]
            surname = [*first.prelast_names, *first.last_names]  # von Neumann, Dai Pra
            assert key[0] in {part[0].lower().replace("ø", "o") for part in surname}, key
            assert entry.fields["year"] in key, key

    def test_chapters_carry_no_outputs(self) -> None:
        for path in build_book.chapters():
            for cell in nbformat.read(path, 4).cells:
                assert not cell.get("outputs"), f"{path.name}: clear its outputs"
                assert cell.get("execution_count") is None, f"{path.name}: clear its outputs"
