"""Show the library's own code in a chapter, so that there is never a second copy of it."""

from __future__ import annotations

import inspect
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["show_source"]


def show_source(*objects: Any, docstrings: bool = False) -> Markdown:
    """Display the source of functions, methods or classes of the library.

    Parameters
    ----------
    *objects : function, method or class
        What to show, in this order.
    docstrings : bool
        Whether to keep the docstrings; a chapter usually says the same in its text.

    Returns
    -------
    IPython.display.Markdown
        A highlighted block of code, in a notebook and on the built page alike.

    Raises
    ------
    TypeError
        If an object was not written in Python, and so has no source.
    """
    from IPython.display import Markdown

    blocks = []
    for thing in objects:
        source = textwrap.dedent(inspect.getsource(thing))
        if not docstrings and thing.__doc__:
            source = _without_docstring(source)
        blocks.append(source.rstrip())
    code = "\n\n".join(blocks)
    return Markdown(f"```python\n{code}\n```")


def _without_docstring(source: str) -> str:
    """Cut the docstring of the outermost definition out of its source."""
    import ast

    body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    first, lines = body[0], source.splitlines()
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if not is_docstring or len(body) == 1:
        return source
    return "\n".join(lines[: first.lineno - 1] + lines[first.end_lineno :])
