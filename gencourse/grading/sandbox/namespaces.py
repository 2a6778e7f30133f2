"""A file system, process table and network with nothing in them but what a kernel needs.

The process that calls :func:`enter` is the first of new namespaces. It builds a root in memory:
Python and the system's libraries read-only, one small writable disk for work, temporary files
and shared memory; then it forgets the machine's own root, its user and all its capabilities.

References
----------
``namespaces(7)``, ``pivot_root(2)``, ``user_namespaces(7)``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from gencourse.grading.sandbox import linux, paths

__all__ = ["FLAGS", "HOME", "WORK", "build_root", "map_user"]

#: The namespaces of a sandbox; a user namespace besides, where we are not root.
FLAGS = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWNET
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUTS
)
#: The student's home and working directory, inside.
HOME, WORK = "/home/student", "/home/student/work"

_INSIDE = 1000  # user and group, as seen in a user namespace
_PASSWD = "root:x:0:0:root:/:/bin/false\nstudent:x:{0}:{0}:student:/home/student:/bin/sh\n"
_GROUP = "root:x:0:\nstudent:x:{0}:\n"


def map_user(user: int, group: int) -> None:
    """Call ourselves 1000 in the new user namespace; outside we stay who we were."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INSIDE} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{_INSIDE} {group} 1")


def build_root(
    place: str,
    readable: Iterable[str],
    files: Mapping[str, bytes],
    *,
    disk_mb: int,
    owner: int | None,
) -> None:
    """Build the root at ``place``, an empty folder, and move into it.

    Parameters
    ----------
    place : str
        Seen by nobody else once it is mounted upon.
    readable : iterable of str
        What is shown of the machine, at the same paths.
    files : mapping of str to bytes
        What lies in :data:`WORK`, by relative path.
    disk_mb : int
        Room for all that may be written.
    owner : int or None
        User who will own the files; None for ourselves.
    """
    os.umask(0o022)  # folders made here must be open to the student's user, whoever grades
    quiet = linux.NOSUID | linux.NODEV
    linux.mount(None, "/", None, linux.REC | linux.PRIVATE)
    linux.mount("tmpfs", place, "tmpfs", quiet, "size=4m,nr_inodes=4k,mode=755")
    root = Path(place)
    disk = root / "disk"
    disk.mkdir()
    # Files in memory cost an inode each, too.
    room = f"size={disk_mb}m,nr_inodes={max(4096, 64 * disk_mb)},mode=755"
    linux.mount("tmpfs", str(disk), "tmpfs", quiet, room)
    # Python may lie beneath /var/tmp: a link there would lead what is shown out of this root.
    places = (("tmp", "tmp"), ("tmp", "var/tmp"), ("shm", "dev/shm"), ("home", HOME[1:]))
    for name, target in places:
        (disk / name).mkdir(exist_ok=True)
        (root / target).mkdir(parents=True)
        linux.mount(str(disk / name), str(root / target), None, linux.BIND)
    write_files(root / WORK[1:], files)
    if owner is not None:
        for target in ("tmp", "dev/shm", HOME[1:]):
            give(root / target, owner)
    linux.unmount(str(disk))  # it stays where it is shown
    disk.rmdir()
    for path in readable:
        _bind(path, root)
    for path in paths.DEVICES:
        _bind(path, root, writable=True)
    for name, link in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (root / "dev" / name).symlink_to(f"/proc/self/{link}")
    etc = root / "etc"
    etc.mkdir(exist_ok=True)
    user = _INSIDE if owner is None else owner
    (etc / "passwd").write_text(_PASSWD.format(user))
    (etc / "group").write_text(_GROUP.format(user))
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "proc").mkdir(exist_ok=True)
    linux.mount("proc", str(root / "proc"), "proc", quiet | linux.NOEXEC)
    linux.pivot_root(place)
    # Only the top: what is mounted beneath stays writable.
    linux.mount(None, "/", None, linux.BIND | linux.REMOUNT | linux.READ_ONLY | quiet)
    socket.sethostname("sandbox")


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, whose names were checked before, into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def give(base: Path, owner: int) -> None:
    """Make a user the owner of a folder and all that is in it."""
    for folder, _, names in os.walk(base):
        os.chown(folder, owner, owner)
        for name in names:
            os.chown(os.path.join(folder, name), owner, owner, follow_symlinks=False)


def _bind(path: str, root: Path, *, writable: bool = False) -> None:
    """Show a path of the machine at the same place beneath ``root``; a link stays a link."""
    if not os.path.lexists(path):
        return
    target = root / path.lstrip("/")
    # A link shown before may lead out of the root, where nothing may be made.
    if not Path(os.path.realpath(target.parent)).is_relative_to(os.path.realpath(root)):
        raise OSError(f"{path} can't be shown: on the way there is a link out of the sandbox")
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.islink(path) and not os.path.lexists(target):
        real = os.path.realpath(path)
        target.symlink_to(os.readlink(path))
        if not os.path.lexists(root / real.lstrip("/")) and not real.startswith("/usr/"):
            _bind(real, root, writable=writable)
        return
    if os.path.isdir(path):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    linux.mount(path, str(target), None, linux.BIND | linux.REC)
    if not writable:
        linux.read_only(str(target))
