"""The command ``gencourse doctor --grading``."""

from __future__ import annotations

from rich.console import Console

from gencourse.grading.sandbox.doctor import examine
from gencourse.grading.sandbox.forkserver import SpawnError
from gencourse.grading.sandbox.policy import Isolation, NoSandbox, available

__all__ = ["report"]

_HEADINGS = {
    "namespaces": "namespaces (user, files, processes, network)",
    "landlock": "Landlock",
    "seccomp": "filter of system calls",
    "cgroup": "control groups, version 2",
}
#: What only makes limits tighter.
_OPTIONAL = ("cgroup",)


def report(console: Console) -> bool:
    """Print what keeps students' code in on this machine, and what it reaches; say if all is well.

    The first isolation that can be had is the one that grading uses, and the one that is examined.
    """

    def say(text: str, good: bool | None = None) -> None:
        mark = {True: "[green]✓[/] ", False: "[bold red]✗[/] ", None: "  "}[good]
        console.print(mark, end="")
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    found = available()
    for name, finding in found.items():
        say(
            f"{_HEADINGS[name]}: {finding.reason}",
            finding.ok or (None if name in _OPTIONAL else False),
        )
        if finding.remedy and not finding.ok:
            say(finding.remedy)
    chosen = next((i for i in (Isolation.NAMESPACES, Isolation.LANDLOCK) if found[i].ok), None)
    if chosen is None:
        say("no sandbox: gencourse grade refuses to run students' code on this machine", False)
        return False
    say(f"grading uses {chosen}; out of reach of a student's code must be:")
    try:
        checks = examine(chosen)
    except (SpawnError, NoSandbox, OSError) as error:
        say(f"no kernel could be examined: {error}", False)
        return False
    for check in checks:
        say(check.name + (f": reached {check.detail}" if check.detail else ""), check.ok)
    held = all(check.ok for check in checks)
    say(
        "the sandbox holds" if held else "the sandbox has holes; don't grade here, and report this",
        held,
    )
    return held
