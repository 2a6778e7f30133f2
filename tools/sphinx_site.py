"""What the book adds to Jupyter Book: a site that loads nothing from elsewhere, and short roles.

A local Sphinx extension, named in ``_config.yml``. It

- serves MathJax from the site itself, and takes out the address of thebe that Jupyter Book would
  leave in its pages, and the badge that a notebook loads from Colab;
- derives the address of the published site from ``repository.url``, the one place where the
  course says where it lives;
- finishes the pages with ``tools/site_pages.py``, and tells those who share a link to one what it
  is about and where its picture lies;
- gives Sphinx the cache of executed chapters that belongs to the present library;
- offers the role ``colab`` for a button that opens a notebook, and the directives ``api`` and
  ``command-help`` for the reference of a module and of the command line.
"""

from __future__ import annotations

import hashlib
import html
import importlib.util
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import click
import typer.main
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError, ExtensionError, PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective, SphinxRole
from typer.cli import get_docs_for_click

import gencourse

sys.path.insert(0, str(Path(__file__).resolve().parent))

from book_cache import cache_folder
from site_pages import CARDS, finish
from social_card import SIZE

__all__ = ["pages_address", "setup"]

COLAB_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
ROOT = Path(__file__).resolve().parent.parent

# MathJax 3.2.2 comes with the package sphinx-mathjax-offline, whose files are those of npm's
# mathjax@3.2.2, byte for byte; the checksum is of the file that every page with an equation loads.
MATHJAX_PACKAGE = "sphinx-mathjax-offline"
MATHJAX_ENTRY = "tex-chtml.js"
MATHJAX_SHA256 = "0a6ded5abbce13331658dd239f34382abd06492c74b71b61e8caa8112ec55fa5"
# What the entry file may load later: fonts, TeX extensions, and the menu's accessibility tools.
MATHJAX_PARTS = (
    "output/chtml/fonts",
    "input/tex/extensions",
    "a11y",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
    "ui",
)


def mathjax_folder() -> Path:
    """Return where the installed MathJax lies.

    Raises
    ------
    ExtensionError
        If it is not installed, or is not the MathJax it should be.
    """
    spec = importlib.util.find_spec(MATHJAX_PACKAGE)
    if spec is None or spec.origin is None:
        raise ExtensionError(f"{MATHJAX_PACKAGE} is not installed; run make install")
    folder = Path(spec.origin).parent / "static" / "mathjax"
    found = hashlib.sha256((folder / MATHJAX_ENTRY).read_bytes()).hexdigest()
    if found != MATHJAX_SHA256:
        raise ExtensionError(f"{folder / MATHJAX_ENTRY} is not MathJax 3.2.2: sha256 {found}")
    return folder


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax into the finished site."""
    if exception is not None or app.builder.format != "html":
        return
    source = mathjax_folder()
    target = Path(app.outdir) / "_static" / "mathjax"
    target.mkdir(parents=True, exist_ok=True)
    for part in (MATHJAX_ENTRY, *MATHJAX_PARTS):
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / part, target / part)


def finish_site(app: Sphinx, exception: Exception | None) -> None:
    """Make the finished pages lighter and easier to find, also by those who do not see them."""
    if exception is None and app.builder.name == "html":
        finish(Path(app.outdir), app.config.html_baseurl, app.env.found_docs - {"index"})


def introduce(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Name the card of a page, and its own description instead of its first sentences."""
    if page not in app.env.found_docs:
        return
    described = re.search(r'<meta content="([^"]*)" name="description"', context["metatags"])
    context["meta"] = {
        **(context["meta"] or {}),
        "og:image": f"{app.config.html_baseurl}{CARDS}/{page}.png",
        "og:image:width": str(SIZE[0]),
        "og:image:height": str(SIZE[1]),
    }
    if described is not None:
        context["meta"]["og:description"] = html.unescape(described[1])


def pages_address(repository: str) -> str:
    """Return the GitHub Pages address of a repository, with a slash at the end.

    >>> pages_address("https://github.com/gencourse/gencourse")
    'https://gencourse.github.io/gencourse/'
    """
    parts = urlsplit(repository)
    names = parts.path.strip("/").removesuffix(".git").split("/")
    if parts.netloc != "github.com" or len(names) != 2 or not all(names):
        raise ConfigError(
            f"repository.url in _config.yml is {repository!r}; it must read "
            "https://github.com/OWNER/NAME, or set html.baseurl for a site that lives elsewhere"
        )
    owner, name = names
    if name.lower() == f"{owner.lower()}.github.io":
        return f"https://{name.lower()}/"
    return f"https://{owner.lower()}.github.io/{name}/"


