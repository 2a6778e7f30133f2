"""Try each layer of isolation in a process of its own."""

from __future__ import annotations

from gencourse.grading.sandbox.forkserver import ForkServer, SpawnError
from gencourse.grading.sandbox.policy import Finding, Isolation, NoSandbox

__all__ = ["findings"]


def findings() -> dict[str, Finding]:
    """Start a kernel behind each wall; say for which it could be done."""
    result = {}
    for isolation in (Isolation.NAMESPACES, Isolation.LANDLOCK):
        try:
            with ForkServer(isolation, warm=()) as server:
                server.spawn("builtins:len", [], sandboxed=True).kill()
            result[str(isolation)] = Finding(True, "A kernel was started behind it.")
        except (SpawnError, NoSandbox, OSError) as error:
            result[str(isolation)] = Finding(False, str(error))
    return result
