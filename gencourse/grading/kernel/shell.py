"""The IPython shell that runs a student's cells: it reports text and PNG, and nothing else.

What a cell prints goes to the ordinary streams, together with what its subprocesses print; what
it displays, and how it fails, goes to the callable the shell is made with.
"""

from __future__ import annotations

import base64
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any as Anything
from traitlets import Type
from traitlets.config import Config

__all__ = ["CELL_FILES", "StudentShell", "make_shell"]

Report = Callable[[dict[str, Any]], None]

#: How the names of cells begin, in tracebacks.
CELL_FILES = "<ipython-input-"
_SHOWN = ("text/plain", "image/png")
_INSTALLS = re.compile(
    r"\s*(?:sudo\s+)?(?:\S*python[\d.]*\s+-m\s+)?(?:pip[\d.]*|uv|conda|mamba|apt|apt-get)\s"
)


def _shown(data: dict[str, Any]) -> dict[str, Any]:
    bundle = {mime: data[mime] for mime in _SHOWN if mime in data}
    if isinstance(bundle.get("image/png"), bytes):
        bundle["image/png"] = base64.b64encode(bundle["image/png"]).decode()
    return bundle


class _Publisher(DisplayPublisher):
    shell: Any

    def publish(  # type: ignore[override]
        self, data: dict[str, Any], metadata: Any = None, *, update: bool = False, **rest: Any
    ) -> None:
        bundle = _shown(data)
        if bundle and not update:
            self.shell.report({"output_type": "display_data", "data": bundle, "metadata": {}})

    def clear_output(self, wait: bool = False) -> None:
        self.shell.report({"output_type": "clear"})


class _Hook(DisplayHook):
    """Report the value of a cell's last line."""

    shell: Any

    def quiet(self) -> bool:
        return self.semicolon_at_end_of_expression(self.shell.source)

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        if bundle := _shown(format_dict):
            self.shell.report({"output_type": "execute_result", "data": bundle, "metadata": {}})

    def log_output(self, format_dict: dict[str, Any]) -> None:
        pass

    def finish_displayhook(self) -> None:
        self._is_active = False


class StudentShell(InteractiveShell):
    """See :func:`make_shell`."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    report: Report = Anything()  # type: ignore[assignment]
    source = ""

    def init_display_formatter(self) -> None:
        """Compute no HTML, LaTeX or JavaScript: nobody will see it."""
        self.display_formatter = DisplayFormatter(parent=self, active_types=list(_SHOWN))

    def enable_gui(self, gui: Any = None) -> None:
        """There is no event loop."""

    def enable_matplotlib(self, gui: Any = None) -> Any:
        """Draw into the notebook, whatever was asked for."""
        return super().enable_matplotlib("inline")

    def ask_exit(self) -> None:
        """Note that ``exit`` in a cell stops nothing."""
        print("exit is ignored while grading.")

    def system(self, command: str) -> None:
        """Run ``!command``; what would install something is skipped."""
        if _INSTALLS.match(command):
            print(f"Skipped while grading: {command.strip()[:200]}")
            return
        sys.stdout.flush()
        self.system_raw(command)

    def getoutput(self, command: str, split: bool = True, depth: int = 0) -> Any:
        """Run ``x = !command``; what would install something is skipped."""
        if _INSTALLS.match(command):
            print(f"Skipped while grading: {command.strip()[:200]}")
            return []
        return super().getoutput(command, split, depth + 1)

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        name = getattr(etype, "__name__", "Error")
        try:
            said = str(evalue)
        except Exception:
            said = ""
        lines = [str(line) for line in stb]
        self.report({"output_type": "error", "ename": name, "evalue": said, "traceback": lines})

    def run(self, source: str) -> BaseException | None:
        """Run a cell; return what it raised, if anything."""
        self.source = source
        result = self.run_cell(source, store_history=False)
        self.flush_streams()
        return result.error_before_exec or result.error_in_exec

    def flush_streams(self) -> None:
        """Send off what was printed."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                continue


def _skipping(magic: str) -> Callable[[str], None]:
    def skip(line: str) -> None:
        print(f"Skipped while grading: {magic} {line[:200]}")

    return skip


def make_shell(report: Report) -> StudentShell:
    """Make the shell of this process.

    Parameters
    ----------
    report : callable
        Called with each output in the form that notebooks have; and with
        ``{"output_type": "clear"}`` where a cell clears what it showed.
    """
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.ipython_dir = tempfile.gettempdir()
    shell = StudentShell.instance(config=config, report=report)
    for magic in ("pip", "conda", "mamba", "micromamba", "uv"):
        shell.magics_manager.register_function(_skipping(magic), magic_name=magic)
    shell.enable_matplotlib("inline")
    return shell
