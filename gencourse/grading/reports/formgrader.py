"""Formgrader, made safe to open what students handed in, and to work without a network.

It shows hand-ins in a browser whose session may do anything in the course, so a script in a
hand-in could set grades. nbconvert's exporter behind it is configured to clean Markdown, to draw
formulas without a script, and to show of outputs only text and PNG.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbgrader

__all__ = ["show_safely"]


def show_safely(config: Any) -> None:
    """Put these settings into nbgrader's configuration: ``nbgrader_config.py`` calls this."""
    ours = Path(__file__).parent / "templates"
    theirs = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
    config.HTMLExporter.template_name = "formgrade"
    # Ours come first: they replace the piece that would load MathJax from another host.
    config.HTMLExporter.extra_template_basedirs = [str(ours), str(theirs)]
    config.HTMLExporter.filters = {
        "markdown2html": "gencourse.grading.reports.markdown.markdown_filter"
    }
    config.DataTypeFilter.display_data_priority = ["image/png", "text/plain"]
