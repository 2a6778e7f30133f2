"""What a sandbox shows of the machine: the Python that runs, the system's libraries, no more."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

__all__ = ["COURSE_FILES", "DEVICES", "exposed", "package", "readable"]

#: What no sandbox may show: the names by which a course is known.
COURSE_FILES = ("solutions", "gradebook.db", "nbgrader_config.py", "submitted", "autograded")
#: Devices that programs take for granted.
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_UNIX = ("bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share")
_SYSTEM = (
    *(f"/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64")),
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/mime.types",
    "/etc/localtime",
)
# Not the whole of these, for people keep their own things there (/usr/src, /usr/local/src).
_SHARED = ("/usr", "/usr/local")


def package() -> str:
    """Return the folder of the package ``gencourse``."""
    import gencourse

    return str(Path(gencourse.__file__).resolve().parent)


def readable() -> list[str]:
    """Return the files and folders that a sandbox may read, none of them beneath another.

    The system's libraries, the prefixes of this Python, and the folder of this package: which
    may be installed from within a course, whose other folders are not for students.
    """
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    libraries = {
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    libraries |= set(site.getsitepackages())
    user_site = site.getusersitepackages()
    if user_site in sys.path:
        libraries.add(user_site)
    found = {p for p in (prefixes | libraries) - set(_SHARED) if p and os.path.isdir(p)}
    found |= {os.path.realpath(p) for p in found}
    # An interpreter may be a link to one that lies elsewhere.
    executable = os.path.realpath(sys.executable)
    system = [*_SYSTEM, *(f"{base}/{name}" for base in _SHARED for name in _UNIX)]
    found |= {p for p in system if os.path.exists(p)} | {package(), executable}
    return _outermost(found)


def _outermost(paths: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(map(os.path.normpath, paths)):
        if not any(path == k or path.startswith(k.rstrip("/") + "/") for k in kept):
            kept.append(path)
    return kept


def exposed(paths: Iterable[str], hidden: Iterable[str] = ()) -> list[str]:
    """Return what would lie in sight, and must not, if these files and folders were shown.

    That is where a virtual environment, or Python itself, holds a course instead of lying in it
    or beside it. Such an arrangement is refused.

    Parameters
    ----------
    paths : iterable of str
        From :func:`readable`.
    hidden : iterable of str
        Folders of which nothing may be shown, but for the package and what was put into them to
        be shown, such as a virtual environment.
    """
    folders = [path for path in paths if path != package()]
    known = [os.path.join(path, name) for path in folders for name in COURSE_FILES]
    found = [path for path in known if os.path.exists(path)]
    for path in map(os.path.realpath, hidden):
        found += [path for folder in folders if (path + "/").startswith(folder.rstrip("/") + "/")]
    home = os.path.expanduser("~")
    return found + [path for path in folders if os.path.normpath(path) in ("/", home)]
