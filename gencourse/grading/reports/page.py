"""Templates of pages that stand alone: style inside, no script, nothing from elsewhere."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, PackageLoader, Template

__all__ = ["template"]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gencourse.grading.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = lambda value: f"{round(value, 2):g}"
    environment.filters["percent"] = lambda share: f"{100 * share:.0f} %"
    return environment


def template(name: str) -> Template:
    """Return a template of ``templates/``; what it is given is escaped, unless it is ``Markup``."""
    return _environment().get_template(name)
