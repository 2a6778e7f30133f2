"""What the grader keeps for itself in a course: the folder ``.grading``, for its owner alone.

It holds the key that seeds are made with, the results known so far, what was finished, and a
lock. All of it but the key can be deleted at any time: it is made anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FOLDER", "Private", "remove"]

#: Name of the folder in the course.
FOLDER = ".grading"


class Private:
    """The folder ``.grading`` of a course.

    Parameters
    ----------
    course : Path
        The folder of ``nbgrader_config.py``.
    """

    def __init__(self, course: Path) -> None:
        self.path = Path(course) / FOLDER

    def folder(self, *names: str) -> Path:
        """Return a folder within, made where it is missing, with mode 0700."""
        folder = self.path
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            folder = folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def write(self, path: Path, content: bytes) -> None:
        """Write a file in this folder, in one piece and with mode 0600."""
        self.folder(*path.relative_to(self.path).parts[:-1])
        handle, temporary = tempfile.mkstemp(dir=self.unfinished(), prefix=f"{os.getpid()}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def unfinished(self) -> Path:
        """Return the folder for what is being written; names there begin with the process's id."""
        return self.folder("unfinished")

    def key(self) -> bytes:
        """Return the secret that seeds are made with; drawn once for each course."""
        path = self.path / "key"
        with contextlib.suppress(FileNotFoundError):
            return path.read_bytes()
        drawn = self.unfinished() / f"{os.getpid()}-{secrets.token_hex(8)}"
        drawn.touch(mode=0o600, exist_ok=False)
        drawn.write_bytes(secrets.token_bytes(32))
        # Of two graders that come here at once, both must use one key: a link replaces nothing.
        with contextlib.suppress(FileExistsError):
            os.link(drawn, path)
        drawn.unlink()
        return path.read_bytes()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the course: one grader at a time. Let go when the process ends, however it ends.

        What a killed grader left unfinished is removed.

        Raises
        ------
        RuntimeError
            If another one holds it.
        """
        import fcntl  # only where grading works at all

        with open(self.folder() / "lock", "a+b") as file:
            os.chmod(file.name, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RuntimeError(
                    f"another grader is at work in {self.path.parent}; wait for it to end"
                ) from None
            self._tidy()
            yield

    def _tidy(self) -> None:
        """Remove what processes that are gone were writing."""
        for path in self.unfinished().iterdir():
            with contextlib.suppress(ValueError, PermissionError):
                try:
                    os.kill(int(path.name.partition("-")[0]), 0)
                except ProcessLookupError:
                    remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
