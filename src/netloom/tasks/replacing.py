"""A file replaced in one move: written beside, synced, moved into place. Whatever happens, the old one or the new one is there, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat

__all__ = ["pointed_at", "replace_file"]

LINKS = 40  # one after the other, as Linux follows


def replace_file(path: str, data: bytes) -> None:
    """Make ``data`` the content of a file, whose mode stays; a link keeps its place, and what it points at is replaced.

    Raises
    ------
    OSError, ValueError : as the system gives them; the old file is as it was, and nothing is left beside it
    """
    target = pointed_at(path)
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        mode = None
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.tmp")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(beside, mode)
        os.replace(beside, target)
    except BaseException:  # an interrupt too
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    with contextlib.suppress(OSError):  # the move itself survives a power cut; not every system can
        handle = os.open(folder or ".", os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def pointed_at(path: str) -> str:
    """Where the file of a link lies. ``..`` is left to the system: `os.path.realpath` takes it away together with a folder that is not
    there, and a file would be written where nobody asked for it.
    """
    for _ in range(LINKS):
        if not os.path.islink(path):
            return path
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