def configure(app: Sphinx, config: Config) -> None:
    """Set what depends on where the course lives and on the state of the library."""
    options: dict[str, Any] = config.html_theme_options
    config.html_baseurl = config.html_baseurl or pages_address(options["repository_url"])
    config.ogp_site_url = config.html_baseurl
    config.mathjax_path = f"mathjax/{MATHJAX_ENTRY}"
    config.nb_execution_cache_path = str(cache_folder(ROOT))


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Take out thebe, whose script would be fetched from unpkg.com when asked for."""
    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if "thebe" not in str(getattr(script, "filename", script) or "")
        and "THEBE_JS_URL" not in str(getattr(script, "attributes", {}).get("body", ""))
    ]


class ColabRole(SphinxRole):
    """A button that opens a notebook in Colab: ``{colab}`assignments/ps5/ps5.ipynb```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the button, or a warning if the repository holds no such notebook."""
        path = self.text.strip()
        if not (ROOT / path).is_file():
            message = self.inliner.reporter.warning(
                f"the repository holds no notebook {path!r}", line=self.lineno
            )
            return [nodes.literal(text=path)], [message]
        options = self.config.html_theme_options
        repository = urlsplit(options["repository_url"]).path.strip("/")
        address = (
            f"https://colab.research.google.com/github/{repository}/blob/"
            f"{options['repository_branch']}/{quote(path)}"
        )
        return [colab_button(address)], []


def colab_button(address: str) -> nodes.reference:
    """Return a link that looks like a button."""
    return nodes.reference("", "Open in Colab", refuri=address, classes=["colab-button"])


def data_entry(package: str, name: str, value: object) -> list[str]:
    """Return the description of a constant: its type, and the ``#:`` comment above it.

    Autodoc would describe it by the docstring of its class, and finds no comment on a
    constant that a package takes over from one of its modules.
    """
    lines = [f".. py:data:: {name}", f"   :type: {type(value).__name__}", ""]
    for module in sorted(m for m in sys.modules if m == package or m.startswith(f"{package}.")):
        try:
            comments = ModuleAnalyzer.for_module(module).find_attr_docs()
        except PycodeError:
            continue
        if ("", name) in comments:
            return [*lines, *(f"   {line}" for line in comments["", name]), ""]
    return lines


class ApiDirective(SphinxDirective):
    """The reference of one module: its text, a table of its ``__all__``, then each entry.

    ``:only: name name`` chooses, for a package that passes on what its submodules document.
    """

    required_arguments = 1
    option_spec = {"only": directives.unchanged}  # noqa: RUF012 (docutils' own interface)

    def run(self) -> list[nodes.Node]:
        """Return the rendered documentation."""
        name = self.arguments[0]
        module = import_module(name)
        if not getattr(module, "__all__", None):
            raise self.error(f"{name} has no __all__, so nothing says what of it is public")
        names = self.options.get("only", " ".join(module.__all__)).split()
        public = {entry: getattr(module, entry) for entry in names}
        # What one calls first comes first: functions, then classes, then constants.
        kinds = {entry: isinstance(v, type) + 2 * (not callable(v)) for entry, v in public.items()}
        public = {entry: public[entry] for entry in sorted(public, key=kinds.__getitem__)}
        lines = [f".. automodule:: {name}", "   :no-members:", "", f".. currentmodule:: {name}"]
        lines += ["", ".. autosummary::", "   :nosignatures:", ""]
        lines += [*(f"   {entry}" for entry in public), ""]
        for entry, value in public.items():
            if isinstance(value, type):
                lines += [f".. autoclass:: {entry}", "   :members:"]
                lines += ["   :show-inheritance:", ""] if value.__bases__ != (object,) else [""]
            elif callable(value):
                lines += [f".. autofunction:: {entry}", ""]
            else:
                lines += data_entry(name, entry, value)
        node = nodes.Element()
        node.document = self.state.document
        text = StringList(["```{eval-rst}", *lines, "```"], name)
        self.state.nested_parse(text, 0, node)
        return node.children


class CommandHelpDirective(SphinxDirective):
    """The subcommands of a Typer application and their options: ``module:variable name``."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return one section per subcommand."""
        module, _, variable = self.arguments[0].partition(":")
        name = self.arguments[1]
        group = typer.main.get_command(getattr(import_module(module), variable))
        context = click.Context(group, info_name=name)
        sections: list[nodes.Node] = []
        for command in group.commands.values():
            text = get_docs_for_click(obj=command, ctx=context, name=command.name, call_prefix=name)
            _, _, body = text.partition("\n")  # the first line is a heading
            title = f"{name} {command.name}"
            section = nodes.section(
                ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)]
            )
            section.document = self.state.document
            section += nodes.title("", title)
            self.state.document.note_implicit_target(section, section)
            self.state.nested_parse(StringList(body.splitlines(), name), 0, section)
            sections.append(section)
        return sections


class LocalColabBadge(SphinxPostTransform):
    """Replace the Colab badge in a notebook's first cell by a button of the site's own.

    In Colab and on GitHub the badge is an image from Google's server; a page of this site
    loads nothing from elsewhere.
    """

    default_priority = 5
    formats = ("html",)

    def run(self, **options: Any) -> None:
        """Rewrite every linked badge on the page."""
        for image in list(self.document.findall(nodes.image)):
            link = image.parent
            if image["uri"] == COLAB_BADGE and isinstance(link, nodes.reference):
                link.replace_self(colab_button(link["refuri"]))


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace ``{{ repository }}`` and ``{{ version }}`` in the pages, code blocks included."""
    if app.env.doc2path(page).endswith(".md"):
        values = {
            "repository": app.config.html_theme_options["repository_url"],
            "version": gencourse.__version__,
        }
        for name, value in values.items():
            source[0] = source[0].replace("{{ " + name + " }}", value)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all of this with Sphinx."""
    app.add_role("colab", ColabRole())
    app.add_directive("api", ApiDirective)
    app.add_directive("command-help", CommandHelpDirective)
    app.add_post_transform(LocalColabBadge)
    app.connect("source-read", fill_in)
    # After the theme and myst-nb have put in their defaults, before anything reads the values.
    app.connect("config-inited", configure, priority=900)
    # After the theme has listed the scripts of the page.
    app.connect("html-page-context", drop_thebe, priority=900)
    # Before opengraph writes its tags.
    app.connect("html-page-context", introduce, priority=400)
    app.connect("build-finished", copy_mathjax)
    # After every other extension has copied its files.
    app.connect("build-finished", finish_site, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
