"""Write constraints.txt: the exact version of every package the course installs.

Run through ``make constraints`` after upgrading packages in ``.venv``. Only what
``gencourse[book,grading,dev]`` needs, directly or through another package, is listed; a
package someone tried out in the environment does not get in.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = ["closure", "main"]

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("book", "grading", "dev")
HEADER = """\
# Exact versions for reproducible builds: pip install -c constraints.txt -e '.[book,grading,dev]'
# Written by `make constraints` on Linux; a line about a package that is not needed does nothing.
"""


def closure(name: str, extras: tuple[str, ...]) -> dict[str, str]:
    """Return name -> version of every installed package that ``name[extras]`` requires.

    Local version labels such as ``+cpu`` are dropped, because an index does not serve them.

    Raises
    ------
    PackageNotFoundError
        If ``name`` itself is not installed.
    """
    pins: dict[str, str] = {}
    visited: set[tuple[str, str]] = set()
    queue = [(name, extra) for extra in ("", *extras)]
    while queue:
        package, extra = queue.pop()
        key = (canonicalize_name(package), extra)
        if key in visited:
            continue
        visited.add(key)
        try:
            found = distribution(package)
        except PackageNotFoundError:
            if package == name:
                raise
            continue  # an optional requirement for another platform
        pins[found.metadata["Name"]] = Version(found.version).public
        for line in found.requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                queue += [(requirement.name, e) for e in ("", *requirement.extras)]
    del pins[distribution(name).metadata["Name"]]
    return pins


def main() -> int:
    """Replace constraints.txt."""
    pins = closure("gencourse", EXTRAS)
    lines = [f"{name}=={version}\n" for name, version in pins.items()]
    target = ROOT / "constraints.txt"
    temporary = target.with_suffix(".tmp")
    temporary.write_text(HEADER + "".join(sorted(lines, key=str.lower)), encoding="utf-8")
    os.replace(temporary, target)
    print(f"{target.name}: {len(lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
