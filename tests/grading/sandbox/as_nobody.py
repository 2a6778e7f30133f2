"""Run a program as the user ``nobody``, who can reach this Python though it may lie in a home.

``python as_nobody.py ARGUMENTS…`` runs ``python ARGUMENTS…``; it takes root. A private mount puts
an empty folder over each home that is closed to others, and Python's prefix back into it.
"""

import os
import stat
import sys
import sysconfig

from gencourse.grading.sandbox import linux

NOBODY = 65534


def closed(path: str) -> str | None:
    """Return the outermost folder on the way to a path that others may not enter."""
    place = "/"
    for part in path.strip("/").split("/"):
        place = os.path.join(place, part)
        if not stat.S_IMODE(os.stat(place).st_mode) & 0o001:
            return place
    return None


def main(arguments: list[str]) -> None:
    import ctypes

    if ctypes.CDLL(None).unshare(linux.CLONE_NEWNS):
        raise SystemExit("no mount namespace")
    linux.mount(None, "/", None, linux.REC | linux.PRIVATE)
    wanted = {
        os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"))
    }
    wanted.add(os.path.dirname(os.path.dirname(os.path.dirname(linux.__file__))))
    handles = {path: os.open(path, os.O_PATH) for path in sorted(wanted)}
    for path, handle in handles.items():
        if (place := closed(path)) is None:
            continue
        linux.mount("tmpfs", place, "tmpfs", 0, "mode=755")
        os.makedirs(path)
        linux.mount(f"/proc/self/fd/{handle}", path, None, linux.BIND | linux.REC)
    for handle in handles.values():
        os.close(handle)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.environ["HOME"] = "/nonexistent"
    os.chdir("/")
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
