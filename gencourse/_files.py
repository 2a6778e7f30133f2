"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``path`` so that no reader ever sees half of it.

    The bytes go to a temporary file in the same folder, reach the disk, and are then
    renamed into place. A failure leaves an older file of that name as it was.

    Raises
    ------
    OSError
        If the folder is missing or not writable, or the disk is full; the message says
        which file could not be written and that nothing was changed.
    """
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; give this one the mode a plain open() would.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException as error:  # an interrupt, too, must leave no half-written file behind
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        if not isinstance(error, OSError):
            raise
        raise OSError(
            error.errno,
            f"could not write {str(path)!r} ({os.strerror(error.errno or 0)}); "
            "nothing was changed on disk",
        ) from error
